/* SPDX-License-Identifier: MIT */
/* Which descriptors are visited. Each test runs in a child, which closes what it has. */
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
    uint64_t buffer[24] = {0};

    descriptors_each(first, last, visit, buffer, sizeof(buffer));
}

static void must(bool holds, int line)
{
    if (!holds)
        _exit(line);
}

#define MUST(holds) must(holds, __LINE__ % 256)

static void in_child(void (*body)(void))
{
    pid_t child = fork();
    int status = -1;

    if (child == 0) {
        body();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0); /* else the line */
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

/* Exactly those that are open, though far apart, and not the one that reads the directory. */
static void each_that_is_open(void)
{
    static const int fds[] = {0,  2,  3,   9,   10,  19,  20,  63,  65,
                              90, 99, 100, 109, 190, 199, 200, 789, 1001};
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

/* No descriptor is left for /proc/self/fd. */
static void where_proc_cannot_be_read(void)
{
    static const int fds[] = {0, 65};
    struct rlimit none = {0, 0};

    open_only(fds, 2);
    MUST(setrlimit(RLIMIT_NOFILE, &none) == 0);
    visit_between(0, UINT_MAX);
    MUST(visits[0] == 1 && visits[65] == 1);
    MUST(visits[1023] == 1); /* the usual limit */
    visit_between(65, 65);
    for (int fd = 0; fd < NUMBERS; fd++)
        MUST(visits[fd] == (fd == 65));
}

static void test_each_that_is_open(void **state)
{
    (void)state;
    in_child(each_that_is_open);
}

static void test_where_proc_cannot_be_read(void **state)
{
    (void)state;
    in_child(where_proc_cannot_be_read);
}

/* Which numbers dup2() may give. */
static void what_is_permitted(void)
{
    struct rlimit limit = {100, 200};

    MUST(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    MUST(descriptors_is_permitted(0, 0) && descriptors_is_permitted(getpid(), 99));
    MUST(!descriptors_is_permitted(0, 100) && !descriptors_is_permitted(0, -1));
}

static void test_what_is_permitted(void **state)
{
    (void)state;
    in_child(what_is_permitted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_that_is_open),
        cmocka_unit_test(test_where_proc_cannot_be_read),
        cmocka_unit_test(test_what_is_permitted),
    };

    return cmocka_run_group_tests_name("descriptors", tests, NULL, NULL);
}
