/* SPDX-License-Identifier: MIT */
/* What the parent of a program gives up, and the name that it has then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/supervise/child.h"

#define TIME_LIMIT 60 /* seconds */

enum { FIRST = STDERR_FILENO + 1, KEPT = FIRST + 2, LAST = KEPT + 2 };

static bool is_null(int fd)
{
    struct stat null, status;

    return stat("/dev/null", &null) == 0 && fstat(fd, &status) == 0 &&
           null.st_rdev == status.st_rdev;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* Of descriptors that are all the same, but for those that are closed. */
static bool releases(int kept, int same, unsigned closed, bool stays)
{
    struct stat before, after;

    for (int fd = 0; fd <= LAST; fd++)
        dup2(same, fd);
    fstat(STDERR_FILENO, &before);
    for (int fd = 0; fd <= STDERR_FILENO; fd++) {
        if (closed & 1u << fd)
            close(fd);
    }
    child_release(kept);
    if (!is_null(STDIN_FILENO) || !is_null(STDOUT_FILENO) || fstat(STDERR_FILENO, &after) != 0)
        return false;
    for (int fd = FIRST; fd <= LAST + 1; fd++) {
        if (is_open(fd) != (fd == kept))
            return false;
    }
    return stays ? after.st_ino == before.st_ino && after.st_dev == before.st_dev
                 : is_null(STDERR_FILENO);
}

/* In a process of its own. Standard error `stays`, or else becomes /dev/null. */
static void check(int kept, int same, unsigned closed, bool stays)
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(!releases(kept, same, closed, stays));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_all_is_closed_but_one(void **state)
{
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    check(KEPT, ends[1], 0, true);
    check(FIRST, ends[1], 0, true);
    check(LAST, ends[1], 0, true);
    check(-1, ends[1], 0, true);
    close(ends[0]);
    close(ends[1]);
}

static void test_a_connection_is_no_standard_error(void **state)
{
    int tcp = socket(AF_INET, SOCK_STREAM, 0);

    (void)state;
    check(-1, tcp, 0, false);
    close(tcp);
}

static void test_closed_standard_descriptors(void **state)
{
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    for (unsigned closed = 1; closed < 8; closed++)
        check(KEPT, ends[1], closed, !(closed & 1u << STDERR_FILENO));
    close(ends[0]);
    close(ends[1]);
}

static void test_the_program_lends_its_name(void **state)
{
    char words[] = "linger\0run\0/bin/program\0argument";
    char before[sizeof(words)] = "(program)";
    char *argv[] = {words + 11, words + 24, NULL};
    char name[16], old[16];
    char *invocation = program_invocation_name;

    (void)state;
    prctl(PR_GET_NAME, old);
    program_invocation_name = words;
    child_lend_name(argv[0], argv);
    program_invocation_name = invocation;
    prctl(PR_GET_NAME, name);
    prctl(PR_SET_NAME, old);
    assert_string_equal(name, "(program)");
    assert_memory_equal(words, before, sizeof(words));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_is_closed_but_one),
        cmocka_unit_test(test_a_connection_is_no_standard_error),
        cmocka_unit_test(test_closed_standard_descriptors),
        cmocka_unit_test(test_the_program_lends_its_name),
    };

    alarm(TIME_LIMIT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
