/*
 * What a call costs in this process, in nanoseconds: the least mean of 20 pieces of COUNT / 20
 * calls, because all that disturbs adds to it.
 *
 *     calls dup|open|getpid COUNT
 *     calls wait                    says "ready" and waits for a line on standard input
 */
#include <fcntl.h>
#include <sys/syscall.h>
#include <time.h>

#include "../tools/common.h"

#define PIECES 20

static void call_dup(void)
{
    int fd = dup(0);
    check(fd >= 0 && close(fd) == 0, "dup");
}

static void call_open(void)
{
    int fd = open("/dev/null", O_RDONLY);
    check(fd >= 0 && close(fd) == 0, "open");
}

static void call_getpid(void)
{
    check(syscall(SYS_getpid) > 0, "getpid");
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

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*call)(void);
    } calls[] = {{"dup", call_dup}, {"open", call_open}, {"getpid", call_getpid}};

    check(argc >= 2, "usage");
    if (strcmp(argv[1], "wait") == 0) {
        puts("ready");
        fflush(stdout);
        return getchar() == EOF;
    }
    check(argc == 3 && atol(argv[2]) >= PIECES, "usage");
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        if (strcmp(calls[i].name, argv[1]) == 0) {
            printf("%.1f\n", cost(calls[i].call, atol(argv[2])));
            return 0;
        }
    }
    check(0, "no such call");
}
