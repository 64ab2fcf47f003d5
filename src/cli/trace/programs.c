/* SPDX-License-Identifier: MIT */
/*
 * Names, namespaces and ancestry of processes: read from /proc once, then kept by the kernel's
 * events, in whose order a process that closes at its end is still known.
 */
#include "cli/trace/programs.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/process/target.h"

#define PLACES 4096
#define REMEMBERED                                                                                 \
    10000000000u /* ns: since Linux 6.16 its files are closed after its end's event */

struct programs {
    struct program *places[PLACES]; /* chains, by pid */
};

static struct program *find(const struct programs *p, pid_t pid)
{
    struct program *one = p->places[(unsigned)pid % PLACES];

    while (one && one->pid != pid)
        one = one->next;
    return one;
}

const struct program *programs_find(const struct programs *p, pid_t pid)
{
    return find(p, pid);
}

static struct program *know(struct programs *p, pid_t pid)
{
    struct program *one = find(p, pid);

    if (!one && (one = calloc(1, sizeof(*one)))) {
        one->pid = pid;
        one->next = p->places[(unsigned)pid % PLACES];
        p->places[(unsigned)pid % PLACES] = one;
    }
    return one;
}

uint64_t programs_namespace(pid_t pid)
{
    struct stat status = {0};

    (void)stat(target_path(pid, "ns/net"), &status);
    return status.st_ino;
}

static void look_at(struct programs *p, pid_t pid)
{
    struct program *one = know(p, pid);

    if (!one)
        return;
    target_comm(pid, one->name, sizeof(one->name));
    one->namespace = programs_namespace(pid);
    one->parent = (pid_t)target_status(pid, "PPid");
}

struct programs *programs_new(void)
{
    struct programs *p = calloc(1, sizeof(*p));
    DIR *proc = p ? opendir("/proc") : NULL;
    pid_t pid;

    while (p && (pid = target_next(proc)))
        look_at(p, pid);
    if (proc)
        closedir(proc);
    return p;
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

/* Frees those of the chain that ended long ago; each chain's turn comes, as pids are numbered. */
static void forget_gone(struct program **place, uint64_t now)
{
    while (*place) {
        struct program *one = *place;
        if (one->gone != 0 && one->gone + REMEMBERED < now) {
            *place = one->next;
            free(one);
        } else {
            place = &one->next;
        }
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
    forget_gone(&p->places[(unsigned)record->pid % PLACES], record->time);
    struct program *one = know(p, record->pid);
    if (!one)
        return;
    if (record->kind == RECORD_GONE)
        one->gone = record->time;
    else if (record->kind == RECORD_PROCESS)
        begin(one, programs_find(p, record->parent));
    else if (record->kind == RECORD_NAME)
        memcpy(one->name, record->name, sizeof(one->name));
    else if (record->kind == RECORD_NAMESPACE)
        one->namespace = record->namespace;
}

void programs_select(struct programs *p, pid_t pid)
{
    struct program *root = find(p, pid);
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
}
