/* SPDX-License-Identifier: MIT */
/* The decision: each condition holding, failing and not yet known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "policy/address.h"
#include "policy/decide.h"
#include "rows.h"

static struct policy policy;

static void policy_is(const char *text)
{
    struct policy_error error;

    assert_int_equal(policy_parse(&policy, POLICY_TEARDOWN, text, strlen(text), false, &error), 0);
}

static struct policy_ip ip(const char *text)
{
    uint8_t bytes[16] = {[10] = 0xff, [11] = 0xff};

    if (inet_pton(AF_INET, text, bytes + 12) != 1)
        assert_int_equal(inet_pton(AF_INET6, text, bytes), 1);
    return address_ip(bytes);
}

/* A server's connection 10.0.0.1:80 <- 192.0.2.7:40000 of which everything is known. */
static struct facts server(void)
{
    return (struct facts){
        .known = FACT_ROLE | FACT_LOCAL_IP | FACT_LOCAL_PORT | FACT_PEER | FACT_COOKIE | FACT_WHEN,
        .role = ROLE_SERVER,
        .when = WHEN_ACTIVE,
        .local_ip = ip("10.0.0.1"),
        .local_port = 80,
        .peer_ip = ip("192.0.2.7"),
        .peer_port = 40000,
        .cookie = 4711,
    };
}

static struct verdict verdict;

static enum decision asked(const char *text, const struct facts *facts)
{
    policy_is(text);
    memset(&verdict, 0, sizeof(verdict));
    return decide(&policy, facts, &verdict);
}

static void test_conditions(void **state)
{
    static const struct {
        const char *condition;
        bool holds;
        unsigned depends_on; /* without these facts: not yet */
    } cases[] = {
        {"role=server", true, FACT_ROLE},
        {"role=client", false, FACT_ROLE},
        {"port=80", true, FACT_ROLE},
        {"port=1,79-81", true, FACT_LOCAL_PORT},
        {"port=40000", false, FACT_LOCAL_PORT},
        {"local=10.0.0.0/8", true, FACT_LOCAL_IP},
        {"local=10.0.0.2", false, FACT_LOCAL_IP},
        {"local=10.0.0.1:80", true, FACT_LOCAL_PORT},
        {"local=10.0.0.1:81", false, FACT_LOCAL_PORT},
        {"local=:80", true, FACT_LOCAL_PORT},
        {"local=:1", false, FACT_LOCAL_PORT},
        {"peer=192.0.2.0/24", true, FACT_PEER},
        {"peer=[::]/0", false, FACT_PEER},
        {"peer=0.0.0.0/0", true, FACT_PEER},
        {"peer=[::ffff:192.0.2.7]", true, FACT_PEER},
        {"peer=1.2.3.4,192.0.2.7:1-50000", true, FACT_PEER},
        {"when=active", true, FACT_WHEN},
        {"when=passive", false, FACT_WHEN},
        {"share=100%", true, FACT_COOKIE},
        {"share=0.0001%", false, FACT_COOKIE},
        {"role=server when=active", true, FACT_ROLE | FACT_WHEN},
    };
    char text[100];

    ROW_NAMED(i, cases, condition);

    struct facts facts = server();
    struct text out;
    text_begin(&out, text, sizeof(text));
    text_put(&out, "rst ");
    text_put(&out, cases[i].condition);
    assert_int_equal(asked(text, &facts), cases[i].holds ? DECIDE_VERDICT : DECIDE_NO_RULE);
    assert_int_equal(verdict.mode, cases[i].holds ? MODE_RST : MODE_OFF);
    assert_int_equal(decide_needs(&policy) & cases[i].depends_on, cases[i].depends_on);
    facts.known &= ~cases[i].depends_on;
    assert_int_equal(decide(&policy, &facts, &verdict), DECIDE_NOT_YET);
    facts.known = 0;
    assert_int_equal(decide(&policy, &facts, &verdict), DECIDE_NOT_YET);
}

static void test_the_service_of_a_client_is_its_peers_port(void **state)
{
    struct facts facts = server();

    (void)state;
    facts.role = ROLE_CLIENT;
    assert_int_equal(asked("rst port=80", &facts), DECIDE_NO_RULE);
    assert_int_equal(asked("rst port=40000", &facts), DECIDE_VERDICT);
    facts.known &= ~FACT_LOCAL_PORT;
    assert_int_equal(asked("rst port=40000", &facts), DECIDE_VERDICT);
    facts.known &= ~FACT_PEER;
    assert_int_equal(asked("rst port=40000", &facts), DECIDE_NOT_YET);
}

static void test_first_match(void **state)
{
    struct facts facts = server();

    (void)state;
    assert_int_equal(asked("off port=22; wait:7 port=80; rst", &facts), DECIDE_VERDICT);
    assert_int_equal(verdict.mode, MODE_WAIT);
    assert_int_equal(verdict.seconds, 7);
    assert_int_equal(verdict.rule, 2);
    assert_int_equal(asked("", &facts), DECIDE_NO_RULE);
    /* Each rule has its own values. */
    assert_int_equal(asked("rst local=10.0.0.2; fin local=10.0.0.1", &facts), DECIDE_VERDICT);
    assert_int_equal(verdict.mode, MODE_FIN);
}

static void test_not_yet(void **state)
{
    struct facts facts = server();

    (void)state;
    facts.known = FACT_ROLE | FACT_LOCAL_PORT;
    /* A condition that fails settles its rule, whatever else is unknown. */
    assert_int_equal(asked("rst role=client share=10%; fin", &facts), DECIDE_VERDICT);
    assert_int_equal(verdict.mode, MODE_FIN);
    /* One that holds does not. */
    assert_int_equal(asked("rst role=server share=10%; fin", &facts), DECIDE_NOT_YET);
    assert_int_equal(asked("rst overrule=no", &facts), DECIDE_VERDICT);
    assert_true(verdict.gives_way);
    assert_int_equal(asked("off role=client overrule=no; rst", &facts), DECIDE_VERDICT);
    assert_false(verdict.gives_way);
    /* The port of a listener is known before its address is. */
    assert_int_equal(asked("rst local=10.0.0.0/8:81; fin", &facts), DECIDE_VERDICT);
    assert_int_equal(asked("rst local=10.0.0.0/8:80; fin", &facts), DECIDE_NOT_YET);
    assert_int_equal(asked("rst local=10.0.0.0/8,:80; fin", &facts), DECIDE_VERDICT);
    assert_int_equal(verdict.mode, MODE_RST);
    facts.known = FACT_LOCAL_IP;
    assert_int_equal(asked("rst local=10.0.0.0/8", &facts), DECIDE_VERDICT);
    assert_int_equal(asked("rst local=10.0.0.0/8:80", &facts), DECIDE_NOT_YET);
    assert_int_equal(asked("rst local=11.0.0.0/8:80; fin", &facts), DECIDE_VERDICT);
    assert_int_equal(verdict.mode, MODE_FIN);
}

static void test_ipv6(void **state)
{
    struct facts facts = server();

    (void)state;
    facts.peer_ip = ip("2001:db8::7");
    assert_int_equal(asked("rst peer=[2001:db8::]/32", &facts), DECIDE_VERDICT);
    assert_int_equal(asked("rst peer=[2001:db9::]/32", &facts), DECIDE_NO_RULE);
    assert_int_equal(asked("rst peer=[::]/0", &facts), DECIDE_VERDICT);
    assert_int_equal(asked("rst peer=0.0.0.0/0", &facts), DECIDE_NO_RULE);
    assert_int_equal(asked("rst peer=[2001:db8::7]/128", &facts), DECIDE_VERDICT);
    assert_int_equal(asked("rst peer=[2001:db8::6]/127", &facts), DECIDE_VERDICT);
    assert_int_equal(asked("rst peer=[2001:db8::6]", &facts), DECIDE_NO_RULE);
    assert_int_equal(asked("rst peer=[2001:db8:0:0:8000::]/65", &facts), DECIDE_NO_RULE);
}

static void test_share(void **state)
{
    struct facts facts = server();
    unsigned first = 0;
    unsigned both = 0;

    (void)state;
    for (facts.cookie = 1; facts.cookie <= 100000; facts.cookie++) {
        if (asked("rst share=10%; wait:1 share=20%", &facts) != DECIDE_VERDICT)
            continue;
        first += verdict.rule == 1;
        both += 1;
    }
    /* 10 % of all, then 20 % of the rest: each rule draws anew. */
    assert_in_range(first, 9500, 10500);
    assert_in_range(both - first, 17300, 18700);
}

/*
 * Which connections a share has is the same in each process that holds the socket, whichever
 * version of the library it has loaded. Rule n draws SplitMix64's n-th number, the cookie being
 * the seed: the published ones of 1234567, and one that depends on the last bit that counts.
 */
static void test_share_is_that_of_splitmix64(void **state)
{
    static const struct {
        uint64_t cookie;
        uint64_t number;
        int rules_before;
    } cases[] = {
        {1234567, 6457827717110365317u, 0},  {1234567, 3203168211198807973u, 1},
        {1234567, 9817491932198370423u, 2},  {1234567, 4593380528125082431u, 3},
        {1234567, 16408922859458223821u, 4}, {26930, 11102006902991901150u, 0},
    };
    static const char before[] = "off port=1111;off port=1111;off port=1111;off port=1111;";
    struct facts facts = server();
    char text[200];

    ROW(i, cases);

    unsigned drawn = (unsigned)((cases[i].number >> 32) * 1000000 >> 32); /* millionths */

    facts.cookie = cases[i].cookie;
    for (unsigned share = drawn; share <= drawn + 1; share++) {
        snprintf(text, sizeof(text), "%.*srst share=%u.%04u%%", cases[i].rules_before * 14, before,
                 share / 10000, share % 10000);
        assert_int_equal(asked(text, &facts), share > drawn ? DECIDE_VERDICT : DECIDE_NO_RULE);
    }
}

/* prog= is decided before anything else: where it is left standing, nobody has decided it. */
static void test_program_left_standing(void **state)
{
    struct facts facts = server();

    (void)state;
    assert_int_equal(asked("rst prog=nginx; fin", &facts), DECIDE_NOT_YET);
    assert_int_equal(verdict.rule, 1);
    policy_keep_program(&policy, "nginx");
    assert_int_equal(decide(&policy, &facts, &verdict), DECIDE_VERDICT);
    assert_int_equal(verdict.mode, MODE_RST);
}

static void test_needs_of_a_role(void **state)
{
    (void)state;
    policy_is("rst role=client peer=10.0.0.0/8 share=1%; fin when=active");
    assert_int_equal(decide_needs_of(&policy, ROLE_SERVER), FACT_ROLE | FACT_WHEN);
    assert_int_equal(decide_needs_of(&policy, ROLE_CLIENT),
                     FACT_ROLE | FACT_PEER | FACT_COOKIE | FACT_WHEN);
    policy_is("rst port=80");
    assert_int_equal(decide_needs_of(&policy, ROLE_SERVER), FACT_ROLE | FACT_LOCAL_PORT);
    assert_int_equal(decide_needs_of(&policy, ROLE_CLIENT), FACT_ROLE | FACT_PEER);
}

static void test_needs(void **state)
{
    (void)state;
    policy_is("rst");
    assert_int_equal(decide_needs(&policy), 0);
    policy_is("rst peer=:80; fin local=10.0.0.0/8");
    assert_int_equal(decide_needs(&policy), FACT_PEER | FACT_LOCAL_IP);
    policy_is("rst local=:80; fin peer=10.0.0.0/8");
    assert_int_equal(decide_needs(&policy), FACT_LOCAL_PORT | FACT_PEER);
    policy_is("rst port=80");
    assert_int_equal(decide_needs(&policy), FACT_ROLE | FACT_LOCAL_PORT | FACT_PEER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_conditions, ROWS),
        cmocka_unit_test(test_the_service_of_a_client_is_its_peers_port),
        cmocka_unit_test(test_first_match),
        cmocka_unit_test(test_not_yet),
        cmocka_unit_test(test_ipv6),
        cmocka_unit_test(test_share),
        cmocka_unit_test_prestate(test_share_is_that_of_splitmix64, ROWS),
        cmocka_unit_test(test_program_left_standing),
        cmocka_unit_test(test_needs),
        cmocka_unit_test(test_needs_of_a_role),
    };

    return rows_run(tests, NULL, NULL);
}
