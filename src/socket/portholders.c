/* SPDX-License-Identifier: MIT */
/*
 * Who holds a port, by a dump of the kernel's sockets. Must not allocate, or use much stack, which
 * may be small.
 */
#include "socket/portholders.h"

#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/mman.h>

#include "policy/address.h"
#include "socket/role.h"

static bool is_asked_for(const struct portholders *h, const struct diag_socket *socket)
{
    return (h->port == 0 || socket->local_port == h->port) &&
           (h->peer_port == 0 ||
            (socket->peer_port == h->peer_port && address_is_same(socket->peer, h->peer)));
}

bool portholders_add(const struct diag_socket *socket, void *holders)
{
    struct portholders *h = holders;

    /* Linux 6.8 and later also list sockets that are bound and nothing else. */
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
    if (socket->state != TCP_LISTEN && h->first_port == 0) {
        h->first = socket->peer;
        h->first_port = socket->peer_port;
    }
    return true;
}

/*
 * A peer's port below the range is a server's, and so, without doubt, is one with a listener here.
 */
void portholders_judge(struct portholders *h, bool peer_listens)
{
    struct role_range range;
    bool is_reserved = false;

    role_read_range(&range);
    role_read_reserved((struct role_range){h->port, h->port}, &is_reserved);
    h->is_in_range = h->port >= range.low && h->port <= range.high && !is_reserved;
    h->is_clients = h->listeners == 0 && h->first_port != 0 &&
                    (peer_listens || h->first_port < ROLE_SERVERS_ONLY ||
                     (h->is_in_range && h->first_port < range.low));
}

/* The dump needs more room than a small stack has; a mapping is not heap, and short-lived. */
static bool find(struct portholders *h)
{
    void *buffer =
        mmap(NULL, DIAG_BUFFER_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool found;

    if (buffer == MAP_FAILED)
        return false;
    found = diag_each(buffer, DIAG_EVERY_STATE, portholders_add, h) == 0;
    munmap(buffer, DIAG_BUFFER_SIZE);
    return found;
}

bool portholders_find(struct portholders *h)
{
    bool found = find(h);
    struct portholders peers = {.port = h->first_port};
    bool is_open = found && h->listeners == 0 && h->first_port != 0 && find(&peers);

    portholders_judge(h, is_open && peers.listeners > 0);
    return found;
}

void portholders_say(const struct portholders *h, struct text *out)
{
    if (h->listeners > 0) {
        text_put(out, "a listener holds the port");
    } else if (h->is_clients) {
        text_put(out, "a client's connection to ");
        address_print_endpoint(out, h->first, h->first_port);
        text_put(out, " holds the port");
        text_put(out, h->is_in_range ? "; reserve it by net.ipv4.ip_local_reserved_ports" : "");
    } else if (h->time_wait + h->others > 0) {
        text_put(out, h->time_wait > 0 ? "TIME_WAIT sockets" : "connections");
        text_put(out, " hold the port unless both runs set SO_REUSEADDR");
    } else {
        text_put(out, "a bound socket that does not listen holds the port");
    }
}
