/* SPDX-License-Identifier: MIT */
/* The name that a misspelt word may mean. */
#pragma once

#include <stddef.h>

/*
 * The one of `count` names that `length` bytes of `word` resemble most: up to two letters differ,
 * case aside. NULL if none does.
 */
const char *nearest(const char *word, size_t length, const char *const *names, size_t count);
