/* SPDX-License-Identifier: MIT */
/* Text in a buffer of fixed size: what does not fit is dropped, and nothing else is touched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/text.h"

static char buffer[16];
static struct text text;

static void begin(size_t size)
{
    memset(buffer, '#', sizeof(buffer));
    text_begin(&text, buffer, size);
}

static void test_each_kind(void **state)
{
    (void)state;
    begin(sizeof(buffer));
    assert_string_equal(buffer, "");
    text_put(&text, "ab");
    text_put_char(&text, '=');
    text_put_bytes(&text, "xyz", 2);
    text_put(&text, "");
    assert_string_equal(buffer, "ab=xy");
    assert_int_equal(text.length, 5);
}

static void test_numbers(void **state)
{
    char wide[32];

    (void)state;
    text_begin(&text, wide, sizeof(wide));
    text_put_number(&text, 0);
    text_put_char(&text, ' ');
    text_put_number(&text, 10);
    text_put_char(&text, ' ');
    text_put_number(&text, UINT64_MAX);
    assert_string_equal(wide, "0 10 18446744073709551615");
}

static void test_printable(void **state)
{
    (void)state;
    begin(sizeof(buffer));
    text_put_printable(&text, "\x1f ~\x7f\n\xff\0z", 8);
    assert_string_equal(buffer, "? ~????z");
}

static void test_what_does_not_fit_is_dropped(void **state)
{
    (void)state;
    begin(5);
    text_put(&text, "abc");
    text_put(&text, "def");
    assert_string_equal(buffer, "abcd");
    assert_int_equal(text.length, 4);
    text_put_number(&text, 7);
    text_put_char(&text, '!');
    text_put_printable(&text, "x", 1);
    assert_string_equal(buffer, "abcd");
    assert_int_equal(text.length, 4);
    assert_int_equal(buffer[5], '#');
}

static void test_a_buffer_of_one_byte_holds_nothing(void **state)
{
    (void)state;
    begin(1);
    text_put(&text, "a");
    assert_string_equal(buffer, "");
    assert_int_equal(text.length, 0);
    assert_int_equal(buffer[1], '#');
}

static void test_the_file_name_follows_the_last_slash(void **state)
{
    (void)state;
    assert_string_equal(text_file_name("/usr/sbin/nginx"), "nginx");
    assert_string_equal(text_file_name("nginx"), "nginx");
    assert_string_equal(text_file_name("./a/"), "");
    assert_string_equal(text_file_name(""), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_kind),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_printable),
        cmocka_unit_test(test_what_does_not_fit_is_dropped),
        cmocka_unit_test(test_a_buffer_of_one_byte_holds_nothing),
        cmocka_unit_test(test_the_file_name_follows_the_last_slash),
    };

    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
