/* SPDX-License-Identifier: MIT */
/* Which rules can never decide, and of which that is not said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "policy/deadrules.h"

/* Is the last rule one that the rules before it leave nothing? */
static bool is_last_unreached(const char *text)
{
    static struct policy policy;
    struct policy_error error;

    assert_int_equal(policy_parse(&policy, POLICY_TEARDOWN, text, strlen(text), false, &error), 0);
    for (unsigned i = 0; i + 1 < policy.rule_count; i++)
        assert_false(deadrules_has(&policy, i));
    return deadrules_has(&policy, policy.rule_count - 1u);
}

static void test_unreached(void **state)
{
    static const char *const policies[] = {
        "fin; rst port=80",
        "fin; rst local=127.0.0.1",
        "fin; rst peer=10.0.0.1",
        "fin; rst prog=nginx",
        "fin share=100%; rst",
        "rst when=active; fin when=active port=80",
        "rst port=80,1000-2000; fin role=server port=1500-1600,80",
        "rst peer=10.0.0.0/8; fin peer=10.1.0.0/16,10.2.3.4:80",
        "rst local=:80; fin local=127.0.0.1:80",
        "rst local=0.0.0.0/0; fin local=127.0.0.1",
        "rst peer=[2001:db8::]/32:1-100; fin peer=[2001:db8::1]:99",
        "rst role=client; fin role=server; off",
        "rst role=client; fin role=server when=active; off when=passive; wait:3",
        "rst prog=redis-*; fin prog=redis-server",
        "rst prog=*; fin prog=[ab]*",
        "rst prog=x,a*; fin prog=a*",
        "rst prog=x; fin prog=x",
        "rst port=1,80,2; fin port=80",
        "rst peer=1.1.1.1,10.0.0.1,2.2.2.2; fin peer=10.0.0.1",
        "rst local=1.1.1.1,10.0.0.1,2.2.2.2; fin local=10.0.0.1",
        "rst prog=x,y,z; fin prog=y,x",
        "rst role=server; fin role=server when=active",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
        if (!is_last_unreached(policies[i]))
            fail_msg("reached: %s", policies[i]);
    }
}

static void test_reached(void **state)
{
    static const char *const policies[] = {
        "fin",
        "rst port=80; fin",
        "rst share=10%; fin share=10%", /* each draws anew */
        "rst share=99.9%; fin",
        "rst port=80-90; fin port=80-91",
        "rst port=81-90; fin port=80-90",
        "rst peer=10.1.0.0/16; fin peer=10.0.0.0/8",
        "rst peer=10.0.0.0/16; fin peer=10.0.0.0/8",
        "rst peer=[2001:db8::]/48; fin peer=[2001:db8::]/32",
        "rst peer=10.0.0.0/8; fin peer=11.0.0.0/8",
        "rst peer=10.0.0.0/8; fin peer=:80",
        "rst peer=10.0.0.0/8:80; fin peer=10.0.0.1",
        "rst peer=[::]/0; fin peer=10.0.0.1",
        "rst peer=[::]/0; fin peer=:80", /* which is of both families */
        "rst peer=:1; fin peer=:80",
        "rst peer=0.0.0.0/0; fin local=10.0.0.1",
        "rst peer=10.0.0.0/8; fin peer=10.0.0.1,11.0.0.1",
        "rst peer=10.0.0.0/8; fin",
        "rst role=client; fin role=server when=active; off",
        "rst role=client when=active; fin role=server when=passive; off",
        "rst prog=a?; fin prog=a*",
        "rst prog=nginx; fin",
        "rst role=client port=80; fin role=server port=80; off",
        /* One of the four cases is left. */
        "rst role=client; fin role=server when=passive; off",
        "rst role=server; fin role=client when=active; off",
        "rst role=server; fin role=client when=passive; off",
        "rst role=client; fin role=server",
        "rst when=active; fin when=passive",
        /* Each value of a list has to be covered, not the last or the first alone. */
        "rst port=80; fin port=81,80",
        "rst port=80; fin port=80,81",
        "rst peer=10.0.0.1; fin peer=10.0.0.2,10.0.0.1",
        "rst local=10.0.0.1; fin local=10.0.0.2,10.0.0.1",
        "rst local=10.0.0.1; fin local=10.0.0.1,10.0.0.2",
        "rst prog=a; fin prog=b,a",
        "rst prog=a; fin prog=a,b",
        "rst local=10.0.0.1; fin local=10.0.0.2",
        "rst local=10.0.0.1; fin peer=10.0.0.1",
        /* A pattern that would match as a text is not a name. */
        "rst prog=a[?]; fin prog=a?",
        "rst prog=\?\?\?\?; fin prog=[ab]",
        "rst prog=??; fin prog=\\a",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
        if (is_last_unreached(policies[i]))
            fail_msg("unreached: %s", policies[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unreached),
        cmocka_unit_test(test_reached),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
