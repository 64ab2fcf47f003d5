/* SPDX-License-Identifier: MIT */
/*
 * The decision. The first HEADER bytes of the input are facts, the rest is the text of a policy:
 *
 *   0  which facts are known at first     5   the peer's port       23  the peer's address
 *   1  which ones are known later too     7   the local address     39  the cookie
 *   2  role, when, and whether the
 *      addresses are IPv4 (bits 0 to 3)
 *   3  the local port                     (numbers have the low byte first)
 */
#include <string.h>

#include "fuzz.h"
#include "policy/address.h"
#include "policy/deadrules.h"
#include "policy/decide.h"

#define HEADER 47
#define EVERY_FACT 0x3f

static uint64_t number(const uint8_t *at, int size)
{
    uint64_t value = 0;

    while (size-- > 0)
        value = value << 8 | at[size];
    return value;
}

/* Of an IPv4 address the last four bytes count, as they do where it is mapped into IPv6. */
static struct policy_ip address(const uint8_t *at, bool is_ipv4)
{
    uint8_t bytes[16] = {[10] = 0xff, [11] = 0xff};

    memcpy(bytes + (is_ipv4 ? 12 : 0), at + (is_ipv4 ? 12 : 0), is_ipv4 ? 4 : 16);
    return address_ip(bytes);
}

static struct facts facts_of(const uint8_t *header)
{
    return (struct facts){
        .known = header[0] & EVERY_FACT,
        .role = header[2] & 1 ? ROLE_SERVER : ROLE_CLIENT,
        .when = header[2] & 2 ? WHEN_PASSIVE : WHEN_ACTIVE,
        .local_port = (uint16_t)number(header + 3, 2),
        .peer_port = (uint16_t)number(header + 5, 2),
        .local_ip = address(header + 7, header[2] & 4),
        .peer_ip = address(header + 23, header[2] & 8),
        .cookie = number(header + 39, 8),
    };
}

/* The same facts, and in the place of those that are not known the opposite of what was there. */
static struct facts disguised(struct facts facts)
{
    unsigned unknown = ~facts.known;

    facts.role ^= unknown & FACT_ROLE ? 1 : 0;
    facts.when ^= unknown & FACT_WHEN ? 1 : 0;
    facts.local_port ^= unknown & FACT_LOCAL_PORT ? 0xffff : 0;
    facts.peer_port ^= unknown & FACT_PEER ? 0xffff : 0;
    facts.local_ip.low ^= unknown & FACT_LOCAL_IP ? UINT64_MAX : 0;
    facts.peer_ip.is_ipv4 ^= unknown & FACT_PEER ? 1 : 0;
    facts.cookie ^= unknown & FACT_COOKIE ? UINT64_MAX : 0;
    facts.state = 0xff;
    return facts;
}

struct answer {
    enum decision decision;
    struct verdict verdict;
};

static struct answer asked(const struct policy *policy, const struct facts *facts)
{
    struct answer answer = {.verdict = {0}};

    answer.decision = decide(policy, facts, &answer.verdict);
    return answer;
}

static bool same(struct answer a, struct answer b)
{
    return a.decision == b.decision && a.verdict.mode == b.verdict.mode &&
           a.verdict.seconds == b.verdict.seconds && a.verdict.rule == b.verdict.rule;
}

static void check_monotone(const struct policy *policy, struct facts facts, unsigned more)
{
    struct answer early = asked(policy, &facts);
    struct facts garbled = disguised(facts);

    fuzz_check(same(early, asked(policy, &facts)), "decide is deterministic");
    fuzz_check(same(early, asked(policy, &garbled)), "what is not known is not looked at");
    facts.known |= more;
    struct answer late = asked(policy, &facts);
    if (early.decision != DECIDE_NOT_YET)
        fuzz_check(same(early, late), "more facts do not change a decision");
    else if (late.decision != DECIDE_NO_RULE)
        fuzz_check(late.verdict.rule >= early.verdict.rule, "no rule comes back");
}

static void check_unreached(const struct policy *policy, const struct facts *facts)
{
    struct answer answer = asked(policy, facts);

    for (unsigned i = 0; i < policy->rule_count; i++) {
        bool decided =
            answer.decision == DECIDE_VERDICT && answer.verdict.rule == policy->rules[i].number;
        fuzz_check(!decided || !deadrules_has(policy, i), "a rule that decides can decide");
    }
}

/* `policy` has no prog= any more: that is decided before the first connection. */
static void check_needs(const struct policy *policy, struct facts facts)
{
    facts.known = decide_needs(policy);
    fuzz_check(asked(policy, &facts).decision != DECIDE_NOT_YET, "decide_needs() names all facts");
    facts.known = decide_needs_of(policy, facts.role);
    fuzz_check(asked(policy, &facts).decision != DECIDE_NOT_YET,
               "decide_needs_of() names all facts of a role");
    fuzz_check((decide_needs_of(policy, facts.role) & ~decide_needs(policy)) == 0,
               "a role needs no more than both");
}

static void check_printed(const struct policy *policy, const struct facts *facts)
{
    static struct policy again;
    static char printed[FUZZ_PRINT_MAX];
    struct policy_error error;
    struct text out;

    text_begin(&out, printed, sizeof(printed));
    fuzz_print(policy, &out);
    fuzz_check(policy_parse(&again, POLICY_TEARDOWN, printed, out.length, false, &error) == 0,
               "what is printed parses");
    fuzz_check(same(asked(policy, facts), asked(&again, facts)), "what is printed decides alike");
    fuzz_check(decide_needs(policy) == decide_needs(&again), "what is printed needs the same");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct policy policy;
    struct policy_error error;

    if (size < HEADER || policy_parse(&policy, POLICY_TEARDOWN, (const char *)data + HEADER,
                                      size - HEADER, false, &error) != 0)
        return 0;
    struct facts facts = facts_of(data);
    check_monotone(&policy, facts, data[1] & EVERY_FACT);
    check_printed(&policy, &facts);
    policy_keep_program(&policy, "redis-server");
    check_monotone(&policy, facts, data[1] & EVERY_FACT);
    check_needs(&policy, facts);
    check_unreached(&policy, &facts);
    return 0;
}
