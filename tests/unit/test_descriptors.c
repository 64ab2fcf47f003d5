/* SPDX-License-Identifier: MIT */
/* Which descriptors are visited. Each test runs in a child, whose table is as small as can be:
 * fork(2) copies what is open, and a table that has grown once stays large. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "socket/descriptors.h"

#define NUMBERS 2000
#define SMALL_TABLE 64 /* what the kernel begins with, descriptors.c */

static unsigned char visits[NUMBERS];

static void visit(int fd)
{
    if (fd < 0 || fd >= NUMBERS)
        _exit(1);
    visits[fd]++;
}

static void visit_between(unsigned first, unsigned last)
{
    memset(visits, 0, sizeof(visits));
    descriptors_each(first, last, visit);
}

static void must(bool holds, int line)
{
    if (!holds)
        _exit(line);
}

#define MUST(holds) must(holds, __LINE__ % 256)

static int status_of(pid_t child)
{
    int status = -1;

    return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* In a child of a child that has closed what it had beyond the standard ones. */
static void in_child(void (*body)(void))
{
    pid_t child = fork();

    if (child == 0) {
        for (int fd = 3; fd < NUMBERS; fd++)
            close(fd);
        pid_t second = fork();
        if (second == 0)
            body();
        _exit(second == 0 ? 0 : status_of(second));
    }
    assert_int_equal(status_of(child), 0); /* else the line */
}

/* Leaves `fds` open, and no other. */
static void open_only(const int *fds, size_t count)
{
    int fd = open("/dev/null", O_RDONLY);

    for (size_t i = 0; i < count; i++)
        MUST(dup2(fd, fds[i]) == fds[i]);
    for (int other = 0; other < NUMBERS; other++) {
        bool is_kept = false;
        for (size_t i = 0; i < count; i++)
            is_kept = is_kept || fds[i] == other;
        if (!is_kept)
            close(other);
    }
}

static void each_of_a_small_table(void)
{
    static const int fds[] = {0, 5, SMALL_TABLE - 1};

    open_only(fds, 3);
    visit_between(0, UINT_MAX);
    for (size_t i = 0; i < 3; i++)
        MUST(visits[fds[i]] == 1);
    visit_between(4, 6);
    for (int fd = 0; fd < NUMBERS; fd++)
        MUST(visits[fd] == (fd >= 4 && fd <= 6));
    visit_between(SMALL_TABLE - 1, UINT_MAX);
    MUST(visits[SMALL_TABLE - 1] == 1 && !visits[SMALL_TABLE - 2] && !visits[SMALL_TABLE]);
}

/* Exactly those that are open, though far apart, and not the one that reads the directory. */
static void each_of_a_large_table(void)
{
    static const int fds[] = {
        0,   2,   3,   9,   10,  19,  20,  SMALL_TABLE - 1, SMALL_TABLE + 1, 90, 99,
        100, 109, 190, 199, 200, 789, 1001};
    const size_t count = sizeof(fds) / sizeof(fds[0]);

    open_only(fds, count);
    for (int first = 0; first < 30; first++) {
        static const unsigned lasts[] = {9, 10, 199, 789, 1000, UINT_MAX};
        for (size_t j = 0; j < sizeof(lasts) / sizeof(lasts[0]); j++) {
            int expected[NUMBERS] = {0};
            for (size_t i = 0; i < count; i++)
                expected[fds[i]] = fds[i] >= first && (unsigned)fds[i] <= lasts[j];
            visit_between((unsigned)first, lasts[j]);
            for (int fd = 0; fd < NUMBERS; fd++)
                MUST(visits[fd] == expected[fd]);
        }
    }
}

/* The first number beyond a small table, and the one after it. */
static void one_beyond(void)
{
    static const int first[] = {SMALL_TABLE};
    static const int second[] = {SMALL_TABLE + 1};

    open_only(first, 1);
    visit_between(0, UINT_MAX);
    MUST(visits[SMALL_TABLE] == 1);
    open_only(second, 1);
    visit_between(0, UINT_MAX);
    MUST(visits[SMALL_TABLE + 1] == 1 && !visits[SMALL_TABLE]);
}

/* No descriptor is left for /proc/self/fd. */
static void where_proc_cannot_be_read(void)
{
    static const int fds[] = {0, SMALL_TABLE + 1};
    struct rlimit none = {0, 0};

    open_only(fds, 2);
    MUST(setrlimit(RLIMIT_NOFILE, &none) == 0);
    visit_between(0, UINT_MAX);
    MUST(visits[0] == 1 && visits[SMALL_TABLE + 1] == 1);
    MUST(visits[1023] == 1); /* the usual limit */
    visit_between(SMALL_TABLE + 1, SMALL_TABLE + 1);
    for (int fd = 0; fd < NUMBERS; fd++)
        MUST(visits[fd] == (fd == SMALL_TABLE + 1));
}

static void test_a_small_table(void **state)
{
    (void)state;
    in_child(each_of_a_small_table);
}

static void test_a_large_table(void **state)
{
    (void)state;
    in_child(each_of_a_large_table);
}

static void test_one_beyond(void **state)
{
    (void)state;
    in_child(one_beyond);
}

static void test_where_proc_cannot_be_read(void **state)
{
    (void)state;
    in_child(where_proc_cannot_be_read);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_small_table),
        cmocka_unit_test(test_a_large_table),
        cmocka_unit_test(test_one_beyond),
        cmocka_unit_test(test_where_proc_cannot_be_read),
    };

    return cmocka_run_group_tests_name("descriptors", tests, NULL, NULL);
}
