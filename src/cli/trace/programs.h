/* SPDX-License-Identifier: MIT */
/* Processes by pid, also those that ended before anybody could look into /proc. */
#pragma once

#include "cli/trace/record.h"

struct program {
    pid_t pid;
    pid_t parent;
    uint64_t namespace;         /* of its network, as its inode; 0: unknown */
    bool is_selected;           /* or a descendant of one that is */
    char name[RECORD_NAME_MAX]; /* comm: chosen by the process, so any bytes */
    uint64_t gone;              /* ns; 0: it lives */
    struct program *next;
};

struct programs;

/* Those of now, from /proc; open the tracepoints before. NULL if memory ran out. */
struct programs *programs_new(void);
void programs_free(struct programs *p);

/* Takes in a process's begin, name, namespace or end. */
void programs_note(struct programs *p, const struct record *record);

/* NULL: unknown. */
const struct program *programs_find(const struct programs *p, pid_t pid);

/* The inode of a process's network namespace, from /proc; 0: unknown. */
uint64_t programs_namespace(pid_t pid);

/* Selects a process and its descendants, also those to come. */
void programs_select(struct programs *p, pid_t pid);
