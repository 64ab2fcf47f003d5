/* SPDX-License-Identifier: MIT */
/* Why something failed: it travels up in this type to the function that prints it. */
#pragma once

#define ERROR_MAX 2048

struct error {
    char text[ERROR_MAX]; /* what is in the way, and the way out; a message puts the name before */
    int cause;            /* an errno, where a caller acts on it */
};

/* Writes the text, with no cause. Returns -1, and leaves errno as it was. */
int error_set(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));
