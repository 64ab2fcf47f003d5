/* SPDX-License-Identifier: MIT */
/*
 * Socket calls with every length and pointer that a program may pass: prints a line for each, with
 * what it returned and errno, so that two runs can be compared: odd [threads | linger2]
 *
 * With "threads" another thread changes the address while it is used; then only "done" is printed.
 * With "linger2" TCP_LINGER2 is set from memory that ends before the length does, of which the
 * kernel reads an int; then only what the socket has is printed.
 */
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "common.h"

#define TIME_LIMIT 100 /* seconds */
#define PAGE ((size_t)4096)
#define CHANGES 3000 /* calls with an address that changes */

static const unsigned lengths[] = {0,   1,    2,    4,    7,     8,           9,           15,
                                   16,  17,   27,   28,   29,    127,         128,         129,
                                   256, 1000, 4096, 8192, 65536, 0x7fffffffu, 0x80000000u, ~0u};

static struct sockaddr_storage nobody; /* an address that refuses connections */
static char *page;                     /* one that may be used, before one that may not */
static bool is_over;

/* `size` bytes at the end of the page. */
static void *last_bytes(const void *from, size_t size)
{
    return memcpy(page + PAGE - size, from, size);
}

static void say(const char *call, const char *where, long length, long result)
{
    int error = errno;

    printf("%s %s %ld: %ld %d\n", call, where, length, result, result < 0 ? error : 0);
}

static void try_address(long number, const char *call, int family, const char *where,
                        const void *address)
{
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        int fd = socket(family, SOCK_STREAM, 0);
        say(call, where, (int)lengths[i], syscall(number, fd, address, lengths[i]));
        close(fd);
    }
}

static void try_addresses(long number, const char *call)
{
    struct sockaddr_storage six = nobody;
    struct sockaddr_storage wrong = nobody;

    six.ss_family = AF_INET6;
    wrong.ss_family = AF_UNIX;
    try_address(number, call, AF_INET, "good", &nobody);
    try_address(number, call, AF_INET6, "family", &six);
    try_address(number, call, AF_INET, "wrong", &wrong);
    try_address(number, call, AF_INET, "null", NULL);
    try_address(number, call, AF_INET, "unmapped", page + PAGE);
    try_address(number, call, AF_INET, "kernel", (void *)~(uintptr_t)0xfff);
    try_address(number, call, AF_INET, "exact", last_bytes(&nobody, sizeof(struct sockaddr_in)));
    try_address(number, call, AF_INET, "short", last_bytes(&nobody, 15));
    try_address(number, call, AF_INET, "byte", last_bytes(&nobody, 1));
}

static void try_option(int fd, int level, int option, const char *where, const void *value)
{
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
        say(option == SO_LINGER ? "linger" : "linger2", where, (int)lengths[i],
            syscall(SYS_setsockopt, fd, level, option, value, lengths[i]));
}

static void try_options(void)
{
    static const char value[65536];
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    for (int i = 0; i < 2; i++) {
        int level = i ? IPPROTO_TCP : SOL_SOCKET;
        int option = i ? TCP_LINGER2 : SO_LINGER;
        try_option(fd, level, option, "good", value);
        try_option(fd, level, option, "null", NULL);
        try_option(fd, level, option, "unmapped", page + PAGE);
        try_option(fd, level, option, "exact", last_bytes(value, i ? 4 : 8));
        try_option(fd, level, option, "byte", last_bytes(value, 1));
    }
    close(fd);
}

static void try_descriptors(void)
{
    static const int numbers[] = {-1, 999, 0x7fffffff, (int)0x80000000u};

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        int fd = numbers[i];
        say("listen", "fd", fd, syscall(SYS_listen, fd, 1));
        say("shutdown", "fd", fd, syscall(SYS_shutdown, fd, SHUT_RDWR));
        say("connect", "fd", fd, syscall(SYS_connect, fd, &nobody, sizeof(struct sockaddr_in)));
        say("dup3", "fd", fd, syscall(SYS_dup3, fd, 5, 0));
        say("dup3", "target", fd, syscall(SYS_dup3, 0, fd == 999 ? -1 : fd, 0));
        say("close", "fd", fd, syscall(SYS_close, fd));
    }
}

static int listener;

/* A connection that waits for accept(). */
static int make_waiting(void)
{
    struct sockaddr_storage to;
    socklen_t length = test_address(AF_INET, port_of(listener), &to);
    int client = socket(AF_INET, SOCK_STREAM, 0);

    check(connect(client, (struct sockaddr *)&to, length) == 0, "connect");
    return client;
}

/* Takes it; its client sees whether it was dropped where that failed. */
static void try_accept(const char *what, void *address, socklen_t *length, int flags)
{
    int client = make_waiting();
    char byte;
    long fd = syscall(SYS_accept4, listener, address, length, flags);

    say("accept", what, flags, fd < 0 ? fd : fd - client);
    if (fd >= 0) {
        printf("flags %x %x\n", fcntl((int)fd, F_GETFL) & O_NONBLOCK, fcntl((int)fd, F_GETFD));
        close((int)fd);
    } else if (flags & 1) {
        close((int)syscall(SYS_accept4, listener, NULL, NULL, 0));
    }
    say("its client", what, flags, recv(client, &byte, 1, 0));
    close(client);
}

static void try_accept_addresses(void)
{
    static const int rooms[] = {0, 1, 2, 4, 15, 16, 17, 28, 128, 4096, -1, INT_MIN, INT_MAX};

    for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
        struct sockaddr_in address = {0};
        socklen_t length = (socklen_t)rooms[i];
        try_accept("room", &address, &length, 0);
        printf("room %d: %d %d %x\n", rooms[i], (int)length, address.sin_family,
               (unsigned)ntohl(address.sin_addr.s_addr));
        length = (socklen_t)rooms[i];
        try_accept("no address", NULL, &length, 0);
        printf("room %d: %d\n", rooms[i], (int)length);
        length = (socklen_t)rooms[i];
        try_accept("short", page + PAGE - 15, &length, 0);
    }
    socklen_t length = 16;
    try_accept("exact", page + PAGE - 16, &length, 0);
    try_accept("unmapped", page + PAGE, &length, 0);
    try_accept("no length", page, NULL, 0);
    try_accept("length unmapped", page, (socklen_t *)(page + PAGE), 0);
    try_accept("length at the end", page, (socklen_t *)(page + PAGE - 4), 0);
}

static void ring(int number)
{
    (void)number;
}

static void ring_in(int microseconds, int flags)
{
    struct sigaction action = {.sa_handler = ring, .sa_flags = flags};
    struct itimerval timer = {.it_value = {0, microseconds}};

    check(sigaction(SIGALRM, &action, NULL) == 0, "sigaction");
    check(setitimer(ITIMER_REAL, &timer, NULL) == 0, "setitimer");
}

/* Ends what the listener's accept() waits for, in `how`. */
static void *end_wait(void *how)
{
    usleep(60000);
    if (*(const char *)how == 'c')
        (void)make_waiting();
    else
        shutdown(listener, SHUT_RDWR);
    return NULL;
}

static void accept_until(const char *what)
{
    pthread_t thread;

    check(pthread_create(&thread, NULL, end_wait, (void *)(uintptr_t)what) == 0, "a thread");
    long fd = accept(listener, NULL, NULL);
    say("accept", what, 0, fd < 0 ? fd : 0);
    if (fd >= 0)
        close((int)fd);
    pthread_join(thread, NULL);
}

static void try_waits(void)
{
    struct timeval limit = {0, 50000};

    ring_in(30000, 0);
    say("accept", "interrupted", 0, accept(listener, NULL, NULL));
    ring_in(30000, SA_RESTART);
    accept_until("connected");
    setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    say("accept", "timed out", 0, accept(listener, NULL, NULL));
    limit.tv_usec = 0;
    setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    fcntl(listener, F_SETFL, O_NONBLOCK);
    say("accept", "none", 0, accept(listener, NULL, NULL));
    fcntl(listener, F_SETFL, 0);
}

static void try_no_numbers(void)
{
    struct rlimit before;
    int client = make_waiting();

    getrlimit(RLIMIT_NOFILE, &before);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){(rlim_t)client + 1, before.rlim_max});
    say("accept", "no number", 0, accept(listener, NULL, NULL));
    setrlimit(RLIMIT_NOFILE, &before);
    int fd = accept(listener, NULL, NULL);
    say("accept", "a number", 0, fd < 0 ? fd : fd - client);
    close(fd);
    close(client);
}

static void try_accepts(void)
{
    static const int flags[] = {SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_CLOEXEC | SOCK_NONBLOCK, 1};
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM};
    int pair[2];

    listener = socket(AF_INET, SOCK_STREAM, 0);
    check(listen(listener, 5) == 0, "listen");
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        try_accept("flags", NULL, NULL, flags[i]);
    try_accept_addresses();
    try_no_numbers();
    try_waits();
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        int fd = socket(AF_INET, types[i], 0);
        say("accept", "type", types[i], accept(fd, NULL, NULL));
        check(socketpair(AF_UNIX, types[i], 0, pair) == 0, "socketpair");
        say("accept", "pair", types[i], accept(pair[0], NULL, NULL));
    }
    say("accept", "fd", -1, accept(-1, NULL, NULL));
    accept_until("shut down");
    say("accept", "shut down", 0, accept(listener, NULL, NULL));
}

static void *change(void *unused)
{
    struct sockaddr_storage *address = (struct sockaddr_storage *)page;

    for (unsigned i = 0; !__atomic_load_n(&is_over, __ATOMIC_RELAXED); i++) {
        address->ss_family = (sa_family_t)(i % 3 == 0 ? AF_INET6 : i % 3 == 1 ? AF_INET : AF_UNIX);
        if (i % 64 == 0)
            mprotect(page, PAGE, PROT_NONE);
        if (i % 64 == 0)
            mprotect(page, PAGE, PROT_READ | PROT_WRITE);
    }
    return unused;
}

static void try_changing(void)
{
    pthread_t thread;

    memcpy(page, &nobody, sizeof(nobody));
    check(pthread_create(&thread, NULL, change, NULL) == 0, "a thread");
    for (unsigned i = 0; i < CHANGES; i++) {
        int fd = socket(i % 2 ? AF_INET : AF_INET6, SOCK_STREAM, 0);
        syscall(i % 4 < 2 ? SYS_connect : SYS_bind, fd, page, i % 3 ? 16 : 28);
        close(fd);
    }
    __atomic_store_n(&is_over, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    puts("done");
}

static void try_linger2(void)
{
    const int seconds = 5;
    int now = 0;
    socklen_t size = sizeof(now);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    check(setsockopt(fd, IPPROTO_TCP, TCP_LINGER2, last_bytes(&seconds, sizeof(seconds)), 8) == 0 &&
              getsockopt(fd, IPPROTO_TCP, TCP_LINGER2, &now, &size) == 0,
          "TCP_LINGER2");
    printf("%d\n", now);
}

int main(int argc, char **argv)
{
    int holder = socket(AF_INET, SOCK_STREAM, 0);

    alarm(TIME_LIMIT);
    socklen_t length = test_address(AF_INET, 0, &nobody);
    check(bind(holder, (struct sockaddr *)&nobody, length) == 0, "bind");
    length = test_address(AF_INET, port_of(holder), &nobody);
    page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(page != MAP_FAILED && mprotect(page + PAGE, PAGE, PROT_NONE) == 0, "a page");
    if (argc > 1) {
        strcmp(argv[1], "linger2") == 0 ? try_linger2() : try_changing();
        return 0;
    }
    try_addresses(SYS_connect, "connect");
    try_addresses(SYS_bind, "bind");
    try_options();
    try_accepts();
    try_descriptors();
    return 0;
}
