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

/* The counters' growth, where the events may not be seen, and why they may not. */
void table_print_counters(double seconds, const char *why, const uint64_t growth[COUNTER_COUNT]);
void table_print_json_counters(double seconds, const uint64_t before[COUNTER_COUNT],
                               const uint64_t growth[COUNTER_COUNT]);
