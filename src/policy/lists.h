/* SPDX-License-Identifier: MIT */
/* Lists of values, separated by commas: how they are read into a policy, and written. */
#ifndef LINGER_POLICY_LISTS_H
#define LINGER_POLICY_LISTS_H

#include "policy/cursor.h"

int lists_read_ports(struct cursor *p, struct span value, struct policy_run *run);
int lists_read_addresses(struct cursor *p, struct span value, struct policy_run *run);
int lists_read_patterns(struct cursor *p, struct span value, struct policy_run *run);

void lists_print_ports(const struct policy *policy, struct policy_run run, struct text *out);
void lists_print_addresses(const struct policy *policy, struct policy_run run, struct text *out);
void lists_print_patterns(const struct policy *policy, struct policy_run run, struct text *out);

#endif
