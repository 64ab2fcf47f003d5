/* Answering one call that the filter holds: seccomp_unotify(2). */
#ifndef LINGER_SUPERVISE_ANSWER_H
#define LINGER_SUPERVISE_ANSWER_H

#include <stdbool.h>
#include <sys/types.h>

#include "cli.h"
#include "settings.h"
#include "system/target.h"

/* What a supervisor answers by. Begins as zeros and the three that the caller sets. */
struct answerer {
    const struct cli_command *self; /* who complains; the caller sets it */
    const struct settings *all;     /* prog= not decided; the caller sets it */
    int listener;                   /* where notifications come from; the caller sets it */
    pid_t program;                  /* the first one */
    bool asks_name;                 /* some rule has prog= */
    bool has_warned;                /* of a process that could not be reached */
    bool has_met_foreign;           /* a program for another architecture */
    struct settings cut;            /* to the program of that name */
    char name[TARGET_NAME_MAX];
};

/* Puts the policy in force, for a first program with that pid and file name. */
void answer_begin(struct answerer *answerer, pid_t program, const char *name);

/*
 * Waits for a notification and answers it. The caller may be gone at any point: nothing is said.
 * False where nobody is left to ask.
 */
bool answer_call(struct answerer *answerer);

#endif
