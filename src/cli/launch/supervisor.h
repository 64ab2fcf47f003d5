/* SPDX-License-Identifier: MIT */
/* The second backend of linger run: for programs whose system calls are raw (static, Go). */
#pragma once

#include <sys/types.h>

#include "cli/launch/launch.h"

/*
 * Finds out whether this kernel lets a supervisor make accept(), if the policy asks for that. True
 * if each close() has to wait for the supervisor, as the policy asks or as the kernel cannot do
 * better.
 */
bool supervisor_traps_close(struct settings *settings);

/* What that may do to the program, and what to do instead. */
void supervisor_warn_of_closes(const struct cli_command *self, const struct settings *settings,
                               bool can_preload);

/*
 * In the keeper: starts the program under its filter. Returns its pid; or 0 after an error message,
 * with a wait status. If a thread can be had it answers the calls; else `listener` is set, and the
 * keeper calls supervisor_answer() when that can be read.
 */
pid_t supervisor_start(const struct launch *launch, int *status, int *listener);
void supervisor_answer(void);

/*
 * After the program's end: until the thread has looked at the connection that its last connect()
 * opened, a second at most. Our duplicate ends it, and needs the options by then.
 */
void supervisor_finish(void);
