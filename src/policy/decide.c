/* SPDX-License-Identifier: MIT */
/* The decision. Pure: knows no descriptor, makes no call, keeps nothing. */
#include "policy/decide.h"

#include "policy/condition.h"

/* A rule is the AND of its conditions. */
static enum truth rule_holds(const struct policy *policy, const struct policy_rule *rule,
                             const struct facts *f)
{
    enum truth result = TRUTH_YES;

    for (unsigned i = 0; rule->conditions >> i != 0; i++) {
        if (!(rule->conditions >> i & 1))
            continue;
        enum truth t = condition_holds(policy, 1u << i, rule, f);
        if (t == TRUTH_NO)
            return TRUTH_NO;
        if (t == TRUTH_UNKNOWN)
            result = TRUTH_UNKNOWN;
    }
    return result;
}

enum decision decide(const struct policy *policy, const struct facts *facts,
                     struct verdict *verdict)
{
    for (unsigned i = 0; i < policy->rule_count; i++) {
        const struct policy_rule *rule = &policy->rules[i];
        switch (rule_holds(policy, rule, facts)) {
        case TRUTH_NO:
            break;
        case TRUTH_UNKNOWN:
            verdict->rule = rule->number;
            return DECIDE_NOT_YET;
        case TRUTH_YES:
            *verdict = (struct verdict){rule->mode, rule->seconds, rule->number,
                                        (rule->conditions & CONDITION_OVERRULE) != 0};
            return DECIDE_VERDICT;
        }
    }
    return DECIDE_NO_RULE;
}

static unsigned rule_needs(const struct policy *policy, const struct policy_rule *rule,
                           enum policy_role role)
{
    if (rule->conditions & CONDITION_ROLE && rule->role != role)
        return FACT_ROLE;
    return condition_needs(policy, rule, role);
}

unsigned decide_needs_of(const struct policy *policy, enum policy_role role)
{
    unsigned needs = 0;

    for (unsigned i = 0; i < policy->rule_count; i++)
        needs |= rule_needs(policy, &policy->rules[i], role);
    return needs;
}

unsigned decide_needs(const struct policy *policy)
{
    return decide_needs_of(policy, ROLE_CLIENT) | decide_needs_of(policy, ROLE_SERVER);
}
