/* SPDX-License-Identifier: MIT */
/*
 * All that is known of each condition, and the one source of the parser, the printer, the decision,
 * the messages and the help texts: a row of the table, and a case in each function that reads,
 * writes, judges or compares values. Pure.
 */
#include "policy/condition.h"

#include <assert.h>
#include <fnmatch.h>
#include <string.h>

#include "policy/address.h"
#include "policy/lists.h"

#define ACCEPTED_ROLE "a role is one of: server, client"
#define ACCEPTED_WHEN "when is one of: active, passive"
#define ACCEPTED_SHARE "a share is above 0% and up to 100%, with up to 4 decimals, as in share=2.5%"
#define ACCEPTED_OVERRULE "overrule takes one value: no"
#define OVERRULE_NO "no"
#define ACCEPTED_MAX_LENGTH 160

const char *const condition_roles[] = {[ROLE_CLIENT] = "client", [ROLE_SERVER] = "server"};
const char *const condition_whens[] = {[WHEN_ACTIVE] = "active", [WHEN_PASSIVE] = "passive"};

static int read_word(struct cursor *p, struct span value, const char *const names[2], uint8_t *out,
                     const char *what, const char *accepted)
{
    for (uint8_t i = 0; i < 2; i++) {
        if (cursor_is(p, value, names[i])) {
            *out = i;
            return 0;
        }
    }
    return cursor_fail_word(p, value, what, accepted, names, 2);
}

/* 0.0001% to 100%, in millionths. */
static int read_share(struct cursor *p, struct span value, struct policy_rule *rule)
{
    struct span s = value;
    uint32_t whole;
    uint32_t fraction = 0;

    if (p->text[s.at + s.length - 1] != '%')
        return cursor_fail(p, value, "bad share", ACCEPTED_SHARE);
    s.length--;
    bool has_fraction = memchr(p->text + s.at, '.', s.length) != NULL;
    struct span head = cursor_until(p, &s, '.');
    if (!cursor_number(p, head, 100, &whole) ||
        (has_fraction && (s.length > 4 || !cursor_number(p, s, 9999, &fraction))))
        return cursor_fail(p, value, "bad share", ACCEPTED_SHARE);
    for (size_t i = s.length; i < 4; i++)
        fraction *= 10;
    rule->share = whole * 10000 + fraction;
    if (rule->share == 0 || rule->share > POLICY_SHARE_ALL)
        return cursor_fail(p, value, "bad share", ACCEPTED_SHARE);
    return 0;
}

#define ROW(bit) [__builtin_ctz(bit)]
#define TEARDOWN_ONLY (1u << POLICY_TEARDOWN)
#define EVERY_DIALECT (TEARDOWN_ONLY | 1u << POLICY_SWITCH | 1u << POLICY_SWITCH_NO_PORT)

static const struct condition conditions[] = {
    ROW(CONDITION_ROLE) = {"role",
                           "server|client",
                           "it was accepted, or made with connect()",
                           TEARDOWN_ONLY,
                           {FACT_ROLE, FACT_ROLE}},
    ROW(CONDITION_PORT) = {"port",
                           "PORT[-PORT],...",
                           "the service's port, at either end",
                           TEARDOWN_ONLY | 1u << POLICY_SWITCH,
                           {FACT_ROLE | FACT_PEER, FACT_ROLE | FACT_LOCAL_PORT}},
    ROW(CONDITION_LOCAL) =
        {"local", "ADDRESS,...", "this end: ADDR[/LEN][:PORT[-PORT]]", EVERY_DIALECT, {0, 0}},
    ROW(CONDITION_PEER) =
        {"peer", "ADDRESS,...", "the other end, as for local=", TEARDOWN_ONLY, {0, 0}},
    ROW(CONDITION_WHEN) = {"when",
                           "active|passive",
                           "we close first, or the peer did",
                           TEARDOWN_ONLY,
                           {FACT_WHEN, FACT_WHEN}},
    ROW(CONDITION_SHARE) = {"share",
                            "PERCENT%",
                            "that share of the connections",
                            TEARDOWN_ONLY,
                            {FACT_COOKIE, FACT_COOKIE}},
    ROW(CONDITION_PROG) =
        {"prog", "NAME,...", "the program's file name, or a pattern of it", EVERY_DIALECT, {0, 0}},
    ROW(CONDITION_OVERRULE) = {"overrule",
                               OVERRULE_NO,
                               "not a condition: what the program sets stands",
                               TEARDOWN_ONLY,
                               {0, 0}},
};

#define CONDITION_COUNT (sizeof(conditions) / sizeof(conditions[0]))
static_assert(1 << CONDITION_COUNT == CONDITION_END, "a row for each condition");

/* `rule` has the condition already; overrule= is nothing but its bit. */
static int read_value(struct cursor *p, enum policy_condition condition, struct span value,
                      struct policy_rule *rule)
{
    switch (condition) {
    case CONDITION_ROLE:
        return read_word(p, value, condition_roles, &rule->role, "unknown role", ACCEPTED_ROLE);
    case CONDITION_PORT:
        return lists_read(p, LIST_PORTS, value, &rule->ports);
    case CONDITION_LOCAL:
        return lists_read(p, LIST_ADDRESSES, value, &rule->local);
    case CONDITION_PEER:
        return lists_read(p, LIST_ADDRESSES, value, &rule->peer);
    case CONDITION_WHEN:
        return read_word(p, value, condition_whens, &rule->when,
                         "unknown value of when:", ACCEPTED_WHEN);
    case CONDITION_SHARE:
        return read_share(p, value, rule);
    case CONDITION_PROG:
        return lists_read(p, LIST_PATTERNS, value, &rule->programs);
    case CONDITION_OVERRULE:
        return cursor_is(p, value, OVERRULE_NO)
                   ? 0
                   : cursor_fail(p, value, "unknown value of overrule:", ACCEPTED_OVERRULE);
    case CONDITION_END:
        break;
    }
    return -1;
}

static void print_share(uint32_t share, struct text *out)
{
    uint32_t fraction = share % 10000;

    text_put_number(out, share / 10000);
    text_put(out, fraction > 0 ? "." : "");
    for (; fraction > 0; fraction = fraction % 1000 * 10)
        text_put_number(out, fraction / 1000);
    text_put(out, "%");
}

static void print_value(const struct policy *policy, enum policy_condition condition,
                        const struct policy_rule *rule, struct text *out)
{
    switch (condition) {
    case CONDITION_ROLE:
        text_put(out, condition_roles[rule->role]);
        break;
    case CONDITION_PORT:
        lists_print(policy, LIST_PORTS, rule->ports, out);
        break;
    case CONDITION_LOCAL:
        lists_print(policy, LIST_ADDRESSES, rule->local, out);
        break;
    case CONDITION_PEER:
        lists_print(policy, LIST_ADDRESSES, rule->peer, out);
        break;
    case CONDITION_WHEN:
        text_put(out, condition_whens[rule->when]);
        break;
    case CONDITION_SHARE:
        print_share(rule->share, out);
        break;
    case CONDITION_PROG:
        lists_print(policy, LIST_PATTERNS, rule->programs, out);
        break;
    case CONDITION_OVERRULE:
        text_put(out, OVERRULE_NO);
        break;
    case CONDITION_END:
        break;
    }
}

/* port= is the service's: the local one of a server, the peer's of a client. */
static enum truth port_holds(const struct policy *policy, struct policy_run run,
                             const struct facts *f)
{
    bool is_server = f->role == ROLE_SERVER;
    uint16_t port = is_server ? f->local_port : f->peer_port;

    if (!(f->known & FACT_ROLE) || !(f->known & (is_server ? FACT_LOCAL_PORT : FACT_PEER)))
        return TRUTH_UNKNOWN;
    for (unsigned i = 0; i < run.count; i++) {
        if (address_port_in(policy->ports[run.first + i], port))
            return TRUTH_YES;
    }
    return TRUTH_NO;
}

/*
 * SO_COOKIE counts upwards, so its bits are mixed first (the finaliser of SplitMix64). The rule's
 * number goes in too, so that each rule with a share draws anew.
 */
static bool in_share(const struct policy_rule *rule, uint64_t cookie)
{
    uint64_t x = cookie + rule->number * 0x9e3779b97f4a7c15u;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    x ^= x >> 31;
    return ((x >> 32) * POLICY_SHARE_ALL) >> 32 < rule->share;
}

enum truth condition_holds(const struct policy *policy, enum policy_condition condition,
                           const struct policy_rule *rule, const struct facts *f)
{
    bool has_peer = f->known & FACT_PEER;

    switch (condition) {
    case CONDITION_ROLE:
        return policy_truth(f->known & FACT_ROLE, f->role == rule->role);
    case CONDITION_PORT:
        return port_holds(policy, rule->ports, f);
    case CONDITION_LOCAL:
        return address_holds(policy, rule->local, f->known & FACT_LOCAL_IP ? &f->local_ip : NULL,
                             f->known & FACT_LOCAL_PORT ? &f->local_port : NULL);
    case CONDITION_PEER:
        return address_holds(policy, rule->peer, has_peer ? &f->peer_ip : NULL,
                             has_peer ? &f->peer_port : NULL);
    case CONDITION_WHEN:
        return policy_truth(f->known & FACT_WHEN, f->when == rule->when);
    case CONDITION_SHARE:
        return policy_truth(f->known & FACT_COOKIE, in_share(rule, f->cookie));
    case CONDITION_PROG: /* no fact of a socket: policy_keep_program() removes the condition */
        return TRUTH_UNKNOWN;
    case CONDITION_OVERRULE:
    case CONDITION_END:
        break;
    }
    return TRUTH_YES;
}

/* Each rule draws its share anew, so only 100% covers another rule's share. */
bool condition_covers(const struct policy *policy, enum policy_condition condition,
                      const struct policy_rule *wide, const struct policy_rule *narrow)
{
    if (condition == CONDITION_SHARE)
        return wide->share == POLICY_SHARE_ALL;
    if (!(narrow->conditions & condition))
        return false;
    switch (condition) {
    case CONDITION_ROLE:
        return wide->role == narrow->role;
    case CONDITION_WHEN:
        return wide->when == narrow->when;
    case CONDITION_PORT:
        return lists_cover(policy, LIST_PORTS, wide->ports, narrow->ports);
    case CONDITION_LOCAL:
        return lists_cover(policy, LIST_ADDRESSES, wide->local, narrow->local);
    case CONDITION_PEER:
        return lists_cover(policy, LIST_ADDRESSES, wide->peer, narrow->peer);
    case CONDITION_PROG:
        return lists_cover(policy, LIST_PATTERNS, wide->programs, narrow->programs);
    case CONDITION_OVERRULE:
    case CONDITION_SHARE:
    case CONDITION_END:
        break;
    }
    return true;
}

bool condition_is_for(const struct policy *policy, const struct policy_rule *rule,
                      const char *program)
{
    if (!(rule->conditions & CONDITION_PROG))
        return true;
    for (unsigned i = 0; i < rule->programs.count; i++) {
        const char *pattern = policy->pattern_text + policy->patterns[rule->programs.first + i];
        if (fnmatch(pattern, program, 0) == 0)
            return true;
    }
    return false;
}

const struct condition *condition_at(unsigned index)
{
    return index < CONDITION_COUNT ? &conditions[index] : NULL;
}

unsigned condition_needs(const struct policy *policy, const struct policy_rule *rule,
                         enum policy_role role)
{
    unsigned needs = address_needs(policy, rule->local, FACT_LOCAL_IP, FACT_LOCAL_PORT) |
                     address_needs(policy, rule->peer, FACT_PEER, FACT_PEER);

    for (unsigned i = 0; rule->conditions >> i != 0; i++)
        needs |= rule->conditions >> i & 1 ? conditions[i].needs[role] : 0;
    return needs;
}

static size_t names_in(enum policy_dialect dialect, const char *names[CONDITION_COUNT])
{
    size_t count = 0;

    for (unsigned i = 0; i < CONDITION_COUNT; i++) {
        if (conditions[i].dialects >> dialect & 1)
            names[count++] = conditions[i].name;
    }
    return count;
}

/* Static, as the error outlives the parser. Written anew each time, always the same. */
static const char *accepted_conditions(enum policy_dialect dialect, const char *const *names,
                                       size_t count)
{
    static char accepted[ACCEPTED_MAX_LENGTH];
    struct text out;

    text_begin(&out, accepted, sizeof(accepted));
    text_put(&out, dialect == POLICY_TEARDOWN ? "a condition is one of: "
                                              : "a condition here is one of: ");
    for (size_t i = 0; i < count; i++) {
        text_put(&out, i > 0 ? ", " : "");
        text_put(&out, names[i]);
        text_put_char(&out, '=');
    }
    return accepted;
}

int condition_read(struct cursor *p, struct span token, struct policy_rule *rule)
{
    const char *names[CONDITION_COUNT];
    size_t count = names_in(p->dialect, names);
    const char *accepted = accepted_conditions(p->dialect, names, count);
    struct span value = token;
    struct span name = cursor_until(p, &value, '=');
    unsigned i = 0;

    while (i < CONDITION_COUNT && !cursor_is(p, name, conditions[i].name))
        i++;
    if (i == CONDITION_COUNT)
        return cursor_fail_word(p, name, "unknown condition", accepted, names, count);
    if (!(conditions[i].dialects >> p->dialect & 1))
        return cursor_fail(p, name, "condition that is not known before bind():", accepted);
    if (rule->conditions >> i & 1)
        return cursor_fail(p, token, "condition given twice:",
                           "several values of one condition are separated by commas");
    if (value.length == 0)
        return cursor_fail(p, token, "condition without a value:", accepted);
    rule->conditions |= (uint16_t)(1u << i);
    return read_value(p, 1u << i, value, rule);
}

void condition_print(const struct policy *policy, const struct policy_rule *rule, struct text *out)
{
    for (unsigned i = 0; rule->conditions >> i != 0; i++) {
        if (!(rule->conditions >> i & 1))
            continue;
        text_put_char(out, ' ');
        text_put(out, conditions[i].name);
        text_put_char(out, '=');
        print_value(policy, 1u << i, rule, out);
    }
}
