/* SPDX-License-Identifier: MIT */
/* Ends a socket that no process holds: SOCK_DESTROY, sock_diag(7). */
#ifndef LINGER_CLI_SOCKETS_DESTROY_H
#define LINGER_CLI_SOCKETS_DESTROY_H

#include "socket/diag.h"

/*
 * By its cookie, so that no other socket can be meant. A TIME_WAIT is forgotten; an orphan is
 * aborted (tcp_abort()). Returns 0, or -1 and errno: ENOENT: it is gone; EPERM: CAP_NET_ADMIN is
 * needed in the network namespace, EOPNOTSUPP: a kernel without CONFIG_INET_DIAG_DESTROY.
 */
int destroy_socket(const struct diag_socket *socket);

#endif
