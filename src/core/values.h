/* Lists of values, separated by commas: how they are read into a policy, and written. */
#ifndef LINGER_VALUES_H
#define LINGER_VALUES_H

#include "parser.h"

int values_read_ports(struct parser *p, struct span value, struct policy_run *run);
int values_read_addresses(struct parser *p, struct span value, struct policy_run *run);
int values_read_patterns(struct parser *p, struct span value, struct policy_run *run);

void values_print_ports(const struct policy *policy, struct policy_run run, struct text *out);
void values_print_addresses(const struct policy *policy, struct policy_run run, struct text *out);
void values_print_patterns(const struct policy *policy, struct policy_run run, struct text *out);

#endif
