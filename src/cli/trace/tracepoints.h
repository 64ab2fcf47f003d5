/* SPDX-License-Identifier: MIT */
/* The kernel's events of TCP connections and of processes, all CPUs merged in order of time. */
#pragma once

#include <signal.h>

#include "cli/error.h"
#include "cli/trace/record.h"

#define TRACEPOINTS_PORTS 16

struct tracepoints;

enum tracepoints_what {
    TRACEPOINTS_STATES,
    TRACEPOINTS_ENDS,    /* all states that show how a connection ends */
    TRACEPOINTS_LISTENS, /* sockets that begin to listen or end it; each ends tracepoints_wait() */
};

/*
 * Opens them: all, or those with one of `count` ports at either end.
 * Returns NULL and `why`, with EACCES or EPERM in errno where it is a matter of rights.
 */
struct tracepoints *tracepoints_open(enum tracepoints_what what, const uint16_t *ports,
                                     unsigned count, struct error *why);
void tracepoints_close(struct tracepoints *t);

/*
 * Waits until a buffer fills up, a signal comes, or that many milliseconds have passed; `mask`, if
 * it is not NULL, is that of signals until then, ppoll(2). NULL for `t`: there are no buffers.
 */
void tracepoints_wait(const struct tracepoints *t, int milliseconds, const sigset_t *mask);

/*
 * The next event before that time, which must lie before the last call of tracepoints_wait():
 * events of different CPUs become visible in no order. Returns false where there is none.
 */
bool tracepoints_next(struct tracepoints *t, uint64_t before, struct record *record);

/* No more events from here on; those in the buffers stay. */
void tracepoints_stop(const struct tracepoints *t);

/*
 * How many events the kernel has counted and not delivered. Exact once it was stopped and the
 * buffers have been read.
 */
uint64_t tracepoints_lost(const struct tracepoints *t);

/* Does the kernel give reasons for the RST that it sends (Linux 6.10)? */
bool tracepoints_have_reasons(const struct tracepoints *t);

/* ns of CLOCK_MONOTONIC, as the events have it. */
uint64_t tracepoints_now(void);
