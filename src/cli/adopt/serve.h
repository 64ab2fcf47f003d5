/* SPDX-License-Identifier: MIT */
/* The two processes that serve a program which ran before them, until it ends. */
#ifndef LINGER_CLI_ADOPT_SERVE_H
#define LINGER_CLI_ADOPT_SERVE_H

#include <sys/types.h>

#include "cli/cli.h"
#include "core/settings.h"

#define SERVE_WHY_MAX 512

/*
 * Puts the process under a filter and serves it, or has the place of those who serve it already.
 * Returns 0 when its calls are answered under these settings, or -1 and `why`, which names the
 * process: then nothing has changed.
 */
int serve_start(const struct cli_command *self, const struct settings *settings, pid_t program,
                char why[SERVE_WHY_MAX]);

#endif
