/* SPDX-License-Identifier: MIT */
/* From a policy to the moments at which it acts. Pure: knows no descriptor. */
#include "core/plan.h"

/* Is there a rule without that condition? */
static bool has_without(const struct policy *policy, unsigned condition)
{
    for (unsigned i = 0; i < policy->rule_count; i++) {
        if (!(policy->rules[i].conditions & condition))
            return true;
    }
    return false;
}

/* As the hooks see them. If a rule always matches, no fact is needed: none after it decides. */
static void plan_inside(struct plan *plan, const struct policy *policy)
{
    static const struct facts nothing;
    unsigned moments = MOMENT_RECEIVE;

    plan->moments = 0;
    plan->needs = decide_needs(policy);
    plan->decides_early = has_without(policy, CONDITION_WHEN);
    if (has_without(policy, CONDITION_OVERRULE))
        moments |= MOMENT_SETSOCKOPT;
    if (policy_has_mode(policy, MODE_RST))
        moments |= MOMENT_SHUTDOWN;
    switch (decide(policy, &nothing, &plan->whole)) {
    case DECIDE_NO_RULE:
        return;
    case DECIDE_VERDICT:
        plan->needs = 0;
        if (plan->whole.mode != MODE_OFF)
            plan->moments = moments | (plan->whole.mode == MODE_FIN ? 0 : MOMENT_SOCKET);
        return;
    case DECIDE_NOT_YET:
        break;
    }
    if (plan->needs & FACT_WHEN)
        moments |= MOMENT_CLOSE;
    plan->moments = moments | MOMENT_CONNECT | MOMENT_LISTEN;
}

/* Does the policy leave every client's connection alone, whatever else is known of it? */
static bool spares_clients(const struct policy *policy)
{
    static const struct facts client = {.known = FACT_ROLE, .role = ROLE_CLIENT};
    struct verdict verdict;
    enum decision decision = decide(policy, &client, &verdict);

    return decision == DECIDE_NO_RULE || (decision == DECIDE_VERDICT && verdict.mode == MODE_OFF);
}

/*
 * The same moments, as the supervisor sees them. bind() too where it makes accept(): it may hold a
 * listener that the program has closed, and lets go of it then.
 */
static unsigned from_outside(const struct plan *plan, const struct policy *policy,
                             bool makes_accept)
{
    unsigned moments = plan->moments;
    /* What a listener does not show. */
    unsigned late =
        decide_needs_of(policy, ROLE_SERVER) & ~(FACT_ROLE | FACT_LOCAL_PORT | FACT_WHEN);

    if (plan->needs & FACT_WHEN || (plan->needs && late && !makes_accept))
        moments |= MOMENT_CLOSE | MOMENT_EXIT;
    else if (plan->needs && late)
        moments |= MOMENT_ACCEPT | MOMENT_BIND;
    if (moments & MOMENT_SOCKET)
        moments |= MOMENT_CONNECT | MOMENT_LISTEN;
    if (!(moments & MOMENT_CLOSE) && spares_clients(policy))
        moments &= ~MOMENT_CONNECT;
    return moments & ~(MOMENT_SOCKET | MOMENT_RECEIVE);
}

void plan_make(struct plan *plan, const struct policy *policy, bool is_outside, bool makes_accept)
{
    plan_inside(plan, policy);
    if (is_outside)
        plan->moments = from_outside(plan, policy, makes_accept);
}
