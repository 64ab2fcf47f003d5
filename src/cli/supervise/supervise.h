/* SPDX-License-Identifier: MIT */
/* The second backend of linger run: for programs whose system calls are raw (static, Go). */
#ifndef LINGER_CLI_SUPERVISE_SUPERVISE_H
#define LINGER_CLI_SUPERVISE_SUPERVISE_H

#include "cli/launch/launch.h"
#include "core/settings.h"

/*
 * Finds out whether this kernel lets a supervisor make accept(), if the policy asks for that. True
 * where, for the policy or for want of that, each close() has to wait for the supervisor.
 */
bool supervise_traps_close(struct settings *settings);

/* launch_run() under the settings, the keeper being the supervisor; sets start and answer. */
int supervise(struct launch *launch, struct settings *settings);

#endif
