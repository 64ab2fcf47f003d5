/* SPDX-License-Identifier: MIT */
/* The start of a program under the filter. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "cli/supervise/answer.h"

/*
 * In the supervisor: puts the policy in force and starts `file` under the filter that it needs.
 * Fills the answerer's listener; every other descriptor is closed. The program's pid, or 0 after an
 * error message, with the wait status of what has ended.
 */
pid_t start_program(struct answerer *answerer, const char *file, char **argv, int *status);
