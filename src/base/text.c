/* SPDX-License-Identifier: MIT */
/* Bounded text without stdio. Must never allocate, fail or write past the buffer. */
#include "base/text.h"

#include <stdbool.h>
#include <string.h>

void text_begin(struct text *t, char *data, size_t size)
{
    t->data = data;
    t->size = size;
    t->length = 0;
    data[0] = '\0';
}

void text_put_bytes(struct text *t, const char *bytes, size_t length)
{
    size_t room = t->size - 1 - t->length;

    if (length > room)
        length = room;
    memcpy(t->data + t->length, bytes, length);
    t->length += length;
    t->data[t->length] = '\0';
}

void text_put(struct text *t, const char *string)
{
    text_put_bytes(t, string, strlen(string));
}

void text_put_char(struct text *t, char c)
{
    text_put_bytes(t, &c, 1);
}

void text_put_number(struct text *t, uint64_t number)
{
    char digits[20]; /* 2^64 - 1 has 20 */
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    text_put_bytes(t, digits + at, sizeof(digits) - at);
}

void text_put_printable(struct text *t, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        bool is_printable = bytes[i] >= ' ' && bytes[i] <= '~';
        text_put_bytes(t, is_printable ? &bytes[i] : "?", 1);
    }
}

const char *text_file_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}
