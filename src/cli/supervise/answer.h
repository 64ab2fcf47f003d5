/* SPDX-License-Identifier: MIT */
/* Answering one call that the filter holds: seccomp_unotify(2). */
#pragma once

#include <linux/seccomp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "cli/cli.h"
#include "cli/notify/accept.h"
#include "cli/process/target.h"
#include "core/settings.h"

/* Where the kernel writes a call that it holds; struct seccomp_notif grows with kernels. */
union answer_call {
    struct seccomp_notif request;
    char bytes[512];
};

/* What a supervisor needs to continue where another one ended. */
struct answer_room {
    union answer_call call; /* which is answered */
    struct accept_room accepts;
};

#define ANSWER_OPEN_MAX 64

/* A connect() that has gone on: its local end, which shows soon, decides. */
struct answer_open {
    int fd; /* a duplicate: nothing ends the connection before it has its options */
    struct seccomp_notif request;
    int64_t until;
};

/* What a supervisor answers by. The caller sets three members; the rest start as zeros. */
struct answerer {
    const struct cli_command *self; /* named in messages; the caller sets it */
    const struct settings *all;     /* prog= not decided; the caller sets it */
    struct answer_room *room;       /* the caller sets it */
    int listener;                   /* where notifications come from: answer_use() */
    pid_t program;                  /* the first one */
    bool asks_name;                 /* some rule has prog= */
    bool has_warned;                /* of a process that could not be reached */
    bool has_met_foreign;           /* a program for another architecture */
    struct accepts accepts;
    atomic_bool is_busy; /* with a call, or with a connect() that has gone on */
    unsigned open_count;
    struct answer_open open[ANSWER_OPEN_MAX];
    struct settings cut; /* to the program of that name */
    char name[TARGET_NAME_MAX];
};

/*
 * Puts the policy in force, for a first program with that pid and file name, in a process that has
 * become a supervisor: it gets priority from now on.
 */
void answer_begin(struct answerer *answerer, pid_t program, const char *name);

/* From now on notifications come from there. */
void answer_use(struct answerer *answerer, int listener);

/*
 * Waits for a notification and answers it. The caller may be gone at any point: nothing is said.
 * False if no process is left that can make a call.
 */
bool answer_call(struct answerer *answerer);

/* In a process that was forked: lets go of what its parent holds of the program. */
void answer_forget(struct answerer *answerer);

/* Answers the call in the room, where another process received it and died before it answered. */
void answer_left(struct answerer *answerer);
