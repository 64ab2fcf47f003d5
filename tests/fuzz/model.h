/* SPDX-License-Identifier: MIT */
/*
 * What a mode does, by hand: by system calls that no library stands in front of. Each function
 * belongs before or after the program's own call of its name.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define MPTCP 262
#define LIMIT 200 /* RLIMIT_NOFILE; above, the log may have its descriptor */

enum model { MODEL_PLAIN, MODEL_FIN, MODEL_RST, MODEL_FIN_RST, MODEL_FIN_WHEN_ACTIVE };
static const char *const models[] = {"plain", "fin", "rst", "fin-rst", "fin when=active"};
static enum model model;
static bool is_outside; /* as the supervisor does it: at connect() and listen() */
static bool decides_at_accept;

static int state_of(int fd)
{
    unsigned char tcp_state = 0;
    socklen_t size = sizeof(tcp_state);

    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &tcp_state, &size) == 0 ? tcp_state : -1;
}

static int protocol_of(int fd)
{
    int protocol = -1;
    socklen_t size = sizeof(protocol);

    getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size);
    return protocol;
}

static long set_raw(int fd, int level, int option, const void *value, size_t size)
{
    return syscall(SYS_setsockopt, fd, level, option, value, size);
}

/* False if the kernel refused. */
static bool model_apply(int fd, bool at_birth)
{
    struct linger linger = {model == MODEL_RST, 0};
    int linger2 = model == MODEL_FIN_RST ? -1 : 0;

    if (!at_birth || linger.l_onoff)
        set_raw(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    if (!at_birth && linger2 && protocol_of(fd) == MPTCP)
        return false;
    if (!at_birth || linger2)
        return set_raw(fd, IPPROTO_TCP, TCP_LINGER2, &linger2, sizeof(linger2)) == 0 || !linger2;
    return true;
}

static bool sets_at_birth(void)
{
    return model == MODEL_RST || model == MODEL_FIN_RST;
}

static void model_socket(int fd, int domain, int type, int protocol)
{
    bool is_tcp = (domain == AF_INET || domain == AF_INET6) &&
                  (type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) == SOCK_STREAM &&
                  (protocol == 0 || protocol == IPPROTO_TCP || protocol == MPTCP);

    if (sets_at_birth() && !is_outside && is_tcp && !model_apply(fd, true))
        decides_at_accept = true;
}

/* MPTCP has no TCP_LINGER2. */
static bool model_refuses(int domain, int protocol)
{
    return is_outside && model == MODEL_FIN_RST && protocol == MPTCP &&
           (domain == AF_INET || domain == AF_INET6);
}

static void model_connect(int fd)
{
    if (is_outside && sets_at_birth() && state_of(fd) == TCP_CLOSE)
        model_apply(fd, true);
}

static int model_listen(int fd, int backlog)
{
    struct sockaddr_in6 local = {0};
    socklen_t length = sizeof(local);
    bool is_ours = is_outside && sets_at_birth() && state_of(fd) >= 0;

    getsockname(fd, (struct sockaddr *)&local, &length);
    if (is_ours && local.sin6_port)
        model_apply(fd, true);
    errno = 77;
    int status = listen(fd, backlog);
    int error = errno;
    if (is_ours && !local.sin6_port && status == 0)
        model_apply(fd, false);
    errno = error;
    return status;
}

static void model_accept(int fd)
{
    if (decides_at_accept && !is_outside && state_of(fd) >= 0)
        model_apply(fd, false);
}

static void model_setsockopt(int fd, int level, int option)
{
    bool is_ours = (level == SOL_SOCKET && option == SO_LINGER) ||
                   (level == IPPROTO_TCP && option == TCP_LINGER2);

    if (model != MODEL_PLAIN && model != MODEL_FIN_WHEN_ACTIVE && is_ours && state_of(fd) >= 0)
        model_apply(fd, false);
}

static void model_receive(int fd)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof(info);

    if (model == MODEL_PLAIN || model == MODEL_FIN_WHEN_ACTIVE || is_outside || state_of(fd) < 0)
        return;
    bool applied = model_apply(fd, false);
    getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size);
    if (info.tcpi_state == TCP_LISTEN && (!applied || info.tcpi_unacked > 0))
        decides_at_accept = true;
}

/* True: shutdown() has been made. */
static bool model_shutdown(int fd, int how)
{
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    int tcp_state = state_of(fd);
    int error;
    socklen_t size = sizeof(error);

    if (model != MODEL_RST || how != SHUT_RDWR ||
        (tcp_state != TCP_ESTABLISHED && tcp_state != TCP_CLOSE_WAIT &&
         tcp_state != TCP_FIN_WAIT1 && tcp_state != TCP_FIN_WAIT2))
        return false;
    syscall(SYS_shutdown, fd, SHUT_RD);
    if (syscall(SYS_connect, fd, &nobody, sizeof(nobody)) != 0)
        return false;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    syscall(SYS_shutdown, fd, SHUT_RDWR);
    errno = 77;
    return true;
}

/* Before a call that closes `fd`. */
static void model_close(int fd)
{
    int tcp_state = state_of(fd);

    if (model == MODEL_FIN_WHEN_ACTIVE && tcp_state >= 0 && tcp_state != TCP_LISTEN &&
        tcp_state != TCP_CLOSE_WAIT && tcp_state != TCP_LAST_ACK)
        model_apply(fd, false);
}

static void model_close_range(unsigned first, unsigned last, unsigned flags)
{
    if (flags & ~2U || first > last) /* CLOSE_RANGE_UNSHARE */
        return;
    for (unsigned fd = first; fd <= last && fd < LIMIT; fd++)
        model_close((int)fd);
}

static void model_replace(int from, int to, int flags)
{
    if (from != to && to >= 0 && to < LIMIT && !(flags & ~O_CLOEXEC) && fcntl(from, F_GETFD) >= 0)
        model_close(to);
}

static enum model model_of(const char *name)
{
    for (int i = 0; i < COUNT(models); i++) {
        if (strcmp(name, models[i]) == 0)
            return (enum model)i;
    }
    fprintf(stderr, "calls: no model '%s'\n", name);
    exit(2);
}
