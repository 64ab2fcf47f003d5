/* The decision. Pure: knows no descriptor, asks nobody, keeps nothing. */
#include "decide.h"

/* Kleene's three values: a rule is the AND of its conditions. */
enum truth { NO, YES, UNKNOWN };

static enum truth truth(bool known, bool holds)
{
    return !known ? UNKNOWN : holds ? YES : NO;
}

static bool in_range(struct policy_ports ports, uint16_t port)
{
    return port >= ports.low && port <= ports.high;
}

static bool ip_matches(const struct policy_address *a, const struct policy_ip *ip)
{
    uint64_t differs =
        ((ip->high & a->mask_high) ^ a->ip.high) | ((ip->low & a->mask_low) ^ a->ip.low);

    return differs == 0 && ip->is_ipv4 == a->ip.is_ipv4;
}

static enum truth address_matches(const struct policy_address *a, const struct policy_ip *ip,
                                  const uint16_t *port)
{
    bool any_port = a->ports.low == 0;
    enum truth by_port = any_port ? YES : truth(port, port && in_range(a->ports, *port));
    enum truth by_ip = a->any_ip ? YES : truth(ip, ip && ip_matches(a, ip));

    if (by_port == NO || by_ip == NO)
        return NO;
    return by_port == YES && by_ip == YES ? YES : UNKNOWN;
}

/* NULL is what is not known. */
static enum truth any_address(const struct policy *policy, struct policy_run run,
                              const struct policy_ip *ip, const uint16_t *port)
{
    const struct policy_address *a = &policy->addresses[run.first];
    enum truth result = NO;

    for (const struct policy_address *end = a + run.count; a < end; a++) {
        /* Most end here: a long list is gone through quickly. */
        if (ip && !ip_matches(a, ip) && !a->any_ip)
            continue;
        enum truth t = address_matches(a, ip, port);
        if (t == YES)
            return YES;
        if (t == UNKNOWN)
            result = UNKNOWN;
    }
    return result;
}

/* port= is the service's: the local one of a server, the peer's of a client. */
static enum truth port_matches(const struct policy *policy, struct policy_run run,
                               const struct facts *f)
{
    bool is_server = f->role == ROLE_SERVER;
    uint16_t port = is_server ? f->local_port : f->peer_port;

    if (!(f->known & FACT_ROLE) || !(f->known & (is_server ? FACT_LOCAL_PORT : FACT_PEER)))
        return UNKNOWN;
    for (unsigned i = 0; i < run.count; i++) {
        if (in_range(policy->ports[run.first + i], port))
            return YES;
    }
    return NO;
}

/*
 * SO_COOKIE counts upwards, so its bits are mixed first (the finaliser of SplitMix64). The rule's
 * number goes in too: each rule with a share draws anew.
 */
static bool in_share(const struct policy_rule *rule, uint64_t cookie)
{
    uint64_t x = cookie + rule->number * 0x9e3779b97f4a7c15u;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    x ^= x >> 31;
    return ((x >> 32) * POLICY_SHARE_ALL) >> 32 < rule->share;
}

static enum truth condition_holds(const struct policy *policy, const struct policy_rule *rule,
                                  enum policy_condition condition, const struct facts *f)
{
    switch (condition) {
    case CONDITION_ROLE:
        return truth(f->known & FACT_ROLE, f->role == rule->role);
    case CONDITION_PORT:
        return port_matches(policy, rule->ports, f);
    case CONDITION_LOCAL:
        return any_address(policy, rule->local, f->known & FACT_LOCAL_IP ? &f->local_ip : NULL,
                           f->known & FACT_LOCAL_PORT ? &f->local_port : NULL);
    case CONDITION_PEER:
        return any_address(policy, rule->peer, f->known & FACT_PEER ? &f->peer_ip : NULL,
                           f->known & FACT_PEER ? &f->peer_port : NULL);
    case CONDITION_WHEN:
        return truth(f->known & FACT_WHEN, f->when == rule->when);
    case CONDITION_SHARE:
        return truth(f->known & FACT_COOKIE, in_share(rule, f->cookie));
    case CONDITION_PROG: /* unless policy_keep_program() took it out */
        break;
    }
    return UNKNOWN;
}

static enum truth rule_holds(const struct policy *policy, const struct policy_rule *rule,
                             const struct facts *f)
{
    enum truth result = YES;

    for (unsigned left = rule->conditions; left != 0; left &= left - 1) {
        enum truth t = condition_holds(policy, rule, left & -left, f);
        if (t == NO)
            return NO;
        if (t == UNKNOWN)
            result = UNKNOWN;
    }
    return result;
}

enum decision decide(const struct policy *policy, const struct facts *facts,
                     struct verdict *verdict)
{
    for (unsigned i = 0; i < policy->rule_count; i++) {
        const struct policy_rule *rule = &policy->rules[i];
        switch (rule_holds(policy, rule, facts)) {
        case NO:
            break;
        case UNKNOWN:
            verdict->rule = rule->number;
            return DECIDE_NOT_YET;
        case YES:
            *verdict = (struct verdict){rule->mode, rule->seconds, rule->number};
            return DECIDE_VERDICT;
        }
    }
    return DECIDE_NO_RULE;
}

static unsigned address_needs(const struct policy *policy, struct policy_run run, unsigned ip,
                              unsigned port)
{
    unsigned needs = 0;

    for (unsigned i = 0; i < run.count; i++) {
        const struct policy_address *a = &policy->addresses[run.first + i];
        needs |= (a->any_ip ? 0 : ip) | (a->ports.low == 0 ? 0 : port);
    }
    return needs;
}

static unsigned rule_needs(const struct policy *policy, const struct policy_rule *rule,
                           enum policy_role role)
{
    unsigned needs = address_needs(policy, rule->local, FACT_LOCAL_IP, FACT_LOCAL_PORT) |
                     address_needs(policy, rule->peer, FACT_PEER, FACT_PEER);

    if (rule->conditions & CONDITION_ROLE && rule->role != role)
        return FACT_ROLE;
    if (rule->conditions & CONDITION_ROLE)
        needs |= FACT_ROLE;
    if (rule->conditions & CONDITION_PORT)
        needs |= FACT_ROLE | (role == ROLE_SERVER ? FACT_LOCAL_PORT : FACT_PEER);
    if (rule->conditions & CONDITION_WHEN)
        needs |= FACT_WHEN;
    if (rule->conditions & CONDITION_SHARE)
        needs |= FACT_COOKIE;
    return needs;
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
