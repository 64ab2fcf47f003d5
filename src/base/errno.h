/* SPDX-License-Identifier: MIT */
/* The one way of keeping errno, which a hook must leave as the real function left it. */
#pragma once

#include <errno.h>

static inline void keep_restore(const int *before)
{
    errno = *before;
}

/* At the head of a block: errno is put back at its end, whichever way the block is left. */
#define KEEP_ERRNO __attribute__((cleanup(keep_restore), unused)) const int kept_errno = errno
