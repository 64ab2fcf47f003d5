/* SPDX-License-Identifier: MIT */
/* How a program finds what linger was started with; what its parent gives up; whose name it has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/kernel.h"
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

/* As before Linux 5.9. */
static void lose_close_range(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
    static const struct rlimit few = {64, 64};

    setrlimit(RLIMIT_NOFILE, &few); /* it tries each */
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
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

    for (int is_old = 0; is_old < 2; is_old++) {
        pid_t pid = fork();
        if (pid == 0 && is_old)
            lose_close_range();
        if (pid == 0)
            _exit(!releases(kept, same, closed, stays));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
}

static void test_all_is_closed_but_one(void **state)
{
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    check(KEPT, ends[1], 0, true);
    check(FIRST, ends[1], 0, true);
    check(FIRST + 1, ends[1], 0, true);
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

static bool names(const char *variable, long number)
{
    const char *value = getenv(variable);
    char text[32];

    snprintf(text, sizeof(text), "%ld", number);
    return value && strcmp(value, text) == 0;
}

static bool is_blocked(int number)
{
    sigset_t mask;

    sigprocmask(SIG_BLOCK, NULL, &mask);
    return sigismember(&mask, number) == 1;
}

static bool ignores_children(void)
{
    struct sigaction action;

    sigaction(SIGCHLD, NULL, &action);
    return action.sa_handler == SIG_IGN;
}

static long number_of(pid_t pid)
{
    struct stat status;

    return fstat((int)syscall(SYS_pidfd_open, pid, 0), &status) == 0 ? (long)status.st_ino : 1;
}

/* What the program finds; 0, or which of it is wrong. `owner`: whose pid LISTEN_PID is. */
static int wrong_in_program(pid_t owner, pid_t front)
{
    bool is_ours = owner == front;

    if (!names("LISTEN_PID", is_ours ? getpid() : owner) || !names("WATCHDOG_PID", getpid()))
        return 1;
    if (!names("LISTEN_PIDFDID", is_ours ? number_of(getpid()) : 1))
        return 2;
    if (!names("SYSTEMD_EXEC_PID", 1))
        return 3;
    if (!is_blocked(SIGUSR1) || is_blocked(SIGUSR2))
        return 4;
    return ignores_children() ? 0 : 5;
}

static void set_variable(const char *variable, long number)
{
    char text[32];

    snprintf(text, sizeof(text), "%ld", number);
    setenv(variable, text, 1);
}

/* In a process that is like linger. */
static int wrong_of(pid_t owner)
{
    pid_t front = getpid();
    sigset_t found;
    int status;

    owner = owner ? owner : front;
    set_variable("LISTEN_PID", owner);
    set_variable("LISTEN_PIDFDID", 1);
    set_variable("WATCHDOG_PID", front);
    set_variable("SYSTEMD_EXEC_PID", 1);
    signal(SIGCHLD, SIG_IGN);
    sigemptyset(&found);
    sigaddset(&found, SIGUSR1);
    sigprocmask(SIG_SETMASK, &found, NULL);
    child_prepare();
    if (!is_blocked(SIGUSR2) || ignores_children())
        return 6;
    pid_t program = child_fork();
    if (program == 0)
        _exit(wrong_in_program(owner, front));
    if (!names("LISTEN_PID", owner) || !names("WATCHDOG_PID", front) || !is_blocked(SIGUSR2))
        return 7;
    return waitpid(program, &status, 0) == program ? WEXITSTATUS(status) : 8;
}

static void test_a_program_finds_what_linger_was_started_with(void **state)
{
    static const pid_t owners[] = {0, 1};
    int status;

    (void)state;
    for (size_t i = 0; i < sizeof(owners) / sizeof(owners[0]); i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(wrong_of(owners[i]));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

static int wrong_without_variables(void)
{
    int status;

    unsetenv("LISTEN_PIDFDID");
    unsetenv("WATCHDOG_PID");
    unsetenv("SYSTEMD_EXEC_PID");
    child_prepare();
    set_variable("LISTEN_PID", getpid());
    pid_t program = child_fork();
    if (program == 0)
        _exit(!names("LISTEN_PID", getpid()) || getenv("LISTEN_PIDFDID") || getenv("WATCHDOG_PID"));
    return waitpid(program, &status, 0) == program ? WEXITSTATUS(status) : 1;
}

static void test_no_variable_is_made_up(void **state)
{
    int status;

    (void)state;
    pid_t pid = fork();
    if (pid == 0)
        _exit(wrong_without_variables());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
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
        cmocka_unit_test(test_a_program_finds_what_linger_was_started_with),
        cmocka_unit_test(test_no_variable_is_made_up),
        cmocka_unit_test(test_all_is_closed_but_one),
        cmocka_unit_test(test_a_connection_is_no_standard_error),
        cmocka_unit_test(test_closed_standard_descriptors),
        cmocka_unit_test(test_the_program_lends_its_name),
    };

    alarm(TIME_LIMIT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
