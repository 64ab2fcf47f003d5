/* SPDX-License-Identifier: MIT */
/*
 * Bounded text without stdio: what the library says is built here, because snprintf(3) is not
 * async-signal-safe and uses the locale.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* A buffer being filled. `data` is always terminated by NUL; what does not fit is dropped. */
struct text {
    char *data;
    size_t size;   /* bytes that `data` can hold, the NUL included */
    size_t length; /* bytes written, without the NUL */
};

/* Begins an empty text in `data`, which holds `size` > 0 bytes. */
void text_begin(struct text *t, char *data, size_t size);

void text_put(struct text *t, const char *string);
void text_put_bytes(struct text *t, const char *bytes, size_t length);
void text_put_char(struct text *t, char c);
void text_put_number(struct text *t, uint64_t number);

/* Like text_put_bytes, with '?' for each byte that is not printable ASCII: one column a byte. */
void text_put_printable(struct text *t, const char *bytes, size_t length);

/* The file name in a path: what follows its last slash. */
const char *text_file_name(const char *path);
