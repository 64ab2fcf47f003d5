/* SPDX-License-Identifier: MIT */
/* Sockets already met, by their cookies: workers share listeners, modes share a port. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Must be zeroed at first. */
struct seen {
    uint64_t *cookies;
    size_t places;
    size_t count;
};

/* 1: new, 0: seen before, -1: out of memory. A cookie is never 0. */
int seen_note(struct seen *seen, uint64_t cookie);

/* Was it noted? */
bool seen_has(const struct seen *seen, uint64_t cookie);

/* Frees the memory, and starts anew. */
void seen_forget(struct seen *seen);
