/* SPDX-License-Identifier: MIT */
/*
 * What it takes to start a program and see it end, in microseconds: the median of COUNT times.
 *
 *     starts COUNT PROGRAM [ARG...]
 */
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>

#include "../tools/common.h"

extern char **environ;

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double start(char **command)
{
    struct timespec begin, end;
    pid_t pid;
    int status;

    clock_gettime(CLOCK_MONOTONIC, &begin);
    check(posix_spawnp(&pid, command[0], NULL, NULL, command, environ) == 0, command[0]);
    check(waitpid(pid, &status, 0) == pid, "waitpid");
    clock_gettime(CLOCK_MONOTONIC, &end);
    check(status == 0, "the program's status");
    return (end.tv_sec - begin.tv_sec) * 1e6 + (end.tv_nsec - begin.tv_nsec) / 1e3;
}

int main(int argc, char **argv)
{
    check(argc >= 3, "usage");
    int count = atoi(argv[1]);
    check(count > 0, "usage");
    double *took = calloc(count, sizeof(*took));
    check(took != NULL, "calloc");
    for (int i = 0; i < count; i++)
        took[i] = start(argv + 2);
    qsort(took, count, sizeof(*took), ascending);
    printf("%.1f\n", took[count / 2]);
    return 0;
}
