/* All TCP sockets of this network namespace, by NETLINK_SOCK_DIAG, sock_diag(7). */
#ifndef LINGER_DIAG_H
#define LINGER_DIAG_H

#include <stddef.h>
#include <stdint.h>

#include "policy.h"

#define DIAG_STATES 13 /* TCP_ESTABLISHED (1) to TCP_NEW_SYN_RECV (12), and 0 for none */

struct diag_socket {
    struct policy_ip local;
    struct policy_ip peer;
    uint16_t local_port; /* host order */
    uint16_t peer_port;
    uint8_t state;    /* TCP_ESTABLISHED, ... */
    uint32_t expires; /* ms until the timer runs out: of a TIME_WAIT, until it is gone */
    uint32_t inode;   /* 0 where no descriptor refers to it */
    uint32_t waiting; /* of a listener: connections to be accepted */
    uint32_t backlog; /* and how many may wait */
};

struct diag {
    struct diag_socket *sockets;
    size_t count;
    size_t room;
};

/* Fills `diag`, which may hold an earlier answer and is used again. Returns 0, or -1 and errno. */
int diag_read(struct diag *diag);

/* "time-wait", as ss(8) says it. */
const char *diag_state_name(unsigned state);

#endif
