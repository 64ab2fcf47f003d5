/* SPDX-License-Identifier: MIT */
/*
 * One rule covers another if each of its conditions holds whenever the other rule does. Every
 * connection is a server's or a client's, and its close active or passive, so a rule is examined in
 * these four cases, each of which a different rule may cover. Pure.
 */
#include "policy/deadrules.h"

#include <fnmatch.h>
#include <string.h>

#include "policy/address.h"

static bool ports_cover(const struct policy *policy, struct policy_run wide,
                        struct policy_ports ports)
{
    for (unsigned i = 0; i < wide.count; i++) {
        struct policy_ports w = policy->ports[wide.first + i];
        if (address_port_in(w, ports.low) && address_port_in(w, ports.high))
            return true;
    }
    return false;
}

static bool addresses_cover(const struct policy *policy, struct policy_run wide,
                            const struct policy_address *address)
{
    for (unsigned i = 0; i < wide.count; i++) {
        if (address_covers(&policy->addresses[wide.first + i], address))
            return true;
    }
    return false;
}

static const char *pattern(const struct policy *policy, unsigned index)
{
    return policy->pattern_text + policy->patterns[index];
}

static bool is_plain_name(const char *name)
{
    return !strchr(name, '*') && !strchr(name, '?') && !strchr(name, '[') && !strchr(name, '\\');
}

static bool programs_cover(const struct policy *policy, struct policy_run wide, const char *name)
{
    for (unsigned i = 0; i < wide.count; i++) {
        const char *w = pattern(policy, wide.first + i);
        if (strcmp(w, "*") == 0 || strcmp(w, name) == 0 ||
            (is_plain_name(name) && fnmatch(w, name, 0) == 0))
            return true;
    }
    return false;
}

/* Does each value of the lists of `r` lie in one of `w`? */
static bool lists_cover(const struct policy *policy, const struct policy_rule *w,
                        const struct policy_rule *r)
{
    bool covers = true;

    for (unsigned i = 0; w->ports.count > 0 && i < r->ports.count; i++)
        covers = covers && ports_cover(policy, w->ports, policy->ports[r->ports.first + i]);
    for (unsigned i = 0; w->local.count > 0 && i < r->local.count; i++)
        covers =
            covers && addresses_cover(policy, w->local, &policy->addresses[r->local.first + i]);
    for (unsigned i = 0; w->peer.count > 0 && i < r->peer.count; i++)
        covers = covers && addresses_cover(policy, w->peer, &policy->addresses[r->peer.first + i]);
    for (unsigned i = 0; w->programs.count > 0 && i < r->programs.count; i++)
        covers =
            covers && programs_cover(policy, w->programs, pattern(policy, r->programs.first + i));
    return covers;
}

/* Each rule draws its share anew, so only all of them cover a share. */
static bool rule_covers(const struct policy *policy, const struct policy_rule *w,
                        const struct policy_rule *r)
{
    unsigned asked = w->conditions;

    if (w->share == POLICY_SHARE_ALL)
        asked &= ~(unsigned)CONDITION_SHARE;
    return !(asked & ~(unsigned)r->conditions) && !(asked & CONDITION_SHARE) &&
           (!(asked & CONDITION_ROLE) || w->role == r->role) &&
           (!(asked & CONDITION_WHEN) || w->when == r->when) && lists_cover(policy, w, r);
}

/* Is the rule covered in one of the four cases? True if the case is not one of the rule's. */
static bool is_covered(const struct policy *policy, unsigned index, uint8_t role, uint8_t when)
{
    struct policy_rule r = policy->rules[index];

    if ((r.conditions & CONDITION_ROLE && r.role != role) ||
        (r.conditions & CONDITION_WHEN && r.when != when))
        return true;
    r.conditions |= CONDITION_ROLE | CONDITION_WHEN;
    r.role = role;
    r.when = when;
    for (unsigned i = 0; i < index; i++) {
        if (rule_covers(policy, &policy->rules[i], &r))
            return true;
    }
    return false;
}

bool deadrules_has(const struct policy *policy, unsigned index)
{
    return is_covered(policy, index, ROLE_CLIENT, WHEN_ACTIVE) &&
           is_covered(policy, index, ROLE_CLIENT, WHEN_PASSIVE) &&
           is_covered(policy, index, ROLE_SERVER, WHEN_ACTIVE) &&
           is_covered(policy, index, ROLE_SERVER, WHEN_PASSIVE);
}
