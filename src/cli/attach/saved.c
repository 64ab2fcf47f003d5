/* SPDX-License-Identifier: MIT */
/* Sockets are recognised by their cookies: descriptor numbers are reused, cookies never. */
#include "cli/attach/saved.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/process/holders.h"
#include "cli/sockets/sockets.h"

bool saved_look(int fd, struct saved_socket *socket)
{
    struct facts f = {0};
    struct stat status;

    memset(socket, 0, sizeof(*socket));
    if (!sock_facts(fd, FACT_COOKIE | FACT_LOCAL_IP | FACT_LOCAL_PORT | FACT_PEER, &f) ||
        !sock_linger(fd, &socket->linger) || fstat(fd, &status) != 0)
        return false;
    socket->cookie = f.cookie;
    socket->inode = (uint32_t)status.st_ino;
    socket->port = f.local_port;
    socket->network = sockets_network(fd);
    socket->is_listener = f.state == TCP_LISTEN;
    snprintf(socket->local, sizeof(socket->local), "%s", cli_endpoint(f.local_ip, f.local_port));
    snprintf(socket->peer, sizeof(socket->peer), "%s",
             f.known & FACT_PEER ? cli_endpoint(f.peer_ip, f.peer_port) : "-");
    return true;
}

bool saved_add(struct saved *saved, const struct saved_socket *socket)
{
    struct saved_socket *sockets = cli_grow(saved->sockets, saved->count, sizeof(*sockets));

    if (!sockets)
        return false;
    saved->sockets = sockets;
    saved->sockets[saved->count++] = *socket;
    return true;
}

static bool note_socket(int fd, int number, void *context)
{
    struct saved *saved = context;
    struct saved_socket socket;

    (void)number;
    return !saved_look(fd, &socket) || saved_add(saved, &socket);
}

int saved_take(struct saved *saved, const struct target *target, struct error *why)
{
    saved->count = 0;
    error_set(why, "out of memory"); /* the reason why note_socket() stops */
    return target_each_socket(target, note_socket, saved, why);
}

static int by_cookie(const void *a, const void *b)
{
    const struct saved_socket *x = a;
    const struct saved_socket *y = b;

    return (x->cookie > y->cookie) - (x->cookie < y->cookie);
}

static struct saved_socket *find(const struct saved *saved, const struct saved_socket *socket)
{
    return bsearch(socket, saved->sockets, saved->count, sizeof(*socket), by_cookie);
}

/* "0.0.0.0:80", "[::]:80" */
static bool is_at_any_address(const struct saved_socket *s)
{
    return strncmp(s->local, "0.0.0.0:", 8) == 0 || strncmp(s->local, "[::]:", 5) == 0;
}

/* The listener of an accepted connection: one at its exact address before one at any address. */
static const struct saved_socket *find_listener(const struct saved *saved,
                                                const struct saved_socket *connection)
{
    const struct saved_socket *listener = NULL;

    for (const struct saved_socket *s = saved->listeners; s; s = s->next_listener) {
        if (s->port != connection->port || s->network != connection->network)
            continue;
        if (strcmp(s->local, connection->local) == 0)
            return s;
        if (is_at_any_address(s))
            listener = s;
    }
    return listener;
}

/* MPTCP listeners have no TCP_LINGER2 to hand on. */
static bool has_inherited(const struct sock_linger *own, const struct sock_linger *listener)
{
    return own->on == listener->on && own->seconds == listener->seconds &&
           (!listener->has_linger2 || own->linger2 == listener->linger2);
}

/* Notes what each listener has now: connections that have the same inherited it. */
static bool look_before(int fd, int number, void *context)
{
    struct saved *saved = context;
    struct saved_socket socket;
    struct saved_socket *former;

    (void)number;
    if (!saved_look(fd, &socket) || !(former = find(saved, &socket)) || former->is_there)
        return true;
    former->is_there = true;
    if (former->is_listener) {
        former->next_listener = saved->listeners;
        saved->listeners = former;
    }
    former->network = socket.network;
    former->now = socket.linger;
    return true;
}

struct restoring {
    struct saved *saved;
    bool dry_run;
};

static bool put_back(int fd, int number, void *context)
{
    struct restoring *r = context;
    struct saved_socket socket;
    struct saved_socket *former;
    const struct saved_socket *listener;

    (void)number;
    if (!saved_look(fd, &socket))
        return true;
    if ((former = find(r->saved, &socket))) {
        if (former->result != SAVED_GONE)
            return true; /* another process has it too */
        former->refused = r->dry_run ? NULL : sock_put_back(fd, &former->linger);
        former->error = errno;
        former->result = former->refused ? SAVED_REFUSED : SAVED_PUT_BACK;
    } else if (!socket.is_listener && (listener = find_listener(r->saved, &socket)) &&
               has_inherited(&socket.linger, &listener->now)) {
        r->saved->inherited += r->dry_run || !sock_put_back(fd, &listener->linger);
    }
    return true;
}

/* Calls `visit` for each socket of each of the holders, which are sorted. */
static int each_socket(const struct holder *holders, size_t count, target_visit *visit,
                       void *context, struct error *why)
{
    struct error reason;
    struct target target;
    int status = 0;

    for (size_t i = 0; i < count; i++) {
        if (i > 0 && holders[i].pid == holders[i - 1].pid)
            continue;
        if (target_open(&target, holders[i].pid, &reason) != 0)
            continue; /* it has ended */
        if (target_each_socket(&target, visit, context, &reason) != 0) {
            error_set(why, "pid %d: %.200s", (int)target.pid, reason.text);
            status = -1;
        }
        target_close(&target);
    }
    return status;
}

int saved_put_back(struct saved *saved, bool dry_run, struct error *why)
{
    struct restoring restoring = {saved, dry_run};
    uint32_t *inodes = calloc(saved->count + 1, sizeof(*inodes));
    struct holder *holders = NULL;
    ssize_t count = -1;
    int status = -1;

    for (size_t i = 0; inodes && i < saved->count; i++)
        inodes[i] = saved->sockets[i].inode;
    if (inodes)
        count = holders_find(inodes, saved->count, &holders);
    if (count < 0)
        error_set(why, "its processes cannot be found: %s", strerror(errno));
    if (saved->count > 0)
        qsort(saved->sockets, saved->count, sizeof(*saved->sockets), by_cookie);
    if (count >= 0) {
        holders_sort(holders, (size_t)count);
        status = each_socket(holders, (size_t)count, look_before, saved, why);
        status |= each_socket(holders, (size_t)count, put_back, &restoring, why);
    }
    free(inodes);
    free(holders);
    return status;
}

bool saved_has_listener(const struct saved *saved, long port)
{
    for (size_t i = 0; i < saved->count; i++) {
        if (saved->sockets[i].is_listener && saved->sockets[i].port == port)
            return true;
    }
    return false;
}

void saved_free(struct saved *saved)
{
    free(saved->sockets);
    *saved = (struct saved){0};
}
