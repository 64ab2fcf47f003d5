/* SPDX-License-Identifier: MIT */
/* All TCP sockets of this network namespace, by NETLINK_SOCK_DIAG, sock_diag(7). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "policy/policy.h"

#define DIAG_STATES 13 /* TCP_ESTABLISHED (1) to TCP_NEW_SYN_RECV (12), and 0 for none */

/* Enough for a part of a dump at any page size; the kernel fills no more than it is given. */
#define DIAG_BUFFER_SIZE 32768

struct diag_socket {
    struct policy_ip local;
    struct policy_ip peer;
    uint16_t local_port; /* host order */
    uint16_t peer_port;
    uint8_t family;     /* AF_INET, AF_INET6 (of an IPv4 address, too) */
    uint8_t state;      /* TCP_ESTABLISHED, ... */
    uint32_t interface; /* the one it is bound to, SO_BINDTODEVICE; 0: none */
    uint32_t expires;   /* ms until the timer fires: for a TIME_WAIT, until it ends */
    uint64_t cookie;    /* SO_COOKIE; a TIME_WAIT keeps that of its socket */
    uint32_t inode;     /* 0 where no descriptor refers to it */
    uint32_t waiting;   /* of a listener: connections to accept */
    uint32_t backlog;   /* and how many may wait */
};

#define DIAG_EVERY_STATE (~0u)

/*
 * Calls `visit` for each socket in one of the states, a bit each (1 << TCP_LISTEN), with `context`.
 * TIME_WAIT is that, or the FIN_WAIT2 of a socket that its program has closed. `buffer` holds
 * DIAG_BUFFER_SIZE bytes, aligned as by malloc(3) or mmap(2). Returns 0, or -1 and errno; ENOMEM
 * where `visit` returned false.
 */
int diag_each(void *buffer, uint32_t states,
              bool (*visit)(const struct diag_socket *socket, void *context), void *context);

/* "time-wait", as ss(8) spells it. */
const char *diag_state_name(unsigned state);
