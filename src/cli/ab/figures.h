/* SPDX-License-Identifier: MIT */
/* The figures of a run, and where each is read. */
#pragma once

#include <stdbool.h>

#include "cli/sockets/seen.h"
#include "cli/states/counters.h"

enum figure {
    FIGURE_SECONDS, /* the load's wall time */
    FIGURE_RATE,    /* requests per second, as reported by the load */
    FIGURE_ERRORS,  /* as reported by the load */
    FIGURE_CONNECTIONS,
    FIGURE_TIME_WAIT,
    FIGURE_RST_SENT,
    FIGURE_RESETS,
    FIGURE_ABORT_DATA,
    FIGURE_ABORT_CLOSE,
    FIGURE_ABORT_LINGER,
    FIGURE_UNSENT,
    FIGURE_CPU,
    FIGURE_RESTART,
    FIGURE_METRIC, /* the first of --metric */
};

#define FIGURES_METRICS_MAX 16
#define FIGURES_MAX (FIGURE_METRIC + FIGURES_METRICS_MAX)

struct figures_metric {
    const char *name;
    const char *pattern; /* extended regular expression, regex(7); its groups are added up */
};

/* In each function `values` has FIGURES_MAX elements; a missing figure is NAN. */

/* By how much the kernel's counters differ from what they were before the load. */
void figures_of_counters(const uint64_t before[COUNTER_COUNT], double *values);

/* From what a load printed to the file `path`: rate and errors of known loads, and metrics. */
void figures_of_output(const char *path, const struct figures_metric *metrics, int metric_count,
                       double *values);

/* Bytes that were unsent at close, by our own counters in the file `path`; NAN without it. */
double figures_unsent(const char *path);

/*
 * Notes the sockets of the port that have ended, in TIME_WAIT or on the way there: what an earlier
 * run left in this namespace. False if the kernel does not list its sockets.
 */
bool figures_note_former(long port, struct seen *former);

/*
 * TIME_WAIT at the port, at the client's or the server's end, without the former ones; `last`:
 * seconds until the last one ends.
 */
double figures_time_wait(long port, bool of_client, const struct seen *former, double *last);
