/* SPDX-License-Identifier: MIT */
/*
 * Who holds a port, by a dump of the kernel's sockets. Must not allocate, or use much stack, which
 * may be small.
 */
#include "socket/portholders.h"

#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/mman.h>

#include "socket/diag.h"

static bool is_asked_for(const struct portholders *h, const struct diag_socket *socket)
{
    return (h->port == 0 || socket->local_port == h->port) &&
           (h->peer_port == 0 ||
            (socket->peer_port == h->peer_port && socket->peer.high == h->peer.high &&
             socket->peer.low == h->peer.low));
}

static bool count_holder(const struct diag_socket *socket, void *context)
{
    struct portholders *h = context;

    /* Linux 6.8 and later list those as well that are bound and no more. */
    if (!is_asked_for(h, socket) || socket->state == TCP_CLOSE)
        return true;
    if (socket->state == TCP_LISTEN)
        h->listeners++;
    else if (socket->state == TCP_TIME_WAIT)
        h->time_wait++;
    else
        h->others++;
    if (socket->state == TCP_TIME_WAIT && socket->expires > h->last)
        h->last = socket->expires;
    return true;
}

/* The dump needs more room than a small stack has; a mapping is not heap, and short-lived. */
bool portholders_find(struct portholders *h)
{
    void *buffer =
        mmap(NULL, DIAG_BUFFER_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool found;

    if (buffer == MAP_FAILED)
        return false;
    found = diag_each(buffer, DIAG_EVERY_STATE, count_holder, h) == 0;
    munmap(buffer, DIAG_BUFFER_SIZE);
    return found;
}

const char *portholders_say(const struct portholders *h)
{
    if (h->listeners > 0)
        return "a listener holds the port";
    if (h->time_wait > 0)
        return "TIME_WAIT sockets hold the port unless both runs set SO_REUSEADDR";
    return h->others > 0 ? "connections hold the port unless both runs set SO_REUSEADDR"
                         : "a bound socket that does not listen holds the port";
}
