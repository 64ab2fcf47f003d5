/* SPDX-License-Identifier: MIT */
/* A call that the filter holds, where something came between: its receiver died, or a signal came.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/notify/notify.h"
#include "cli/supervise/answer.h"
#include "cli/supervise/filter.h"
#include "core/moments.h"

#define TIME_LIMIT 60 /* seconds, for all */

static const struct cli_command self = {.name = "test"};
static struct settings settings;
static struct answer_room room;
static struct answerer answerer;
static int fd = -1; /* the socket with which the program calls listen() */
static int notifications;
static int to_program[2], of_program[2];
static pthread_t program;
static char said[4096];

static void do_nothing(int signal)
{
    (void)signal;
}

static void take(enum setting setting, const char *value)
{
    struct text complaint;
    char buffer[SETTINGS_COMPLAINT_MAX];

    text_begin(&complaint, buffer, sizeof(buffer));
    assert_int_equal(settings_take(&settings, setting, "-", value, &complaint), 0);
}

/* Goes under the filter, and calls listen() each time that it is asked to. */
static void *run_program(void *unused)
{
    static struct filter filter;
    char byte;

    filter_build(&filter, MOMENT_LISTEN | MOMENT_ACCEPT, false);
    notifications = filter_install(&filter);
    if (write(of_program[1], &notifications, sizeof(notifications)) != sizeof(notifications))
        return unused;
    while (read(to_program[0], &byte, 1) == 1) {
        int result = listen(fd, 1) == 0 ? 0 : errno;
        if (write(of_program[1], &result, sizeof(result)) != sizeof(result))
            break;
    }
    return unused;
}

static void call(void)
{
    struct pollfd calls = {.fd = notifications, .events = POLLIN};

    assert_int_equal(write(to_program[1], "", 1), 1);
    assert_int_equal(poll(&calls, 1, -1), 1);
}

static int hear(void)
{
    int result = -1;

    assert_int_equal(read(of_program[0], &result, sizeof(result)), sizeof(result));
    return result;
}

/* As by a receiver that dies then. */
static void receive(void)
{
    memset(&room, 0, sizeof(room));
    assert_int_equal(ioctl(notifications, SECCOMP_IOCTL_NOTIF_RECV, &room.call), 0);
}

static int begin(void **state)
{
    const struct sigaction action = {.sa_handler = do_nothing}; /* without SA_RESTART */

    (void)state;
    memset(&settings, 0, sizeof(settings));
    memset(&answerer, 0, sizeof(answerer));
    settings.backend = BACKEND_SUPERVISE;
    if (pipe(to_program) != 0 || pipe(of_program) != 0 || sigaction(SIGUSR1, &action, NULL) != 0 ||
        pthread_create(&program, NULL, run_program, NULL) != 0)
        return -1;
    hear();
    answerer.self = &self;
    answerer.all = &settings;
    answerer.room = &room;
    return 0;
}

static int end(void **state)
{
    (void)state;
    close(notifications); /* then nothing is held */
    close(to_program[1]);
    pthread_join(program, NULL);
    close(to_program[0]);
    close(of_program[0]);
    close(of_program[1]);
    close(fd);
    fd = -1;
    return 0;
}

static void supervise(void)
{
    if (notifications < 0)
        skip();
    take(SETTING_MODE, "rst");
    answer_begin(&answerer, getpid(), "test");
    fd = socket(AF_INET, SOCK_STREAM, 0); /* now: one that it inherits is armed already */
    assert_true(fd >= 0);
    answer_use(&answerer, notifications);
}

/* What goes to standard error is in `said`. */
static void answer_left_listening(void)
{
    int before = dup(STDERR_FILENO);
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    answer_left(&answerer);
    dup2(before, STDERR_FILENO);
    close(before);
    close(ends[1]);
    ssize_t length = read(ends[0], said, sizeof(said) - 1);
    said[length < 0 ? 0 : length] = '\0';
    close(ends[0]);
}

static bool is_armed(void)
{
    struct linger value = {0, 0};
    socklen_t length = sizeof(value);

    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_LINGER, &value, &length), 0);
    return value.l_onoff == 1 && value.l_linger == 0;
}

static void test_what_a_dead_receiver_left_is_answered(void **state)
{
    (void)state;
    supervise();
    call();
    receive();
    answer_left_listening();
    assert_false(notify_is_held(notifications, &room.call.request));
    assert_int_equal(hear(), 0);
    assert_true(is_armed());
    assert_string_equal(said, "");
}

static void test_another_architecture_is_left_alone(void **state)
{
    char line[128];

    (void)state;
    supervise();
    for (int i = 0; i < 2; i++) {
        call();
        receive();
        room.call.request.data.arch = 0;
        snprintf(
            line, sizeof(line),
            "linger test: pid %u is a 32-bit program: a supervisor leaves its connections alone\n",
            room.call.request.pid);
        answer_left_listening();
        assert_false(notify_is_held(notifications, &room.call.request));
        assert_int_equal(hear(), 0);
        assert_false(is_armed());
        assert_string_equal(said, i == 0 ? line : "");
    }
}

static void test_what_a_signal_took_away_is_passed_over(void **state)
{
    (void)state;
    supervise();
    call();
    receive();
    room.call.request.data.arch = 0;
    assert_int_equal(pthread_kill(program, SIGUSR1), 0);
    assert_int_equal(hear(), EINTR);
    answer_left_listening();
    assert_string_equal(said, "");
}

static void test_what_a_signal_took_away_is_logged(void **state)
{
    char path[] = "/tmp/linger-answer-XXXXXX";
    char log[4096];

    (void)state;
    close(mkstemp(path));
    take(SETTING_LOG, path);
    supervise();
    call();
    assert_int_equal(pthread_kill(program, SIGUSR1), 0);
    assert_int_equal(hear(), EINTR);
    assert_true(answer_call(&answerer));
    FILE *file = fopen(path, "r");
    unlink(path);
    assert_non_null(file);
    log[fread(log, 1, sizeof(log) - 1, file)] = '\0';
    fclose(file);
    assert_non_null(strstr(log, "event=interrupt"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_a_dead_receiver_left_is_answered),
        TEST(test_another_architecture_is_left_alone),
        TEST(test_what_a_signal_took_away_is_passed_over),
        TEST(test_what_a_signal_took_away_is_logged),
    };

    alarm(TIME_LIMIT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
