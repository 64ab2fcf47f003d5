/* SPDX-License-Identifier: MIT */
/* What a feature needs of the kernel beyond Linux 4.18, and what to do where that is missing. */
#pragma once

#include <stdbool.h>

#include "cli/cli.h"
#include "cli/error.h"

enum need { NEED_SUPERVISOR, NEED_ATTACH, NEED_KEEP, NEED_CLOSE, NEED_INJECTION };

/* Is this Linux `version`, or later? Of calls it says nothing: see needs_explain(). */
bool needs_is_linux(const char *version);

/* Asks the kernel, and changes nothing. If a call is missing: false, and `why` says the way out. */
bool needs_explain(enum need need, struct error *why);

/* The same, with an error message. */
bool needs_are_met(enum need need, const struct cli_command *self);
