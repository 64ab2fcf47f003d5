/* SPDX-License-Identifier: MIT */
/* The variables: what each takes, and what is said of a value that it does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/settings.h"
#include "report/log.h"
#include "rows.h"

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
        "LINGER_BIND_NO_PORT=1",
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
    assert_int_equal(settings.bind_no_port.rules[0].mode, MODE_SET);
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

/* Is there anything to do before bind()? */
static void test_switches(void **state)
{
    static const struct {
        const char *entry;
        enum setting setting;
        bool is_switch;
    } cases[] = {
        {"LINGER_REUSEADDR=1", SETTING_REUSEADDR, true},
        {"LINGER_REUSEPORT=0", SETTING_REUSEPORT, true},
        {"LINGER_BIND_NO_PORT=on local=127.0.0.1", SETTING_BIND_NO_PORT, true},
        {"LINGER_REUSEADDR=", SETTING_REUSEADDR, false},
        {"LINGER_MODE=rst port=80", SETTING_MODE, false},
        {"LINGER_LOG=stderr", SETTING_LOG, false},
    };

    ROW_NAMED(i, cases, entry);

    const char *const environment[] = {cases[i].entry, NULL};

    assert_int_equal(take_environment(environment), 0);
    assert_string_equal(buffer, "");
    assert_int_equal(settings_has_switch(&settings), cases[i].is_switch);
    for (enum setting j = 0; j < SETTING_COUNT; j++)
        assert_int_equal(settings_is_given(&settings, j), j == cases[i].setting);
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
    char name[100] = "LINGER_";
    const char *const long_name[] = {name, NULL};
    char expected[200];

    (void)state;
    assert_int_equal(take_environment(environment), 0);
    assert_int_equal(settings.mode.rule_count, 0);
    assert_non_null(strstr(buffer, "who: LINGER_MOED: no such variable; the variables are "
                                   "LINGER_MODE, LINGER_REUSEADDR, LINGER_REUSEPORT, "
                                   "LINGER_BIND_NO_PORT, LINGER_LOG, LINGER_STATS\n"));
    assert_non_null(strstr(buffer, "who: LINGER_MODES: no such variable"));
    assert_non_null(strstr(buffer, "who: LINGER_: no such variable"));
    assert_null(strstr(buffer, "LINGERX"));
    memset(name + 7, 'X', 80);
    name[87] = '=';
    assert_int_equal(take_environment(long_name), 0);
    snprintf(expected, sizeof(expected), "who: %.76s: no such variable", name);
    assert_memory_equal(buffer, expected, strlen(expected));
}

static void test_a_rule_that_can_never_decide_is_a_warning(void **state)
{
    static const char *const environment[] = {"LINGER_MODE=fin; rst port=80; off",
                                              "LINGER_REUSEADDR=on; off",
                                              "LINGER_REUSEPORT=on port=1; off", NULL};
    char long_rule[200] = "fin; rst prog=";
    char expected[300];

    (void)state;
    assert_int_equal(take_environment(environment), 0);
    assert_string_equal(buffer, "who: LINGER_MODE: rule 2 can never decide: 'rst port=80'; rules "
                                "before it match all that it does, so move it up\n"
                                "who: LINGER_REUSEADDR: rule 2 can never decide: 'off'; rules "
                                "before it match all that it does, so move it up\n");
    memset(long_rule + strlen(long_rule), 'x', 100);
    assert_int_equal(take(SETTING_MODE, long_rule), 0);
    settings_warn(&settings, SETTING_MODE, "-x", &complaint);
    snprintf(expected, sizeof(expected), "who: -x: rule 2 can never decide: '%.76s'; rules",
             long_rule + strlen("fin; "));
    assert_memory_equal(buffer, expected, strlen(expected));
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
    assert_int_equal(strlen(buffer), complaint.length);
    assert_int_equal(settings_take(&settings, SETTING_MODE, "-x", "fin; rst", &complaint), 0);
    for (int i = 0; i < 10; i++)
        settings_warn(&settings, SETTING_MODE, "-x", &complaint);
    assert_int_equal(buffer[strlen(buffer) - 1], '\n');
    assert_int_equal(strlen(buffer), complaint.length);
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

/* At most 76 columns of the line, of which at most 40 are before the mistake. */
static void test_the_part_of_a_long_line_that_is_shown(void **state)
{
    static const struct {
        size_t before; /* the mistake */
        size_t length;
        const char *dots;
        size_t start; /* of what is shown */
        size_t end;
    } cases[] = {
        {40, 36, "", 0, 76}, {41, 35, "", 0, 76},      {40, 37, "", 0, 76},
        {0, 76, "", 0, 76},  {0, 77, "", 0, 76},       {41, 36, "...", 1, 77},
        {41, 3, "", 0, 44},  {100, 3, "...", 60, 103}, {100, 99, "...", 60, 136},
    };
    char value[256], marks[128], expected[512];

    ROW(i, cases);

    size_t caret = cases[i].before - cases[i].start + strlen(cases[i].dots);
    size_t marked = cases[i].end - cases[i].before;

    snprintf(value, sizeof(value), "%*s%0*d", (int)cases[i].before, "", (int)cases[i].length, 0);
    memset(marks, ' ', caret);
    memset(marks + caret, '~', marked);
    marks[caret] = '^';
    marks[caret + marked] = '\0';
    assert_int_equal(take(SETTING_MODE, value), -1);
    snprintf(expected, sizeof(expected),
             "who: -x: unknown mode '%.76s'\n  %s%.*s\n  %s\n"
             "  a mode is one of: off, fin, rst, fin-rst, wait:SECONDS\n",
             value + cases[i].before, cases[i].dots, (int)(cases[i].end - cases[i].start),
             value + cases[i].start, marks);
    assert_string_equal(buffer, expected);
}

static void test_the_place_of_what_is_missing(void **state)
{
    (void)state;
    assert_int_equal(take(SETTING_MODE, "off\nwait:\nrst"), -1);
    assert_string_equal(buffer, "who: -x: bad number of seconds\n"
                                "  wait:\n"
                                "       ^\n"
                                "  wait takes whole seconds, 1 to 3600, as in wait:5\n");
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
    static char value[LOG_PATH_MAX + 1];
    char expected[200];

    (void)state;
    assert_int_equal(take(SETTING_LOG, "stdout"), -1);
    assert_string_equal(buffer, "who: -x: the log cannot go to standard output: 'stdout'\n"
                                "  stdout\n"
                                "  ^~~~~~\n"
                                "  a log is stderr or a file, as in ./stdout\n");
    assert_int_equal(take(SETTING_LOG, "stderr"), 0);
    assert_int_equal(settings.log_events, EVENT_ALL);
    assert_int_equal(take(SETTING_LOG, "fail,load:/a:b,c"), 0);
    assert_int_equal(settings.log_events, 1 << EVENT_FAIL | 1 << EVENT_LOAD);
    assert_string_equal(settings.log_path, "/a:b,c");
    assert_int_equal(take(SETTING_LOG, "./fail,load:/a"), 0);
    assert_int_equal(settings.log_events, EVENT_ALL);
    assert_string_equal(settings.log_path, "./fail,load:/a");
    assert_int_equal(take(SETTING_LOG, "fail,bnd:a"), -1);
    assert_string_equal(buffer, "who: -x: unknown event 'bnd'; did you mean 'bind'?\n"
                                "  fail,bnd:a\n"
                                "       ^~~\n"
                                "  EVENT[,EVENT...]:FILE, as in bind,connect,fail:stderr\n");
    for (const char *const *v = (const char *const[]){"fail", "fail,load", "fail:", ":a", "fail,:a",
                                                      ",fail:a", "fail:stdout", NULL};
         *v; v++)
        assert_int_equal(take(SETTING_LOG, *v), -1);
    assert_int_equal(take(SETTING_STATS, "stdout"), 0);
    assert_int_equal(take(SETTING_LOG, "%p%d"), -1);
    assert_int_equal(take(SETTING_LOG, "%%%d"), -1);
    assert_int_equal(take(SETTING_LOG, "%%p"), 0);
    assert_int_equal(take(SETTING_LOG, "a%d"), -1);
    assert_string_equal(buffer, "who: -x: unknown '%d'\n"
                                "  a%d\n"
                                "   ^~\n"
                                "  in a log's name %p is the pid, and %% a percent sign\n");
    assert_int_equal(take(SETTING_LOG, "a%"), -1);
    assert_non_null(strstr(buffer, "unknown '%'\n"));
    memset(value, 'x', sizeof(value) - 1);
    assert_int_equal(take(SETTING_LOG, value), -1);
    snprintf(expected, sizeof(expected),
             "who: -x: the name is too long\n  ...%.41s\n  %43s^\n"
             "  a file name has up to 4095 bytes\n",
             value, "");
    assert_string_equal(buffer, expected);
    assert_int_equal(take(SETTING_STATS, value), -1);
    value[LOG_PATH_MAX - 1] = '\0';
    assert_int_equal(take(SETTING_LOG, value), 0);
    assert_string_equal(settings.log_path, value);
    assert_int_equal(take(SETTING_STATS, value), 0);
    assert_string_equal(settings.stats_path, value);
}

static int lowest_free_descriptor(void)
{
    int fd = dup(STDERR_FILENO);

    close(fd);
    return fd;
}

/* The rules stand in a file; the value is `name`, "@" and that file's. */
static int take_file(const char *text, size_t length, char *name, size_t size)
{
    const char *directory = getenv("TMPDIR");
    int before = lowest_free_descriptor();
    int fd;

    snprintf(name, size, "@%s/rules.XXXXXX", directory ? directory : "/tmp");
    fd = mkstemp(name + 1);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, length), length);
    close(fd);
    int status = take(SETTING_MODE, name);
    unlink(name + 1);
    assert_int_equal(lowest_free_descriptor(), before);
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
    assert_int_equal(take_file("x", 1, name, sizeof(name)), -1);
    assert_int_equal(take_file("rst port=80\nfin prot=1\n", 23, name, sizeof(name)), -1);
    snprintf(expected, sizeof(expected),
             "who: -x: %s:2: unknown condition 'prot'; did you mean 'prog'?\n", name + 1);
    assert_memory_equal(buffer, expected, strlen(expected));
    assert_int_equal(take_file("\nrst\nfin port=\noff", 18, name, sizeof(name)), -1);
    snprintf(expected, sizeof(expected), "who: -x: %s:3: condition without a value", name + 1);
    assert_memory_equal(buffer, expected, strlen(expected));
    assert_int_equal(take_file("rst port=1,\noff", 15, name, sizeof(name)), -1);
    snprintf(expected, sizeof(expected), "who: -x: %s:1: a value is missing\n", name + 1);
    assert_memory_equal(buffer, expected, strlen(expected));
    memset(large, ' ', sizeof(large));
    assert_int_equal(take_file(large, sizeof(large) - 1, name, sizeof(name)), 0);
    assert_int_equal(take_file(large, sizeof(large), name, sizeof(name)), -1);
    assert_non_null(strstr(buffer, "it is too long"));
}

/* Of a long name the last 256 bytes are shown. */
static void test_a_file_with_a_long_name(void **state)
{
    char file[] = "/tmp/rules.XXXXXX";
    char name[300];
    char expected[400];
    int fd = mkstemp(file);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "rts", 3), 3);
    close(fd);
    for (size_t length = 255; length <= 258; length++) {
        memset(name, '/', sizeof(name));
        name[0] = '@';
        strcpy(name + 1 + length - strlen(file), file);
        assert_int_equal(take(SETTING_MODE, name), -1);
        snprintf(expected, sizeof(expected), "who: -x: %s%s:1: unknown mode",
                 length > 256 ? "..." : "", name + 1 + (length > 256 ? length - 256 : 0));
        assert_memory_equal(buffer, expected, strlen(expected));
    }
    unlink(file);
}

/* A program may run without standard input: the file of rules is descriptor 0 then. */
static void test_a_file_that_is_descriptor_0(void **state)
{
    int standard_input = fcntl(0, F_DUPFD, 10);
    char name[512];

    (void)state;
    close(0);
    assert_int_equal(take_file("rst", 3, name, sizeof(name)), 0);
    assert_int_equal(settings.mode.rules[0].mode, MODE_RST);
    assert_int_equal(take(SETTING_MODE, "@/dev/null"), -1);
    assert_int_equal(lowest_free_descriptor(), 0);
    if (standard_input >= 0) {
        dup2(standard_input, 0);
        close(standard_input);
    }
}

static void test_a_file_that_cannot_be_read(void **state)
{
    int before = lowest_free_descriptor();

    (void)state;
    assert_int_equal(take(SETTING_MODE, "@/nowhere/rules"), -1);
    assert_string_equal(buffer, "who: -x: cannot read '/nowhere/rules'\n"
                                "  @/nowhere/rules\n"
                                "   ^~~~~~~~~~~~~~\n"
                                "  there is no such file\n");
    assert_int_equal(take(SETTING_MODE, "@/"), -1);
    assert_non_null(strstr(buffer, "it is a directory"));
    assert_int_equal(take(SETTING_MODE, "@/dev/null"), -1);
    assert_non_null(strstr(buffer, "it is not a regular file"));
    assert_int_equal(take(SETTING_MODE, "@/proc/self/mem"), -1); /* opens, but read() fails */
    assert_non_null(strstr(buffer, "\n  @FILE names a readable file of rules\n"));
    assert_int_equal(take(SETTING_MODE, "@"), -1);
    assert_int_equal(lowest_free_descriptor(), before);
}

static void test_prog_is_decided_for_each_policy(void **state)
{
    static const char *const environment[] = {"LINGER_MODE=rst prog=a; fin prog=b; off",
                                              "LINGER_REUSEADDR=on prog=b", "LINGER_LOG=stderr",
                                              NULL};

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
        cmocka_unit_test_prestate_setup_teardown(test_switches, begin, NULL, ROWS),
        cmocka_unit_test_setup(test_the_first_of_two_counts, begin),
        cmocka_unit_test_setup(test_a_name_that_does_not_exist_is_a_warning, begin),
        cmocka_unit_test_setup(test_a_rule_that_can_never_decide_is_a_warning, begin),
        cmocka_unit_test_setup(test_warnings_leave_room_for_the_mistake, begin),
        cmocka_unit_test_setup(test_the_mistake_and_its_place, begin),
        cmocka_unit_test_setup(test_the_place_of_what_is_missing, begin),
        cmocka_unit_test_prestate_setup_teardown(test_the_part_of_a_long_line_that_is_shown, begin,
                                                 NULL, ROWS),
        cmocka_unit_test_setup(test_a_long_line_is_cut, begin),
        cmocka_unit_test_setup(test_names_of_logs, begin),
        cmocka_unit_test_setup(test_a_file_of_rules, begin),
        cmocka_unit_test_setup(test_a_file_with_a_long_name, begin),
        cmocka_unit_test_setup(test_a_file_that_is_descriptor_0, begin),
        cmocka_unit_test_setup(test_a_file_that_cannot_be_read, begin),
        cmocka_unit_test_setup(test_prog_is_decided_for_each_policy, begin),
    };

    return rows_run(tests, NULL, NULL);
}
