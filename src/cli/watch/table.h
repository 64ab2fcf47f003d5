/* SPDX-License-Identifier: MIT */
/* What `linger watch` prints: the table, a line for each connection, both as JSON. */
#pragma once

#include <stdio.h>

#include "cli/json.h"
#include "cli/states/counters.h"
#include "cli/watch/groups.h"

/* The table; sorts the groups. */
void table_print(FILE *out, struct groups *g);
void table_add_json(struct json *json, struct groups *g);

/* A connection that ended at that time of day; `has_states`: and how long it was in each. */
void table_print_connection(FILE *out, const struct connection *c, double time, bool is_json,
                            bool has_states);

/* The counters' sums, where the events may not be seen. */
void table_print_counters(FILE *out, const uint64_t values[COUNTER_COUNT]);
void table_add_json_counters(struct json *json, const uint64_t values[COUNTER_COUNT]);
