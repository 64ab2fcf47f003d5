/* SPDX-License-Identifier: MIT */
/* The parser and the printer: parse -> print -> parse, and where each mistake is seen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "policy/address.h"
#include "policy/condition.h"
#include "policy/policy.h"
#include "rows.h"

static struct policy policy;
static struct policy_error error;

/* The text ends where its memory does: the sanitizer sees it if more is read. */
static int parse_bytes(enum policy_dialect dialect, const char *text, size_t length, bool comments)
{
    char *copy = malloc(length > 0 ? length : 1);
    int status;

    assert_non_null(copy);
    memcpy(copy, text, length);
    status = policy_parse(&policy, dialect, copy, length, comments, &error);
    free(copy);
    return status;
}

static int parse(enum policy_dialect dialect, const char *text)
{
    return parse_bytes(dialect, text, strlen(text), false);
}

static const char *printed(const struct policy *p)
{
    static char buffer[65536];
    struct text out;

    text_begin(&out, buffer, sizeof(buffer));
    policy_print(p, &out);
    return buffer;
}

/* What is written, and how the language itself says it. */
static const struct {
    const char *text;
    const char *canonical;
} texts[] = {
    {"", ""},
    {" ;\n; ", ""},
    {"rst", "rst"},
    {"\t rst\t \r role=server \t", "rst role=server"},
    {"off;fin;rst;fin-rst;wait:3600", "off; fin; rst; fin-rst; wait:3600"},
    {"fin-rst  role=server", "fin-rst role=server"},
    {"rst port=80,8000-8999,1-1", "rst port=80,8000-8999,1"},
    {"rst peer=10.1.2.3/8", "rst peer=10.0.0.0/8"},
    {"rst peer=0.0.0.0/0", "rst peer=0.0.0.0/0"},
    {"rst peer=10.1.2.3/32:80", "rst peer=10.1.2.3:80"},
    {"rst local=:8080,:1-2", "rst local=:8080,:1-2"},
    {"rst local=[2001:DB8:0:0::1]/32", "rst local=[2001:db8::]/32"},
    {"rst local=[::]/0,[::1]:80-90", "rst local=[::]/0,[::1]:80-90"},
    {"rst local=[::ffff:10.0.0.1]/104", "rst local=10.0.0.0/8"},
    {"rst local=[1:0:0:2:0:0:0:3]", "rst local=[1:0:0:2::3]"},
    {"rst local=[1:2:3:4:5:6:7:8]", "rst local=[1:2:3:4:5:6:7:8]"},
    {"rst local=[1:0:3:4:5:6:7:8]", "rst local=[1:0:3:4:5:6:7:8]"},
    {"rst local=[1::]", "rst local=[1::]"},
    {"rst local=[2001:db8:1::]/32", "rst local=[2001:db8::]/32"},
    {"rst local=[2001:db8::1]/64", "rst local=[2001:db8::]/64"},
    {"rst local=[2001:db8::ffff:1.2.3.4]", "rst local=[2001:db8::ffff:102:304]"},
    {"rst local=[::ffff:10.0.0.1]/95", "rst local=[::fffe:0:0]/95"},
    {"rst local=[0000:0000:0000:0000:0000:ffff:255.255.255.255]", "rst local=255.255.255.255"},
    {"rst port=000000080", "rst port=80"},
    {"rst port=65535", "rst port=65535"},
    {"rst port=1 local=:2 peer=:3 prog=a; fin port=4 local=:5 peer=:6 prog=b",
     "rst port=1 local=:2 peer=:3 prog=a; fin port=4 local=:5 peer=:6 prog=b"},
    {"rst when=active share=2.50%", "rst when=active share=2.5%"},
    {"rst share=0.0001%; fin share=100%", "rst share=0.0001%; fin share=100%"},
    {"rst share=0.05%; fin share=100.0000%", "rst share=0.05%; fin share=100%"},
    {"rst share=99.9999%; fin share=12.345%", "rst share=99.9999%; fin share=12.345%"},
    {"rst share=7%; fin share=1.0%; off share=10.01%",
     "rst share=7%; fin share=1%; off share=10.01%"},
    {"rst prog=nginx,redis-*,[ab]?", "rst prog=nginx,redis-*,[ab]?"},
    {"rst overrule=no prog=x", "rst prog=x overrule=no"},
    {"rst prog=x share=1% when=passive peer=:1 local=:2 port=3 role=client",
     "rst role=client port=3 local=:2 peer=:1 when=passive share=1% prog=x"},
};

static void test_print_is_the_inverse_of_parse(void **state)
{
    ROW_NAMED(i, texts, text);

    assert_int_equal(parse(POLICY_TEARDOWN, texts[i].text), 0);
    assert_string_equal(printed(&policy), texts[i].canonical);
    char *again = strdup(printed(&policy));
    assert_int_equal(parse(POLICY_TEARDOWN, again), 0);
    assert_string_equal(printed(&policy), again);
    free(again);
}

static void test_switch(void **state)
{
    (void)state;
    assert_int_equal(parse(POLICY_SWITCH, "1 port=80; 0 local=:1; off prog=x; on"), 0);
    assert_string_equal(printed(&policy), "on port=80; off local=:1; off prog=x; on");
    assert_int_equal(parse(POLICY_SWITCH, "rst"), -1);
    assert_int_equal(parse(POLICY_SWITCH, "on role=server"), -1);
    assert_int_equal(parse(POLICY_SWITCH_NO_PORT, "on local=10.0.0.1 prog=x"), 0);
    assert_int_equal(parse(POLICY_SWITCH_NO_PORT, "on port=80"), -1);
    assert_int_equal(parse(POLICY_TEARDOWN, "on"), -1);
}

/* What is accepted, and the name that may be meant, are those of the variable. */
static void test_conditions_that_are_offered(void **state)
{
    static const struct {
        const char *text;
        enum policy_dialect dialect;
        const char *what;
        const char *accepted;
        const char *meant;
    } cases[] = {
        {"rst pot=1", POLICY_TEARDOWN, "unknown condition",
         "a condition is one of: role=, port=, local=, peer=, when=, share=, prog=, overrule=",
         "port"},
        {"rst overule=no", POLICY_TEARDOWN, "unknown condition",
         "a condition is one of: role=, port=, local=, peer=, when=, share=, prog=, overrule=",
         "overrule"},
        {"on pot=1", POLICY_SWITCH, "unknown condition",
         "a condition here is one of: port=, local=, prog=", "port"},
        {"on shar=1%", POLICY_SWITCH, "unknown condition",
         "a condition here is one of: port=, local=, prog=", NULL},
        {"on port=80", POLICY_SWITCH_NO_PORT, "condition that is not known before bind():",
         "a condition here is one of: local=, prog=", NULL},
        {"rst rol=server", POLICY_TEARDOWN, "unknown condition",
         "a condition is one of: role=, port=, local=, peer=, when=, share=, prog=, overrule=",
         "role"},
        {"rst role=sever", POLICY_TEARDOWN, "unknown role", "a role is one of: server, client",
         "server"},
        {"rst role=cliente", POLICY_TEARDOWN, "unknown role", "a role is one of: server, client",
         "client"},
        {"rst when=pasive", POLICY_TEARDOWN,
         "unknown value of when:", "when is one of: active, passive", "passive"},
        {"rst overrule=yes", POLICY_TEARDOWN,
         "unknown value of overrule:", "overrule takes one value: no", NULL},
    };

    ROW_NAMED(i, cases, text);

    assert_int_equal(parse(cases[i].dialect, cases[i].text), -1);
    assert_string_equal(error.what, cases[i].what);
    assert_string_equal(error.accepted, cases[i].accepted);
    if (cases[i].meant)
        assert_string_equal(error.meant, cases[i].meant);
    else
        assert_null(error.meant);
}

static void test_the_table_of_conditions_ends(void **state)
{
    unsigned count = 0;

    (void)state;
    while (condition_at(count))
        count++;
    assert_int_equal(1u << count, CONDITION_END);
}

static const struct {
    const char *text;
    size_t at;
    size_t length;
    const char *what;
} mistakes[] = {
    {"rts", 0, 3, "unknown mode"},
    {"off port=22; rts share=10%", 13, 3, "unknown mode"},
    {"fi", 0, 2, "unknown mode"},
    {"rst:1", 0, 5, "unknown mode"},
    {"rst\nfin x=1", 8, 1, "unknown condition"},
    {"wait:", 5, 0, "bad number of seconds"},
    {"wait:3601 role=server", 5, 4, "bad number of seconds"},
    {"wait:0", 5, 1, "bad number of seconds"},
    {"wait:5s", 5, 2, "bad number of seconds"},
    {"wait:1.5", 5, 3, "bad number of seconds"},
    {"wait", 4, 0, "bad number of seconds"},
    {"rst port=1,99999", 11, 5, "bad port"},
    {"rst port=0", 9, 1, "bad port"},
    {"rst port=http", 9, 4, "bad port"},
    {"rst port=90-80", 9, 5, "bad port"},
    {"rst port=0000000080", 9, 10, "bad port"},
    {"rst port=18446744073709551696", 9, 20, "bad port"}, /* 80, if 64 bits were all */
    {"rst port=80-", 9, 3, "bad port"},
    {"rst port=80-65536", 9, 8, "bad port"},
    {"rst port=1,,2", 11, 0, "a value is missing"},
    {"rst port=,1", 9, 0, "a value is missing"},
    {"rst peer=1.2.3.4/33", 17, 2, "bad prefix length"},
    {"rst peer=1.2.3.4/99999999999", 17, 11, "bad prefix length"},
    {"rst peer=1.2.3.4/", 17, 0, "bad prefix length"},
    {"rst peer=[::]/129", 14, 3, "bad prefix length"},
    {"rst peer=/8", 9, 0, "bad address"},
    {"rst peer=1.2.3", 9, 5, "bad address"},
    {"rst peer=1.2.3:80", 9, 5, "bad address"},
    {"rst peer=a-name-that-is-longer-than-any-address-is.example", 9, 49, "bad address"},
    {"rst peer=[0000:0000:0000:0000:0000:0ffff:255.255.255.255]", 10, 46, "bad IPv6 address"},
    {"rst peer=::1", 9, 3, "IPv6 address without brackets"},
    {"rst peer=2001:db8::1", 9, 11, "IPv6 address without brackets"},
    {"rst peer=[::1", 9, 4, "missing ']' in"},
    {"rst peer=[::1]80", 14, 2, "unexpected"},
    {"rst peer=[]", 10, 0, "bad IPv6 address"},
    {"rst peer=:", 10, 0, "bad port"},
    {"rst peer=1.2.3.4:", 17, 0, "bad port"},
    {"rst share=%", 10, 1, "bad share"},
    {"rst share=10", 10, 2, "bad share"},
    {"rst share=0%", 10, 2, "bad share"},
    {"rst share=101%", 10, 4, "bad share"},
    {"rst share=100.0001%", 10, 9, "bad share"},
    {"rst share=1.%", 10, 3, "bad share"},
    {"rst share=.5%", 10, 3, "bad share"},
    {"rst share=1.x%", 10, 4, "bad share"},
    {"rst share=1.00001%", 10, 8, "bad share"},
    {"rst role=", 4, 5, "condition without a value:"},
    {"rst role=peer", 9, 4, "unknown role"},
    {"rst when=now", 9, 3, "unknown value of when:"},
    {"rst port=1 port=2", 11, 6, "condition given twice:"},
    {"rst prog=/usr/sbin/nginx", 9, 15, "a path, not a file name:"},
    {"rst =x", 4, 0, "unknown condition"},
};

static void test_mistakes_are_shown_where_they_are(void **state)
{
    ROW_NAMED(i, mistakes, text);

    assert_int_equal(parse(POLICY_TEARDOWN, mistakes[i].text), -1);
    assert_string_equal(error.what, mistakes[i].what);
    assert_int_equal(error.at, mistakes[i].at);
    assert_int_equal(error.length, mistakes[i].length);
    assert_non_null(error.accepted);
}

/* What is accepted, and which word may be meant. */
static void test_mistakes_come_with_the_way_out(void **state)
{
    static const struct {
        enum policy_dialect dialect;
        const char *text;
        const char *accepted;
        const char *meant;
    } cases[] = {
        {POLICY_TEARDOWN, "rts", "a mode is one of: off, fin, rst, fin-rst, wait:SECONDS", "rst"},
        {POLICY_TEARDOWN, "of", "a mode is one of: off, fin, rst, fin-rst, wait:SECONDS", "off"},
        {POLICY_TEARDOWN, "wait:x", "wait takes whole seconds, 1 to 3600, as in wait:5", NULL},
        {POLICY_SWITCH, "onn", "a value is one of: on, 1, off, 0", "on"},
        {POLICY_SWITCH, "of", "a value is one of: on, 1, off, 0", "off"},
        {POLICY_SWITCH, "yes", "a value is one of: on, 1, off, 0", NULL},
    };

    ROW_NAMED(i, cases, text);

    assert_int_equal(parse(cases[i].dialect, cases[i].text), -1);
    assert_string_equal(error.accepted, cases[i].accepted);
    if (cases[i].meant)
        assert_string_equal(error.meant, cases[i].meant);
    else
        assert_null(error.meant);
}

static void test_comments_only_in_files(void **state)
{
    const char *text = "# a comment; rst\nfin # more\n#\nrst #";

    (void)state;
    assert_int_equal(parse_bytes(POLICY_TEARDOWN, text, strlen(text), true), 0);
    assert_string_equal(printed(&policy), "fin; rst");
    assert_int_equal(parse_bytes(POLICY_TEARDOWN, "rst ", 4, true), 0);
    assert_string_equal(printed(&policy), "rst");
    assert_int_equal(parse(POLICY_TEARDOWN, text), -1);
}

static void test_nul_inside_is_no_end(void **state)
{
    static const char text[] = "rst\0 prog=x";
    static const char program[] = "rst prog=x\0y";
    static const char address[] = "rst peer=1.2.3.4\0";

    (void)state;
    assert_int_equal(parse_bytes(POLICY_TEARDOWN, text, sizeof(text) - 1, false), -1);
    assert_int_equal(parse_bytes(POLICY_TEARDOWN, program, sizeof(program) - 1, false), -1);
    assert_int_equal(parse_bytes(POLICY_TEARDOWN, address, sizeof(address) - 1, false), -1);
}

static void test_limits(void **state)
{
    static char text[POLICY_TEXT_MAX + 2];

    (void)state;
    memset(text, ' ', sizeof(text) - 1);
    memcpy(text, "rst", 3);
    assert_int_equal(policy_parse(&policy, POLICY_TEARDOWN, text, POLICY_TEXT_MAX, false, &error),
                     0);
    assert_int_equal(
        policy_parse(&policy, POLICY_TEARDOWN, text, POLICY_TEXT_MAX + 1, false, &error), -1);
    assert_int_equal(error.at, POLICY_TEXT_MAX);
    assert_int_equal(error.length, 0);
    for (int i = 0; i < POLICY_RULES_MAX; i++)
        memcpy(text + (ptrdiff_t)i * 4, "fin;", 4);
    assert_int_equal(
        policy_parse(&policy, POLICY_TEARDOWN, text, POLICY_RULES_MAX * 4, false, &error), 0);
    assert_int_equal(policy.rule_count, POLICY_RULES_MAX);
    memcpy(text + (ptrdiff_t)POLICY_RULES_MAX * 4, "fin", 3);
    assert_int_equal(
        policy_parse(&policy, POLICY_TEARDOWN, text, POLICY_RULES_MAX * 4 + 3, false, &error), -1);
    assert_int_equal(error.at, POLICY_RULES_MAX * 4);
}

/* `count` values in one rule, each of `width` bytes. */
static int parse_many(const char *rule, const char *value, size_t width, int count)
{
    static char text[POLICY_TEXT_MAX];
    struct text out;

    text_begin(&out, text, sizeof(text));
    text_put(&out, rule);
    for (int i = 0; i < count; i++) {
        text_put(&out, i > 0 ? "," : "");
        for (size_t j = 0; j < width; j++)
            text_put_char(&out, value[j % strlen(value)]);
    }
    return parse(POLICY_TEARDOWN, text);
}

static void test_limits_of_values(void **state)
{
    (void)state;
    assert_int_equal(parse_many("rst port=", "1", 1, POLICY_PORTS_MAX), 0);
    assert_int_equal(parse_many("rst port=", "1", 1, POLICY_PORTS_MAX + 1), -1);
    assert_string_equal(error.what, "too many ports at");
    assert_int_equal(parse_many("rst peer=", ":1", 2, POLICY_ADDRESSES_MAX), 0);
    assert_int_equal(parse_many("rst peer=:1 local=", ":1", 2, POLICY_ADDRESSES_MAX), -1);
    assert_string_equal(error.what, "too many addresses at");
    assert_int_equal(parse_many("rst prog=", "a", 1, POLICY_PATTERNS_MAX), 0);
    assert_int_equal(parse_many("rst prog=", "a", 1, POLICY_PATTERNS_MAX + 1), -1);
    assert_string_equal(error.what, "too many programs at");
    /* Sixteen patterns of 128 bytes, their NUL included, fill the pool. */
    assert_int_equal(parse_many("rst prog=", "ab", 127, 16), 0);
    assert_int_equal(parse_many("rst prog=b,", "ab", 127, 16), -1);
    assert_string_equal(error.what, "too many programs at");
}

static void test_endpoint(void **state)
{
    static const uint8_t ipv4[16] = {[10] = 0xff, [11] = 0xff, [12] = 192, [14] = 2, [15] = 1};
    static const uint8_t ipv6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
    static const uint8_t zeros[16] = {0};
    char buffer[64];
    struct text out;

    (void)state;
    text_begin(&out, buffer, sizeof(buffer));
    address_print_endpoint(&out, address_ip(ipv4), 80);
    assert_string_equal(buffer, "192.0.2.1:80");
    text_begin(&out, buffer, sizeof(buffer));
    address_print_endpoint(&out, address_ip(ipv6), 65535);
    assert_string_equal(buffer, "[2001:db8::1]:65535");
    text_begin(&out, buffer, sizeof(buffer));
    address_print_endpoint(&out, address_ip(zeros), 0);
    assert_string_equal(buffer, "[::]");
}

static void test_program(void **state)
{
    (void)state;
    assert_int_equal(parse(POLICY_TEARDOWN, "off prog=sshd,ssh; rst prog=redis-*; fin"), 0);
    policy_keep_program(&policy, "redis-server");
    assert_string_equal(printed(&policy), "rst; fin");
    /* The rules that are left keep the numbers that they have in the text. */
    assert_int_equal(policy.rules[0].number, 2);
    assert_null(policy_rule(&policy, 1));
    assert_ptr_equal(policy_rule(&policy, 2), &policy.rules[0]);
    assert_ptr_equal(policy_rule(&policy, 3), &policy.rules[1]);
    assert_int_equal(parse(POLICY_TEARDOWN, "rst prog=nginx"), 0);
    policy_keep_program(&policy, "");
    assert_int_equal(policy.rule_count, 0);
    assert_null(policy_rule(&policy, 1));
    assert_false(policy_has_mode(&policy, MODE_RST));
    assert_int_equal(parse(POLICY_TEARDOWN, "rst prog=a,b,c port=80"), 0);
    policy_keep_program(&policy, "c");
    assert_string_equal(printed(&policy), "rst port=80");
}

static void test_modes_in_a_policy(void **state)
{
    (void)state;
    assert_int_equal(parse(POLICY_TEARDOWN, "fin port=80; rst"), 0);
    assert_true(policy_has_mode(&policy, MODE_FIN));
    assert_true(policy_has_mode(&policy, MODE_RST));
    assert_false(policy_has_mode(&policy, MODE_OFF));
    assert_int_equal(parse(POLICY_TEARDOWN, ""), 0);
    assert_false(policy_has_mode(&policy, MODE_OFF));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_print_is_the_inverse_of_parse, ROWS),
        cmocka_unit_test(test_switch),
        cmocka_unit_test_prestate(test_conditions_that_are_offered, ROWS),
        cmocka_unit_test(test_the_table_of_conditions_ends),
        cmocka_unit_test_prestate(test_mistakes_are_shown_where_they_are, ROWS),
        cmocka_unit_test_prestate(test_mistakes_come_with_the_way_out, ROWS),
        cmocka_unit_test(test_comments_only_in_files),
        cmocka_unit_test(test_nul_inside_is_no_end),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_limits_of_values),
        cmocka_unit_test(test_endpoint),
        cmocka_unit_test(test_program),
        cmocka_unit_test(test_modes_in_a_policy),
    };

    return rows_run(tests, NULL, NULL);
}
