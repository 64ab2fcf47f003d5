/* SPDX-License-Identifier: MIT */
/* Sockets that were met are known for good, however many there are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/sockets/seen.h"

#define COUNT 1000

/* One after the other, and numbers that fall into the same place of a table. */
static uint64_t cookie_of(unsigned number)
{
    return number % 2 ? number : (uint64_t)number << 20;
}

static void every_one_is_remembered(void **state)
{
    struct seen seen = {0};

    (void)state;
    assert_false(seen_has(&seen, cookie_of(1)));
    for (unsigned i = 1; i <= COUNT; i++) {
        assert_int_equal(seen_note(&seen, cookie_of(i)), 1);
        assert_false(seen_has(&seen, cookie_of(i + 1)));
        for (unsigned j = 1; j <= i; j++)
            assert_true(seen_has(&seen, cookie_of(j)));
        assert_int_equal(seen_note(&seen, cookie_of(i)), 0);
    }
    assert_int_equal(seen.count, COUNT);
    seen_forget(&seen);
    assert_false(seen_has(&seen, cookie_of(1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_one_is_remembered)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
