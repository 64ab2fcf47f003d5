/* SPDX-License-Identifier: MIT */
/* Open addressing with a power of two of slots, at most half of them used. */
#include "cli/sockets/seen.h"

#include <stdlib.h>

/* Where the cookie is, or would be. */
static size_t place(const struct seen *seen, uint64_t cookie)
{
    size_t at = (size_t)cookie & (seen->places - 1);

    while (seen->cookies[at] != 0 && seen->cookies[at] != cookie)
        at = (at + 1) & (seen->places - 1);
    return at;
}

static bool grow(struct seen *seen)
{
    struct seen bigger = {NULL, seen->places ? seen->places * 2 : 256, 0};

    bigger.cookies = calloc(bigger.places, sizeof(*bigger.cookies));
    if (!bigger.cookies)
        return false;
    for (size_t i = 0; i < seen->places; i++) {
        if (seen->cookies[i] != 0)
            bigger.cookies[place(&bigger, seen->cookies[i])] = seen->cookies[i];
    }
    bigger.count = seen->count;
    free(seen->cookies);
    *seen = bigger;
    return true;
}

int seen_note(struct seen *seen, uint64_t cookie)
{
    if (seen->count * 2 >= seen->places && !grow(seen))
        return -1;
    size_t at = place(seen, cookie);
    if (seen->cookies[at] == cookie)
        return 0;
    seen->cookies[at] = cookie;
    seen->count++;
    return 1;
}

bool seen_has(const struct seen *seen, uint64_t cookie)
{
    return seen->places > 0 && seen->cookies[place(seen, cookie)] == cookie;
}

void seen_forget(struct seen *seen)
{
    free(seen->cookies);
    *seen = (struct seen){NULL, 0, 0};
}
