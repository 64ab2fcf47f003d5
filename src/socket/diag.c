/* SPDX-License-Identifier: MIT */
/*
 * A dump of the kernel's TCP sockets, by netlink. Must not go through libc's socket functions, for
 * the reasons given in sock.c, or leave a descriptor open.
 */
#include "socket/diag.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/kernel.h"
#include "policy/address.h"

static const char *const state_names[] = {
    "none",   "established", "syn-sent", "syn-recv", "fin-wait-1", "fin-wait-2",   "time-wait",
    "closed", "close-wait",  "last-ack", "listen",   "closing",    "new-syn-recv",
};
static_assert(sizeof(state_names) / sizeof(state_names[0]) == DIAG_STATES, "a name for each state");

const char *diag_state_name(unsigned state)
{
    return state_names[state < DIAG_STATES ? state : 0];
}

static struct policy_ip address(unsigned family, const uint32_t words[4])
{
    uint8_t bytes[16] = {[10] = 0xff, [11] = 0xff};

    memcpy(family == AF_INET ? bytes + 12 : bytes, words, family == AF_INET ? 4 : 16);
    return address_ip(bytes);
}

struct visitor {
    bool (*visit)(const struct diag_socket *socket, void *context);
    void *context;
};

static bool visit(const struct visitor *visitor, const struct inet_diag_msg *message)
{
    const struct diag_socket socket = {
        .local = address(message->idiag_family, message->id.idiag_src),
        .peer = address(message->idiag_family, message->id.idiag_dst),
        .local_port = ntohs(message->id.idiag_sport),
        .peer_port = ntohs(message->id.idiag_dport),
        .family = message->idiag_family,
        .state = message->idiag_state,
        .interface = message->id.idiag_if,
        .expires = message->idiag_expires,
        .cookie = (uint64_t)message->id.idiag_cookie[1] << 32 | message->id.idiag_cookie[0],
        .inode = message->idiag_inode,
        .waiting = message->idiag_rqueue,
        .backlog = message->idiag_wqueue,
    };

    return visitor->visit(&socket, visitor->context);
}

/* 1: more to come, 0: done, -1: errno. */
static int take(const struct visitor *visitor, const struct nlmsghdr *header, size_t left)
{
    for (; NLMSG_OK(header, left); header = NLMSG_NEXT(header, left)) {
        if (header->nlmsg_type == NLMSG_DONE)
            return 0;
        if (header->nlmsg_type == NLMSG_ERROR) {
            const struct nlmsgerr *error = NLMSG_DATA(header);
            errno = -error->error;
            return -1;
        }
        if (header->nlmsg_len >= NLMSG_LENGTH(sizeof(struct inet_diag_msg)) &&
            !visit(visitor, NLMSG_DATA(header))) {
            errno = ENOMEM;
            return -1;
        }
    }
    return 1;
}

static int dump(int fd, uint8_t family, uint32_t states, void *buffer,
                const struct visitor *visitor)
{
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 body;
    } request = {
        .header = {.nlmsg_len = sizeof(request),
                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .body = {.sdiag_family = family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = states},
    };
    int more = 1;

    if (kernel_call(SYS_sendto, fd, (long)&request, sizeof(request), 0, 0, 0) != sizeof(request))
        return -1;
    while (more > 0) {
        long length = kernel_call(SYS_recvfrom, fd, (long)buffer, DIAG_BUFFER_SIZE, 0, 0, 0);
        if (length < 0 && errno != EINTR)
            return -1;
        if (length > 0)
            more = take(visitor, buffer, (size_t)length);
    }
    return more;
}

int diag_each(void *buffer, uint32_t states,
              bool (*each)(const struct diag_socket *socket, void *context), void *context)
{
    const struct visitor visitor = {each, context};
    int fd = (int)kernel_call(SYS_socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    int status;

    if (fd < 0)
        return -1;
    status = dump(fd, AF_INET, states, buffer, &visitor);
    if (status == 0)
        status = dump(fd, AF_INET6, states, buffer, &visitor);
    kernel_close(fd);
    return status;
}
