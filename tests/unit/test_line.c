/* SPDX-License-Identifier: MIT */
/* A line of the log: dates, quoting, and where a line is cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "policy/address.h"
#include "report/line.h"
#include "rows.h"

static struct line line;

static const char *ended(void)
{
    size_t length = line_end(&line);

    assert_true(length <= LINE_LENGTH_MAX);
    assert_int_equal(line.data[length - 1], '\n');
    line.data[length - 1] = '\0';
    assert_int_equal(strlen(line.data), length - 1);
    return line.data;
}

static void begin(time_t seconds, long nanoseconds)
{
    const struct timespec wall = {seconds, nanoseconds};
    const struct timespec steady = {12, 345678};

    line_begin(&line, &wall, &steady);
}

static void test_dates(void **state)
{
    static const struct {
        time_t seconds;
        const char *date;
    } dates[] = {
        {0, "1970-01-01T00:00:00.000001Z"},          {86399, "1970-01-01T23:59:59.000001Z"},
        {951782399, "2000-02-28T23:59:59.000001Z"},  {951782400, "2000-02-29T00:00:00.000001Z"},
        {951868800, "2000-03-01T00:00:00.000001Z"},  {1735689599, "2024-12-31T23:59:59.000001Z"},
        {1735689600, "2025-01-01T00:00:00.000001Z"}, {4107542400, "2100-03-01T00:00:00.000001Z"},
        {1743415810, "2025-03-31T10:10:10.000001Z"}, {1760184671, "2025-10-11T12:11:11.000001Z"},
    };
    char expected[128];

    ROW_NAMED(i, dates, date);

    begin(dates[i].seconds, 1999);
    snprintf(expected, sizeof(expected), "time=%s mono=12.000345", dates[i].date);
    assert_string_equal(ended(), expected);
}

/* Microseconds, the rest cut off, to six places. */
static void test_fractions(void **state)
{
    static const struct {
        long nanoseconds;
        const char *shown;
    } rows[] = {
        {0, "000000"},        {999, "000000"},       {9999, "000009"},      {10000, "000010"},
        {99999, "000099"},    {100000, "000100"},    {1000000, "001000"},   {9500000, "009500"},
        {95000000, "095000"}, {100000000, "100000"}, {999999999, "999999"},
    };
    char expected[128];

    ROW_NAMED(i, rows, shown);

    const struct timespec wall = {0, rows[i].nanoseconds};
    const struct timespec steady = {12, rows[i].nanoseconds};
    line_begin(&line, &wall, &steady);
    snprintf(expected, sizeof(expected), "time=1970-01-01T00:00:00.%sZ mono=12.%s", rows[i].shown,
             rows[i].shown);
    assert_string_equal(ended(), expected);
}

static const char *after_times(void)
{
    return strchr(strstr(ended(), "mono="), ' ');
}

static void test_pairs(void **state)
{
    static const uint8_t bytes[16] = {[10] = 0xff, [11] = 0xff, [12] = 192, [13] = 0, [15] = 1};

    (void)state;
    begin(0, 0);
    line_word(&line, "event", "arm");
    line_number(&line, "fd", 3);
    line_endpoint(&line, "peer", address_ip(bytes), 80);
    line_value(&line, "program", "nginx");
    assert_string_equal(after_times(), " event=arm fd=3 peer=192.0.0.1:80 program=nginx");
}

static void test_quotes(void **state)
{
    static const struct {
        const char *value;
        const char *shown;
    } values[] = {
        {"", "\"\""},           {"a b", "\"a b\""},      {"a\"b", "\"a\\\"b\""},
        {"a\\b", "\"a\\\\b\""}, {"a\nb", "\"a\\x0ab\""}, {"\xc3\xa4", "\"\\xc3\\xa4\""},
        {"\x7f", "\"\\x7f\""},  {"a=b;~!", "a=b;~!"},    {"~ ~", "\"~ ~\""},
    };
    char expected[64];

    ROW_NAMED(i, values, value);

    begin(0, 0);
    line_value(&line, "k", values[i].value);
    snprintf(expected, sizeof(expected), " k=%s", values[i].shown);
    assert_string_equal(after_times(), expected);
}

/* Whatever its length: the line ends within its room, a value that is cut says so, in quotes. */
static void test_cut(void **state)
{
    static char value[LINE_LENGTH_MAX + 64];
    bool was_cut = false;

    (void)state;
    for (size_t length = 1; length < sizeof(value); length++) {
        memset(value, length % 2 ? 'v' : '\n', length);
        value[length] = '\0';
        begin(0, 0);
        line_value(&line, "k", value);
        const char *shown = after_times() + strlen(" k=");
        bool is_cut = strcmp(shown + strlen(shown) - strlen("...\""), "...\"") == 0;
        if (length % 2)
            assert_true(is_cut ? shown[0] == '"' : strcmp(shown, value) == 0);
        assert_true(is_cut || !was_cut);
        was_cut = is_cut && length % 2;
    }
    assert_true(was_cut);
}

/* Room is left to close the quotes, and for no more than that. */
static void test_where_a_value_is_cut(void **state)
{
    static char value[LINE_LENGTH_MAX];
    size_t plain = 0;

    (void)state;
    for (size_t length = 1; length < sizeof(value); length++) {
        memset(value, 'v', length);
        begin(0, 0);
        line_value(&line, "k", value);
        ended();
        bool is_cut = line.text.length < length || strstr(line.data, "...\"");
        if (!strchr(line.data, '"'))
            plain = length;
        if (is_cut)
            assert_int_equal(strlen(line.data), LINE_LENGTH_MAX - 12);
    }
    begin(0, 0);
    assert_int_equal(line.text.length + strlen("k") + plain, LINE_LENGTH_MAX - 17);
}

static void test_a_full_line_still_ends(void **state)
{
    (void)state;
    begin(0, 0);
    for (int i = 0; i < 100; i++)
        line_word(&line, "key", "value");
    assert_int_equal(strlen(ended()), LINE_LENGTH_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_dates, ROWS),
        cmocka_unit_test_prestate(test_fractions, ROWS),
        cmocka_unit_test(test_pairs),
        cmocka_unit_test_prestate(test_quotes, ROWS),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_where_a_value_is_cut),
        cmocka_unit_test(test_a_full_line_still_ends),
    };

    return rows_run(tests, NULL, NULL);
}
