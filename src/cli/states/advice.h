/* SPDX-License-Identifier: MIT */
/* What the figures of `linger states` call for: one line for each symptom. */
#ifndef LINGER_CLI_STATES_ADVICE_H
#define LINGER_CLI_STATES_ADVICE_H

#include <stdbool.h>
#include <stdio.h>

#include "cli/states/timewait.h"

struct advice {
    FILE *out;
    bool json;
    unsigned lines;
};

/* One line of it: under a heading, or in an array of JSON that the caller opens and closes. */
void advice_say(struct advice *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* As lines under a heading, which is left out without advice; or as an array of JSON. */
void advice_print(FILE *out, const struct timewait *sum, bool json);

#endif
