/* SPDX-License-Identifier: MIT */
/* A library that makes a TCP socket in its constructor, before or after ours has run. */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static void __attribute__((constructor)) early(void)
{
    struct linger linger = {0, 0};
    socklen_t length = sizeof(linger);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length);
    dprintf(1, "early %d,%d\n", linger.l_onoff, linger.l_linger);
    close(fd);
}
