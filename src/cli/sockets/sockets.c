/* SPDX-License-Identifier: MIT */
/*
 * The kernel's dump (diag.c) in memory: 100,000 sockets take some 10 MB and 0.1 s. Must never
 * destroy a socket that is named by addresses alone: ports are reused.
 */
#include "cli/sockets/sockets.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

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

int sockets_read(struct sockets *sockets, uint32_t states)
{
    static _Alignas(16) char buffer[DIAG_BUFFER_SIZE];

    sockets->count = 0;
    return diag_each(buffer, states, add, sockets);
}

uint32_t *sockets_inodes(const struct sockets *sockets, uint32_t states, long port, size_t *count)
{
    uint32_t *inodes = calloc(sockets->count + 1, sizeof(*inodes));

    *count = 0;
    for (size_t i = 0; inodes && i < sockets->count; i++) {
        const struct diag_socket *s = &sockets->items[i];
        if (states & 1u << s->state && (port == 0 || s->local_port == port) && s->inode != 0)
            inodes[(*count)++] = s->inode;
    }
    return inodes;
}

ssize_t sockets_at(long port, bool of_listeners, uint32_t **inodes)
{
    struct sockets sockets = {NULL, 0};
    uint32_t states = of_listeners ? 1u << TCP_LISTEN : DIAG_EVERY_STATE;
    size_t count = 0;

    *inodes = NULL;
    if (sockets_read(&sockets, states) == 0)
        *inodes = sockets_inodes(&sockets, states, port, &count);
    free(sockets.items);
    return *inodes ? (ssize_t)count : -1;
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

/* The end of an address that is IPv4, or all of it, in network order. */
static void put_address(uint32_t words[4], struct policy_ip ip, unsigned family)
{
    const uint32_t all[4] = {htonl((uint32_t)(ip.high >> 32)), htonl((uint32_t)ip.high),
                             htonl((uint32_t)(ip.low >> 32)), htonl((uint32_t)ip.low)};

    if (family == AF_INET)
        words[0] = all[3];
    else
        memcpy(words, all, sizeof(all));
}

/* The error of the kernel's acknowledgement, netlink(7); 0 for success. */
static int acknowledged(int fd)
{
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
        char rest[1024]; /* the request again */
    } answer;

    if (recv(fd, &answer, sizeof(answer), 0) < (ssize_t)NLMSG_LENGTH(sizeof(answer.error)) ||
        answer.header.nlmsg_type != NLMSG_ERROR)
        return EPROTO;
    return -answer.error.error;
}

int sockets_destroy(const struct diag_socket *s)
{
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 body;
    } request = {
        .header = {.nlmsg_len = sizeof(request),
                   .nlmsg_type = SOCK_DESTROY,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
        .body = {.sdiag_family = s->family,
                 .sdiag_protocol = IPPROTO_TCP,
                 .idiag_states = 1u << s->state,
                 .id = {.idiag_sport = htons(s->local_port),
                        .idiag_dport = htons(s->peer_port),
                        .idiag_if = s->interface,
                        .idiag_cookie = {(uint32_t)s->cookie, (uint32_t)(s->cookie >> 32)}}},
    };
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    int error;

    if (fd < 0)
        return -1;
    put_address(request.body.id.idiag_src, s->local, s->family);
    put_address(request.body.id.idiag_dst, s->peer, s->family);
    error = send(fd, &request, sizeof(request), 0) < 0 ? errno : acknowledged(fd);
    close(fd);
    errno = error;
    return error == 0 ? 0 : -1;
}

const char *sockets_why_not_destroyed(int error)
{
    return error == EPERM ? "root, or CAP_NET_ADMIN in this network namespace, is needed"
                          : "this kernel is built without CONFIG_INET_DIAG_DESTROY; wait, a "
                            "TIME_WAIT ends after 60 s";
}

void sockets_point_at_peers(const struct cli_command *command, const struct sockets *sockets,
                            uint32_t states, long port)
{
    char peers[CLI_ENDPOINT_SIZE] = "";
    unsigned count = 0;

    for (size_t i = 0; i < sockets->count; i++) {
        const struct diag_socket *s = &sockets->items[i];
        if (!(states & 1u << s->state) || s->inode != 0 || s->peer_port != port)
            continue;
        const char *peer = cli_endpoint(s->peer, s->peer_port);
        if (count++ == 0)
            snprintf(peers, sizeof(peers), "%s", peer);
        else if (strcmp(peers, peer) != 0)
            snprintf(peers, sizeof(peers), ":%ld", port);
    }
    if (count > 0)
        cli_error(command,
                  "of what nobody holds, none has the local port %ld, and %u have it as the peer's "
                  "port: -m 'rst peer=%s' in place of --port ends them",
                  port, count, peers);
}
