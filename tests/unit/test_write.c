/* SPDX-License-Identifier: MIT */
/* A write inside somebody else's process: no signal, no wait, and the mask as it was. */
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
#include <sys/syscall.h>
#include <unistd.h>

#include "report/write.h"

static int ends[2];
static sigset_t before;

static int begin(void **state)
{
    (void)state;
    sigprocmask(SIG_SETMASK, NULL, &before);
    errno = 0;
    return pipe(ends);
}

static int end(void **state)
{
    (void)state;
    close(ends[0]);
    close(ends[1]);
    return 0;
}

/* Where `signal` is 0, none may wait. */
static void expect_pending(int signal)
{
    static const int signals[] = {SIGPIPE, SIGXFSZ, SIGTTOU};
    sigset_t pending;
    sigset_t mask;

    sigpending(&pending);
    sigprocmask(SIG_SETMASK, NULL, &mask);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        assert_int_equal(sigismember(&pending, signals[i]), signals[i] == signal);
        assert_int_equal(sigismember(&mask, signals[i]), signals[i] == signal);
    }
}

static void make_pending(int signal)
{
    sigset_t one;

    sigemptyset(&one);
    sigaddset(&one, signal);
    sigprocmask(SIG_BLOCK, &one, NULL);
    raise(signal);
}

static void forget_pending(int signal)
{
    static const struct timespec at_once = {0, 0};
    sigset_t one;

    sigemptyset(&one);
    sigaddset(&one, signal);
    assert_int_equal(sigtimedwait(&one, NULL, &at_once), signal);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

static void test_all_bytes(void **state)
{
    char read_back[8] = "";

    (void)state;
    assert_true(write_or_drop(ends[1], "hello", 5));
    assert_int_equal(read(ends[0], read_back, sizeof(read_back)), 5);
    assert_string_equal(read_back, "hello");
    expect_pending(0);
}

/* Nobody reads: not even a byte is written where write(2) would wait. */
static void test_a_full_pipe(void **state)
{
    static char block[4096];

    (void)state;
    assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    while (write(ends[1], block, sizeof(block)) > 0)
        ;
    assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0);
    errno = 0;
    assert_false(write_or_drop(ends[1], "hello", 5));
    assert_int_equal(errno, EAGAIN);
}

static void test_only_a_part(void **state)
{
    static char block[65536];

    (void)state;
    assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    while (write(ends[1], block, sizeof(block)) > 0)
        ;
    assert_true(read(ends[0], block, 4096) > 0);
    errno = 0;
    assert_false(write_or_drop(ends[1], block, sizeof(block)));
    assert_int_equal(errno, ENOSPC);
}

/* Where poll(2) says that there is room, and write(2) waits for more: a description that blocks. */
static void test_less_room_than_data(void **state)
{
    static char block[4 << 20];
    int pair[2];

    (void)state;
    alarm(60); /* what waits is ended */
    assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    while (write(ends[1], block, 4096) > 0)
        ;
    assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0);
    assert_int_equal(read(ends[0], block, 4096), 4096);
    errno = 0;
    assert_false(write_or_drop(ends[1], block, 8192));
    assert_int_equal(errno, ENOSPC);
    assert_false(write_or_drop(ends[1], block, 1));
    assert_int_equal(errno, EAGAIN);
    for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
        assert_int_equal(socketpair(AF_UNIX, type, 0, pair), 0);
        assert_true(write_or_drop(pair[1], "hello", 5));
        assert_int_equal(read(pair[0], block, 9), 5);
        assert_memory_equal(block, "hello", 5);
        while (write_or_drop(pair[1], block, 16384))
            ;
        assert_true(errno == EAGAIN || errno == ENOSPC);
        close(pair[0]);
        assert_false(write_or_drop(pair[1], "hello", 5));
        expect_pending(0);
        close(pair[1]);
    }
    alarm(0);
}

/* As before Linux 6.4, where pipes have no RWF_NOWAIT. From here on. */
static void forbid_nowait(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pwritev2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};

    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        print_message("no seccomp: as on this kernel\n");
}

/* SIGPIPE that was waiting is the program's, and goes on waiting. */
static void test_a_closed_pipe(void **state)
{
    (void)state;
    close(ends[0]);
    assert_false(write_or_drop(ends[1], "hello", 5));
    assert_int_equal(errno, EPIPE);
    expect_pending(0);
    make_pending(SIGPIPE);
    assert_false(write_or_drop(ends[1], "hello", 5));
    assert_int_equal(errno, EPIPE);
    expect_pending(SIGPIPE);
    forget_pending(SIGPIPE);
    make_pending(SIGXFSZ);
    assert_false(write_or_drop(ends[1], "hello", 5));
    expect_pending(SIGXFSZ);
    forget_pending(SIGXFSZ);
}

static void test_a_limit_of_file_size(void **state)
{
    FILE *file = tmpfile();
    struct rlimit limit;
    struct rlimit small;

    (void)state;
    assert_non_null(file);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = limit;
    small.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    bool whole = write_or_drop(fileno(file), "hello", 5);
    int error = errno;
    bool more = write_or_drop(fileno(file), "hello", 5);
    int next_error = errno;
    make_pending(SIGXFSZ);
    (void)write_or_drop(fileno(file), "hello", 5);
    setrlimit(RLIMIT_FSIZE, &limit);
    expect_pending(SIGXFSZ);
    forget_pending(SIGXFSZ);
    expect_pending(0);
    assert_false(whole);
    assert_int_equal(error, ENOSPC);
    assert_false(more);
    assert_int_equal(next_error, EFBIG);
    fclose(file);
}

/* What waits is not touched by a write that succeeds, or fails for another reason. */
static void test_signals_that_wait_for_the_program(void **state)
{
    static const int signals[] = {SIGPIPE, SIGXFSZ};
    int full = open("/dev/full", O_WRONLY);

    (void)state;
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        make_pending(signals[i]);
        assert_true(write_or_drop(ends[1], "hello", 5));
        assert_false(write_or_drop(full, "hello", 5));
        assert_int_equal(errno, ENOSPC);
        expect_pending(signals[i]);
        forget_pending(signals[i]);
    }
    close(full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_bytes, begin, end),
        cmocka_unit_test_setup_teardown(test_a_full_pipe, begin, end),
        cmocka_unit_test_setup_teardown(test_only_a_part, begin, end),
        cmocka_unit_test_setup_teardown(test_less_room_than_data, begin, end),
        cmocka_unit_test_setup_teardown(test_a_closed_pipe, begin, end),
        cmocka_unit_test_setup_teardown(test_a_limit_of_file_size, begin, end),
        cmocka_unit_test_setup_teardown(test_signals_that_wait_for_the_program, begin, end),
    };

    int failed = cmocka_run_group_tests_name("write", tests, NULL, NULL);
    forbid_nowait();
    return failed + cmocka_run_group_tests_name("write, an older kernel", tests, NULL, NULL);
}
