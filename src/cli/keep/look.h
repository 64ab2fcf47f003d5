/* SPDX-License-Identifier: MIT */
/* Processes are examined: what they listen on gets what the policy says, and what they accepted. */
#pragma once

#include "cli/apply.h"
#include "cli/keep/listeners.h"

struct look {
    struct apply apply; /* the policy, -n, -j and -q */
    bool restores;      /* what connections had is noted, too */
    struct listeners listeners;
    struct saved connections;
    struct seen noted; /* these, before the first policy that changed them */
    size_t enough;     /* so many of them, and those that are gone are dropped */
};

/* Examines what the process listens on. False: it has ended; a child may have what it had. */
bool look_at_process(struct look *l, pid_t pid);

/*
 * The same with the processes that have a listener in one of the states (enum listener_state,
 * or-ed); `by_name`: those of them alone that a rule names by prog=.
 */
void look_at_holders(struct look *l, unsigned states, bool by_name);

/*
 * Examines the connections of listeners that were changed: all at first, then each time those that
 * had waited for accept(). False if none is left to do.
 */
bool look_at_connections(struct look *l);

/*
 * Puts back what listeners in one of the states had and what connections had that inherited from
 * them, at the end those, too, that were noted; and says so.
 */
void look_put_back(struct look *l, unsigned states, bool is_end);
