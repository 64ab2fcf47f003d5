/* The parser and the printer: parse -> print -> parse, and where each mistake is seen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "policy.h"

static struct policy policy;
static struct policy_error error;

static int parse(enum policy_dialect dialect, const char *text)
{
    return policy_parse(&policy, dialect, text, strlen(text), false, &error);
}

static const char *printed(const struct policy *p)
{
    static char buffer[65536];
    struct text out;

    text_begin(&out, buffer, sizeof(buffer));
    for (unsigned i = 0; i < p->rule_count; i++) {
        text_put(&out, i > 0 ? "; " : "");
        policy_print_rule(p, &p->rules[i], &out);
    }
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
    {"rst when=active share=2.50%", "rst when=active share=2.5%"},
    {"rst share=0.0001%; fin share=100%", "rst share=0.0001%; fin share=100%"},
    {"rst share=0.05%; fin share=100.0000%", "rst share=0.05%; fin share=100%"},
    {"rst prog=nginx,redis-*,[ab]?", "rst prog=nginx,redis-*,[ab]?"},
    {"rst prog=x share=1% when=passive peer=:1 local=:2 port=3 role=client",
     "rst role=client port=3 local=:2 peer=:1 when=passive share=1% prog=x"},
};

static void test_print_is_the_inverse_of_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(parse(POLICY_TEARDOWN, texts[i].text), 0);
        assert_string_equal(printed(&policy), texts[i].canonical);
        char *again = strdup(printed(&policy));
        assert_int_equal(parse(POLICY_TEARDOWN, again), 0);
        assert_string_equal(printed(&policy), again);
        free(again);
    }
}

static void test_switch(void **state)
{
    (void)state;
    assert_int_equal(parse(POLICY_SWITCH, "1 port=80; 0 local=:1; off prog=x; on"), 0);
    assert_string_equal(printed(&policy), "on port=80; off local=:1; off prog=x; on");
    assert_int_equal(parse(POLICY_SWITCH, "rst"), -1);
    assert_int_equal(parse(POLICY_SWITCH, "on role=server"), -1);
    assert_int_equal(parse(POLICY_TEARDOWN, "on"), -1);
}

static const struct {
    const char *text;
    size_t at;
    size_t length;
    const char *what;
} mistakes[] = {
    {"rts", 0, 3, "unknown mode"},
    {"off port=22; rts share=10%", 13, 3, "unknown mode"},
    {"rst\nfin x=1", 8, 1, "unknown condition"},
    {"wait:", 5, 0, "bad number of seconds"},
    {"wait:3601 role=server", 5, 4, "bad number of seconds"},
    {"rst port=1,99999", 11, 5, "bad port"},
    {"rst port=1,,2", 11, 0, "a value is missing"},
    {"rst port=,1", 9, 0, "a value is missing"},
    {"rst peer=1.2.3.4/33", 17, 2, "bad prefix length"},
    {"rst peer=1.2.3.4/99999999999", 17, 11, "bad prefix length"},
    {"rst peer=/8", 9, 0, "bad address"},
    {"rst peer=[::1]80", 14, 2, "unexpected"},
    {"rst peer=[]", 10, 0, "bad IPv6 address"},
    {"rst peer=:", 10, 0, "bad port"},
    {"rst peer=1.2.3.4:", 17, 0, "bad port"},
    {"rst share=%", 10, 1, "bad share"},
    {"rst role=", 4, 5, "condition without a value:"},
    {"rst =x", 4, 0, "unknown condition"},
};

static void test_mistakes_are_shown_where_they_are(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        assert_int_equal(parse(POLICY_TEARDOWN, mistakes[i].text), -1);
        assert_string_equal(error.what, mistakes[i].what);
        assert_int_equal(error.at, mistakes[i].at);
        assert_int_equal(error.length, mistakes[i].length);
        assert_non_null(error.accepted);
    }
}

static void test_comments_only_in_files(void **state)
{
    const char *text = "# a comment; rst\nfin # more\n#\nrst #";

    (void)state;
    assert_int_equal(policy_parse(&policy, POLICY_TEARDOWN, text, strlen(text), true, &error), 0);
    assert_string_equal(printed(&policy), "fin; rst");
    assert_int_equal(parse(POLICY_TEARDOWN, text), -1);
}

static void test_nul_inside_is_no_end(void **state)
{
    static const char text[] = "rst\0 prog=x";
    static const char program[] = "rst prog=x\0y";
    static const char address[] = "rst peer=1.2.3.4\0";

    (void)state;
    assert_int_equal(policy_parse(&policy, POLICY_TEARDOWN, text, sizeof(text) - 1, false, &error),
                     -1);
    assert_int_equal(
        policy_parse(&policy, POLICY_TEARDOWN, program, sizeof(program) - 1, false, &error), -1);
    assert_int_equal(
        policy_parse(&policy, POLICY_TEARDOWN, address, sizeof(address) - 1, false, &error), -1);
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

static void test_program(void **state)
{
    (void)state;
    assert_int_equal(parse(POLICY_TEARDOWN, "off prog=sshd,ssh; rst prog=redis-*; fin"), 0);
    policy_keep_program(&policy, "redis-server");
    assert_string_equal(printed(&policy), "rst; fin");
    assert_int_equal(policy.rules[0].number, 2);
    assert_int_equal(parse(POLICY_TEARDOWN, "rst prog=nginx"), 0);
    policy_keep_program(&policy, "");
    assert_int_equal(policy.rule_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_print_is_the_inverse_of_parse),
        cmocka_unit_test(test_switch),
        cmocka_unit_test(test_mistakes_are_shown_where_they_are),
        cmocka_unit_test(test_comments_only_in_files),
        cmocka_unit_test(test_nul_inside_is_no_end),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_program),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
