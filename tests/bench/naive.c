/*
 * What one writes in five minutes, to compare with: SO_LINGER {1, 0} in close(). It resets
 * listeners and pipes as happily, changes errno, and misses fclose(), dup2(), exit() and signals.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/socket.h>

int close(int fd)
{
    static int (*real)(int);
    struct linger linger = {1, 0};

    if (!real)
        real = (int (*)(int))dlsym(RTLD_NEXT, "close");
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    return real(fd);
}
