/* SPDX-License-Identifier: MIT */
/*
 * Names, namespaces and ancestry of processes: read from /proc once, then kept by the kernel's
 * events, in whose order a process that closes at its end is still known.
 */
#include "cli/trace/programs.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/process/target.h"

#define PLACES 4096
#define REMEMBERED                                                                                 \
    10000000000u /* ns: since Linux 6.16 its files are closed after its end's event */

struct programs {
    struct program *places[PLACES];
    struct program *gone, **gone_end;
};

static struct program **place_of(const struct programs *p, pid_t pid)
{
    struct program **place = (struct program **)&p->places[(unsigned)pid % PLACES];

    while (*place && (*place)->pid != pid)
        place = &(*place)->next;
    return place;
}

const struct program *programs_find(const struct programs *p, pid_t pid)
{
    return *place_of(p, pid);
}

static struct program *know(struct programs *p, pid_t pid)
{
    struct program **place = place_of(p, pid);
    struct program *one = *place ? *place : calloc(1, sizeof(*one));

    if (one && !*place) {
        one->pid = pid;
        *place = one;
    }
    return one;
}

static void read_name(pid_t pid, char name[RECORD_NAME_MAX])
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, name, RECORD_NAME_MAX);
    if (fd >= 0)
        close(fd);
    length = length > 0 && name[length - 1] == '\n' ? length - 1 : length;
    name[length < 0 ? 0 : length < RECORD_NAME_MAX ? length : RECORD_NAME_MAX - 1] = '\0';
}

/* "net:[4026531840]" */
static uint64_t read_namespace(pid_t pid)
{
    char path[64], link[64];
    unsigned long inode = 0;

    snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
    ssize_t length = readlink(path, link, sizeof(link) - 1);
    link[length > 0 ? length : 0] = '\0';
    return sscanf(link, "net:[%lu]", &inode) == 1 ? inode : 0;
}

static void look_at(struct programs *p, pid_t pid)
{
    struct program *one = know(p, pid);

    if (!one)
        return;
    read_name(pid, one->name);
    one->namespace = read_namespace(pid);
    one->parent = (pid_t)target_status(pid, "PPid");
}

struct programs *programs_new(void)
{
    struct programs *p = calloc(1, sizeof(*p));
    DIR *proc = p ? opendir("/proc") : NULL;

    if (p)
        p->gone_end = &p->gone;

    for (struct dirent *entry; proc && (entry = readdir(proc));) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 0)
            look_at(p, pid);
    }
    if (proc)
        closedir(proc);
    return p;
}

static void forget(struct program **place)
{
    struct program *one = *place;

    if (one)
        *place = one->next;
    free(one);
}

void programs_free(struct programs *p)
{
    for (unsigned i = 0; i < PLACES; i++) {
        for (struct program *one = p->places[i], *next; one; one = next) {
            next = one->next;
            free(one);
        }
    }
    free(p);
}

static void queue(struct programs *p, struct program *one)
{
    one->is_queued = true;
    one->next_gone = NULL;
    *p->gone_end = one;
    p->gone_end = &one->next_gone;
}

/* The pid of one in the queue may be another process's by now. */
static void forget_gone(struct programs *p, uint64_t now)
{
    while (p->gone && (p->gone->gone == 0 || p->gone->gone + REMEMBERED < now)) {
        struct program *one = p->gone;
        p->gone = one->next_gone;
        if (!p->gone)
            p->gone_end = &p->gone;
        one->is_queued = false;
        if (one->gone != 0)
            forget(place_of(p, one->pid));
    }
}

static void begin(struct program *one, const struct program *parent)
{
    one->gone = 0;
    if (!parent)
        return;
    one->parent = parent->pid;
    one->namespace = parent->namespace;
    one->is_selected = parent->is_selected;
    memcpy(one->name, parent->name, sizeof(one->name));
}

void programs_note(struct programs *p, const struct record *record)
{
    forget_gone(p, record->time);
    struct program *one = know(p, record->pid);
    if (!one)
        return;
    if (record->kind == RECORD_GONE) {
        one->gone = record->time;
        if (!one->is_queued)
            queue(p, one);
    } else if (record->kind == RECORD_PROCESS) {
        begin(one, programs_find(p, record->parent));
    } else if (record->kind == RECORD_NAME) {
        memcpy(one->name, record->name, sizeof(one->name));
    } else if (record->kind == RECORD_NAMESPACE) {
        one->namespace = record->namespace;
    }
}

bool programs_select(struct programs *p, pid_t pid)
{
    struct program *root = *place_of(p, pid);
    bool has_more = root != NULL;

    if (root)
        root->is_selected = true;
    while (has_more) { /* a generation each time */
        has_more = false;
        for (unsigned i = 0; i < PLACES; i++) {
            for (struct program *one = p->places[i]; one; one = one->next) {
                const struct program *parent = programs_find(p, one->parent);
                if (one->is_selected || !parent || !parent->is_selected)
                    continue;
                one->is_selected = has_more = true;
            }
        }
    }
    return root != NULL;
}
