/* SPDX-License-Identifier: MIT */
/*
 * A namespace is entered for as long as its listeners are listed. Must keep no descriptor of it:
 * that would keep the namespace, and the network devices in it, after its last process has ended.
 */
#include "cli/keep/listeners.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/process/holders.h"
#include "cli/process/target.h"
#include "cli/sockets/seen.h"
#include "cli/trace/programs.h"

/* Where the inode is, or would be. */
static size_t place(const struct listeners *l, uint32_t inode)
{
    size_t low = 0, high = l->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (l->items[middle].inode < inode)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct listener *listeners_get(struct listeners *l, uint32_t inode)
{
    size_t at = place(l, inode);

    if (at < l->count && l->items[at].inode == inode)
        return &l->items[at];
    struct listener *items = cli_grow(l->items, l->count, sizeof(*items));
    if (!items)
        return NULL;
    l->items = items;
    memmove(items + at + 1, items + at, (l->count++ - at) * sizeof(*items));
    items[at] = (struct listener){.inode = inode, .is_there = true, .state = LISTENER_NEW};
    return &items[at];
}

static bool note(struct listeners *l, const struct diag_socket *socket)
{
    if (socket->inode == 0)
        return true;
    struct listener *known = listeners_get(l, socket->inode);
    if (!known)
        return false;
    if (known->cookie != 0 && known->cookie != socket->cookie) {
        l->counts.gone += known->state == LISTENER_KEPT;
        *known = (struct listener){.inode = socket->inode, .state = LISTENER_NEW};
    }
    known->cookie = socket->cookie;
    known->waiting = socket->waiting;
    known->is_there = true;
    return true;
}

/* Of the namespace that this thread is in. */
static int list(struct listeners *l)
{
    if (sockets_read(&l->listed, 1u << TCP_LISTEN) != 0)
        return -1;
    for (size_t i = 0; i < l->listed.count; i++) {
        if (!note(l, &l->listed.items[i]))
            return -1;
    }
    return 0;
}

/* A process that is gone by now is passed over: another one may be in that namespace. */
static int list_namespace_of(struct listeners *l, const struct cli_command *self, pid_t pid,
                             int own)
{
    int fd = open(target_path(pid, "ns/net"), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 1;
    bool is_in = setns(fd, CLONE_NEWNET) == 0;
    if (!is_in && !l->has_warned)
        cli_error(
            self,
            "the network namespace of process %d cannot be entered (%s), so what listens there "
            "already is not found: CAP_SYS_ADMIN is needed",
            (int)pid, strerror(errno));
    l->has_warned |= !is_in;
    int status = is_in ? list(l) : 0;
    if (is_in && setns(own, CLONE_NEWNET) != 0)
        status = -1;
    close(fd);
    return status;
}

static int list_all(struct listeners *l, const struct cli_command *self, int own)
{
    struct seen seen = {NULL, 0, 0};
    DIR *proc = opendir("/proc");
    int status = proc ? list(l) : -1;
    pid_t pid;

    (void)seen_note(&seen, programs_namespace(getpid()));
    while (status >= 0 && (pid = target_next(proc)) > 0) {
        uint64_t namespace = programs_namespace(pid);
        if (namespace == 0 || seen_has(&seen, namespace))
            continue;
        status = list_namespace_of(l, self, pid, own);
        if (status == 0 && seen_note(&seen, namespace) < 0)
            status = -1;
    }
    if (proc)
        closedir(proc);
    seen_forget(&seen);
    return status < 0 ? -1 : 0;
}

/* A socket in no list may be of a namespace without a process: does any process still hold it? */
static int look_for_others(struct listeners *l)
{
    uint32_t *inodes = calloc(l->count + 1, sizeof(*inodes));
    struct holder *holders = NULL;
    ssize_t found = 0;
    size_t count = 0;

    for (size_t i = 0; inodes && i < l->count; i++) {
        if (!l->items[i].is_there)
            inodes[count++] = l->items[i].inode;
    }
    if (count > 0)
        found = holders_find(inodes, count, &holders);
    for (ssize_t i = 0; i < found; i++)
        listeners_get(l, holders[i].inode)->is_there = true;
    free(holders);
    free(inodes);
    return inodes && found >= 0 ? 0 : -1;
}

static void drop_gone(struct listeners *l)
{
    size_t left = 0;

    for (size_t i = 0; i < l->count; i++) {
        if (l->items[i].is_there)
            l->items[left++] = l->items[i];
        else
            l->counts.gone += l->items[i].state == LISTENER_KEPT;
    }
    l->count = left;
}

int listeners_refresh(struct listeners *l, const struct cli_command *self)
{
    int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

    for (size_t i = 0; i < l->count; i++)
        l->items[i].is_there = false;
    int status = own < 0 ? -1 : list_all(l, self, own);
    if (own >= 0)
        close(own);
    if (status == 0)
        status = look_for_others(l);
    if (status == 0)
        drop_gone(l);
    else
        cli_error(self, "the listeners cannot be listed: %s", strerror(errno));
    return status;
}

void listeners_free(struct listeners *l)
{
    free(l->items);
    free(l->listed.items);
    *l = (struct listeners){0};
}
