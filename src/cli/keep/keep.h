/* SPDX-License-Identifier: MIT */
/* The life of `linger keep`. */
#pragma once

#include "cli/keep/look.h"

struct keep {
    struct look look;
    const char *prometheus; /* a file's name, or NULL */
    bool follows;           /* the policy's file is read when it changes */
};

/* With the policy taken. Runs until SIGTERM or SIGINT; once where nothing is to be changed. */
int keep_run(struct keep *k);
