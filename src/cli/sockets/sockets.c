/* SPDX-License-Identifier: MIT */
/* The kernel's dump (diag.c) in memory: 100,000 sockets take some 10 MB and 0.1 s. */
#include "cli/sockets/sockets.h"

#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "socket/sock.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71 /* Linux 5.14 */
#endif
#ifndef SIOCGSKNS
#define SIOCGSKNS 0x894c /* Linux 4.10 */
#endif

static bool add(const struct diag_socket *socket, void *context)
{
    struct sockets *sockets = context;
    struct diag_socket *items = cli_grow(sockets->items, sockets->count, sizeof(*items));

    if (!items)
        return false;
    sockets->items = items;
    sockets->items[sockets->count++] = *socket;
    return true;
}

int sockets_read_in(struct sockets *sockets, uint32_t states)
{
    static _Alignas(16) char buffer[DIAG_BUFFER_SIZE];

    sockets->count = 0;
    return diag_each(buffer, states, add, sockets);
}

int sockets_read(struct sockets *sockets)
{
    return sockets_read_in(sockets, DIAG_EVERY_STATE);
}

static ssize_t find(long port, bool of_listeners, uint32_t **inodes)
{
    struct sockets sockets = {NULL, 0};
    ssize_t count = -1;

    *inodes = NULL;
    if (sockets_read(&sockets) == 0 && (*inodes = calloc(sockets.count + 1, sizeof(**inodes))))
        count = 0;
    for (size_t i = 0; count >= 0 && i < sockets.count; i++) {
        const struct diag_socket *s = &sockets.items[i];
        if (s->local_port == port && s->inode != 0 && (s->state == TCP_LISTEN || !of_listeners))
            (*inodes)[count++] = s->inode;
    }
    free(sockets.items);
    return count;
}

ssize_t sockets_listeners(long port, uint32_t **inodes)
{
    return find(port, true, inodes);
}

ssize_t sockets_at(long port, uint32_t **inodes)
{
    return find(port, false, inodes);
}

uint64_t sockets_network(int fd)
{
    uint64_t cookie;
    struct stat status = {0};

    if (sock_get(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, sizeof(cookie)) == 0)
        return cookie;
    int network = ioctl(fd, SIOCGSKNS);
    if (network >= 0) {
        (void)fstat(network, &status);
        close(network);
    }
    return status.st_ino;
}

uint64_t sockets_own_network(void)
{
    int ours = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    uint64_t network = sockets_network(ours);

    close(ours);
    return network;
}
