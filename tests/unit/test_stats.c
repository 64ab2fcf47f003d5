/* SPDX-License-Identifier: MIT */
/* The file of counters: made once, shared, never half, and never somebody else's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "report/stats.h"

static char directory[64];
static char path[96];

/* The clock that names what is completed beside the file: a nanosecond a call, from 5.000000000. */
static unsigned clock_calls;
static bool has_no_clock;

int clock_gettime(clockid_t id, struct timespec *now)
{
    static long began;

    if (id == CLOCK_MONOTONIC) { /* by which a process begins to count anywhere */
        *now = (struct timespec){5, began += 12345};
        return 0;
    }
    if (has_no_clock)
        return -1;
    *now = (struct timespec){5, clock_calls++};
    return 0;
}

/* What happens just before the file gets its name, and the error of link(2). */
static const char *rival; /* a file that takes the name first */
static int link_error;
static char linked[128];

int link(const char *from, const char *to)
{
    snprintf(linked, sizeof(linked), "%s", from);
    if (rival)
        rename(rival, to);
    errno = link_error;
    return link_error ? -1 : linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

static int begin(void **state)
{
    (void)state;
    clock_calls = 0;
    has_no_clock = false;
    rival = NULL;
    link_error = 0;
    linked[0] = '\0';
    snprintf(directory, sizeof(directory), "%s/stats.XXXXXX",
             getenv("TMPDIR") && strlen(getenv("TMPDIR")) < 40 ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof(path), "%s/counters", directory);
    return 0;
}

static int end(void **state)
{
    (void)state;
    unlink(path);
    rmdir(path);
    return rmdir(directory); /* nothing else was left in it */
}

static void write_file(const void *data, size_t length)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, length, file), length);
    fclose(file);
}

static uint64_t sum(enum stats_counter counter)
{
    struct stats now;

    assert_int_equal(stats_read(path, &now), STATS_OK);
    return stats_get(&now, counter);
}

static void test_all_who_name_it_count_in_one_file(void **state)
{
    struct stats *ours;
    struct stats *theirs;

    (void)state;
    assert_int_equal(stats_open(path, &ours), STATS_OK);
    assert_int_equal(stats_open(path, &theirs), STATS_OK);
    for (int i = 0; i < STAT_COUNT; i++)
        assert_int_equal(sum(i), 0);
    assert_true(stats_add(ours, STAT_FAILED, 2));
    assert_true(stats_add(theirs, STAT_FAILED, 1));
    assert_true(stats_add(theirs, STAT_COUNT - 1, 0));
    assert_int_equal(sum(STAT_FAILED), 3);
    assert_int_equal(sum(STAT_FAILED + 1), 0);
    assert_int_equal(sum(STAT_COUNT - 1), 0);
}

/* The words have 32 bits, the sums have more. */
static void test_large_sums(void **state)
{
    static const uint32_t amounts[] = {1, 2047, 2048, 65535, 65536, 1000000, INT32_MAX, UINT32_MAX};
    struct stats *stats;
    uint64_t expected = 0;

    (void)state;
    for (unsigned round = 0; round < 64; round++) {
        /* As another process does, which begins elsewhere. */
        assert_int_equal(stats_open(path, &stats), STATS_OK);
        for (size_t i = 0; i < sizeof(amounts) / sizeof(amounts[0]); i++) {
            assert_true(stats_add(stats, STAT_UNSENT_BYTES, amounts[i]));
            expected += amounts[i];
            assert_true(sum(STAT_UNSENT_BYTES) == expected);
        }
    }
    assert_true(expected > 1ull << 38);
    assert_int_equal(sum(STAT_UNSENT_BYTES - 1), 0);
    assert_int_equal(sum(STAT_UNSENT_BYTES + 1), 0);
}

static void test_units_one_by_one_add_up_to_a_large_sum(void **state)
{
    const uint32_t unit = 65536;
    struct stats *stats;

    (void)state;
    assert_int_equal(stats_open(path, &stats), STATS_OK);
    for (unsigned i = 0; i < unit; i++)
        assert_true(stats_add(stats, STAT_UNSENT_BYTES, unit));
    assert_true(sum(STAT_UNSENT_BYTES) == (uint64_t)unit * unit);
}

/* 4,000,000,000 events of one each, and a reader that knows which number near the units is meant.
 */
static void test_a_sum_around_what_the_words_hold(void **state)
{
    struct stats stats = {.count = 0};

    (void)state;
    for (uint64_t value = 0; value < 1ull << 34; value += 123456789) {
        for (int off = -30000; off <= 30000; off += 30000) {
            int64_t units = (int64_t)(value >> 16) + off;
            if (units < 0)
                continue;
            stats.sums[0].low = (uint32_t)value;
            stats.sums[0].units = (uint32_t)units;
            assert_true(stats_get(&stats, 0) == value);
        }
    }
}

/* Where an instruction would get SIGBUS. */
static void test_a_file_that_is_cut_short(void **state)
{
    struct stats *stats;

    (void)state;
    assert_int_equal(stats_open(path, &stats), STATS_OK);
    assert_true(stats_add(stats, STAT_FAILED, 1));
    assert_int_equal(truncate(path, 0), 0);
    assert_false(stats_add(stats, STAT_FAILED, 1));
    assert_int_equal(errno, EFAULT);
    assert_int_equal(truncate(path, sizeof(*stats)), 0);
    assert_true(stats_add(stats, STAT_FAILED, 1));
}

static void *count_in_a_thread(void *stats)
{
    for (int i = 0; i < 70000; i++)
        stats_add(stats, STAT_ABORTS, 1);
    return NULL;
}

static void test_threads_and_processes_lose_no_count(void **state)
{
    struct stats *stats;
    pthread_t threads[3];
    int status = -1;

    (void)state;
    assert_int_equal(stats_open(path, &stats), STATS_OK);
    pid_t child = fork();
    if (child == 0) {
        count_in_a_thread(stats);
        _exit(0);
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_in_a_thread, stats), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(sum(STAT_ABORTS), 280000);
}

static void test_who_only_reads_makes_none(void **state)
{
    struct stats stats;

    (void)state;
    assert_int_equal(stats_read(path, &stats), STATS_FAILED);
    assert_int_equal(errno, ENOENT);
}

static void test_what_is_not_ours_is_left_as_it_is(void **state)
{
    static char bytes[sizeof(struct stats) + 1];
    static const size_t lengths[] = {0, 1, sizeof(struct stats) - 1, sizeof(struct stats),
                                     sizeof(struct stats) + 1};
    struct stats *stats;
    struct stat status;

    (void)state;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        write_file(bytes, lengths[i]);
        assert_int_equal(stats_open(path, &stats), STATS_FOREIGN);
        assert_null(stats);
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_size, lengths[i]);
    }
}

/* One field of a good file changed, or a byte too much or too few. */
static void test_another_version_is_not_ours(void **state)
{
    struct {
        struct stats stats;
        char more;
    } good = {.more = 0};
    struct stats *stats;

    (void)state;
    assert_int_equal(stats_open(path, &stats), STATS_OK);
    memcpy(&good.stats, stats, sizeof(*stats));
    for (size_t at = 0; at < offsetof(struct stats, sums); at++) {
        char *byte = (char *)&good + at;
        *byte ^= 1;
        write_file(&good, sizeof(good.stats));
        assert_int_equal(stats_open(path, &stats), STATS_FOREIGN);
        assert_int_equal(stats_read(path, &good.stats), STATS_FOREIGN);
        *byte ^= 1;
    }
    write_file(&good, sizeof(good.stats) - 1);
    assert_int_equal(stats_open(path, &stats), STATS_FOREIGN);
    write_file(&good, sizeof(good.stats) + 1);
    assert_int_equal(stats_open(path, &stats), STATS_FOREIGN);
    write_file(&good, sizeof(good.stats));
    assert_int_equal(stats_open(path, &stats), STATS_OK);
}

static void test_what_is_no_file(void **state)
{
    struct stats *stats;

    (void)state;
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(stats_open(path, &stats), STATS_FAILED);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(stats_open(path, &stats), STATS_FOREIGN);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(stats_open("/nowhere/counters", &stats), STATS_FAILED);
}

static const char *beside(unsigned nanoseconds)
{
    static char name[128];

    snprintf(name, sizeof(name), "%s.new.%llu", path, 5000000000ull + nanoseconds);
    return name;
}

/* Others began at the same nanosecond, or left their file in a crash. Standard input is closed:
 * descriptor 0 is as good as any. */
static void test_a_name_that_is_taken_is_not_used(void **state)
{
    static const unsigned taken[] = {0, 1, 7, 8};
    int before = dup(STDIN_FILENO);
    struct stats *stats;

    (void)state;
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        for (unsigned n = 0; n < taken[i]; n++)
            close(open(beside(n), O_CREAT | O_WRONLY, 0600));
        close(STDIN_FILENO);
        clock_calls = 0;
        assert_int_equal(stats_open(path, &stats), taken[i] < 8 ? STATS_OK : STATS_FAILED);
        assert_int_equal(dup(before), STDIN_FILENO); /* no descriptor was left open */
        if (taken[i] < 8)
            assert_string_equal(linked, beside(taken[i]));
        assert_int_equal(unlink(path), taken[i] < 8 ? 0 : -1);
        for (unsigned n = 0; n < taken[i]; n++)
            assert_int_equal(unlink(beside(n)), 0);
    }
    close(before);
}

static void test_without_a_clock_the_name_is_zero(void **state)
{
    char expected[128];
    struct stats *stats;

    (void)state;
    has_no_clock = true;
    assert_int_equal(stats_open(path, &stats), STATS_OK);
    snprintf(expected, sizeof(expected), "%s.new.0", path);
    assert_string_equal(linked, expected);
}

static void test_the_mode_is_what_umask_leaves(void **state)
{
    mode_t before = umask(027);
    struct stats *stats;
    struct stat status;

    (void)state;
    assert_int_equal(stats_open(path, &stats), STATS_OK);
    umask(before);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
}

/* The file that was there first is the one that all count in. */
static void test_another_process_that_was_faster(void **state)
{
    char other[128];
    struct stats *stats;

    (void)state;
    assert_int_equal(stats_open(path, &stats), STATS_OK);
    assert_true(stats_add(stats, STAT_FAILED, 3));
    snprintf(other, sizeof(other), "%s.other", path);
    assert_int_equal(rename(path, other), 0);
    rival = other;
    assert_int_equal(stats_open(path, &stats), STATS_OK);
    assert_int_equal(sum(STAT_FAILED), 3);
}

/* As on a file system without hard links. */
static void test_a_file_that_cannot_get_its_name(void **state)
{
    struct stats *stats;

    (void)state;
    link_error = EPERM;
    assert_int_equal(stats_open(path, &stats), STATS_FAILED);
    assert_int_equal(errno, EPERM);
}

static void test_a_file_that_cannot_be_written_whole_gets_no_name(void **state)
{
    struct rlimit before;
    struct rlimit small;
    struct stats *stats;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 10;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum stats_status opened = stats_open(path, &stats);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(opened, STATS_FAILED);
    assert_int_equal(access(path, F_OK), -1);
}

static void test_what_is_there_is_opened_once_and_nothing_is_made(void **state)
{
    int before = dup(STDIN_FILENO);
    struct stats *stats;

    (void)state;
    assert_int_equal(stats_open(path, &stats), STATS_OK);
    clock_calls = 0;
    close(STDIN_FILENO);
    errno = ENOENT;
    assert_int_equal(stats_open(path, &stats), STATS_OK);
    assert_int_equal(dup(before), STDIN_FILENO);
    close(before);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(stats_open(path, &stats), STATS_FAILED);
    assert_int_equal(clock_calls, 0);
    assert_int_equal(stats_open("/nowhere/counters", &stats), STATS_FAILED);
    assert_int_equal(clock_calls, 1);
}

/* Each verdict on a closed connection, active and passive, and each mode armed: one of its own. */
static void test_no_two_events_share_a_counter(void **state)
{
    unsigned seen[STAT_COUNT] = {0};

    (void)state;
    for (enum policy_mode mode = MODE_FIN; mode < MODE_TEARDOWNS; mode++)
        seen[stats_armed(mode)]++;
    for (int passive = 0; passive < 2; passive++) {
        seen[stats_closed(passive, false, MODE_OFF)]++;
        for (enum policy_mode mode = MODE_OFF; mode < MODE_TEARDOWNS; mode++)
            seen[stats_closed(passive, true, mode)]++;
    }
    for (enum sock_switch option = SOCK_REUSEADDR; option <= SOCK_BIND_NO_PORT; option++) {
        seen[stats_switched(option, false)]++;
        seen[stats_switched(option, true)]++;
    }
    for (int i = 0; i < STAT_COUNT; i++) {
        bool is_switch =
            i >= STAT_REUSEADDR_SET && i <= (int)stats_switched(SOCK_BIND_NO_PORT, false);
        assert_int_equal(seen[i], i < STAT_CLOSED_UNCONNECTED || is_switch);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_who_name_it_count_in_one_file, begin, end),
        cmocka_unit_test_setup_teardown(test_large_sums, begin, end),
        cmocka_unit_test_setup_teardown(test_units_one_by_one_add_up_to_a_large_sum, begin, end),
        cmocka_unit_test(test_a_sum_around_what_the_words_hold),
        cmocka_unit_test_setup_teardown(test_a_file_that_is_cut_short, begin, end),
        cmocka_unit_test_setup_teardown(test_threads_and_processes_lose_no_count, begin, end),
        cmocka_unit_test_setup_teardown(test_who_only_reads_makes_none, begin, end),
        cmocka_unit_test_setup_teardown(test_what_is_not_ours_is_left_as_it_is, begin, end),
        cmocka_unit_test_setup_teardown(test_another_version_is_not_ours, begin, end),
        cmocka_unit_test_setup_teardown(test_what_is_no_file, begin, end),
        cmocka_unit_test_setup_teardown(test_a_name_that_is_taken_is_not_used, begin, end),
        cmocka_unit_test_setup_teardown(test_without_a_clock_the_name_is_zero, begin, end),
        cmocka_unit_test_setup_teardown(test_the_mode_is_what_umask_leaves, begin, end),
        cmocka_unit_test_setup_teardown(test_another_process_that_was_faster, begin, end),
        cmocka_unit_test_setup_teardown(test_a_file_that_cannot_get_its_name, begin, end),
        cmocka_unit_test_setup_teardown(test_a_file_that_cannot_be_written_whole_gets_no_name,
                                        begin, end),
        cmocka_unit_test_setup_teardown(test_what_is_there_is_opened_once_and_nothing_is_made,
                                        begin, end),
        cmocka_unit_test(test_no_two_events_share_a_counter),
    };

    return cmocka_run_group_tests_name("stats", tests, NULL, NULL);
}
