/* SPDX-License-Identifier: MIT */
/* What the figures of `linger states` call for: one line for each symptom. */
#pragma once

#include <stdio.h>

#include "cli/json.h"
#include "cli/states/summary.h"

struct advice {
    FILE *out;
    struct json *json; /* NULL: as text */
    unsigned lines;
};

/* One line of it: under a heading, or in an array of JSON that the caller opens and closes. */
void advice_say(struct advice *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* All that the figures call for; without advice there is no heading either. */
void advice_print(struct advice *advice, const struct summary *sum);
