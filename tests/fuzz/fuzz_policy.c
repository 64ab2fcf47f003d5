/* SPDX-License-Identifier: MIT */
/*
 * The parser and the printer. The input is the text of a policy, tried in both dialects, with and
 * without comments. What parses must survive being printed and parsed again; a mistake must lie
 * within the text.
 */
#include <netinet/tcp.h>
#include <string.h>

#include "fuzz.h"
#include "policy/address.h"
#include "policy/decide.h"

static const uint8_t peer_ipv4[16] = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1};
static const uint8_t local_ipv6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};

static void decides_alike(const struct policy *a, const struct policy *b)
{
    struct facts facts = {
        .state = TCP_ESTABLISHED,
        .local_port = 80,
        .peer_port = 40000,
        .local_ip = address_ip(local_ipv6),
        .peer_ip = address_ip(peer_ipv4),
        .cookie = 4711,
    };

    for (unsigned i = 0; i < 8; i++) {
        struct verdict by_a = {0};
        struct verdict by_b = {0};
        facts.role = i & 1 ? ROLE_SERVER : ROLE_CLIENT;
        facts.when = i & 2 ? WHEN_PASSIVE : WHEN_ACTIVE;
        facts.known = i & 4 ? ~0u : FACT_ROLE | FACT_LOCAL_PORT;
        fuzz_check(decide(a, &facts, &by_a) == decide(b, &facts, &by_b), "the same decision");
        fuzz_check(by_a.mode == by_b.mode && by_a.seconds == by_b.seconds && by_a.rule == by_b.rule,
                   "the same verdict");
    }
}

static void check_error(const struct policy_error *error, size_t length)
{
    fuzz_check(error->at <= length && error->length <= length - error->at,
               "the mistake lies within the text");
    fuzz_check(error->what && error->accepted, "the mistake is named");
}

static void check_policy(const struct policy *policy)
{
    fuzz_check(policy->rule_count <= POLICY_RULES_MAX, "the limit of rules");
    fuzz_check(policy->address_count <= POLICY_ADDRESSES_MAX, "the limit of addresses");
    fuzz_check(policy->port_count <= POLICY_PORTS_MAX, "the limit of ports");
    fuzz_check(policy->pattern_count <= POLICY_PATTERNS_MAX, "the limit of patterns");
    fuzz_check(policy->pattern_bytes <= POLICY_PATTERN_BYTES, "the limit of the patterns' text");
    for (unsigned i = 0; i < policy->rule_count; i++) {
        fuzz_check(policy->rules[i].mode < MODE_COUNT, "a mode");
        fuzz_check(policy_rule(policy, i + 1) == &policy->rules[i], "rules count from 1");
    }
    fuzz_check(policy_rule(policy, 0) == NULL, "no rule has number 0");
}

static void try(enum policy_dialect dialect, bool comments, const char *text, size_t length)
{
    static struct policy first;
    static struct policy second;
    static char printed[FUZZ_PRINT_MAX];
    static char again[FUZZ_PRINT_MAX];
    struct policy_error error = {0};
    struct text out;

    /* A policy is parsed over an older one, so nothing may be taken from what was there. */
    memset(&first, 0xa5, sizeof(first));
    memset(&second, 0x5a, sizeof(second));
    if (policy_parse(&first, dialect, text, length, comments, &error) != 0) {
        check_error(&error, length);
        return;
    }
    check_policy(&first);
    text_begin(&out, printed, sizeof(printed));
    fuzz_print(&first, &out);
    if (out.length > POLICY_TEXT_MAX) /* on, printed for 1, no longer fits */
        return;
    fuzz_check(policy_parse(&second, dialect, printed, out.length, comments, &error) == 0,
               "what is printed parses");
    fuzz_check(first.rule_count == second.rule_count, "as many rules");
    decides_alike(&first, &second);
    text_begin(&out, again, sizeof(again));
    fuzz_print(&second, &out);
    fuzz_check(strcmp(printed, again) == 0, "the same rules, printed again");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int i = 0; i < 6; i++)
        try((enum policy_dialect)(i % 3), i < 3, (const char *)data, size);
    return 0;
}
