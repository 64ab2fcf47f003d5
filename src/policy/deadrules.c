/* SPDX-License-Identifier: MIT */
/*
 * One rule covers another if each of its conditions holds whenever the other rule does. Every
 * connection is a server's or a client's, and its close active or passive, so a rule is examined in
 * these four cases, each of which a different rule may cover. Pure.
 */
#include "policy/deadrules.h"

#include "policy/condition.h"

static bool rule_covers(const struct policy *policy, const struct policy_rule *wide,
                        const struct policy_rule *narrow)
{
    bool covers = true;

    for (unsigned i = 0; wide->conditions >> i != 0; i++)
        covers = covers &&
                 (!(wide->conditions >> i & 1) || condition_covers(policy, 1u << i, wide, narrow));
    return covers;
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
