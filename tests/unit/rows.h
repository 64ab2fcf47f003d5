/* SPDX-License-Identifier: MIT */
/*
 * A test of a table is a test for each row: a row that fails is named, and the others still run. It
 * begins with ROW or ROW_NAMED, stands in the list of tests with the state ROWS, and rows_run()
 * runs the list.
 */
#pragma once

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

struct rows {
    size_t count; /* 0: the test says how many rows there are */
    size_t at;
    const char *first; /* the name in the first row, or NULL */
    size_t size;
};

static struct rows rows_asked;
#define ROWS (&rows_asked)

#define ROW_OF(i, table, name_of_first)                                                            \
    struct rows *const rows_ = *state;                                                             \
    if (rows_->count == 0) {                                                                       \
        *rows_ = (struct rows){.count = sizeof(table) / sizeof((table)[0]),                        \
                               .first = (const char *)(name_of_first),                             \
                               .size = sizeof((table)[0])};                                        \
        return;                                                                                    \
    }                                                                                              \
    const size_t i = rows_->at

/* `i` is the number of the row; `member`, a string, is its name. */
#define ROW(i, table) ROW_OF(i, table, NULL)
#define ROW_NAMED(i, table, member) ROW_OF(i, table, &(table)[0].member)

/* "test_mistakes 12: rst port=0". A newline would end the line of the result. */
static inline char *rows_name(const char *test, const struct rows *row)
{
    const char *name = "";
    char text[160];

    if (row->first)
        name = *(const char *const *)(const void *)(row->first + row->at * row->size);
    snprintf(text, sizeof(text), "%s %zu%s%.100s", test, row->at, row->first ? ": " : "",
             name ? name : "NULL");
    for (char *c = text; *c; c++)
        *c = *c == '\n' || *c == '#' ? ' ' : *c;
    return strdup(text);
}

static inline int rows_run_all(const struct CMUnitTest *tests, size_t count,
                               CMFixtureFunction begin, CMFixtureFunction end)
{
    static struct CMUnitTest all[1000];
    static struct rows each[1000];
    size_t used = 0;

    for (size_t i = 0; i < count; i++) {
        struct rows rows = {.count = 0};
        void *state = &rows;

        if (tests[i].initial_state == ROWS)
            tests[i].test_func(&state);
        for (size_t row = 0; row < (rows.count > 0 ? rows.count : 1); row++, used++) {
            assert_true(used < sizeof(all) / sizeof(all[0]));
            all[used] = tests[i];
            if (rows.count == 0)
                continue;
            each[used] = rows;
            each[used].at = row;
            all[used].name = rows_name(tests[i].name, &each[used]);
            all[used].initial_state = &each[used];
        }
    }
    return _cmocka_run_group_tests("tests", all, used, begin, end);
}

#define rows_run(tests, begin, end)                                                                \
    rows_run_all(tests, sizeof(tests) / sizeof((tests)[0]), begin, end)
