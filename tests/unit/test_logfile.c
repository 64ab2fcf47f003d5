/* SPDX-License-Identifier: MIT */
/* The log's file: found again after a rotation, kept where it cannot be, and never somebody else's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "report/fileid.h"
#include "report/logfile.h"
#include "rows.h"

static char base[64];
static char directory[80];
static char name[96];

static int begin(void **state)
{
    (void)state;
    snprintf(base, sizeof(base), "%s/logfile.XXXXXX",
             getenv("TMPDIR") && strlen(getenv("TMPDIR")) < 40 ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(base))
        return -1;
    snprintf(directory, sizeof(directory), "%s/d", base);
    snprintf(name, sizeof(name), "%s/log", directory);
    return mkdir(directory, 0700);
}

static int end(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof(command), "rm -r '%s'", base);
    return system(command);
}

/* What one opens at load lasts as long as the process: each test has one of its own. */
#define require(condition) require_at(condition, __LINE__, #condition)

static void require_at(bool holds, int line, const char *condition)
{
    if (!holds) {
        fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, line, condition, errno);
        _exit(1);
    }
}

static void in_a_process(void (*body)(void))
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        body();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void limit_numbers(rlim_t count)
{
    struct rlimit limit = {count, count};

    require(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static int count_open(void)
{
    int count = 0;

    for (int fd = 0; fd < 1100; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* The number that is kept where the limit is `count`; -1 for none. */
static int kept_of(int count)
{
    static bool was_open[4096];
    int found = -1;

    limit_numbers((rlim_t)count);
    for (int fd = 0; fd < 1100; fd++)
        was_open[fd] = fcntl(fd, F_GETFD) >= 0;
    require(logfile_open(name, 1) == NULL);
    for (int fd = 0; fd < 1100; fd++) {
        if (!was_open[fd] && fcntl(fd, F_GETFD) >= 0) {
            require(found < 0);
            require(fcntl(fd, F_GETFD) == FD_CLOEXEC);
            found = fd;
        }
    }
    return found;
}

static bool writes(enum logfile_status status)
{
    int before = count_open();

    require(logfile_write(1, "line\n", 5) == status);
    require(count_open() == before);
    return true;
}

static long size_of(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 ? (long)status.st_size : -1;
}

static void rename_in(const char *from, const char *to)
{
    char old[128];
    char new[128];

    snprintf(old, sizeof(old), "%s/%s", base, from);
    snprintf(new, sizeof(new), "%s/%s", base, to);
    require(rename(old, new) == 0);
}

static long size_in(const char *path)
{
    char whole[128];

    snprintf(whole, sizeof(whole), "%s/%s", base, path);
    return size_of(whole);
}

struct row {
    int limit;
    int kept;
};
static const struct row *row;

static void number(void)
{
    require(kept_of(row->limit) == row->kept);
    require(writes(LOGFILE_WRITTEN) && size_of(name) == 5);
    require(unlink(name) == 0);
    require(writes(LOGFILE_WRITTEN) && size_of(name) == 5);
    require(unlink(name) == 0);
}

/* One number, high enough to be in nobody's way; none where there are few. */
static void test_numbers(void **state)
{
    static const struct row rows[] = {{1100, 992}, {1024, 992}, {1023, 992}, {128, 124},
                                      {65, 63},    {64, 62},    {63, -1}};
    struct rlimit limit;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        row = &rows[i];
        if ((rlim_t)row->limit <= limit.rlim_max)
            in_a_process(number);
    }
}

static void rotation(void)
{
    struct stat status;

    umask(022);
    require(kept_of(128) == 124);
    require(stat(name, &status) == 0 && (status.st_mode & 07777) == 0644);
    require(writes(LOGFILE_WRITTEN) && size_of(name) == 5);
    rename_in("d/log", "d/log.1");
    require(writes(LOGFILE_WRITTEN) && writes(LOGFILE_WRITTEN));
    require(size_of(name) == 10 && size_in("d/log.1") == 5);
    require(unlink(name) == 0);
    require(writes(LOGFILE_WRITTEN) && size_of(name) == 5);
}

/* As after chroot(2) or setuid(2): the kept one is written to, the first one and one that took its
 * place; but not a file that has no name any more. */
static void out_of_reach(void)
{
    require(kept_of(128) == 124);
    rename_in("d", "e");
    require(writes(LOGFILE_WRITTEN) && size_in("e/log") == 5);
    rename_in("e", "d");
    rename_in("d/log", "d/log.1");
    require(writes(LOGFILE_WRITTEN));
    rename_in("d", "e");
    require(writes(LOGFILE_WRITTEN) && size_in("e/log") == 10 && size_in("e/log.1") == 5);
    rename_in("e", "d");
    require(unlink(name) == 0);
    rename_in("d", "e");
    writes(LOGFILE_CLOSED);
}

/* The program closes all it has: the file is opened anew, and kept at its old number. */
static void closed(void)
{
    require(kept_of(128) == 124);
    writes(LOGFILE_WRITTEN);
    close(124);
    require(logfile_write(1, "line\n", 5) == LOGFILE_WRITTEN && size_of(name) == 10);
    require(fcntl(124, F_GETFD) == FD_CLOEXEC);
    require(writes(LOGFILE_WRITTEN) && size_of(name) == 15);
    close(124);
    rename_in("d", "e");
    writes(LOGFILE_CLOSED);
}

/* The program has the number now, for a pipe, and for a file. */
static void taken(void)
{
    int ends[2];
    struct stat before;
    struct stat after;
    char other[128];

    require(kept_of(128) == 124);
    require(pipe(ends) == 0 && dup2(ends[1], 124) == 124);
    require(writes(LOGFILE_WRITTEN) && size_of(name) == 5);
    struct pollfd readable = {.fd = ends[0], .events = POLLIN};
    require(poll(&readable, 1, 0) == 0);
    require(write(124, "x", 1) == 1 && poll(&readable, 1, 0) == 1);

    snprintf(other, sizeof(other), "%s/other", base);
    int fd = open(other, O_CREAT | O_RDWR, 0600);
    require(dup2(fd, 124) == 124 && fstat(124, &before) == 0);
    require(writes(LOGFILE_WRITTEN) && size_of(name) == 10);
    require(fstat(124, &after) == 0 && after.st_ino == before.st_ino && after.st_size == 0);
    rename_in("d", "e");
    require(writes(LOGFILE_CLOSED) && size_of(other) == 0);
}

/* Not kept: its reader sees the end. Standard input is closed, and its number serves as well. */
static void fifo(void)
{
    char bytes[16];

    require(mkfifo(name, 0600) == 0);
    require(strcmp(logfile_open(name, 1), "cannot be written, so nothing is written there") == 0);
    int reader = open(name, O_RDONLY | O_NONBLOCK);
    require(reader > 0);
    close(STDIN_FILENO);
    require(kept_of(128) == -1);
    for (int i = 0; i < 3; i++) {
        writes(LOGFILE_WRITTEN);
        require(read(reader, bytes, sizeof(bytes)) == 5);
        require(read(reader, bytes, sizeof(bytes)) == 0);
    }
    close(reader);
    writes(LOGFILE_CLOSED);
}

static void full(void)
{
    close(STDIN_FILENO);
    require(logfile_open("/dev/full", 1) == NULL);
    writes(LOGFILE_LOST);
}

static void names(void)
{
    char expected[128];

    require(chdir(directory) == 0);
    require(logfile_open("%p.%%p", 4321) == NULL);
    require(size_in("d/4321.%p") == 0);
    require(chdir("/") == 0);
    require(logfile_write(17, "line\n", 5) == LOGFILE_WRITTEN);
    require(size_in("d/17.%p") == 5);
    require(chdir(directory) == 0 && logfile_open("plain", 1) == NULL);
    require(size_in("d/plain") == 0);
    require(strcmp(logfile_open(directory, 1), "is a directory, so nothing is written there") == 0);
    snprintf(expected, sizeof(expected), "%s/none/log", directory);
    require(strcmp(logfile_open(expected, 1), "cannot be written, so nothing is written there") ==
            0);
}

/* Pages that this process has mapped. */
static long mapped(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long pages = -1;

    require(file && fscanf(file, "%ld", &pages) == 1);
    fclose(file);
    return pages;
}

static void memory(void)
{
    char of_each[128];

    snprintf(of_each, sizeof(of_each), "%s.%%p", name);
    require(logfile_open(of_each, 1) == NULL);
    writes(LOGFILE_WRITTEN);
    long before = mapped();
    for (int i = 0; i < 300; i++)
        require(logfile_write(1, "line\n", 5) == LOGFILE_WRITTEN);
    for (int i = 0; i < 150; i++)
        require(logfile_open("/none/log.%p", 1) != NULL);
    require(mapped() < before + 100);
}

static void jail(void)
{
    require(mkdir(directory, 0700) == 0 || errno == EEXIST);
    require(kept_of(128) == 124);
    require(chroot(base) == 0 && mkdir("/tmp", 0700) == 0);
    for (char *c = name + 1; (c = strchr(c, '/')); c++) { /* its directory exists in the jail too */
        *c = '\0';
        mkdir(name, 0700);
        *c = '/';
    }
    require(writes(LOGFILE_WRITTEN) && size_of(name) == -1 && size_of("/d/log") == 5);
    close(124);
    require(writes(LOGFILE_CLOSED) && size_of(name) == -1);
}

#define TEST(body)                                                                                 \
    static void test_##body(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        in_a_process(body);                                                                        \
    }
TEST(rotation)
TEST(out_of_reach)
TEST(closed)
TEST(taken)
TEST(fifo)
TEST(full)
TEST(names)
TEST(memory)

static void test_jail(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    in_a_process(jail);
}

static void test_identity(void **state)
{
    static const struct fileid one = {.device = 1, .inode = 2};
    static const struct fileid other_device = {.device = 2, .inode = 2};
    static const struct fileid other_inode = {.device = 1, .inode = 3};
    struct fileid id;
    struct stat status;

    (void)state;
    assert_true(fileid_is(&one, &one));
    assert_false(fileid_is(&one, &other_device));
    assert_false(fileid_is(&one, &other_inode));
    int fd = open(name, O_CREAT | O_RDWR, 0600);
    assert_int_equal(fstat(fd, &status), 0);
    memset(&id, 0xff, sizeof(id));
    id.is_file = false;
    assert_true(fileid_of_descriptor(fd, &id));
    assert_int_equal(id.device,
                     (uint64_t)major(status.st_dev) << 32 | (uint64_t)minor(status.st_dev));
    assert_int_equal(id.inode, status.st_ino);
    assert_true(id.is_file);
    assert_true(fileid_of_path(directory, &id));
    assert_false(id.is_file);
    assert_int_equal(unlink(name), 0);
    assert_false(fileid_of_path(name, &id));
    assert_true(fileid_of_descriptor(fd, &id));
    assert_false(id.is_file);
    close(fd);
    assert_false(fileid_of_descriptor(fd, &id));
}

static void test_whose_directories(void **state)
{
    static const struct {
        unsigned owner, group;
        mode_t mode;
        bool put, replaced;
    } rows[] = {
        {0, 0, 0755, false, false},     {0, 0, 0775, false, false},
        {0, 65534, 0755, false, false}, {0, 65534, 0775, true, true},
        {0, 65534, 01775, true, false}, {0, 0, 0757, true, true},
        {0, 0, 01777, true, false},     {65534, 0, 0700, true, true},
        {65534, 0, 01700, true, true},
    };
    char below[128];
    char file[160];

    ROW(i, rows);
    if (geteuid() != 0)
        skip();
    snprintf(below, sizeof(below), "%s/below", directory);
    snprintf(file, sizeof(file), "%s/file", below);
    assert_int_equal(mkdir(below, 0700), 0);

    assert_int_equal(chown(directory, rows[i].owner, rows[i].group), 0);
    assert_int_equal(chmod(directory, rows[i].mode), 0);
    assert_int_equal(fileid_may_be_put(name), rows[i].put || fileid_may_be_put(base));
    assert_int_equal(fileid_may_be_replaced(name), rows[i].replaced);
    assert_int_equal(fileid_may_be_replaced(file), rows[i].replaced);
    assert_int_equal(chdir(directory), 0);
    assert_int_equal(fileid_may_be_put("file"), rows[i].put);
    assert_int_equal(fileid_may_be_replaced("below/file"), rows[i].replaced);
    assert_int_equal(chdir(below), 0);
    assert_false(fileid_may_be_put("file"));
    assert_int_equal(chdir("/"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_numbers, begin, end),
        cmocka_unit_test_setup_teardown(test_rotation, begin, end),
        cmocka_unit_test_setup_teardown(test_out_of_reach, begin, end),
        cmocka_unit_test_setup_teardown(test_closed, begin, end),
        cmocka_unit_test_setup_teardown(test_taken, begin, end),
        cmocka_unit_test_setup_teardown(test_fifo, begin, end),
        cmocka_unit_test_setup_teardown(test_full, begin, end),
        cmocka_unit_test_setup_teardown(test_names, begin, end),
        cmocka_unit_test_setup_teardown(test_memory, begin, end),
        cmocka_unit_test_setup_teardown(test_jail, begin, end),
        cmocka_unit_test_setup_teardown(test_identity, begin, end),
        cmocka_unit_test_prestate_setup_teardown(test_whose_directories, begin, end, ROWS),
    };

    return rows_run(tests, NULL, NULL);
}
