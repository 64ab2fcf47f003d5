/* SPDX-License-Identifier: MIT */
/* A program that runs as a child of a front that should not be noticed; launch.c explains how. */
#pragma once

#include "cli/cli.h"
#include "core/settings.h"

/* What is run, and what its keeper does until it ends. */
struct launch {
    const struct cli_command *self; /* whose name is in messages */
    const char *file;
    char **argv;               /* the program's, at the end of what main() got */
    struct settings *settings; /* of its supervisor; NULL: it needs none */
    bool sees_closes;          /* by the supervisor */
    const char *stats; /* NULL, or a file of counters in a directory of its own, for a summary */
    bool speaks;       /* to the end: keeps standard error when the prompt returns */
};

/*
 * Runs it, and returns the program's wait status, wait(2), when it has ended; the processes that it
 * left behind stay supervised. If it could not be started, or if the keeper died, the status is
 * that of an exit with CLI_FAILED, after an error message.
 */
int launch_run(const struct launch *what);

/* The exit status for that wait status; if a signal ended the program, the same one ends us. */
int launch_exit(int status);

/* Removes a file of counters, and its directory. */
void launch_remove_stats(const char *file);
