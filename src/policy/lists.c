/* SPDX-License-Identifier: MIT */
/* Each list is a run in one of the policy's pools; a full pool is a mistake. Pure. */
#include "policy/lists.h"

#include <fnmatch.h>
#include <string.h>

#include "policy/address.h"

#define ACCEPTED_PROGRAM "prog takes file names or patterns, as in prog=nginx,redis-*"

static int add_address(struct cursor *p, struct span value)
{
    struct policy *policy = p->policy;

    if (policy->address_count == POLICY_ADDRESSES_MAX)
        return cursor_fail(p, value, "too many addresses at", "a policy has up to 256 addresses");
    if (address_read(p, value, &policy->addresses[policy->address_count]) != 0)
        return -1;
    policy->address_count++;
    return 0;
}

static int add_ports(struct cursor *p, struct span value)
{
    struct policy *policy = p->policy;

    if (policy->port_count == POLICY_PORTS_MAX)
        return cursor_fail(p, value, "too many ports at",
                           "a policy has up to 256 ports and port ranges");
    if (!address_read_ports(p, value, &policy->ports[policy->port_count]))
        return cursor_fail(p, value, "bad port", ADDRESS_ACCEPTED_PORT);
    policy->port_count++;
    return 0;
}

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

/* A comma-separated list; `count` is the count of the pool that `add` appends to. */
static int read_list(struct cursor *p, struct span s, const uint16_t *count, struct policy_run *run,
                     int (*add)(struct cursor *, struct span))
{
    size_t end = s.at + s.length;

    run->first = *count;
    while (true) {
        struct span value = cursor_until(p, &s, ',');
        bool is_last = value.at + value.length == end;
        if (value.length == 0)
            return cursor_fail(p, value, "a value is missing", "values are separated by one comma");
        if (add(p, value) != 0)
            return -1;
        if (is_last)
            break;
    }
    run->count = (uint16_t)(*count - run->first);
    return 0;
}

int lists_read_ports(struct cursor *p, struct span value, struct policy_run *run)
{
    return read_list(p, value, &p->policy->port_count, run, add_ports);
}

int lists_read_addresses(struct cursor *p, struct span value, struct policy_run *run)
{
    return read_list(p, value, &p->policy->address_count, run, add_address);
}

int lists_read_patterns(struct cursor *p, struct span value, struct policy_run *run)
{
    return read_list(p, value, &p->policy->pattern_count, run, add_pattern);
}

void lists_print_ports(const struct policy *policy, struct policy_run run, struct text *out)
{
    for (unsigned i = 0; i < run.count; i++) {
        text_put(out, i == 0 ? "" : ",");
        address_print_ports(out, policy->ports[run.first + i]);
    }
}

void lists_print_addresses(const struct policy *policy, struct policy_run run, struct text *out)
{
    for (unsigned i = 0; i < run.count; i++) {
        text_put(out, i == 0 ? "" : ",");
        address_print(out, &policy->addresses[run.first + i]);
    }
}

void lists_print_patterns(const struct policy *policy, struct policy_run run, struct text *out)
{
    for (unsigned i = 0; i < run.count; i++) {
        text_put(out, i == 0 ? "" : ",");
        text_put(out, policy->pattern_text + policy->patterns[run.first + i]);
    }
}

/* Is each value of `narrow` covered by one of `wide`? `covers` gets their places in the pool. */
static bool list_covers(const struct policy *policy, struct policy_run wide,
                        struct policy_run narrow,
                        bool (*covers)(const struct policy *, unsigned, unsigned))
{
    for (unsigned n = narrow.first; n < narrow.first + narrow.count; n++) {
        unsigned w = wide.first;
        while (w < wide.first + wide.count && !covers(policy, w, n))
            w++;
        if (w == wide.first + wide.count)
            return false;
    }
    return true;
}

static bool port_covers(const struct policy *policy, unsigned w, unsigned n)
{
    return address_port_in(policy->ports[w], policy->ports[n].low) &&
           address_port_in(policy->ports[w], policy->ports[n].high);
}

static bool address_covers_another(const struct policy *policy, unsigned w, unsigned n)
{
    return address_covers(&policy->addresses[w], &policy->addresses[n]);
}

static bool pattern_covers(const struct policy *policy, unsigned w, unsigned n)
{
    const char *wide = policy->pattern_text + policy->patterns[w];
    const char *narrow = policy->pattern_text + policy->patterns[n];
    bool is_plain = !strchr(narrow, '*') && !strchr(narrow, '?') && !strchr(narrow, '[') &&
                    !strchr(narrow, '\\');

    return strcmp(wide, "*") == 0 || strcmp(wide, narrow) == 0 ||
           (is_plain && fnmatch(wide, narrow, 0) == 0);
}

bool lists_cover_ports(const struct policy *policy, struct policy_run wide,
                       struct policy_run narrow)
{
    return list_covers(policy, wide, narrow, port_covers);
}

bool lists_cover_addresses(const struct policy *policy, struct policy_run wide,
                           struct policy_run narrow)
{
    return list_covers(policy, wide, narrow, address_covers_another);
}

bool lists_cover_patterns(const struct policy *policy, struct policy_run wide,
                          struct policy_run narrow)
{
    return list_covers(policy, wide, narrow, pattern_covers);
}
