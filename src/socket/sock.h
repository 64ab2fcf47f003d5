/* SPDX-License-Identifier: MIT */
/*
 * The kernel's side: facts of a socket, and the one place that sets options. Every call here goes
 * straight to the kernel, past this library's own hooks and past other preloads.
 */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

#include "policy/decide.h"

/* IPPROTO_MPTCP of Linux 5.6; older headers lack it. */
#define SOCK_IPPROTO_MPTCP 262

/* Do these arguments of socket(2) ask for a TCP (or MPTCP) socket? */
bool sock_is_tcp_request(int domain, int type, int protocol);

/*
 * Fills `facts->state` and those of the facts in `wanted` that the kernel knows now; what the
 * caller filled before stays. FACT_ROLE is not among them: the kernel does not remember who
 * connected. False if `fd` is not a TCP socket (one failing system call).
 */
bool sock_facts(int fd, unsigned wanted, struct facts *facts);

/*
 * The share is drawn for a connection, never for a listener or what may become one: of these the
 * cookie becomes unknown.
 */
void sock_withhold_share(struct facts *facts);

/*
 * Address and port of a sockaddr, the program's own or a copy; false if it is neither IPv4 nor
 * IPv6, or cannot be read.
 */
bool sock_endpoint(const struct sockaddr *address, socklen_t length, bool is_copy,
                   struct policy_ip *ip, uint16_t *port);

/* Which address this host lacks: the one of the socket, or any that reaches the peer. */
enum sock_lack { SOCK_LACKS_NONE, SOCK_LACKS_LOCAL, SOCK_LACKS_SOURCE };

/* Asked after connect() failed, of UDP, whose connect() sends nothing. */
enum sock_lack sock_lacks(int fd, const struct sockaddr *peer, socklen_t length);

/* How many connections wait for accept(), with options from when they came; -1: no TCP listener. */
int sock_waiting(int fd);

/* Is the socket of that state connected, so that an abort would send RST? (tcp_need_reset()) */
bool sock_is_connected(uint8_t state);

/*
 * Makes the verdict the socket's own: MODE_OFF sets nothing; at birth, while the options still have
 * their defaults, sets only what differs from these; elsewhere everything. A verdict that
 * gives way does not touch an option that is already set.
 * Returns NULL, or the name of the first option that the kernel refused, and errno.
 */
const char *sock_apply(int fd, const struct verdict *verdict, bool at_birth);

/* The two options of a socket, as getsockopt(2) reports them. */
struct sock_linger {
    bool on; /* SO_LINGER */
    int seconds;
    bool has_linger2; /* MPTCP has no TCP_LINGER2 */
    int linger2;
};

/* False where they cannot be asked. */
bool sock_linger(int fd, struct sock_linger *linger);

/* Sets both as they were. Returns NULL, or the name of the option that the kernel refused. */
const char *sock_put_back(int fd, const struct sock_linger *linger);

/* The mode that sets the two like that. */
struct verdict sock_linger_mode(const struct sock_linger *linger);

/* Does TCP_CORK hold back what does not fill a packet? close() sends it, an abort does not. */
bool sock_holds_back(int fd);

/* Does close() wait until what was sent is acknowledged? (SO_LINGER {1, N}) */
bool sock_waits(int fd);

/* What is set on the socket now, as the mode that sets it; false where it cannot be asked. */
bool sock_applied(int fd, struct verdict *verdict);

/* getsockopt(2) of an option that is no longer than `size`. */
int sock_get(int fd, int level, int option, void *value, socklen_t size);

/* setsockopt(2), on behalf of a program. */
int sock_set(int fd, int level, int option, const void *value, socklen_t length);

/* The options that are set or cleared before bind(). */
enum sock_switch {
    SOCK_REUSEADDR,
    SOCK_REUSEPORT,
    SOCK_BIND_NO_PORT, /* ip(7), Linux 4.2; for IPv6 sockets too */
};

/* "SO_REUSEADDR" */
const char *sock_switch_name(enum sock_switch option);

/* Returns 0, or -1 and errno. */
int sock_switch(int fd, enum sock_switch option, bool on);

/*
 * Aborts the connection at once: connect() to AF_UNSPEC sends RST (tcp_disconnect()), and a
 * shutdown() after it leaves the socket to the program as shutdown(SHUT_RDWR) would have:
 * recv() says EOF, send() EPIPE, poll() POLLHUP. Readers blocked in other threads, of this process
 * or of another one that owns the socket (`is_foreign`), get time to wake with end of file.
 * Returns 0, or -1 and errno.
 */
int sock_abort(int fd, bool is_foreign);

/*
 * Ends a connection that another process has open, by a duplicate: `rst` aborts it, `fin` and
 * `fin-rst` set their options and shut down both directions. Returns NULL, or the name of the call
 * or option that the kernel refused, and errno.
 */
const char *sock_end(int fd, const struct verdict *verdict);

/* Has it none, and had one: has the kernel measured a round trip? (tcp(7), TCP_INFO) */
bool sock_has_lost_connection(int fd);

/* Milliseconds since data came or went, whichever is later; false if the kernel does not say. */
bool sock_idle(int fd, uint32_t *milliseconds);

/*
 * For how many milliseconds, at least, the send queue has not moved; 0 if it is empty. While the
 * kernel retransmits, more than four minutes cannot be seen.
 */
uint32_t sock_stuck(int fd, uint8_t state);

/*
 * Bytes in the send queue (SIOCOUTQ: sent and not acknowledged, or not sent) and unread (SIOCINQ).
 * In the states in which our FIN is not acknowledged yet the kernel counts it as a byte; we do not.
 */
void sock_queues(int fd, int state, uint32_t *unsent, uint32_t *unread);

/* Is `fd` open? A dup2(2) from one that is not fails, and does not close its target. */
bool sock_is_open(int fd);
