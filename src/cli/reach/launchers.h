/* SPDX-License-Identifier: MIT */
/* Programs that start others out of the policy's reach. */
#pragma once

#include "cli/reach/reach.h"

/*
 * Is it a launcher, such as sudo or docker, whose programs the policy may not reach, or does it
 * start one, as `timeout 5 sudo` does? Then `why` says so, and what to do. `argv` are its
 * arguments; NULL: whatever they are.
 */
bool launchers_lose(const struct reach *reach, const char *program, char *const *argv,
                    struct error *why);
