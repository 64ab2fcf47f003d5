/* SPDX-License-Identifier: MIT */
/*
 * A server of one connection that fills its table of descriptors to the brim: the connection gets
 * the highest number there is, everything below it is taken, and so it is closed: brim
 */
#include <fcntl.h>
#include <sys/resource.h>

#include "common.h"

int main(void)
{
    struct sockaddr_storage address;
    socklen_t length = test_address(AF_INET, 0, &address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct rlimit limit;
    char knock;

    alarm(100);
    check(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    check(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
    int highest = (int)limit.rlim_max - 1;
    check(bind(listener, (struct sockaddr *)&address, length) == 0, "bind");
    check(listen(listener, 1) == 0, "listen");
    printf("port %d\n", port_of(listener));
    fflush(stdout);
    int low = accept(listener, NULL, NULL);
    check(low >= 0 && recv(low, &knock, 1, 0) == 1, "recv");
    int fd = fcntl(low, F_DUPFD, highest);
    check(fd == highest && close(low) == 0, "F_DUPFD");
    while (dup(0) >= 0)
        ;
    check(errno == EMFILE, "dup");
    check(accept(listener, NULL, NULL) == -1 && errno == EMFILE, "accept");
    check(send(fd, "hello", 5, MSG_NOSIGNAL) == 5, "send");
    errno = 7;
    check(close(fd) == 0 && errno == 7, "close");
    printf("fd %d\n", fd);
    return 0;
}
