/* SPDX-License-Identifier: MIT */
/* The two processes that supervise a program which ran before them, until it ends. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "cli/cli.h"
#include "core/settings.h"

/*
 * Puts the process under a filter and supervises it, or replaces the supervisors that it has.
 * True when its calls are answered under these settings; false after a message: then nothing has
 * changed.
 */
bool pair_start(const struct cli_command *self, struct settings *settings, pid_t program);
