/* SPDX-License-Identifier: MIT */
/*
 * The moments of a connection's life at which a policy can act, one function each.
 * All of them keep errno and are async-signal-safe.
 */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

#include "core/plan.h"
#include "core/settings.h"

/* The moments at which these settings have something to do, enum moment or-ed. */
extern unsigned moments_wanted;

/*
 * Applies `s` to the program of that name: opens the log and the counters, finds out which
 * moments matter, and treats inherited sockets as at birth. While prog= is undecided, every moment
 * that may matter to some program does.
 */
void moments_start(const struct settings *s, const char *program);

/* Decides on every socket that is open. */
void moments_inherit(void);

/* Replaces the settings by `s`, which differs from them in prog= alone. */
void moments_switch(const struct settings *s);

/* After socket() gave `fd`. */
void moments_socket(int fd, int domain, int type, int protocol);

/* Does moments_connect() need the peer's address? */
bool moments_asks_peer(void);

/* Is the verdict the same for every socket, and refused by the kernel for what is not TCP? */
bool moments_asks_nothing(void);

enum moments_connecting {
    MOMENTS_PASSED_OVER, /* not TCP, or not its first connect() */
    MOMENTS_SETTLED,
    MOMENTS_OPEN, /* the local end, known only afterwards, may still decide */
};

/* Before connect(); `peer` may be NULL if that is not needed. */
enum moments_connecting moments_connect(int fd, const struct sockaddr *peer, socklen_t length);

/* After connect(), where moments_connect() returned MOMENTS_OPEN. */
void moments_connected(int fd);

/* After connect() failed with `error`. */
void moments_connect_failed(int fd, const struct sockaddr *peer, socklen_t length, int error);

/*
 * Before listen(): so the first connection already is accepted under the policy. False if that is
 * not settled yet: listen() itself may choose the port.
 */
bool moments_listen(int fd);

/* After listen() succeeded, where moments_listen() returned false. */
void moments_listening(int fd);

/* After accept() gave `fd`; `peer`, or NULL, is a copy of what it said of one that is TCP. */
void moments_accept(int fd, const struct sockaddr *peer, socklen_t length);

/* After recvmsg(): treats each TCP socket that came in a control message as at load. */
void moments_receive(const struct msghdr *message);

/* Before bind(). */
void moments_bind(int fd, const struct sockaddr *local, socklen_t length);

/* After bind() failed with `error`; or 0: before a bind() whose result will not be seen. */
void moments_bind_fails(int fd, const struct sockaddr *local, socklen_t length, int error);

/* After setsockopt() succeeded. */
void moments_setsockopt(int fd, int level, int option);

/* Before shutdown(). True: the connection was aborted, and shutdown() must not be called. */
bool moments_shutdown(int fd, int how);

/* Before close(). */
void moments_close(int fd);

/* Before exit_group(), for each socket that is open then. */
void moments_exit(int fd);

/* Before dup2() or dup3() replaces `target` by `from`, which closes `target`. */
void moments_replace(int from, int target);
