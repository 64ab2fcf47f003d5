/* SPDX-License-Identifier: MIT */
/* Each list is a run in one of the policy's pools; a full pool is a mistake. Pure. */
#include "policy/lists.h"

#include <fnmatch.h>
#include <string.h>

#include "policy/address.h"

#define ACCEPTED_PROGRAM "prog takes file names or patterns, as in prog=nginx,redis-*"

static int add_pattern(struct cursor *p, struct span value)
{
    struct policy *policy = p->policy;
    size_t end = policy->pattern_bytes + value.length + 1;

    if (policy->pattern_count == POLICY_PATTERNS_MAX || end > POLICY_PATTERN_BYTES)
        return cursor_fail(p, value, "too many programs at",
                           "a policy has up to 64 program patterns, of 2048 bytes together");
    if (memchr(p->text + value.at, '/', value.length) ||
        memchr(p->text + value.at, '\0', value.length))
        return cursor_fail(p, value, "a path, not a file name:", ACCEPTED_PROGRAM);
    memcpy(policy->pattern_text + policy->pattern_bytes, p->text + value.at, value.length);
    policy->pattern_text[end - 1] = '\0';
    policy->patterns[policy->pattern_count++] = policy->pattern_bytes;
    policy->pattern_bytes = (uint16_t)end;
    return 0;
}

static int add(struct cursor *p, enum list kind, struct span value)
{
    struct policy *policy = p->policy;

    switch (kind) {
    case LIST_PORTS:
        if (policy->port_count == POLICY_PORTS_MAX)
            return cursor_fail(p, value, "too many ports at",
                               "a policy has up to 256 ports and port ranges");
        if (!address_read_ports(p, value, &policy->ports[policy->port_count++]))
            return cursor_fail(p, value, "bad port", ADDRESS_ACCEPTED_PORT);
        break;
    case LIST_ADDRESSES:
        if (policy->address_count == POLICY_ADDRESSES_MAX)
            return cursor_fail(p, value, "too many addresses at",
                               "a policy has up to 256 addresses");
        return address_read(p, value, &policy->addresses[policy->address_count++]);
    case LIST_PATTERNS:
        return add_pattern(p, value);
    }
    return 0;
}

int lists_read(struct cursor *p, enum list kind, struct span s, struct policy_run *run)
{
    const uint16_t *const counts[] = {&p->policy->port_count, &p->policy->address_count,
                                      &p->policy->pattern_count};
    size_t end = s.at + s.length;
    bool is_last = false;

    run->first = *counts[kind];
    while (!is_last) {
        struct span value = cursor_until(p, &s, ',');
        is_last = value.at + value.length == end;
        if (value.length == 0)
            return cursor_fail(p, value, "a value is missing", "values are separated by one comma");
        if (add(p, kind, value) != 0)
            return -1;
    }
    run->count = (uint16_t)(*counts[kind] - run->first);
    return 0;
}

void lists_print(const struct policy *policy, enum list kind, struct policy_run run,
                 struct text *out)
{
    for (unsigned i = run.first; i < run.first + run.count; i++) {
        text_put(out, i == run.first ? "" : ",");
        switch (kind) {
        case LIST_PORTS:
            address_print_ports(out, policy->ports[i]);
            break;
        case LIST_ADDRESSES:
            address_print(out, &policy->addresses[i]);
            break;
        case LIST_PATTERNS:
            text_put(out, policy->pattern_text + policy->patterns[i]);
            break;
        }
    }
}

static bool pattern_covers(const char *wide, const char *narrow)
{
    bool is_plain = !strchr(narrow, '*') && !strchr(narrow, '?') && !strchr(narrow, '[') &&
                    !strchr(narrow, '\\');

    return strcmp(wide, "*") == 0 || strcmp(wide, narrow) == 0 ||
           (is_plain && fnmatch(wide, narrow, 0) == 0);
}

/* Does the value at `w` of the pool cover the one at `n`? */
static bool value_covers(const struct policy *policy, enum list kind, unsigned w, unsigned n)
{
    switch (kind) {
    case LIST_PORTS:
        return address_port_in(policy->ports[w], policy->ports[n].low) &&
               address_port_in(policy->ports[w], policy->ports[n].high);
    case LIST_ADDRESSES:
        return address_covers(&policy->addresses[w], &policy->addresses[n]);
    case LIST_PATTERNS:
        return pattern_covers(policy->pattern_text + policy->patterns[w],
                              policy->pattern_text + policy->patterns[n]);
    }
    return false;
}

bool lists_cover(const struct policy *policy, enum list kind, struct policy_run wide,
                 struct policy_run narrow)
{
    for (unsigned n = narrow.first; n < narrow.first + narrow.count; n++) {
        unsigned w = wide.first;
        while (w < wide.first + wide.count && !value_covers(policy, kind, w, n))
            w++;
        if (w == wide.first + wide.count)
            return false;
    }
    return true;
}
