/* SPDX-License-Identifier: MIT */
/* The parent of a program and of all that it leaves in the background; see front.c. */
#pragma once

#include <stdint.h>

#include "cli/launch/launch.h"

#define KEEPER_NO_NEWS (-1) /* no wait status has all bits set */
#define KEEPER_SIGNALS 64

/*
 * What the front and the keeper share. Times are keeper_clock()'s; 0 is never. gcc and clang align
 * _Atomic int64_t of 32-bit programs differently unless the field says how.
 */
struct keeper_news {
    _Atomic int status; /* the program's, wait(2) */
    /* When the keeper got the signal of that number. */
    _Alignas(8) _Atomic int64_t seen[KEEPER_SIGNALS + 1];
    /* When the front got it: the program gets it too unless the keeper has seen it since. */
    _Alignas(8) _Atomic int64_t alone[KEEPER_SIGNALS + 1];
};

/* In the child of the front, with all signals blocked. */
_Noreturn void keeper_run(const struct launch *launch, struct keeper_news *news, pid_t front);

/* Nanoseconds. */
int64_t keeper_clock(void);
