/* SPDX-License-Identifier: MIT */
/* Where lines go: a pipe, a terminal, a file; and not into what took descriptor 2's place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "report/log.h"

#define TIME_LIMIT 60000 /* ms */

static int standard_error; /* the runner's */
static int reader;         /* of what is written to descriptor 2 */
static char said[1 << 18];

/* Descriptor 2 is `fd`, which is closed. */
static void take(int fd)
{
    assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    close(fd);
}

static int begin(void **state)
{
    int ends[2];

    (void)state;
    standard_error = fcntl(STDERR_FILENO, F_DUPFD, 10);
    if (standard_error < 0 || pipe2(ends, O_NONBLOCK) != 0)
        return -1;
    reader = ends[0];
    take(ends[1]);
    return 0;
}

static int end(void **state)
{
    (void)state;
    log_subject(0);
    close(reader);
    take(standard_error);
    return 0;
}

/* All that was written since the last call. */
static const char *read_all(void)
{
    ssize_t length = 0;
    ssize_t more;

    while ((more = read(reader, said + length, sizeof(said) - 1 - (size_t)length)) > 0)
        length += more;
    said[length] = '\0';
    return said;
}

/* A terminal, of which `reader` is the other end. False where there is none. */
static bool take_terminal(void)
{
    struct termios raw;
    int front = posix_openpt(O_RDWR | O_NOCTTY);

    if (front < 0 || grantpt(front) != 0 || unlockpt(front) != 0)
        return false;
    int back = open(ptsname(front), O_RDWR | O_NOCTTY);
    if (back < 0 || tcgetattr(back, &raw) != 0)
        return false;
    cfmakeraw(&raw);
    assert_int_equal(tcsetattr(back, TCSANOW, &raw), 0);
    assert_int_equal(fcntl(front, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(dup2(front, reader), reader);
    close(front);
    take(back);
    return true;
}

static int lowest_free(void)
{
    int fd = dup(reader);

    close(fd);
    return fd;
}

static void test_off_until_it_is_opened(void **state)
{
    (void)state;
    assert_false(log_is_on());
}

static void test_standard_error(void **state)
{
    (void)state;
    assert_null(log_open("stderr"));
    assert_true(log_is_on());
    assert_true(log_write("one\n", 4));
    assert_string_equal(read_all(), "one\n");
    errno = ENOENT;
    log_stderr("two\n", 4);
    assert_int_equal(errno, ENOENT);
    assert_string_equal(read_all(), "two\n");
}

static void test_whose_lines(void **state)
{
    (void)state;
    assert_int_equal(log_pid(), getpid());
    log_subject(17);
    assert_int_equal(log_pid(), 17);
    log_subject(0);
    assert_int_equal(log_pid(), getpid());
}

static void test_descriptor_2_is_somebody_elses(void **state)
{
    int ends[2];
    char byte;

    (void)state;
    assert_null(log_open("stderr"));
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    take(ends[1]);
    assert_false(log_write("one\n", 4));
    assert_int_equal(read(ends[0], &byte, 1), -1);
    close(STDERR_FILENO);
    assert_false(log_write("one\n", 4));
    close(ends[0]);
}

/* A file that is out of reach at once, in a process of its own: it is said once in each. */
static void lose_a_file(void)
{
    char directory[] = "/tmp/log.XXXXXX";
    char name[64];
    pid_t child = fork();
    int status;

    if (child == 0) {
        bool is_made = mkdtemp(directory) != NULL;
        snprintf(name, sizeof(name), "%s/log", directory);
        bool is_open = is_made && !log_open(name) && unlink(name) == 0 && rmdir(directory) == 0;
        _exit(is_open && !log_write("one\n", 4) ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* Not a byte into a client's connection that inetd hands over, nor a log then. */
static void test_descriptor_2_is_a_connection_at_load(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    char byte;

    (void)state;
    assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    (void)connect(client, (struct sockaddr *)&address, length);
    take(accept(listener, NULL, NULL));
    assert_null(log_open("stderr"));
    assert_false(log_is_on());
    log_stderr("two\n", 4);
    lose_a_file();
    shutdown(STDERR_FILENO, SHUT_WR);
    fcntl(client, F_SETFL, 0);
    assert_int_equal(read(client, &byte, 1), 0);
    close(client);
    close(listener);
}

static void test_descriptor_2_is_closed_at_load(void **state)
{
    (void)state;
    close(STDERR_FILENO);
    assert_null(log_open("stderr"));
    assert_false(log_is_on());
}

/* Standard input is closed: its number serves as well. */
static void test_a_terminal(void **state)
{
    int input = dup(STDIN_FILENO);

    (void)state;
    if (!take_terminal())
        skip();
    assert_null(log_open("stderr"));
    close(STDIN_FILENO);
    for (int i = 0; i < 3; i++)
        assert_true(log_write("one\n", 4));
    assert_int_equal(lowest_free(), STDIN_FILENO);
    assert_int_equal(dup(input), STDIN_FILENO);
    close(input);
    assert_string_equal(read_all(), "one\none\none\n");
}

/* Reads `length` bytes, as they come. */
static void read_bytes(size_t length)
{
    struct pollfd readable = {.fd = reader, .events = POLLIN};
    size_t at = 0;

    while (at < length) {
        assert_int_equal(poll(&readable, 1, TIME_LIMIT), 1);
        ssize_t more = read(reader, said + at, length - at);
        assert_true(more > 0);
        at += (size_t)more;
    }
    said[at] = '\0';
}

/* Writes to the terminal until it takes not a byte more; how many it took. */
static size_t fill_terminal(void)
{
    static const char block[4096] = {[0 ... 4095] = 'x'};
    size_t total = 0;
    ssize_t length;

    fcntl(STDERR_FILENO, F_SETFL, O_RDWR | O_NONBLOCK);
    while ((length = write(STDERR_FILENO, block, sizeof(block))) > 0 ||
           (length = write(STDERR_FILENO, block, 1)) > 0)
        total += (size_t)length;
    fcntl(STDERR_FILENO, F_SETFL, O_RDWR);
    return total;
}

/* write(2) would wait there for a reader. After a line that was cut the next one begins anew. */
static void test_a_terminal_that_nobody_reads(void **state)
{
    static char line[1 << 17]; /* a terminal takes 64 KiB */

    (void)state;
    if (!take_terminal())
        skip();
    memset(line, 'x', sizeof(line));
    assert_null(log_open("stderr"));
    assert_false(log_write(line, sizeof(line)));
    assert_int_equal(errno, ENOSPC);
    while (!log_write("one\n", 4))
        read_bytes(1);
    while (!log_write("two\n", 4))
        read_bytes(1);
    do
        read_bytes(1);
    while (said[0] == 'x');
    assert_int_equal(said[0], '\n');
    read_bytes(8);
    assert_string_equal(said, "one\ntwo\n");
}

/* Where a line found no room at all, none has to be ended. */
static void test_a_terminal_without_room(void **state)
{
    size_t in_it;

    (void)state;
    if (!take_terminal())
        skip();
    assert_null(log_open("stderr"));
    in_it = fill_terminal();
    while (in_it < sizeof(said) - 8 && log_write("x", 1))
        in_it++;
    read_bytes(in_it);
    assert_true(log_write("one\n", 4));
    read_bytes(4);
    assert_string_equal(said, "one\n");
}

/* Its name in 400 bytes, and no control character. */
static void test_a_file_and_the_one_message_when_it_is_out_of_reach(void **state)
{
    char directory[64];
    char inner[80];
    char name[800];
    char expected[1024];
    struct stat status;

    (void)state;
    snprintf(directory, sizeof(directory), "%s/log.XXXXXX",
             getenv("TMPDIR") && strlen(getenv("TMPDIR")) < 40 ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(directory));
    assert_string_equal(log_open(directory), "is a directory, so nothing is written there");
    snprintf(inner, sizeof(inner), "%s/a\tb", directory);
    assert_int_equal(mkdir(inner, 0700), 0);
    snprintf(name, sizeof(name), "%s", inner);
    while (strlen(name) < 450)
        strcat(name, "/.");
    strcat(name, "/log");
    assert_null(log_open(name));
    assert_true(log_is_on());
    assert_true(log_write("one\n", 4));
    assert_int_equal(stat(name, &status), 0);
    assert_int_equal(status.st_size, 4);
    assert_string_equal(read_all(), "");
    assert_int_equal(unlink(name), 0);
    assert_int_equal(rmdir(inner), 0);
    assert_false(log_write("two\n", 4));
    *strchr(name, '\t') = '?';
    snprintf(expected, sizeof(expected),
             "liblinger: LINGER_LOG: '%.400s' cannot be written any more, so lines are lost\n",
             name);
    assert_string_equal(read_all(), expected);
    assert_false(log_write("two\n", 4));
    assert_string_equal(read_all(), "");
    assert_int_equal(rmdir(directory), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_off_until_it_is_opened),
        cmocka_unit_test_setup_teardown(test_standard_error, begin, end),
        cmocka_unit_test_setup_teardown(test_whose_lines, begin, end),
        cmocka_unit_test_setup_teardown(test_descriptor_2_is_somebody_elses, begin, end),
        cmocka_unit_test_setup_teardown(test_descriptor_2_is_a_connection_at_load, begin, end),
        cmocka_unit_test_setup_teardown(test_descriptor_2_is_closed_at_load, begin, end),
        cmocka_unit_test_setup_teardown(test_a_terminal, begin, end),
        cmocka_unit_test_setup_teardown(test_a_terminal_that_nobody_reads, begin, end),
        cmocka_unit_test_setup_teardown(test_a_terminal_without_room, begin, end),
        cmocka_unit_test_setup_teardown(test_a_file_and_the_one_message_when_it_is_out_of_reach,
                                        begin, end),
    };

    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
