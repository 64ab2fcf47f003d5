/* SPDX-License-Identifier: MIT */
/* The kernel's dump (diag.c), kept: 100,000 sockets take some 10 MB and 0.1 s. */
#include "cli/sockets/sockets.h"

#include <netinet/tcp.h>
#include <stdlib.h>

static bool add(const struct diag_socket *socket, void *context)
{
    struct sockets *sockets = context;

    if (sockets->count == sockets->room) {
        size_t room = sockets->room ? sockets->room * 2 : 1024;
        struct diag_socket *bigger = reallocarray(sockets->items, room, sizeof(*bigger));
        if (!bigger)
            return false;
        sockets->items = bigger;
        sockets->room = room;
    }
    sockets->items[sockets->count++] = *socket;
    return true;
}

int sockets_read(struct sockets *sockets)
{
    static _Alignas(16) char buffer[DIAG_BUFFER_SIZE];

    sockets->count = 0;
    return diag_each(buffer, add, sockets);
}

static ssize_t find(long port, bool of_listeners, uint32_t **inodes)
{
    struct sockets sockets = {NULL, 0, 0};
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
