/* SPDX-License-Identifier: MIT */
/* One run of `linger ab`: a server or a client under one mode, and its figures. */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "cli/ab/figures.h"
#include "cli/cli.h"
#include "cli/error.h"

struct ab_plan {
    const struct cli_command *self;
    long port;
    const char *load;
    char **server; /* NULL with `attach` */
    pid_t attach;  /* 0: start `server` */
    bool on_server;
    bool on_client;
    bool in_namespace;
    bool is_watched;
    long timeout; /* seconds: of the load */
    long grace;   /* seconds between SIGTERM and SIGKILL */
    struct figures_metric metrics[FIGURES_METRICS_MAX];
    int metric_count;
    char directory[PATH_MAX - 64]; /* for what the server, the load and `linger watch` print */
};

enum ab_outcome {
    AB_DONE,
    AB_FAILED,       /* `why` */
    AB_INTERRUPTED,  /* by a signal */
    AB_NO_NAMESPACE, /* it is not permitted; nothing was run */
};

struct ab_result {
    enum ab_outcome outcome;
    double values[FIGURES_MAX]; /* NAN for a missing figure */
    struct error why;
};

/*
 * Runs the plan once under `mode`, in a process of its own that leaves none behind; `label`
 * names the files in the directory. `result` is shared with that process, mmap(2).
 */
void ab_run(const struct ab_plan *plan, const char *mode, const char *label,
            struct ab_result *result);
