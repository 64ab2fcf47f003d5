/* SPDX-License-Identifier: MIT */
/* A text for standard output, which a terminal may redraw in place. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

struct screen {
    FILE *out; /* for the text */
    char *text;
    size_t size;
};

/* Begins a text; `is_redrawn`: it is for the terminal. False if memory ran out. */
bool screen_begin(struct screen *screen, bool is_redrawn);

/*
 * If it is redrawn: draws it over what the terminal shows, broken between words, and as many lines
 * of it as fit.
 */
void screen_end(struct screen *screen);

/* How wide a line may be for that. */
unsigned screen_columns(void);
