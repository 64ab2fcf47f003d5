/* SPDX-License-Identifier: MIT */
/* One request, one answer. Must never name a socket by addresses alone: ports are reused. */
#include "cli/sockets/destroy.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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

int destroy_socket(const struct diag_socket *s)
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
