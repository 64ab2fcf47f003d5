/* SPDX-License-Identifier: MIT */
/* Who holds a socket. Processes come and go: what has vanished is skipped. */
#include "cli/process/holders.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/process/target.h"
#include "cli/sockets/sockets.h"
#include "socket/sock.h"

struct search {
    const uint32_t *inodes; /* sorted */
    size_t inode_count;
    bool is_for_closed; /* those that are not among them, and closed */
    uint64_t network;   /* of these */
    struct holder *items;
    size_t count;
};

/* Inodes, or holders, which begin with theirs. */
static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static int add(struct search *list, const struct holder *holder)
{
    struct holder *items = cli_grow(list->items, list->count, sizeof(*items));

    if (!items)
        return -1;
    list->items = items;
    list->items[list->count++] = *holder;
    return 0;
}

/* A process may have a socket by several descriptors. */
static void keep_once(struct search *list, size_t from)
{
    size_t count = from;

    if (list->count > from)
        qsort(list->items + from, list->count - from, sizeof(*list->items), compare);
    for (size_t i = from; i < list->count; i++) {
        if (i == from || list->items[i].inode != list->items[count - 1].inode)
            list->items[count++] = list->items[i];
    }
    list->count = count;
}

/*
 * A duplicate that is not TCP could keep another program's socket alive, so the kernel's name for
 * the protocol is asked first (sockfs_xattr_get()).
 */
static bool is_closed(const struct search *s, pid_t pid, const char *number)
{
    char protocol[16] = "";

    if (getxattr(target_path(pid, "fd/%s", number), "system.sockprotoname", protocol,
                 sizeof(protocol) - 1) < 0 ||
        strncmp(protocol, "TCP", 3) != 0)
        return false;
    int fd = target_take(pid, atoi(number));
    if (fd < 0)
        return false;
    bool found = sock_has_lost_connection(fd) && sockets_network(fd) == s->network;
    target_release(fd);
    return found;
}

static bool is_wanted(const struct search *s, uint32_t inode, pid_t pid, const char *number)
{
    bool is_listed = bsearch(&inode, s->inodes, s->inode_count, sizeof(inode), compare);

    return s->is_for_closed ? !is_listed && is_closed(s, pid, number) : is_listed;
}

static int scan_process(struct search *s, pid_t pid)
{
    char target[64];
    const struct dirent *entry;
    struct holder holder = {.pid = pid};
    size_t from = s->count;
    int status = 0;
    DIR *directory = opendir(target_path(pid, "fd"));

    if (!directory)
        return 0; /* gone, or another user's */
    while (status == 0 && (entry = readdir(directory))) {
        ssize_t length = readlinkat(dirfd(directory), entry->d_name, target, sizeof(target) - 1);
        target[length > 0 ? length : 0] = '\0';
        if (strncmp(target, "socket:[", 8) != 0)
            continue;
        holder.inode = (uint32_t)strtoul(target + 8, NULL, 10);
        if (!is_wanted(s, holder.inode, pid, entry->d_name))
            continue;
        if (s->count == from)
            target_comm(pid, holder.program, sizeof(holder.program));
        status = add(s, &holder);
    }
    closedir(directory);
    keep_once(s, from);
    return status;
}

static ssize_t find(struct search *s, uint32_t *inodes, size_t count, struct holder **holders)
{
    int status = 0;
    pid_t pid;
    DIR *proc = opendir("/proc");

    *holders = NULL;
    if (!proc)
        return -1;
    qsort(inodes, count, sizeof(*inodes), compare);
    s->inodes = inodes;
    s->inode_count = count;
    while (status == 0 && (pid = target_next(proc)))
        status = scan_process(s, pid);
    closedir(proc);
    if (status != 0) {
        free(s->items);
        errno = ENOMEM;
        return -1;
    }
    *holders = s->items;
    return (ssize_t)s->count;
}

ssize_t holders_find(uint32_t *inodes, size_t count, struct holder **holders)
{
    return find(&(struct search){0}, inodes, count, holders);
}

ssize_t holders_find_closed(uint32_t *inodes, size_t count, struct holder **holders)
{
    struct search s = {.is_for_closed = true, .network = sockets_own_network()};

    return find(&s, inodes, count, holders);
}

size_t holders_select(uint32_t *inodes, size_t count, struct holder *holders, size_t holder_count)
{
    size_t front = 0;

    qsort(inodes, count, sizeof(*inodes), compare);
    for (size_t i = 0; i < holder_count; i++) {
        struct holder holder = holders[i];
        if (!bsearch(&holder.inode, inodes, count, sizeof(*inodes), compare))
            continue;
        holders[i] = holders[front];
        holders[front++] = holder;
    }
    return front;
}

size_t holders_keep(uint32_t *inodes, size_t count, uint32_t *others, size_t other_count)
{
    size_t kept = 0;

    qsort(others, other_count, sizeof(*others), compare);
    for (size_t i = 0; i < count; i++) {
        if (bsearch(&inodes[i], others, other_count, sizeof(*others), compare))
            inodes[kept++] = inodes[i];
    }
    return kept;
}

size_t holders_unseen(const uint32_t *inodes, size_t count, struct holder *holders,
                      size_t holder_count)
{
    size_t unseen = 0;

    if (holder_count == 0)
        return count;
    qsort(holders, holder_count, sizeof(*holders), compare);
    for (size_t i = 0; i < count; i++)
        unseen += !bsearch(&inodes[i], holders, holder_count, sizeof(*holders), compare);
    return unseen;
}

/* proc_pid_fd(5), capabilities(7). */
void holders_explain_unseen(char why[HOLDERS_WHY_MAX])
{
    char text[TARGET_STATUS_MAX] = "";
    struct stat status = {0};
    struct text out;

    (void)target_status_text(getpid(), "CapEff", text);
    unsigned long long has = strtoull(text, NULL, 16);
    bool traces = has >> CAP_SYS_PTRACE & 1;
    bool reads = has & (1ull << CAP_DAC_READ_SEARCH | 1ull << CAP_DAC_OVERRIDE);
    /* Every process has a number in the first namespace, PROC_PID_INIT_INO. */
    bool sees_all = stat("/proc/self/ns/pid", &status) == 0 && status.st_ino == 0xeffffffc;
    text_begin(&out, why, HOLDERS_WHY_MAX);
    if (!traces || !reads) {
        text_put(&out, "this user may not inspect: ");
        text_put(&out, geteuid() == 0 ? "" : "root, or ");
        text_put(&out, traces ? "" : "CAP_SYS_PTRACE");
        text_put(&out, traces || reads ? "" : " and ");
        text_put(&out, reads ? "" : "CAP_DAC_READ_SEARCH");
        text_put(&out, geteuid() == 0 ? " is needed" : ", is needed");
        text_put(&out, sees_all ? "" : ", or that ");
    }
    if (!sees_all || (traces && reads))
        text_put(&out,
                 "are in another PID namespace: --pid=container:NAME, kubectl debug --target");
}

static int by_pid(const void *a, const void *b)
{
    const struct holder *x = a;
    const struct holder *y = b;

    return (x->pid > y->pid) - (x->pid < y->pid);
}

void holders_sort(struct holder *holders, size_t count)
{
    if (count > 0)
        qsort(holders, count, sizeof(*holders), by_pid);
}

size_t holders_next(const struct holder *holders, size_t count, size_t at)
{
    pid_t pid = holders[at].pid;

    while (at < count && holders[at].pid == pid)
        at++;
    return at;
}
