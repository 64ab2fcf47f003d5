/* A dump of the kernel's TCP sockets. No text file is read, so 100,000 of them take some 0.1 s. */
#include "diag.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_SIZE (256 * 1024)

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
    return policy_ip(bytes);
}

static int add(struct diag *diag, const struct inet_diag_msg *message)
{
    if (diag->count == diag->room) {
        size_t room = diag->room ? diag->room * 2 : 1024;
        struct diag_socket *bigger = reallocarray(diag->sockets, room, sizeof(*bigger));
        if (!bigger)
            return -1;
        diag->sockets = bigger;
        diag->room = room;
    }
    diag->sockets[diag->count++] = (struct diag_socket){
        .local = address(message->idiag_family, message->id.idiag_src),
        .peer = address(message->idiag_family, message->id.idiag_dst),
        .local_port = ntohs(message->id.idiag_sport),
        .peer_port = ntohs(message->id.idiag_dport),
        .state = message->idiag_state,
        .expires = message->idiag_expires,
        .inode = message->idiag_inode,
        .waiting = message->idiag_rqueue,
        .backlog = message->idiag_wqueue,
    };
    return 0;
}

/* 1: more to come, 0: done, -1: errno. */
static int take(struct diag *diag, const struct nlmsghdr *header, size_t left)
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
            add(diag, NLMSG_DATA(header)) != 0)
            return -1;
    }
    return 1;
}

static int dump(int fd, uint8_t family, struct diag *diag)
{
    static _Alignas(struct nlmsghdr) char buffer[BUFFER_SIZE];
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 body;
    } request = {
        .header = {.nlmsg_len = sizeof(request),
                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .body = {.sdiag_family = family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = ~0u},
    };
    int more = 1;

    if (send(fd, &request, sizeof(request), 0) != sizeof(request))
        return -1;
    while (more > 0) {
        ssize_t length = recv(fd, buffer, sizeof(buffer), 0);
        if (length < 0 && errno != EINTR)
            return -1;
        if (length > 0)
            more = take(diag, (struct nlmsghdr *)buffer, (size_t)length);
    }
    return more;
}

int diag_read(struct diag *diag)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    int status;
    int saved;

    if (fd < 0)
        return -1;
    diag->count = 0;
    status = dump(fd, AF_INET, diag);
    if (status == 0)
        status = dump(fd, AF_INET6, diag);
    saved = errno;
    close(fd);
    errno = saved;
    return status;
}
