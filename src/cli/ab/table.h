/* SPDX-License-Identifier: MIT */
/* The sums of the runs of `linger ab`, as a table and as JSON. */
#pragma once

#include "cli/ab/run.h"

#define AB_MODES_MAX 8
#define AB_ROUNDS_MAX 100

struct ab_table {
    const struct ab_plan *plan;
    const char *modes[AB_MODES_MAX];
    int mode_count;
    int rounds;
    int done;                  /* runs that have finished, in order: mode by mode, round by round */
    struct ab_result *results; /* [round * mode_count + mode] */
};

void ab_table_print(const struct ab_table *table);
void ab_table_print_json(const struct ab_table *table);
