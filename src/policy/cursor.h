/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the policy parser share: the text, the place in it, and the mistake. Each part
 * reads a span of the text into a rule; it returns 0, or fills the error and returns -1.
 */
#pragma once

#include "policy/policy.h"

struct span {
    size_t at;
    size_t length;
};

struct cursor {
    struct policy *policy;
    enum policy_dialect dialect;
    const char *text;
    size_t length;
    size_t at;
    bool comments;
    struct policy_error *error;
};

/* Fills the error and returns -1. `accepted` must outlive the parser. */
int cursor_fail(struct cursor *p, struct span where, const char *what, const char *accepted);

/* The same for a word that is not in `names`: the nearest of them is suggested. */
int cursor_fail_word(struct cursor *p, struct span where, const char *what, const char *accepted,
                     const char *const *names, size_t count);

bool cursor_is(const struct cursor *p, struct span s, const char *word);

/* Splits `s` at the first `c`: returns what precedes it, `s` keeps what follows. */
struct span cursor_until(const struct cursor *p, struct span *s, char c);

bool cursor_is_digit(char c);

/* A decimal number, digits only, up to `max`; false for anything else. */
bool cursor_number(const struct cursor *p, struct span s, uint32_t max, uint32_t *number);
