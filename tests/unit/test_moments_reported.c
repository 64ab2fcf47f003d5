/* SPDX-License-Identifier: MIT */
/* What each moment reports, and bind(): its options, and the failures that are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "core/moments.h"
#include "loopback.h"
#include "rows.h"
#include "socket/sock.h"

#define BIND_ADDRESS_NO_PORT 24 /* linux/in.h */

static char directory[] = "/tmp/linger-reported-XXXXXX";
static char log_path[sizeof(directory) + 4];
static long read_so_far;
static char line[1024]; /* the last that was read */
static struct settings settings;

static void take(enum setting setting, const char *value)
{
    struct text complaint;
    char buffer[SETTINGS_COMPLAINT_MAX];

    text_begin(&complaint, buffer, sizeof(buffer));
    assert_int_equal(settings_take(&settings, setting, "-", value, &complaint), 0);
}

/* The words of the next line of the log: "arm at=socket". None: there must be no further line. */
static void expect_line(const char *event, const char *word)
{
    FILE *file = fopen(log_path, "r");

    line[0] = '\0';
    assert_non_null(file);
    assert_int_equal(fseek(file, read_so_far, SEEK_SET), 0);
    if (fgets(line, sizeof(line), file))
        read_so_far += (long)strlen(line);
    fclose(file);
    if (!event) {
        assert_string_equal(line, "");
        return;
    }
    if (!strstr(line, event) || !strstr(line, word))
        print_message("expected '%s %s', not: %s\n", event, word, line);
    assert_non_null(strstr(line, event));
    assert_non_null(strstr(line, word));
}

static void start(const char *policy, enum backend backend)
{
    memset(&settings, 0, sizeof(settings));
    settings.backend = backend;
    take(SETTING_MODE, policy);
    take(SETTING_LOG, log_path);
    moments_wanted = 0;
    moments_start(&settings, "test");
    expect_line("event=load", "program=test");
}

/* Before there is a log. */
static void test_bind(void **state)
{
    static const struct {
        const char *reuseaddr, *reuseport, *bind_no_port;
        in_port_t port;
        int had, is_reuseaddr, is_reuseport, is_bind_no_port;
    } cases[] = {
        {"on", "", "", 80, 0, 1, 0, 0},
        {"", "on", "", 80, 0, 0, 1, 0},
        {"on", "on", "on", 80, 0, 1, 1, 0},
        {"on", "on", "on", 0, 0, 0, 0, 1},
        {"off", "off", "off", 80, 1, 0, 0, 1},
        {"off", "off", "off", 0, 1, 1, 1, 0},
        {"", "", "", 80, 1, 1, 1, 1},
        {"on port=80", "on port=81", "", 80, 0, 1, 0, 0},
        {"on port=1", "on port=2", "", 1, 0, 1, 0, 0},
        {"on local=127.0.0.1", "on local=127.0.0.2", "", 80, 0, 1, 0, 0},
        {"off port=81; on", "on local=127.0.0.0/8", "on local=127.0.0.1", 80, 0, 1, 1, 0},
        {"on", "on", "on local=127.0.0.1", 0, 0, 0, 0, 1},
    };

    ROW(i, cases);

    struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(cases[i].port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct {
        int level, option, is;
    } each[] = {{SOL_SOCKET, SO_REUSEADDR, cases[i].is_reuseaddr},
                {SOL_SOCKET, SO_REUSEPORT, cases[i].is_reuseport},
                {IPPROTO_IP, BIND_ADDRESS_NO_PORT, cases[i].is_bind_no_port}};
    memset(&settings, 0, sizeof(settings));
    take(SETTING_REUSEADDR, cases[i].reuseaddr);
    take(SETTING_REUSEPORT, cases[i].reuseport);
    take(SETTING_BIND_NO_PORT, cases[i].bind_no_port);
    moments_start(&settings, "test");
    local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (size_t j = 0; j < 3; j++)
        setsockopt(fd, each[j].level, each[j].option, &cases[i].had, sizeof(int));
    moments_bind(fd, (struct sockaddr *)&local, sizeof(local));
    for (size_t j = 0; j < 3; j++) {
        int value = -1;
        socklen_t length = sizeof(value);
        getsockopt(fd, each[j].level, each[j].option, &value, &length);
        assert_int_equal(value, each[j].is);
    }
    close(fd);
}

static void test_other_sockets_are_bound_as_they_are(void **state)
{
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(80)};
    int udp = socket(AF_INET, SOCK_DGRAM, 0);
    int tcp = socket(AF_INET, SOCK_STREAM, 0);
    int value = -1;
    socklen_t length = sizeof(value);

    (void)state;
    memset(&settings, 0, sizeof(settings));
    take(SETTING_REUSEADDR, "on");
    moments_start(&settings, "test");
    moments_bind(udp, (struct sockaddr *)&local, sizeof(local));
    getsockopt(udp, SOL_SOCKET, SO_REUSEADDR, &value, &length);
    assert_int_equal(value, 0);
    local.sin_family = AF_UNIX;
    moments_bind(tcp, (struct sockaddr *)&local, sizeof(local));
    getsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, &value, &length);
    assert_int_equal(value, 0);
    close(udp);
    close(tcp);
}

static void test_without_a_log_nothing_more_is_seen(void **state)
{
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(80)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    (void)state;
    errno = EADDRINUSE;
    moments_bind_fails(fd, (struct sockaddr *)&local, sizeof(local), EADDRINUSE);
    assert_int_equal(errno, EADDRINUSE);
    close(fd);
    assert_int_not_equal(access(log_path, F_OK), 0);
}

/* What the log has to see, beside what the policy has. */
static void test_moments_of_a_log(void **state)
{
    (void)state;
    start("", BACKEND_SUPERVISE);
    assert_int_equal(moments_wanted, MOMENT_BIND);
    start("", BACKEND_PRELOAD);
    assert_int_equal(moments_wanted, MOMENT_BIND | MOMENT_CLOSE | MOMENT_CONNECT_FAILED);
    start("fin when=active", BACKEND_SUPERVISE);
    assert_int_equal(moments_wanted, MOMENT_BIND | MOMENT_CONNECT | MOMENT_LISTEN |
                                         MOMENT_SETSOCKOPT | MOMENT_CLOSE | MOMENT_EXIT);
    assert_true(moments_asks_peer());
}

static void test_births(void **state)
{
    (void)state;
    start("rst", BACKEND_PRELOAD);
    moments_socket(-1, AF_INET, SOCK_STREAM, 0);
    expect_line("event=fail", "option=SO_LINGER");
    assert_int_equal(begin(NULL), 0);
    moments_socket(client, AF_INET, SOCK_STREAM, 0);
    expect_line("event=arm at=socket", "verdict=rst");
    moments_setsockopt(client, SOL_SOCKET, SO_LINGER);
    expect_line("event=override", "verdict=rst");
    moments_setsockopt(-1, SOL_SOCKET, SO_LINGER);
    expect_line(NULL, NULL);
    start("off role=client; rst", BACKEND_PRELOAD);
    expect_line("event=arm at=load", "role=server");
    expect_line("event=arm at=load", "role=server");
    moments_connected(client);
    moments_setsockopt(client, SOL_SOCKET, SO_LINGER);
    expect_line(NULL, NULL);
    end(NULL);
}

static void test_ends(void **state)
{
    (void)state;
    start("rst role=client when=active", BACKEND_PRELOAD);
    assert_int_equal(begin(NULL), 0);
    moments_close(server);
    expect_line("event=close", "verdict=none");
    moments_close(listener);
    moments_close(-1);
    expect_line(NULL, NULL);
    moments_close(client);
    expect_line("event=close", "verdict=rst");
    assert_false(moments_shutdown(server, SHUT_RDWR));
    expect_line(NULL, NULL);
    assert_true(moments_shutdown(client, SHUT_RDWR));
    expect_line("event=reset", "role=client");
    moments_close(client);
    expect_line("event=close", "state=closed");
    end(NULL);
}

/* From now on connect(), by which a connection is aborted, or setsockopt() fails with EPERM. */
static void forbid(int call)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};

    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(77);
}

static int abort_confined(void)
{
    char byte;

    forbid(SYS_connect);
    bool aborted = moments_shutdown(server, SHUT_RDWR);
    shutdown(server, SHUT_RDWR);
    bool is_orderly = recv(client, &byte, 1, 0) == 0;
    moments_close(server);
    shutdown(client, SHUT_WR);
    moments_close(server);
    return aborted || !is_orderly;
}

static int close_confined(void)
{
    forbid(SYS_setsockopt);
    moments_close(server);
    return 0;
}

static void in_a_child(int (*act)(void))
{
    int status = -1;
    pid_t child = fork();

    if (child == 0)
        _exit(act());
    assert_int_equal(waitpid(child, &status, 0), child);
    if (status == 77 << 8)
        skip();
    assert_int_equal(status, 0);
}

/* A program in a sandbox: the verdict in the log is what became of the connection. */
static void test_what_the_kernel_refuses(void **state)
{
    (void)state;
    start("rst role=server", BACKEND_PRELOAD);
    assert_int_equal(begin(NULL), 0);
    in_a_child(abort_confined);
    expect_line("event=fail", "option=connect errno=1 verdict=rst");
    expect_line("event=close", "state=fin-wait-");
    expect_line("event=close", "state=closed");
    assert_non_null(strstr(line, "verdict=none why=\"no connection is left to end\""));
    end(NULL);
    start("rst when=active", BACKEND_PRELOAD);
    assert_int_equal(begin(NULL), 0);
    in_a_child(close_confined);
    expect_line("event=fail", "option=SO_LINGER errno=1 verdict=rst");
    expect_line("event=close", "verdict=fin");
    end(NULL);
}

static void test_a_port_in_use(void **state)
{
    struct sockaddr_in local = {.sin_family = AF_INET};
    socklen_t length = sizeof(local);
    static const int errors[] = {EADDRINUSE, EACCES, EADDRNOTAVAIL, EINVAL};
    char held[64];

    (void)state;
    start("", BACKEND_PRELOAD);
    assert_int_equal(begin(NULL), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&local, &length), 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        errno = ENOENT;
        moments_bind_fails(fd, (struct sockaddr *)&local, length, errors[i]);
        assert_int_equal(errno, ENOENT);
        if (errors[i] == EADDRINUSE)
            expect_line("event=bind", "errno=98 listeners=1 ");
        if (errors[i] == EADDRNOTAVAIL)
            expect_line("event=bind", "errno=99 why=\"this host has no address 127.0.0.1\"");
        expect_line(NULL, NULL);
    }
    /* Before a call whose result is not known. */
    moments_bind_fails(fd, (struct sockaddr *)&local, length, 0);
    snprintf(held, sizeof(held), "local=127.0.0.1:%u listeners=1 ", ntohs(local.sin_port));
    expect_line("event=bind", held);
    moments_bind_fails(fd, NULL, length, EADDRINUSE);
    moments_bind_fails(-1, (struct sockaddr *)&local, length, EADDRINUSE);
    local.sin_port = 0;
    moments_bind_fails(fd, (struct sockaddr *)&local, length, EADDRINUSE);
    local.sin_port = htons(1); /* which nobody has */
    moments_bind_fails(fd, (struct sockaddr *)&local, length, 0);
    expect_line(NULL, NULL);
    close(fd);
    end(NULL);
}

static void test_bind_is_told(void **state)
{
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(80)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    (void)state;
    start("", BACKEND_PRELOAD);
    take(SETTING_REUSEADDR, "on");
    take(SETTING_REUSEPORT, "off");
    moments_bind(fd, (struct sockaddr *)&local, sizeof(local));
    expect_line("event=bind", "SO_REUSEADDR=1");
    expect_line("event=bind", "SO_REUSEPORT=0");
    expect_line(NULL, NULL);
    close(fd);
}

/* What goes on in the background has not failed. */
static void test_a_connect_that_failed(void **state)
{
    static const struct {
        int error;
        const char *said;
    } cases[] = {
        {EINPROGRESS, NULL},
        {EALREADY, NULL},
        {EISCONN, NULL},
        {EINTR, NULL},
        {ECONNREFUSED, "refused: nobody listens there"},
        {EADDRNOTAVAIL, "this host has no address 192.0.2.1"},
        {ENETUNREACH, "this host has no address 192.0.2.1"},
    };
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in nobodys = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    (void)state;
    nobodys.sin_addr.s_addr = inet_addr("192.0.2.1");
    assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &(int){1}, sizeof(int)), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&nobodys, sizeof(nobodys)), 0);
    peer.sin_port = htons(80);
    start("", BACKEND_PRELOAD);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        moments_connect_failed(fd, (struct sockaddr *)&peer, sizeof(peer), cases[i].error);
        if (cases[i].said)
            expect_line("event=connect", cases[i].said);
        expect_line(NULL, NULL);
    }
    close(fd);
}

static int begin_log(void **state)
{
    (void)state;
    if (!mkdtemp(directory))
        return -1;
    snprintf(log_path, sizeof(log_path), "%s/log", directory);
    return 0;
}

static int end_log(void **state)
{
    (void)state;
    unlink(log_path);
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_bind, ROWS),
        cmocka_unit_test(test_other_sockets_are_bound_as_they_are),
        cmocka_unit_test(test_without_a_log_nothing_more_is_seen),
        cmocka_unit_test(test_moments_of_a_log),
        cmocka_unit_test(test_births),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_what_the_kernel_refuses),
        cmocka_unit_test(test_a_port_in_use),
        cmocka_unit_test(test_bind_is_told),
        cmocka_unit_test(test_a_connect_that_failed),
    };

    return rows_run(tests, begin_log, end_log);
}
