/* Sockets that were met already, by their cookies: workers share listeners, modes share a port. */
#ifndef LINGER_SOCKETS_SEEN_H
#define LINGER_SOCKETS_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Begins as zeros. */
struct seen {
    uint64_t *cookies;
    size_t places;
    size_t count;
};

/* 1: new, 0: seen before, -1: out of memory. A cookie is never 0. */
int seen_note(struct seen *seen, uint64_t cookie);

/* Was it noted? */
bool seen_has(const struct seen *seen, uint64_t cookie);

/* Gives back the memory, and begins anew. */
void seen_forget(struct seen *seen);

#endif
