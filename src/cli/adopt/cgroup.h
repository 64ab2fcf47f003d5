/* SPDX-License-Identifier: MIT */
/* The cgroup, of version 2, that a program is in: cgroups(7). */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* What is frozen stops for a tracer, and makes no call before it thaws. */
bool cgroup_is_frozen(pid_t program);

/*
 * A service manager ends all that is left in the cgroup of a service when that ends, and so would
 * end a supervisor that a service has started. False if that must happen: this process is in one,
 * and cannot enter the cgroup of the program.
 */
bool cgroup_may_enter(pid_t program);

/* Enters it, where that is possible. False as above. */
bool cgroup_enter(pid_t program);

#define CGROUP_ENDS_US                                                                             \
    "linger runs in a service, with which its supervisor would be ended: use `systemd-run "        \
    "--scope "                                                                                     \
    "linger supervise ...`"
