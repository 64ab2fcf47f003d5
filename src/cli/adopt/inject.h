/* SPDX-License-Identifier: MIT */
/* Puts a running process under a seccomp filter, unnoticed by it. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "cli/error.h"
#include "cli/supervise/filter.h"

/*
 * May `pid` be taken over? Looks only. Returns 0, or -1 and the reason. `no_new_privs`: the kernel
 * will ask that no_new_privs be set in the program, which lacks CAP_SYS_ADMIN.
 */
int inject_check(pid_t pid, bool *no_new_privs, struct error *error);

/*
 * Puts all threads of `pid`, and whatever it will start, under `filter`, for good. The filter must
 * not notify of close_range and munmap: by these calls the program is cleaned up before any call is
 * answered. Returns the listener (seccomp_unotify(2)), close-on-exec, or -1 and the reason, whose
 * cause is EBUSY if it has a supervisor; the program is as before then. Where the reason is that a
 * thread did not stop, it is held until we end.
 */
int inject_filter(pid_t pid, const struct filter *filter, struct error *error);

/* Has each thread of `pid` that waits in accept(2) make that call again, under the filter. */
void inject_restart_accepts(pid_t pid);
