/* SPDX-License-Identifier: MIT */
/*
 * A load tester that knows nothing of this project: connects, reads one byte, closes, COUNT times
 * to one address and port. Prints "connected N", and why it stopped where that was too early.
 *
 *     flood PORT COUNT
 *     flood -h PORT COUNT      holds all connections until a line comes on standard input
 */
#include <sys/resource.h>

#include "common.h"

#define TIME_LIMIT 300 /* seconds */

int main(int argc, char **argv)
{
    bool holds = argc == 4 && strcmp(argv[1], "-h") == 0;
    struct rlimit limit;
    struct sockaddr_storage address;
    long made = 0;
    char byte;

    alarm(TIME_LIMIT);
    check(argc >= 3, "usage");
    check(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    check(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
    socklen_t length = test_address(AF_INET, atoi(argv[argc - 2]), &address);
    long count = atol(argv[argc - 1]);
    for (; made < count; made++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        check(fd >= 0, "socket");
        if (connect(fd, (struct sockaddr *)&address, length) != 0) {
            printf("%s\n", strerror(errno));
            break;
        }
        if (holds)
            continue;
        check(recv(fd, &byte, 1, 0) == 1, "recv");
        close(fd);
    }
    printf("connected %ld\n", made);
    fflush(stdout);
    if (holds)
        check(getchar() != EOF, "standard input");
    return 0;
}
