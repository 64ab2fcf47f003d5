/* SPDX-License-Identifier: MIT */
/* A call that the filter holds, and what may come between: its receiver dies, or a signal comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
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
static int fd = -1; /* the socket with which the program makes its calls */
static int other = -1;
static int (*program_calls)(void);
static int notifications;
static int to_program[2], of_program[2];
static pthread_t program;
static char said[4096];

static const void *address; /* that connect() gets */
static socklen_t address_length;
static struct sockaddr_in there; /* of a listener */

static struct { /* that setsockopt() sets */
    int level, name;
    const void *value;
    int size;
} option;

static int replace_flags;

static int poll_limit; /* of the last poll() */
static bool has_gone;  /* the caller, whatever the kernel says */
static const char *program_name;

/* In place of libc's and of the supervisor's own. */
int poll(struct pollfd *set, nfds_t count, int limit)
{
    struct timespec time = {limit / 1000, limit % 1000 * 1000000L};

    poll_limit = limit;
    return ppoll(set, count, limit < 0 ? NULL : &time, NULL);
}

bool notify_is_held(int listener, const struct seccomp_notif *request)
{
    return !has_gone &&
           (ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &request->id) == 0 || errno != ENOENT);
}

void target_name(pid_t pid, char name[TARGET_NAME_MAX])
{
    (void)pid;
    snprintf(name, TARGET_NAME_MAX, "%s", program_name);
}

static int call_listen(void)
{
    return listen(fd, 1);
}

static int call_connect(void)
{
    return connect(fd, address, address_length);
}

static int call_accept(void)
{
    other = accept(fd, NULL, NULL);
    return other;
}

/* Of a socket that is not connected: it does nothing. */
static int call_shutdown(void)
{
    return shutdown(fd, SHUT_RDWR);
}

static int call_shutdown_of_none(void)
{
    return shutdown(-1, SHUT_RDWR);
}

static int call_bind(void)
{
    return bind(fd, address, address_length);
}

static int call_setsockopt(void)
{
    return (int)syscall(SYS_setsockopt, fd, option.level, option.name, option.value, option.size);
}

static int call_replace(void)
{
    return (int)syscall(SYS_dup3, other, fd, replace_flags);
}

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

/* Goes under the filter, and makes its call each time that it is asked to. */
static void *run_program(void *unused)
{
    static struct filter filter;
    char byte;

    filter_build(&filter, ~0u, false);
    notifications = filter_install(&filter);
    if (write(of_program[1], &notifications, sizeof(notifications)) != sizeof(notifications))
        return unused;
    while (read(to_program[0], &byte, 1) == 1) {
        int result = program_calls();
        result = result < 0 ? -errno : result;
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

/* What the call returned, or its errno as a negative number. */
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
    settings.who = "test";
    settings.backend = BACKEND_SUPERVISE;
    settings.makes_accept = true;
    program_calls = call_listen;
    program_name = "test";
    replace_flags = O_CLOEXEC;
    has_gone = false;
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
    answer_forget(&answerer);
    close(fd);
    close(other);
    fd = -1;
    other = -1;
    return 0;
}

static void supervise(const char *mode)
{
    if (notifications < 0)
        skip();
    take(SETTING_MODE, mode);
    answer_begin(&answerer, getpid(), program_name);
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

static bool is_set_to_abort(int socket)
{
    struct linger value = {0, 0};
    socklen_t length = sizeof(value);

    assert_int_equal(getsockopt(socket, SOL_SOCKET, SO_LINGER, &value, &length), 0);
    return value.l_onoff == 1 && value.l_linger == 0;
}

static int linger2(void)
{
    int value = 0;
    socklen_t length = sizeof(value);

    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_LINGER2, &value, &length), 0);
    return value;
}

static bool is_armed(void)
{
    return is_set_to_abort(fd);
}

static void test_what_a_dead_receiver_left_is_answered(void **state)
{
    (void)state;
    supervise("rst");
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
    supervise("rst");
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
    supervise("rst");
    call();
    receive();
    room.call.request.data.arch = 0;
    assert_int_equal(pthread_kill(program, SIGUSR1), 0);
    assert_int_equal(hear(), -EINTR);
    answer_left_listening();
    assert_string_equal(said, "");
}

/* The program makes that call, which is answered. */
static int answered(int (*calls)(void))
{
    program_calls = calls;
    call();
    assert_true(answer_call(&answerer));
    return hear();
}

static int first_free_descriptor(void)
{
    int free = dup(STDERR_FILENO);

    close(free);
    return free;
}

static void test_no_duplicate_stays(void **state)
{
    (void)state;
    supervise("rst");
    assert_int_equal(answered(call_listen), 0); /* its process is known from now on */
    int before = first_free_descriptor();
    assert_int_equal(answered(call_listen), 0);
    assert_int_equal(first_free_descriptor(), before);
}

/* A listener of no program. */
static int begin_listener(void)
{
    socklen_t length = sizeof(there);
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    there = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    assert_int_equal(bind(listener, (struct sockaddr *)&there, length), 0);
    assert_int_equal(listen(listener, 100), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&there, &length), 0);
    address = &there;
    address_length = length;
    return listener;
}

static void another_socket(void)
{
    close(fd);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
}

/* Where the local end decides it is looked at soon, and then let go. */
static void test_connect_goes_on_before_it_is_decided(void **state)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC); /* 0 is open now */
    int listener = begin_listener();

    (void)state;
    supervise("rst local=127.0.0.1");
    assert_int_equal(answered(call_connect), 0);
    assert_int_equal(answerer.open_count, 1);
    assert_true(fcntl(answerer.open[0].fd, F_GETFD) >= 0);
    int duplicate = answerer.open[0].fd;
    assert_int_equal(answered(call_shutdown_of_none), -EBADF);
    assert_int_equal(poll_limit, 1);
    assert_true(is_armed());
    assert_int_equal(answerer.open_count, 0);
    assert_int_equal(fcntl(duplicate, F_GETFD), -1);
    assert_true(fcntl(STDIN_FILENO, F_GETFD) >= 0);
    close(listener);
    close(null);
}

/* A call that does nothing, answered as if it were a connect(). */
static void pretend_connect(void)
{
    program_calls = call_shutdown;
    call();
    receive();
    room.call.request.data.nr = SYS_connect;
    answer_left(&answerer);
    assert_int_equal(hear(), -ENOTCONN);
}

static void test_connect_without_a_local_end_is_let_go(void **state)
{
    struct sockaddr_in any = {.sin_family = AF_INET};

    (void)state;
    supervise("rst local=127.0.0.1");
    int64_t before = accept_clock();
    pretend_connect();
    int64_t after = accept_clock();
    assert_int_equal(answerer.open_count, 1);
    assert_in_range(answerer.open[0].until, before + 1000, after + 1000);
    assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
    before = accept_clock();
    pretend_connect();
    after = accept_clock();
    assert_int_equal(answerer.open_count, 2);
    assert_in_range(answerer.open[1].until, before + 100, after + 100);
    answerer.open[0].until = 0;
    assert_int_equal(answered(call_shutdown), -ENOTCONN);
    assert_int_equal(answerer.open_count, 1);
    assert_false(is_armed());
}

/* Between the two another program's call was answered. */
static void test_connect_is_decided_by_its_programs_name(void **state)
{
    int listener = begin_listener();

    (void)state;
    program_name = "wanted";
    supervise("rst prog=wanted local=127.0.0.1; off");
    pretend_connect();
    assert_int_equal(answerer.open_count, 1);
    program_name = "other";
    program_calls = call_shutdown_of_none;
    call();
    receive();
    answer_left(&answerer);
    assert_int_equal(hear(), -EBADF);
    assert_int_equal(connect(fd, address, address_length), 0);
    program_name = "wanted";
    assert_int_equal(answered(call_shutdown_of_none), -EBADF);
    assert_int_equal(answerer.open_count, 0);
    assert_true(is_armed());
    close(listener);
}

static void test_of_too_many_that_connect_the_oldest_is_let_go(void **state)
{
    (void)state;
    supervise("rst local=127.0.0.1");
    for (int i = 0; i < ANSWER_OPEN_MAX; i++)
        pretend_connect();
    __u64 second = answerer.open[1].request.id;
    int oldest = answerer.open[0].fd;
    assert_int_equal(answerer.open_count, ANSWER_OPEN_MAX);
    pretend_connect();
    assert_int_equal(answerer.open_count, ANSWER_OPEN_MAX);
    assert_int_equal(answerer.open[0].request.id, second);
    assert_int_equal(fcntl(oldest, F_GETFD), -1);
}

static void test_a_supervisor_has_precedence(void **state)
{
    struct rlimit files;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = 64;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
    supervise("rst");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    assert_int_equal(files.rlim_cur, files.rlim_max);
    if (geteuid() == 0)
        assert_int_equal(getpriority(PRIO_PROCESS, 0), -20);
}

/* Where each socket gets the same, too, unless the caller is known. */
static void test_a_caller_that_has_gone_and_was_never_met(void **state)
{
    int listener = begin_listener();

    (void)state;
    supervise("fin-rst");
    int before = linger2();
    has_gone = true;
    assert_int_equal(answered(call_connect), 0);
    has_gone = false;
    assert_int_equal(linger2(), before);
    another_socket();
    assert_int_equal(answered(call_connect), 0);
    assert_int_equal(linger2(), -1);
    close(listener);
}

/* Before it is acted on. */
static void test_a_caller_that_has_gone_is_left_alone(void **state)
{
    static int (*const calls[])(void) = {call_listen, call_connect, call_bind};
    int listener = begin_listener();

    (void)state;
    supervise("rst peer=127.0.0.1");
    assert_int_equal(answered(call_connect), 0); /* the next ones are of one that is known */
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        another_socket();
        has_gone = true;
        (void)answered(calls[i]);
        has_gone = false;
        assert_false(is_armed());
    }
    close(listener);
}

static void test_an_address_that_cannot_be_read_decides_nothing(void **state)
{
    int listener = begin_listener();

    (void)state;
    supervise("rst peer=127.0.0.1");
    assert_int_equal(answered(call_connect), 0);
    assert_true(is_armed());
    another_socket();
    address = NULL;
    assert_int_equal(answered(call_connect), -EFAULT);
    assert_false(is_armed());
    address = &there;
    address_length = sizeof(there) - 1;
    assert_int_equal(answered(call_connect), -EINVAL);
    assert_false(is_armed());
    close(listener);
}

static void test_addresses_of_any_length(void **state)
{
    static union {
        struct sockaddr_in in;
        char bytes[sizeof(struct sockaddr_storage) + 1];
    } padded;
    int listener = begin_listener();

    (void)state;
    supervise("rst peer=127.0.0.1");
    padded.in = there;
    address = &padded;
    address_length = sizeof(padded.bytes);
    assert_int_equal(answered(call_connect), -EINVAL);
    assert_false(is_armed());
    address_length--;
    assert_int_equal(answered(call_connect), 0);
    assert_true(is_armed());
    assert_int_equal(answerer.open_count, 0);
    close(listener);
}

static void test_an_ipv6_address(void **state)
{
    static const struct sockaddr_in6 loopback = {
        .sin6_family = AF_INET6, .sin6_port = 0xffff, .sin6_addr = IN6ADDR_LOOPBACK_INIT};

    (void)state;
    supervise("rst peer=[::1]");
    close(fd);
    fd = socket(AF_INET6, SOCK_STREAM, 0);
    if (fd < 0)
        skip();
    address = &loopback;
    address_length = sizeof(loopback);
    (void)answered(call_connect); /* before it fails, as nobody listens there */
    assert_true(is_armed());
}

static void test_where_close_decides_connect_is_not_kept(void **state)
{
    int listener = begin_listener();

    (void)state;
    supervise("rst local=127.0.0.1 when=active");
    assert_int_equal(answered(call_connect), 0);
    assert_int_equal(answerer.open_count, 0);
    assert_false(is_armed());
    close(listener);
}

static int sets(int name, const void *value, int size)
{
    option.level = name == SO_LINGER ? SOL_SOCKET : IPPROTO_TCP;
    option.name = name;
    option.value = value;
    option.size = size;
    return answered(call_setsockopt);
}

/* As the program wants it, with its errors; then it is overruled. */
static void test_options_are_set_and_overruled(void **state)
{
    static const struct linger lingers[20] = {{1, 5}};

    (void)state;
    supervise("rst");
    assert_int_equal(sets(SO_LINGER, lingers, (int)sizeof(lingers[0]) - 1), -EINVAL);
    assert_int_equal(sets(SO_LINGER, lingers, 0), -EINVAL);
    assert_int_equal(sets(SO_LINGER, lingers, -1), -EINVAL);
    assert_int_equal(sets(SO_LINGER, NULL, sizeof(lingers[0])), -EFAULT);
    assert_false(is_armed());
    assert_int_equal(sets(SO_LINGER, lingers, sizeof(lingers[0])), 0);
    assert_true(is_armed());
    another_socket();
    assert_int_equal(sets(SO_LINGER, lingers, sizeof(lingers)), 0);
    assert_true(is_armed());
}

static void test_linger2_is_overruled(void **state)
{
    static const int five = 5;

    (void)state;
    supervise("fin-rst");
    assert_int_equal(sets(TCP_LINGER2, &five, sizeof(five)), 0);
    assert_int_equal(linger2(), -1);
}

/* Of one without a name the rules without prog= decide. */
static void test_prog_is_decided_by_the_name_at_the_call(void **state)
{
    static const char *const names[] = {"", "other", "wanted", ""};

    (void)state;
    program_name = "";
    supervise("off prog=wanted; rst");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        program_name = names[i];
        another_socket();
        assert_int_equal(answered(call_listen), 0);
        assert_string_equal(answerer.name, names[i]);
        assert_int_equal(is_armed(), strcmp(names[i], "wanted") != 0);
    }
}

static int connect_there(void)
{
    int client = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(connect(client, (struct sockaddr *)&there, sizeof(there)), 0);
    return client;
}

static void supervise_accept(const char *mode)
{
    supervise(mode);
    close(fd);
    fd = begin_listener();
    if (!notify_can_give(notifications))
        skip();
}

/* By the program's name at the time. */
static void test_accept_waits_until_a_connection_comes(void **state)
{
    static const char *const names[] = {"other", "wanted"};

    (void)state;
    program_name = "other";
    supervise_accept("rst prog=wanted peer=127.0.0.1; off");
    for (int i = 0; i < 2; i++) {
        program_name = "other";
        program_calls = call_accept;
        call();
        assert_true(answer_call(&answerer));
        assert_int_equal(answerer.accepts.count, 1);
        program_name = names[i];
        program_calls = call_shutdown_of_none; /* next */
        int client = connect_there();
        assert_int_equal(write(to_program[1], "", 1), 1);
        assert_true(answer_call(&answerer));
        int number = hear();
        assert_true(number >= 0 && number == other);
        assert_int_equal(hear(), -EBADF);
        assert_int_equal(answerer.accepts.count, 0);
        assert_int_equal(is_set_to_abort(other), i);
        close(other);
        close(client);
    }
}

static void test_accept_that_does_not_wait(void **state)
{
    (void)state;
    supervise_accept("rst peer=127.0.0.1");
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(answered(call_accept), -EAGAIN);
    int client = connect_there();
    int number = answered(call_accept);
    assert_true(number >= 0 && number == other);
    assert_true(is_set_to_abort(other));
    close(client);
    close(other);
    another_socket();
    assert_int_equal(answered(call_accept), -EINVAL);
}

/* Of a wait that a signal ended the listener's duplicate is left, and has the port. */
static void test_bind_lets_go_of_listeners(void **state)
{
    int on = 0;
    socklen_t length = sizeof(on);

    (void)state;
    take(SETTING_REUSEADDR, "on");
    supervise_accept("rst peer=127.0.0.1");
    program_calls = call_accept;
    call();
    assert_true(answer_call(&answerer));
    assert_int_equal(answerer.accepts.count, 1);
    assert_int_equal(pthread_kill(program, SIGUSR1), 0);
    assert_int_equal(hear(), -EINTR);
    another_socket();
    program_calls = call_bind;
    call();
    assert_int_equal(
        ioctl(notifications, SECCOMP_IOCTL_NOTIF_RECV, memset(&room.call, 0, sizeof(room.call))),
        0);
    room.accepts.count = 0;
    answer_left(&answerer);
    assert_int_equal(answerer.accepts.count, 0);
    assert_int_equal(hear(), 0);
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, &length), 0);
    assert_int_equal(on, 1);
}

#ifdef SYS_dup2
static int call_dup2(void)
{
    return (int)syscall(SYS_dup2, other, fd, ~0); /* a third argument is not looked at */
}

static void test_dup2_has_no_flags(void **state)
{
    int listener = begin_listener();

    (void)state;
    supervise("rst when=active");
    assert_int_equal(answered(call_connect), 0);
    int seen = dup(fd);
    other = listener;
    assert_int_equal(answered(call_dup2), fd);
    assert_true(is_set_to_abort(seen));
    close(seen);
}
#endif

/* dup3() closes what it replaces, unless it fails. */
static void test_what_is_replaced_is_closed(void **state)
{
    int listener = begin_listener();

    (void)state;
    supervise("rst when=active");
    assert_int_equal(answered(call_connect), 0);
    int seen = dup(fd);
    other = -1;
    assert_int_equal(answered(call_replace), -EBADF);
    assert_false(is_set_to_abort(seen));
    other = fd;
    assert_int_equal(answered(call_replace), -EINVAL); /* dup2() would do nothing */
    assert_false(is_set_to_abort(seen));
    other = listener;
    replace_flags = O_NONBLOCK;
    assert_int_equal(answered(call_replace), -EINVAL);
    assert_false(is_set_to_abort(seen));
    replace_flags = O_CLOEXEC;
    int next = dup(seen);
    close(next);
    assert_int_equal(answered(call_replace), fd);
    assert_true(is_set_to_abort(seen));
    assert_int_equal(dup(seen), next);
    close(next);
    close(seen);
}

static void test_what_a_signal_took_away_is_logged(void **state)
{
    char path[] = "/tmp/linger-answer-XXXXXX";
    char log[4096], arm[64];

    (void)state;
    close(mkstemp(path));
    take(SETTING_LOG, path);
    supervise("rst");
    call();
    assert_int_equal(pthread_kill(program, SIGUSR1), 0);
    assert_int_equal(hear(), -EINTR);
    assert_true(answer_call(&answerer));
    assert_int_equal(answered(call_listen), 0);
    FILE *file = fopen(path, "r");
    unlink(path);
    assert_non_null(file);
    log[fread(log, 1, sizeof(log) - 1, file)] = '\0';
    fclose(file);
    assert_non_null(strstr(log, "event=interrupt"));
    snprintf(arm, sizeof(arm), "event=arm at=listen fd=%d ", fd);
    const char *line = strstr(log, arm);
    assert_non_null(line);
    assert_null(strstr(line + 1, "event="));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_a_dead_receiver_left_is_answered),
        TEST(test_another_architecture_is_left_alone),
        TEST(test_what_a_signal_took_away_is_passed_over),
        TEST(test_no_duplicate_stays),
        TEST(test_connect_goes_on_before_it_is_decided),
        TEST(test_connect_without_a_local_end_is_let_go),
        TEST(test_connect_is_decided_by_its_programs_name),
        TEST(test_of_too_many_that_connect_the_oldest_is_let_go),
        TEST(test_a_supervisor_has_precedence),
        TEST(test_a_caller_that_has_gone_and_was_never_met),
        TEST(test_a_caller_that_has_gone_is_left_alone),
        TEST(test_an_address_that_cannot_be_read_decides_nothing),
        TEST(test_addresses_of_any_length),
        TEST(test_an_ipv6_address),
        TEST(test_where_close_decides_connect_is_not_kept),
        TEST(test_options_are_set_and_overruled),
        TEST(test_linger2_is_overruled),
        TEST(test_prog_is_decided_by_the_name_at_the_call),
        TEST(test_accept_waits_until_a_connection_comes),
        TEST(test_accept_that_does_not_wait),
        TEST(test_bind_lets_go_of_listeners),
#ifdef SYS_dup2
        TEST(test_dup2_has_no_flags),
#endif
        TEST(test_what_is_replaced_is_closed),
        TEST(test_what_a_signal_took_away_is_logged), /* the last: a log stays on */
    };

    alarm(TIME_LIMIT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
