/* SPDX-License-Identifier: MIT */
/* The name that a misspelt word may mean. */
#ifndef LINGER_BASE_NEAREST_H
#define LINGER_BASE_NEAREST_H

#include <stddef.h>

/* The nearest of `count` names, up to two letters away whatever their case, to `length` bytes of
 * `word`; or NULL. */
const char *nearest(const char *word, size_t length, const char *const *names, size_t count);

#endif
