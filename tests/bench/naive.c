/* SPDX-License-Identifier: MIT */
/*
 * What one writes in five minutes, to compare with: SO_LINGER {1, 0} in close(), or TCP_LINGER2 -1
 * where FIN_RST is defined. It does so to listeners and pipes as well, changes errno, and misses
 * fclose(), dup2(), exit() and signals.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

int close(int fd)
{
    static int (*real)(int);
#ifdef FIN_RST
    int forget = -1;
    setsockopt(fd, IPPROTO_TCP, TCP_LINGER2, &forget, sizeof(forget));
#else
    struct linger abort = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
#endif

    if (!real)
        real = (int (*)(int))dlsym(RTLD_NEXT, "close");
    return real(fd);
}
