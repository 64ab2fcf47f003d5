/* SPDX-License-Identifier: MIT */
/* What reading any part of a policy needs. Must never read past the text, which has no NUL. */
#include "policy/cursor.h"

#include <string.h>

#include "base/nearest.h"

int cursor_fail(struct cursor *p, struct span where, const char *what, const char *accepted)
{
    *p->error = (struct policy_error){.at = where.at, .length = where.length, what, accepted, NULL};
    return -1;
}

int cursor_fail_word(struct cursor *p, struct span where, const char *what, const char *accepted,
                     const char *const *names, size_t count)
{
    cursor_fail(p, where, what, accepted);
    p->error->meant = nearest(p->text + where.at, where.length, names, count);
    return -1;
}

bool cursor_is(const struct cursor *p, struct span s, const char *word)
{
    return s.length == strlen(word) && memcmp(p->text + s.at, word, s.length) == 0;
}

struct span cursor_until(const struct cursor *p, struct span *s, char c)
{
    const char *found = memchr(p->text + s->at, c, s->length);
    size_t before = found ? (size_t)(found - (p->text + s->at)) : s->length;
    size_t taken = found ? before + 1 : before;
    struct span head = {s->at, before};

    s->at += taken;
    s->length -= taken;
    return head;
}

bool cursor_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool cursor_number(const struct cursor *p, struct span s, uint32_t max, uint32_t *number)
{
    uint64_t value = 0;

    if (s.length == 0 || s.length > 9)
        return false;
    for (size_t i = 0; i < s.length; i++) {
        char c = p->text[s.at + i];
        if (!cursor_is_digit(c))
            return false;
        value = value * 10 + (uint64_t)(c - '0');
    }
    *number = (uint32_t)value;
    return value <= max;
}
