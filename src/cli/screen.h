/* SPDX-License-Identifier: MIT */
/* A text that is redrawn in place, in the terminal that standard output is. */
#pragma once

/*
 * Draws the text over what the terminal shows: broken between words, and as many lines of it as
 * fit.
 */
void screen_redraw(const char *text);

/* How wide a line may be for that. */
unsigned screen_columns(void);
