/* SPDX-License-Identifier: MIT */
/* Levenshtein's distance, for "did you mean". Pure. */
#include "base/nearest.h"

#include <string.h>

#define ROW_MAX 64 /* a name has fewer letters */
#define SLIP_MAX 2
#define LOWER_CASE 0x20 /* the bit in which 'A' and 'a' differ */

static size_t distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t row[ROW_MAX];

    if (b_length >= ROW_MAX)
        return ROW_MAX;
    for (size_t j = 0; j <= b_length; j++)
        row[j] = j;
    for (size_t i = 0; i < a_length; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < b_length; j++) {
            size_t change = diagonal + ((a[i] | LOWER_CASE) != b[j]);
            size_t shift = (row[j] < row[j + 1] ? row[j] : row[j + 1]) + 1;
            diagonal = row[j + 1];
            row[j + 1] = change < shift ? change : shift;
        }
    }
    return row[b_length];
}

const char *nearest(const char *word, size_t length, const char *const *names, size_t count)
{
    const char *best = NULL;
    size_t least = SLIP_MAX + 1;

    for (size_t i = 0; i < count; i++) {
        size_t name_length = strlen(names[i]);
        size_t d = distance(word, length, names[i], name_length);
        if (d < least && d < name_length) {
            least = d;
            best = names[i];
        }
    }
    return best;
}
