/* SPDX-License-Identifier: MIT */
/* A policy on the sockets that running processes have: `linger attach` and `linger supervise`. */
#ifndef LINGER_CLI_APPLY_H
#define LINGER_CLI_APPLY_H

#include <stdbool.h>
#include <stdio.h>

#include "cli/attach/selection.h"

struct apply {
    struct selection selection;
    const char *save;   /* of --save: a file's name, or NULL */
    bool is_supervised; /* what is not known yet is left to a supervisor */

    /* apply() fills these. */
    FILE *saved;
    unsigned listeners;
    unsigned connections;
    unsigned failed;
};

/* Takes -s and those of the selection; false after a message. */
bool apply_take_option(struct apply *a, int option);

/* The text of what is missing or contradictory; NULL if nothing is. */
const char *apply_find_mistake(const struct apply *a, bool has_pids);

/*
 * Sets the options, and prints that; an object of JSON is left open, for further members. False
 * where something was refused, or not done.
 */
bool apply(struct apply *a);

/* Closes that object. */
void apply_end_json(struct apply *a);

#endif
