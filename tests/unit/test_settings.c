/* The variables: what each takes, and what is said of a value that it does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "settings.h"

static struct settings settings;
static char buffer[SETTINGS_COMPLAINT_MAX];
static struct text complaint;

static int begin(void **state)
{
    (void)state;
    memset(&settings, 0, sizeof(settings));
    settings.who = "who";
    text_begin(&complaint, buffer, sizeof(buffer));
    return 0;
}

static int take(enum setting setting, const char *value)
{
    begin(NULL);
    return settings_take(&settings, setting, "-x", value, &complaint);
}

static int take_environment(const char *const *environment)
{
    begin(NULL);
    return settings_take_environment(&settings, (char *const *)environment, &complaint);
}

static void test_each_variable_is_its_own_setting(void **state)
{
    static const char *const environment[] = {
        "PATH=/bin",
        "LINGER_MODE=rst",
        "LINGER_REUSEADDR=on",
        "LINGER_REUSEPORT=0",
        "LINGER_LOG=/a/%p%%b",
        "LINGER_STATS=/c d/%p%x",
        NULL,
    };

    (void)state;
    assert_int_equal(take_environment(environment), 0);
    assert_string_equal(buffer, "");
    assert_int_equal(settings.mode.rules[0].mode, MODE_RST);
    assert_int_equal(settings.reuseaddr.rules[0].mode, MODE_SET);
    assert_int_equal(settings.reuseport.rules[0].mode, MODE_CLEAR);
    assert_string_equal(settings.log_path, "/a/%p%%b");
    assert_string_equal(settings.stats_path, "/c d/%p%x"); /* %p is the log's */
    for (enum setting i = 0; i < SETTING_COUNT; i++)
        assert_memory_equal(settings_name(i), "LINGER_", strlen("LINGER_"));
}

static void test_none_at_all(void **state)
{
    static const char *const environment[] = {NULL};

    (void)state;
    assert_int_equal(take_environment(NULL), 0);
    assert_int_equal(take_environment(environment), 0);
    assert_int_equal(settings.mode.rule_count, 0);
    assert_string_equal(buffer, "");
}

static void test_the_first_of_two_counts(void **state)
{
    static const char *const environment[] = {"LINGER_MODE=rst", "LINGER_MODE=fin",
                                              "LINGER_MODE=nonsense", NULL};

    (void)state;
    assert_int_equal(take_environment(environment), 0);
    assert_int_equal(settings.mode.rule_count, 1);
    assert_int_equal(settings.mode.rules[0].mode, MODE_RST);
}

static void test_a_name_that_does_not_exist_is_a_warning(void **state)
{
    static const char *const environment[] = {"LINGER_MOED=rst", "LINGER_MODES=rst", "LINGER_=x",
                                              "LINGER_MODE",     "LINGERX=1",        NULL};

    (void)state;
    assert_int_equal(take_environment(environment), 0);
    assert_int_equal(settings.mode.rule_count, 0);
    assert_non_null(
        strstr(buffer, "who: LINGER_MOED: no such variable; the variables are LINGER_MODE, "));
    assert_non_null(strstr(buffer, "who: LINGER_MODES: no such variable"));
    assert_non_null(strstr(buffer, "who: LINGER_: no such variable"));
    assert_null(strstr(buffer, "LINGERX"));
}

/* Warnings that do not fit are left out whole, and never take the room of what stops a program. */
static void test_warnings_leave_room_for_the_mistake(void **state)
{
    static const char *environment[102];

    (void)state;
    for (int i = 0; i < 100; i++)
        environment[i] = "LINGER_X=";
    assert_int_equal(take_environment(environment), 0);
    assert_int_equal(buffer[strlen(buffer) - 1], '\n');
    environment[100] = "LINGER_MODE=rts";
    assert_int_equal(take_environment(environment), -1);
    assert_non_null(strstr(buffer, "who: LINGER_MODE: unknown mode 'rts'; did you mean 'rst'?\n"));
}

static void test_the_mistake_and_its_place(void **state)
{
    (void)state;
    assert_int_equal(take(SETTING_MODE, "off port=22; rts share=10%"), -1);
    assert_string_equal(buffer, "who: -x: unknown mode 'rts'; did you mean 'rst'?\n"
                                "  off port=22; rts share=10%\n"
                                "               ^~~\n"
                                "  a mode is one of: off, fin, rst, fin-rst, wait:SECONDS\n");
    assert_int_equal(take(SETTING_MODE, "off\nrst\tport=0\nfin"), -1);
    assert_non_null(strstr(buffer, "\n  rst?port=0\n           ^\n"));
}

/* A line of any length is cut to a screen's width around the mistake, and the caret stays right. */
static void test_a_long_line_is_cut(void **state)
{
    static char value[4096];
    size_t length;

    (void)state;
    for (size_t before = 1; before < 300; before++) {
        memset(value, ' ', before);
        snprintf(value + before, sizeof(value) - before, "rts%200s;off", "");
        assert_int_equal(take(SETTING_MODE, value), -1);
        const char *shown = strchr(buffer, '\n') + 1;
        const char *caret = strchr(shown, '\n') + 1;
        length = (size_t)(caret - shown);
        assert_true(length <= 2 + strlen("...") + 76 + 1);
        assert_memory_equal(shown + (strchr(caret, '^') - caret), "rts", 3);
        assert_memory_equal(strchr(caret, '^'), "^~~\n", 4);
    }
}

static void test_names_of_logs(void **state)
{
    static char value[SETTINGS_PATH_MAX + 1];

    (void)state;
    assert_int_equal(take(SETTING_LOG, "a%d"), -1);
    assert_string_equal(buffer, "who: -x: unknown '%d'\n"
                                "  a%d\n"
                                "   ^~\n"
                                "  in a log's name %p is the pid, and %% a percent sign\n");
    assert_int_equal(take(SETTING_LOG, "a%"), -1);
    assert_non_null(strstr(buffer, "unknown '%'\n"));
    memset(value, 'x', sizeof(value) - 1);
    assert_int_equal(take(SETTING_LOG, value), -1);
    assert_non_null(strstr(buffer, "the name is too long"));
    assert_int_equal(take(SETTING_STATS, value), -1);
    value[SETTINGS_PATH_MAX - 1] = '\0';
    assert_int_equal(take(SETTING_LOG, value), 0);
    assert_string_equal(settings.log_path, value);
    assert_int_equal(take(SETTING_STATS, value), 0);
    assert_string_equal(settings.stats_path, value);
}

/* The rules stand in a file; the value is `name`, "@" and that file's. */
static int take_file(const char *text, size_t length, char *name, size_t size)
{
    const char *directory = getenv("TMPDIR");
    int fd;

    snprintf(name, size, "@%s/rules.XXXXXX", directory ? directory : "/tmp");
    fd = mkstemp(name + 1);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, length), length);
    close(fd);
    int status = take(SETTING_MODE, name);
    unlink(name + 1);
    return status;
}

static void test_a_file_of_rules(void **state)
{
    static char large[16384 + 1];
    char expected[1024];
    char name[512];

    (void)state;
    assert_int_equal(take_file("# a comment\nrst port=80\n\nfin", 28, name, sizeof(name)), 0);
    assert_int_equal(settings.mode.rule_count, 2);
    assert_int_equal(take_file("", 0, name, sizeof(name)), 0);
    assert_int_equal(settings.mode.rule_count, 0);
    assert_int_equal(take_file("rst port=80\nfin prot=1\n", 23, name, sizeof(name)), -1);
    snprintf(expected, sizeof(expected),
             "who: -x: %s:2: unknown condition 'prot'; did you mean 'prog'?\n", name + 1);
    assert_memory_equal(buffer, expected, strlen(expected));
    memset(large, ' ', sizeof(large));
    assert_int_equal(take_file(large, sizeof(large) - 1, name, sizeof(name)), 0);
    assert_int_equal(take_file(large, sizeof(large), name, sizeof(name)), -1);
    assert_non_null(strstr(buffer, "it is too long"));
}

static void test_a_file_that_cannot_be_read(void **state)
{
    (void)state;
    assert_int_equal(take(SETTING_MODE, "@/nowhere/rules"), -1);
    assert_string_equal(buffer, "who: -x: cannot read '/nowhere/rules'\n"
                                "  @/nowhere/rules\n"
                                "   ^~~~~~~~~~~~~~\n"
                                "  there is no such file\n");
    assert_int_equal(take(SETTING_MODE, "@/"), -1);
    assert_non_null(strstr(buffer, "it is a directory"));
    assert_int_equal(take(SETTING_MODE, "@"), -1);
}

static void test_prog_is_decided_for_each_policy(void **state)
{
    static const char *const environment[] = {"LINGER_MODE=rst prog=a; fin prog=b; off",
                                              "LINGER_REUSEADDR=on prog=b", NULL};

    (void)state;
    assert_int_equal(take_environment(environment), 0);
    settings_keep_program(&settings, "b");
    assert_int_equal(settings.mode.rule_count, 2);
    assert_int_equal(settings.mode.rules[0].mode, MODE_FIN);
    assert_int_equal(settings.reuseaddr.rule_count, 1);
    assert_int_equal(take_environment(environment), 0);
    settings_keep_program(&settings, "c");
    assert_int_equal(settings.mode.rule_count, 1);
    assert_int_equal(settings.reuseaddr.rule_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_each_variable_is_its_own_setting, begin),
        cmocka_unit_test_setup(test_none_at_all, begin),
        cmocka_unit_test_setup(test_the_first_of_two_counts, begin),
        cmocka_unit_test_setup(test_a_name_that_does_not_exist_is_a_warning, begin),
        cmocka_unit_test_setup(test_warnings_leave_room_for_the_mistake, begin),
        cmocka_unit_test_setup(test_the_mistake_and_its_place, begin),
        cmocka_unit_test_setup(test_a_long_line_is_cut, begin),
        cmocka_unit_test_setup(test_names_of_logs, begin),
        cmocka_unit_test_setup(test_a_file_of_rules, begin),
        cmocka_unit_test_setup(test_a_file_that_cannot_be_read, begin),
        cmocka_unit_test_setup(test_prog_is_decided_for_each_policy, begin),
    };

    return cmocka_run_group_tests_name("settings", tests, NULL, NULL);
}
