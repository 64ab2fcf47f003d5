/* SPDX-License-Identifier: MIT */
/* What the started program finds in its environment. */
#pragma once

#include "cli/cli.h"
#include "core/settings.h"

/*
 * Sets the LINGER_ variables to `values`, except where that is NULL, and appends `library` to
 * LD_PRELOAD. `s` is what they were parsed to. Returns 0, or -1 after a message.
 */
int variables_set(const struct cli_command *self, const struct settings *s,
                  const char *const values[SETTING_COUNT], const char *library);
