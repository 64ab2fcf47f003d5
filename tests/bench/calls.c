/* SPDX-License-Identifier: MIT */
/*
 * What a call costs in this process, in nanoseconds: the least mean of 20 pieces of COUNT / 20
 * calls, because all that disturbs adds to it.
 *
 *     calls dup|ask|open|socket|getpid|filtered COUNT
 *     calls threads COUNT THREADS   COUNT sockets made and closed by all of them: the mean of all
 *     calls wait                    says "ready" and waits for a line on standard input
 *
 * `filtered` is getpid under a seccomp filter that allows everything: the least that a filter
 * costs.
 */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#include "../tools/common.h"

#define PIECES 20

static void call_dup(void)
{
    int fd = dup(0);
    check(fd >= 0 && close(fd) == 0, "dup");
}

/* The least that can be asked of it: no option is looked up where it is not a socket. */
static void call_ask(void)
{
    int fd = dup(0), type;
    socklen_t length = sizeof(type);
    check(fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0 && close(fd) == 0,
          "dup");
}

static void call_open(void)
{
    int fd = open("/dev/null", O_RDONLY);
    check(fd >= 0 && close(fd) == 0, "open");
}

static void call_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    check(fd >= 0 && close(fd) == 0, "socket");
}

static void call_getpid(void)
{
    check(syscall(SYS_getpid) > 0, "getpid");
}

static void allow_everything(void)
{
    struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog filter = {1, &allow};

    check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
    check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0, "seccomp");
}

static double nanoseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e9 + now.tv_nsec;
}

static double cost(void (*call)(void), long count)
{
    double least = 1e18;

    for (int piece = 0; piece < PIECES; piece++) {
        double begin = nanoseconds();
        for (long i = 0; i < count / PIECES; i++)
            call();
        double mean = (nanoseconds() - begin) / (count / PIECES);
        if (mean < least)
            least = mean;
    }
    return least;
}

static void *make_sockets(void *count)
{
    for (long i = 0; i < *(long *)count; i++)
        call_socket();
    return NULL;
}

static double cost_in_threads(long count, int threads)
{
    pthread_t *made = calloc(threads, sizeof(*made));
    double begin = nanoseconds();

    check(made != NULL && threads > 0, "threads");
    count /= threads;
    for (int i = 0; i < threads; i++)
        check(pthread_create(&made[i], NULL, make_sockets, &count) == 0, "pthread_create");
    for (int i = 0; i < threads; i++)
        pthread_join(made[i], NULL);
    free(made);
    return (nanoseconds() - begin) / (count * threads);
}

static void wait_for_a_line(void)
{
    puts("ready");
    fflush(stdout);
    exit(getchar() == EOF);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*call)(void);
    } calls[] = {{"dup", call_dup},       {"ask", call_ask},       {"open", call_open},
                 {"socket", call_socket}, {"getpid", call_getpid}, {"filtered", call_getpid}};

    check(argc >= 2, "usage");
    if (strcmp(argv[1], "wait") == 0)
        wait_for_a_line();
    if (strcmp(argv[1], "threads") == 0 && argc == 4) {
        printf("%.1f\n", cost_in_threads(atol(argv[2]), atoi(argv[3])));
        return 0;
    }
    check(argc == 3 && atol(argv[2]) >= PIECES, "usage");
    if (strcmp(argv[1], "filtered") == 0)
        allow_everything();
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        if (strcmp(calls[i].name, argv[1]) == 0) {
            printf("%.1f\n", cost(calls[i].call, atol(argv[2])));
            return 0;
        }
    }
    check(0, "no such call");
}
