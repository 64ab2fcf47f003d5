/* SPDX-License-Identifier: MIT */
/* Processes are examined: what they listen on gets what the policy says, and what they accepted. */
#pragma once

#include "cli/apply.h"
#include "cli/keep/listeners.h"

/* Since the start. */
struct look_counts {
    size_t applied; /* to listeners */
    size_t refused;
    size_t connections; /* that were changed */
};

struct look {
    struct apply apply; /* the policy, -n, -j and -q */
    bool restores;      /* what connections had is noted, too */
    struct listeners listeners;
    struct saved connections;
    size_t enough; /* so many of them, and those that are gone are dropped */
    struct look_counts counts;
};

/* Examines what these processes listen on. False: one has ended; a child may have what it had. */
bool look_at_processes(struct look *l, const pid_t *pids, size_t count);

/*
 * The same with the processes that have a listener which is_wanted(); `by_name`: those of them
 * alone that a rule names by prog=.
 */
void look_at_holders(struct look *l, bool is_wanted(const struct listener *listener), bool by_name);

/*
 * Examines the connections of listeners that were changed: all at first, then each time those that
 * had waited for accept(). False if none is left to do.
 */
bool look_at_connections(struct look *l);

/*
 * Puts back what listeners had that is_wanted() and what connections had that inherited from them,
 * at the end those, too, that were noted; and says so.
 */
void look_put_back(struct look *l, bool is_wanted(const struct listener *listener), bool is_end);

/* Has a rule prog= for that program, or for any if that is NULL? */
bool look_has_names(const struct policy *policy, const char *program);
