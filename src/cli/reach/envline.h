/* SPDX-License-Identifier: MIT */
/* What env(1) does with its argument in a #! line. */
#pragma once

#include <stdbool.h>

struct envline {
    const char *program; /* NULL if it runs nothing */
    bool drops;          /* it removes LD_PRELOAD or a LINGER_ variable */
};

/* Reads the argument, or NULL; modifies it and points into it. False if env refuses its options. */
bool envline_read(char *argument, struct envline *line);
