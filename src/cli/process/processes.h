/* SPDX-License-Identifier: MIT */
/* Trees of processes, from /proc. */
#pragma once

#include <sys/types.h>

/* Seconds of processor time of a process, its descendants, and those it has waited for. */
double processes_cpu(pid_t root);

/*
 * Ends all children of this process with SIGKILL, and, where it is a subreaper (prctl(2)), all
 * descendants: each one's children become its own.
 */
void processes_end_children(void);
