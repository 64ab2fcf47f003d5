/* SPDX-License-Identifier: MIT */
/* "Did you mean": which name, and how far from it a word may be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "rows.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* From memory that ends with the word, which has no NUL. */
static const char *meant(const char *word, const char *const *names, size_t count)
{
    size_t length = strlen(word);
    char *copy = malloc(length);
    const char *found;

    memcpy(copy, word, length);
    found = nearest(copy, length, names, count);
    free(copy);
    return found;
}

static void test_up_to_two_letters_away(void **state)
{
    static const struct {
        const char *word;
        const char *name;
        int is_meant;
    } cases[] = {
        {"fin-rst", "fin-rst", 1},   /* none */
        {"FIN-Rst", "fin-rst", 1},   /* whatever the case */
        {"fn-rst", "fin-rst", 1},    /* one is missing */
        {"in-rs", "fin-rst", 1},     /* two: the first and the last */
        {"n-rst", "fin-rst", 1},     /* the first two */
        {"fin-r", "fin-rst", 1},     /* the last two */
        {"-rst", "fin-rst", 0},      /* three */
        {"fin-", "fin-rst", 0},      /* three at the end */
        {"xfin-rstx", "fin-rst", 1}, /* one too many at each end */
        {"xxfin-rst", "fin-rst", 1}, /* two at the beginning */
        {"fin-rstxx", "fin-rst", 1}, /* two at the end */
        {"xxxfin-rst", "fin-rst", 0},
        {"fin-rstxxx", "fin-rst", 0},
        {"fixxn-rst", "fin-rst", 1},
        {"xin-rsx", "fin-rst", 1}, /* others */
        {"xxn-rst", "fin-rst", 1},
        {"fin-rxx", "fin-rst", 1},
        {"xxx-rst", "fin-rst", 0},
        {"fni-rst", "fin-rst", 1}, /* exchanged */
        {"fni-rts", "fin-rst", 0}, /* twice */
        {"xxn", "fin", 1},         /* one letter of three is right */
        {"xxx", "fin", 0},
        {"xx", "of", 0}, /* none of two */
        {"of", "of", 1},
        {"", "of", 0},
    };

    ROW_NAMED(i, cases, word);

    const char *const names[] = {cases[i].name};
    if ((meant(cases[i].word, names, 1) != NULL) != cases[i].is_meant)
        fail_msg("'%s' for '%s'", cases[i].word, cases[i].name);
}

static void test_the_nearest_and_of_equals_the_first(void **state)
{
    static const char *const names[] = {"prot", "port", "part", "pert"};
    static const char *const further_first[] = {"ports-", "ports"};

    (void)state;
    assert_string_equal(meant("port", names, COUNT(names)), "port");
    assert_string_equal(meant("pirt", names, COUNT(names)), "port");
    assert_string_equal(meant("pert", names, COUNT(names)), "pert");
    assert_string_equal(meant("port", further_first, COUNT(further_first)), "ports");
    assert_null(meant("port", names, 0));
}

static void test_names_of_64_letters_are_too_long(void **state)
{
    char word[64];
    char name[65];
    const char *const names[] = {name};

    (void)state;
    memset(word, 'a', sizeof(word));
    memset(name, 'a', sizeof(name));
    name[63] = '\0';
    assert_ptr_equal(nearest(word, 64, names, 1), name);
    name[63] = 'a';
    name[64] = '\0';
    assert_null(nearest(word, 64, names, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_up_to_two_letters_away, ROWS),
        cmocka_unit_test(test_the_nearest_and_of_equals_the_first),
        cmocka_unit_test(test_names_of_64_letters_are_too_long),
    };

    return rows_run(tests, NULL, NULL);
}
