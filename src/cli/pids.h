/* SPDX-License-Identifier: MIT */
/* The processes that words of the command line name: by pid, or by a unit of systemd. */
#pragma once

#include <sys/types.h>

#include "cli/cli.h"

/* Takes a process; `name` is the word that led to it. -1 after a message: stop. */
typedef int pids_visit(const char *name, pid_t pid, void *context);

/* Is the word a pid, or a name as a unit has it? */
bool pids_is_name(const char *word);

/*
 * Calls `visit` for each pid, and for each process that the cgroup of a unit has at the moment.
 * Returns 0, or -1 after a message.
 */
int pids_each(const struct cli_command *command, char *const *names, pids_visit *visit,
              void *context);
