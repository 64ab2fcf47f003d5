/* SPDX-License-Identifier: MIT */
/* Lists of values, separated by commas: read into a policy, written, and compared. */
#pragma once

#include "policy/cursor.h"

int lists_read_ports(struct cursor *p, struct span value, struct policy_run *run);
int lists_read_addresses(struct cursor *p, struct span value, struct policy_run *run);
int lists_read_patterns(struct cursor *p, struct span value, struct policy_run *run);

void lists_print_ports(const struct policy *policy, struct policy_run run, struct text *out);
void lists_print_addresses(const struct policy *policy, struct policy_run run, struct text *out);
void lists_print_patterns(const struct policy *policy, struct policy_run run, struct text *out);

/* Is each value of `narrow` in one of `wide`? */
bool lists_cover_ports(const struct policy *policy, struct policy_run wide,
                       struct policy_run narrow);
bool lists_cover_addresses(const struct policy *policy, struct policy_run wide,
                           struct policy_run narrow);
bool lists_cover_patterns(const struct policy *policy, struct policy_run wide,
                          struct policy_run narrow);
