/* SPDX-License-Identifier: MIT */
/* What a running program is under: the library and its policy, a supervisor, options of attach. */
#pragma once

#include <sys/types.h>

#include "cli/error.h"

enum running { RUNNING_UNDER_LIBRARY, RUNNING_UNDER_SUPERVISOR, RUNNING_PLAINLY };

/*
 * Prints what the process is under. Its listeners count as under the library where attach or keep
 * has left a mode on one. Returns an enum running, or -1 and `why` it cannot be seen.
 */
int running_show(pid_t pid, struct error *why);
