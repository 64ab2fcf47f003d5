/* SPDX-License-Identifier: MIT */
/* Which moments of a connection's life matter to a policy: the earliest at which it can decide. */
#pragma once

#include <stdbool.h>

#include "policy/decide.h"

enum moment {
    MOMENT_LOAD = 1 << 0, /* moments_start() has not run yet */
    MOMENT_SOCKET = 1 << 1,
    MOMENT_CONNECT = 1 << 2,
    MOMENT_LISTEN = 1 << 3,
    MOMENT_ACCEPT = 1 << 4,
    MOMENT_RECEIVE = 1 << 5,
    MOMENT_BIND = 1 << 6,
    MOMENT_SETSOCKOPT = 1 << 7,
    MOMENT_SHUTDOWN = 1 << 8,
    MOMENT_CLOSE = 1 << 9,
    MOMENT_EXIT = 1 << 10,           /* seen by the supervisor alone */
    MOMENT_LOADING = 1 << 11,        /* some thread is in moments_start() */
    MOMENT_CONNECT_FAILED = 1 << 12, /* for the log and the counters */
};

struct plan {
    unsigned moments;     /* enum moment or-ed: those at which the policy has something to do */
    unsigned needs;       /* enum fact or-ed: those that its rules ask for */
    struct verdict whole; /* where they ask for none: of every socket */
    bool decides_early;   /* some rule can, before close(): look at what is open at load */
};

/*
 * Plans for a policy of POLICY_TEARDOWN. `is_outside`: by the supervisor, which sees calls before
 * they are made: there is no descriptor at socket(), and at accept() only if it `makes_accept`.
 */
void plan_make(struct plan *plan, const struct policy *policy, bool is_outside, bool makes_accept);
