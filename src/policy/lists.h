/* SPDX-License-Identifier: MIT */
/* Lists of values, separated by commas: read into a policy, written, and compared. */
#pragma once

#include "policy/cursor.h"

/* What a list is of: each kind has its pool in the policy. */
enum list { LIST_PORTS, LIST_ADDRESSES, LIST_PATTERNS };

int lists_read(struct cursor *p, enum list kind, struct span value, struct policy_run *run);
void lists_print(const struct policy *policy, enum list kind, struct policy_run run,
                 struct text *out);

/* Is each value of `narrow` in one of `wide`? */
bool lists_cover(const struct policy *policy, enum list kind, struct policy_run wide,
                 struct policy_run narrow);
