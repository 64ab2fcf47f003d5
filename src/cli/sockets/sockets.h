/* SPDX-License-Identifier: MIT */
/* All TCP sockets of this network namespace in an array. */
#pragma once

#include <sys/types.h>

#include "cli/cli.h"
#include "socket/diag.h"

struct sockets {
    struct diag_socket *items;
    size_t count;
};

/*
 * Fills `sockets`, which may hold an earlier dump and is reused, with those in some states: see
 * diag.h. Returns 0, or -1 and errno.
 */
int sockets_read(struct sockets *sockets, uint32_t states);

/*
 * The inodes of those in some states, with that local port unless it is 0, that a process may hold:
 * `count` of them in an array for free(3), which has room for all and one more. NULL without
 * memory.
 */
uint32_t *sockets_inodes(const struct sockets *sockets, uint32_t states, long port, size_t *count);

/*
 * Fills `inodes`, for free(3), with those of the listeners at a port, or of all sockets with that
 * local port that a process may hold. Returns how many, or -1.
 */
ssize_t sockets_at(long port, bool of_listeners, uint32_t **inodes);

/*
 * Which network namespace a socket is of; its port means nothing in another one. 0 where the kernel
 * does not say: before Linux 5.14 to whoever lacks CAP_NET_ADMIN there.
 */
uint64_t sockets_network(int fd);

/* That of this process. */
uint64_t sockets_own_network(void);

/*
 * Ends a socket that no process holds, SOCK_DESTROY of sock_diag(7): by its cookie, so that no
 * other socket can be meant. A TIME_WAIT is forgotten; an orphan is aborted (tcp_abort()). Returns
 * 0, or -1 and errno: ENOENT: it is gone; EPERM: CAP_NET_ADMIN is needed in the network namespace;
 * EOPNOTSUPP: a kernel without CONFIG_INET_DIAG_DESTROY.
 */
int sockets_destroy(const struct diag_socket *socket);

/* The reason, for EPERM and EOPNOTSUPP. */
const char *sockets_why_not_destroyed(int error);

/* Where no process holds them, and the port is the peer's: says how `linger close` ends them. */
void sockets_point_at_peers(const struct cli_command *command, const struct sockets *sockets,
                            uint32_t states, long port);
