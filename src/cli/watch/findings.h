/* SPDX-License-Identifier: MIT */
/* What the table of `linger watch` calls for: a line for each finding. */
#pragma once

#include "cli/states/advice.h"
#include "cli/states/counters.h"
#include "cli/watch/groups.h"

#define FINDINGS_UNCLOSED 10 /* seconds in CLOSE_WAIT: no program needs so long to notice */

/*
 * Of groups that are sorted, `unclosed` connections that were in CLOSE_WAIT for longer, and how
 * much the counters have grown; `has_reasons`: this kernel says why it sends a RST.
 */
void findings_print(struct advice *advice, const struct groups *g, size_t unclosed,
                    const uint64_t growth[COUNTER_COUNT], bool has_reasons);
