/* SPDX-License-Identifier: MIT */
/*
 * Calls what the library hooks in a signal handler on an alternate stack of 8,192 bytes, and prints
 * how much of it each call took: "close 1234". The stack is painted before, so that what was
 * written shows.
 */
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/auxv.h>

#include "common.h"

#define STACK_SIZE 8192 /* SIGSTKSZ, sigaltstack(2) */
#define PAINT 0xa5

static unsigned char stack[STACK_SIZE] __attribute__((aligned(64)));
static volatile uintptr_t top; /* where the handler's own frame begins */
static struct sockaddr_storage address;
static socklen_t length;
static int listener;
static int fd;
static int other;

static void do_socket(void)
{
    fd = socket(AF_INET, SOCK_STREAM, 0);
}

static void do_connect(void)
{
    check(connect(fd, (struct sockaddr *)&address, length) == 0, "connect");
}

static void do_accept(void)
{
    other = accept(listener, NULL, NULL);
}

static void do_setsockopt(void)
{
    struct linger linger = {0, 0};

    check(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0, "SO_LINGER");
}

static void do_shutdown(void)
{
    check(shutdown(fd, SHUT_RDWR) == 0, "shutdown");
}

static void do_close(void)
{
    check(close(other) == 0, "close");
}

static void do_dup2(void)
{
    check(dup2(0, fd) == fd, "dup2");
}

/* In vain: somebody listens there. */
static void do_bind(void)
{
    int late = socket(AF_INET, SOCK_STREAM, 0);

    check(bind(late, (struct sockaddr *)&address, length) != 0, "bind");
    close(late);
}

static void do_listen(void)
{
    check(listen(listener, 10) == 0, "listen");
}

/* Not in every libc; syscall(2) would pass the library by. */
extern int close_range(unsigned first, unsigned last, int flags) __attribute__((weak));

static void do_range(void)
{
    int late = socket(AF_INET, SOCK_STREAM, 0);

    check(connect(late, (struct sockaddr *)&address, length) == 0, "connect");
    check(!close_range || close_range((unsigned)late, (unsigned)late, 0) == 0, "close_range");
}

static const struct step {
    const char *name;
    void (*run)(void);
} steps[] = {
    {"socket", do_socket},     {"connect", do_connect},
    {"accept", do_accept},     {"setsockopt", do_setsockopt},
    {"shutdown", do_shutdown}, {"close", do_close},
    {"dup2", do_dup2},         {"bind", do_bind},
    {"listen", do_listen},     {"close_range", do_range},
};
#define STEPS (sizeof(steps) / sizeof(steps[0]))

static void (*volatile step)(void);

static void handle(int number)
{
    (void)number;
    top = (uintptr_t)__builtin_frame_address(0);
    step();
}

static size_t used(void)
{
    size_t at = 0;

    while (at < STACK_SIZE && stack[at] == PAINT)
        at++;
    return top - (uintptr_t)(stack + at);
}

int main(void)
{
    const stack_t alternate = {.ss_sp = stack, .ss_size = STACK_SIZE};
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_ONSTACK};

    if (getauxval(AT_MINSIGSTKSZ) > STACK_SIZE / 2) {
        puts("no room: the signal's own frame takes more than half");
        return 77;
    }
    length = test_address(AF_INET, 0, &address);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    check(bind(listener, (struct sockaddr *)&address, length) == 0, "bind");
    check(listen(listener, 10) == 0, "listen");
    length = test_address(AF_INET, port_of(listener), &address);
    check(sigaltstack(&alternate, NULL) == 0, "sigaltstack");
    check(sigaction(SIGUSR1, &action, NULL) == 0, "sigaction");
    /* The first round binds the names, which takes a stack of its own (_dl_runtime_resolve()). */
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < STEPS; i++) {
            memset(stack, PAINT, sizeof(stack));
            step = steps[i].run;
            check(raise(SIGUSR1) == 0, "raise");
            if (round > 0)
                printf("%s %zu\n", steps[i].name, used());
        }
        close(fd);
    }
    return 0;
}
