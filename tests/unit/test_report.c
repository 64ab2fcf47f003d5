/* SPDX-License-Identifier: MIT */
/* The events: what each adds to the counters, and the line that it writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/settings.h"
#include "loopback.h"
#include "policy/address.h"
#include "report/report.h"
#include "report/stats.h"
#include "rows.h"
#include "socket/portholders.h"

#define TIME_LIMIT 60000 /* ms */
#define ALL (FACT_ROLE | FACT_LOCAL_PORT | FACT_LOCAL_IP | FACT_PEER | FACT_COOKIE | FACT_WHEN)
#define TIMES "time=1970-01-01T00:01:01.000002Z mono=3.000004"
#define IN_LOG " cookie=77 role=client local=127.0.0.1:40000 peer=192.0.2.1:443"

static const uint8_t local_bytes[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};
static const uint8_t peer_bytes[16] = {[10] = 0xff, [11] = 0xff, [12] = 192, [14] = 2, [15] = 1};

static char directory[64];
static struct settings settings;
static struct stats *seen;
static struct policy policy;
static const struct verdict rst = {.mode = MODE_RST, .rule = 2};
static const struct verdict waits = {.mode = MODE_WAIT, .seconds = 5, .rule = 1};
static struct facts facts;

static bool has_no_clock;

int clock_gettime(clockid_t id, struct timespec *now)
{
    if (has_no_clock)
        return -1;
    *now = id == CLOCK_REALTIME ? (struct timespec){61, 2999} : (struct timespec){3, 4999};
    return 0;
}

static void parse(struct policy *into, enum policy_dialect dialect, const char *text)
{
    struct policy_error error;

    assert_int_equal(policy_parse(into, dialect, text, strlen(text), false, &error), 0);
}

static int begin_group(void **state)
{
    (void)state;
    snprintf(directory, sizeof(directory), "%s/report.XXXXXX",
             getenv("TMPDIR") && strlen(getenv("TMPDIR")) < 40 ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(directory))
        return -1;
    settings.log_path[0] = 'l'; /* the shortest name is a name */
    settings.stats_path[0] = 's';
    return chdir(directory);
}

static int end_group(void **state)
{
    (void)state;
    unlink(settings.log_path);
    unlink(settings.stats_path);
    if (chdir("/") != 0)
        return -1;
    return rmdir(directory);
}

static int begin_report(void **state)
{
    facts = (struct facts){.known = ALL,
                           .role = ROLE_CLIENT,
                           .when = WHEN_ACTIVE,
                           .state = TCP_ESTABLISHED,
                           .local_port = 40000,
                           .peer_port = 443,
                           .local_ip = address_ip(local_bytes),
                           .peer_ip = address_ip(peer_bytes),
                           .cookie = 77};
    if (begin(state) != 0 || stats_open(settings.stats_path, &seen) != STATS_OK)
        return -1;
    memset(seen->sums, 0, sizeof(seen->sums));
    return truncate(settings.log_path, 0) != 0 ? -1 : 0;
}

static int end_report(void **state)
{
    return end(state);
}

/* The only line that was written, without its times, in which `fd` is the subject's descriptor. */
static void expect_line_of(unsigned pid, int fd, const char *event, const char *rest)
{
    static char text[1024];
    char expected[1024];
    FILE *file = fopen(settings.log_path, "r");
    size_t length;

    assert_non_null(file);
    length = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    assert_int_equal(truncate(settings.log_path, 0), 0);
    text[length] = '\0';
    if (fd < 0)
        snprintf(expected, sizeof(expected), TIMES " pid=%u event=%s%s\n", pid, event, rest);
    else
        snprintf(expected, sizeof(expected), TIMES " pid=%u event=%s%.*s fd=%d%s\n", pid, event,
                 (int)strcspn(rest, "|"), rest, fd,
                 strchr(rest, '|') ? strchr(rest, '|') + 1 : rest + strlen(rest));
    assert_string_equal(text, expected);
}

/* In `rest`, '|' is where the descriptor stands. */
static void expect_line(const char *event, const char *rest)
{
    expect_line_of((unsigned)getpid(), strchr(rest, '|') ? 9 : -1, event, rest);
}

/* Exactly these counters moved since the last call, each by `amount`. */
static void expect_counts(size_t count, const enum stats_counter *counters, uint64_t amount)
{
    for (int i = 0; i < STAT_COUNT; i++) {
        bool is_counted = false;
        for (size_t k = 0; k < count; k++)
            is_counted = is_counted || (int)counters[k] == i;
        assert_int_equal(stats_get(seen, i), is_counted ? amount : 0);
    }
    memset(seen->sums, 0, sizeof(seen->sums));
}

static void expect_count(enum stats_counter counter)
{
    expect_counts(1, &counter, 1);
}

static void open_report(const struct settings *s)
{
    report_open(settings_path(s, SETTING_STATS), settings_path(s, SETTING_LOG), EVENT_ALL);
}

/* What report_open() says on standard error. */
static const char *said_at_open(const struct settings *s)
{
    static char said[1024];
    int ends[2];
    int before = dup(STDERR_FILENO);
    ssize_t length;

    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    open_report(s);
    dup2(before, STDERR_FILENO);
    close(before);
    close(ends[1]);
    length = read(ends[0], said, sizeof(said) - 1);
    close(ends[0]);
    said[length > 0 ? length : 0] = '\0';
    return said;
}

static void test_nothing_is_on_unless_it_is_asked_for(void **state)
{
    static struct settings none = {.log_path = "l", .stats_path = "s"};
    static struct settings empty = {.given = 1 << SETTING_LOG | 1 << SETTING_STATS};

    (void)state;
    assert_string_equal(said_at_open(&none), "");
    assert_string_equal(said_at_open(&empty), "");
    assert_false(report_is_on());
    assert_int_equal(access("l", F_OK), -1);
    assert_int_equal(access("s", F_OK), -1);
    report_interrupted(); /* crashes nothing */
    report_failed(3, "SO_LINGER", EPERM, NULL);
}

/* Each with its reason, and the name cut after 200 bytes of it. */
static void test_what_cannot_be_opened_is_said(void **state)
{
    static struct settings s = {.given = 1 << SETTING_LOG | 1 << SETTING_STATS};
    char expected[1024];
    char path[96];
    char name[300];

    (void)state;
    snprintf(s.log_path, sizeof(s.log_path), "%s", directory);
    snprintf(path, sizeof(path), "%s/none/stats", directory);
    snprintf(s.stats_path, sizeof(s.stats_path), "%s", path);
    snprintf(expected, sizeof(expected),
             "liblinger: LINGER_STATS: '%s' cannot be opened or made, so nothing is written there\n"
             "liblinger: LINGER_LOG: '%s' is a directory, so nothing is written there\n",
             path, directory);
    assert_string_equal(said_at_open(&s), expected);
    for (int length = 199; length <= 201; length++) {
        snprintf(s.stats_path, sizeof(s.stats_path), "/dev/null");
        memset(name, 'x', sizeof(name));
        memcpy(name, "/none/", 6);
        name[length] = '\0';
        snprintf(s.log_path, sizeof(s.log_path), "%s", name);
        snprintf(expected, sizeof(expected),
                 "liblinger: LINGER_STATS: '/dev/null' is not a file of counters of this version, "
                 "so nothing is written there\n"
                 "liblinger: LINGER_LOG: '%.200s' cannot be written, so nothing is written there\n",
                 name);
        assert_string_equal(said_at_open(&s), expected);
    }
    assert_false(report_is_on());
}

static void test_a_log_alone(void **state)
{
    pid_t child = fork();
    int status;

    (void)state;
    if (child == 0) { /* no log can be closed again */
        settings.given = 1 << SETTING_LOG;
        open_report(&settings);
        _exit(report_is_on() && unlink(settings.log_path) == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void test_counters_alone_and_then_a_log(void **state)
{
    FILE *file;

    (void)state;
    settings.given = 1 << SETTING_STATS;
    assert_string_equal(said_at_open(&settings), "");
    assert_true(report_is_on());
    assert_int_equal(access(settings.log_path, F_OK), -1);
    settings.given = 1 << SETTING_LOG;
    assert_string_equal(said_at_open(&settings), "");
    assert_true(report_is_on());
    file = fopen(settings.log_path, "r");
    assert_non_null(file);
    fclose(file);
}

static void test_without_a_clock_the_times_are_zero(void **state)
{
    static const char times[] = "time=1970-01-01T00:00:00.000000Z mono=0.000000 pid=";
    char text[sizeof(times)] = "";
    FILE *file;

    (void)state;
    has_no_clock = true;
    report_interrupted();
    has_no_clock = false;
    file = fopen(settings.log_path, "r");
    assert_non_null(file);
    assert_int_equal(fread(text, 1, sizeof(text) - 1, file), sizeof(text) - 1);
    fclose(file);
    assert_string_equal(text, times);
}

static void test_load(void **state)
{
    static struct policy mode;
    static struct policy reuseaddr;
    static struct policy reuseport;
    static struct policy bind_no_port;
    const struct report_policy policies[] = {{"reuseaddr", &reuseaddr},
                                             {"reuseport", &reuseport},
                                             {"bind_no_port", &bind_no_port},
                                             {"mode", &mode}};

    (void)state;
    report_load("preload", "a b", policies, 4);
    expect_line("load", " version=" LINGER_VERSION " backend=preload program=\"a b\"");
    parse(&mode, POLICY_TEARDOWN, "rst port=1; fin");
    parse(&reuseaddr, POLICY_SWITCH, "1");
    parse(&reuseport, POLICY_SWITCH, "off port=2");
    parse(&bind_no_port, POLICY_SWITCH_NO_PORT, "1 prog=p");
    report_load("supervise", "nginx", policies, 4);
    expect_line("load", " version=" LINGER_VERSION
                        " backend=supervise program=nginx reuseaddr=on reuseport=\"off port=2\" "
                        "bind_no_port=\"on prog=p\" mode=\"rst port=1; fin\"");
    expect_counts(0, NULL, 0);
}

static void test_what_is_known_of_a_connection(void **state)
{
    static const struct {
        unsigned known;
        const char *shown;
    } rows[] = {
        {ALL, IN_LOG},
        {0, ""},
        {FACT_COOKIE, " cookie=77"},
        {FACT_ROLE, " role=client"},
        {FACT_LOCAL_PORT, " local=40000"},
        {FACT_LOCAL_PORT | FACT_LOCAL_IP, " local=127.0.0.1:40000"},
        {FACT_PEER, " peer=192.0.2.1:443"},
    };
    char expected[256];

    ROW_NAMED(i, rows, shown);

    facts.known = rows[i].known;
    report_armed(9, "listen", &facts, &rst);
    snprintf(expected, sizeof(expected), " at=listen|%s verdict=rst rule=2", rows[i].shown);
    expect_line("arm", expected);
    expect_count(STAT_ARMED + MODE_RST - MODE_FIN);
}

static void test_events_of_a_connection(void **state)
{
    (void)state;
    report_armed(9, "connect", &facts, &waits);
    expect_line("arm", " at=connect|" IN_LOG " verdict=wait:5 rule=1");
    expect_count(STAT_ARMED + MODE_WAIT - MODE_FIN);
    report_failed(9, "TCP_LINGER2", 92, &rst);
    expect_line("fail", "| option=TCP_LINGER2 errno=92 verdict=rst rule=2");
    expect_count(STAT_FAILED);
    report_failed(9, "SO_LINGER", 1, NULL);
    expect_line("fail", "| option=SO_LINGER errno=1 verdict=none");
    expect_count(STAT_FAILED);
    report_interrupted();
    expect_line("interrupt", "");
    expect_count(STAT_INTERRUPTED);
    report_overridden(9, &rst);
    expect_line("override", "| verdict=rst rule=2");
    expect_count(STAT_OVERRIDDEN);
    report_aborted(9, &facts, &rst);
    expect_line("reset", "|" IN_LOG " verdict=rst rule=2");
    expect_count(STAT_ABORTS);
}

static void expect_close(const char *fields, const struct verdict *verdict)
{
    char expected[512];

    report_closed(server, &facts, &policy, verdict);
    snprintf(expected, sizeof(expected), "|" IN_LOG "%s", fields);
    expect_line_of((unsigned)getpid(), server, "close", expected);
}

static void test_close(void **state)
{
    (void)state;
    expect_close(" state=established when=active unsent=0 unread=0 verdict=rst rule=2 why=rst",
                 &rst);
    expect_count(STAT_CLOSED_ACTIVE + 1 + MODE_RST);
    facts.when = WHEN_PASSIVE;
    facts.state = TCP_CLOSE_WAIT;
    expect_close(" state=close-wait when=passive unsent=0 unread=0 verdict=wait:5 rule=1 "
                 "why=\"wait:5 port=1\"",
                 &waits);
    expect_count(STAT_CLOSED_PASSIVE + 1 + MODE_WAIT);
    expect_close(" state=close-wait when=passive unsent=0 unread=0 verdict=none "
                 "why=\"no rule matches\"",
                 NULL);
    expect_count(STAT_CLOSED_PASSIVE);
    facts.state = TCP_CLOSE;
    expect_close(
        " state=closed unsent=0 unread=0 verdict=none why=\"no connection is left to end\"", &rst);
    expect_count(STAT_CLOSED_UNCONNECTED);
}

static void test_close_with_unread_data(void **state)
{
    static const enum stats_counter moved[] = {STAT_CLOSED_ACTIVE, STAT_UNREAD};
    struct pollfd ready = {.fd = server, .events = POLLIN};

    (void)state;
    assert_int_equal(write(client, "a", 1), 1);
    assert_int_equal(poll(&ready, 1, TIME_LIMIT), 1);
    expect_close(" state=established when=active unsent=0 unread=1 verdict=none "
                 "why=\"unread data: the kernel sends RST whatever the mode\"",
                 NULL);
    expect_counts(2, moved, 1);
    facts.state = TCP_CLOSE; /* already reset: what is queued does not matter */
    expect_close(
        " state=closed unsent=0 unread=0 verdict=none why=\"no connection is left to end\"", NULL);
    expect_count(STAT_CLOSED_UNCONNECTED);
}

static void test_close_with_data_held_back(void **state)
{
    static const enum stats_counter moved[] = {STAT_CLOSED_ACTIVE + 1 + MODE_RST,
                                               STAT_UNSENT_BYTES};
    static const struct verdict fin = {.mode = MODE_FIN, .rule = 2};
    int on = 1;

    (void)state;
    assert_int_equal(setsockopt(server, IPPROTO_TCP, TCP_CORK, &on, sizeof(on)), 0);
    expect_close(" state=established when=active unsent=0 unread=0 verdict=rst rule=2 why=rst",
                 &rst);
    memset(seen->sums, 0, sizeof(seen->sums));
    assert_int_equal(write(server, "a", 1), 1);
    expect_close(" state=established when=active unsent=1 unread=0 verdict=rst rule=2 "
                 "why=\"TCP_CORK is set: RST discards what it holds back\"",
                 &rst);
    expect_counts(2, moved, 1);
    expect_close(" state=established when=active unsent=1 unread=0 verdict=fin rule=2 why=rst",
                 &fin);
}

/* Only an abort discards it. */
static void test_close_with_unsent_data(void **state)
{
    static const struct verdict fin = {.mode = MODE_FIN, .rule = 2};
    static char block[65536];

    (void)state;
    while (send(server, block, sizeof(block), MSG_DONTWAIT) > 0)
        ;
    report_closed(server, &facts, &policy, &rst);
    assert_true(stats_get(seen, STAT_UNSENT_BYTES) > 1);
    assert_int_equal(stats_get(seen, STAT_UNREAD), 0);
    memset(seen->sums, 0, sizeof(seen->sums));
    report_closed(server, &facts, &policy, &fin);
    expect_count(STAT_CLOSED_ACTIVE + 1 + MODE_FIN);
    report_closed(server, &facts, &policy, NULL);
    expect_count(STAT_CLOSED_ACTIVE);
}

static void test_bind(void **state)
{
    (void)state;
    report_bind(9, &facts, SOCK_REUSEADDR, true);
    expect_line("bind", "| local=127.0.0.1:40000 SO_REUSEADDR=1");
    expect_count(STAT_REUSEADDR_SET);
    report_bind(9, &facts, SOCK_REUSEPORT, false);
    expect_line("bind", "| local=127.0.0.1:40000 SO_REUSEPORT=0");
    expect_count(STAT_REUSEPORT_CLEARED);
}

static void test_bind_that_fails_says_who_holds_the_port(void **state)
{
    struct sockaddr_in address;
    socklen_t length = sizeof(address);
    struct portholders use = {0};
    char expected[256];

    (void)state;
    if (!portholders_find(&use))
        skip(); /* this kernel has no sock_diag(7) */
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    facts.local_port = ntohs(address.sin_port);
    for (int error = EADDRINUSE; error >= 0; error -= EADDRINUSE) {
        report_port_held(9, &facts, error);
        snprintf(expected, sizeof(expected),
                 "| local=127.0.0.1:%d %slisteners=1 time_wait=0 others=1 seconds=0 "
                 "why=\"a listener holds the port\"",
                 facts.local_port, error ? "errno=98 " : "");
        expect_line("bind", expected);
        expect_count(error ? STAT_BIND_FAILED : STAT_COUNT);
    }
}

static void test_the_supervisor_reports_about_another_process(void **state)
{
    (void)state;
    report_subject(4321, 17);
    report_overridden(9, &rst);
    report_subject(0, 0);
    expect_line_of(4321, 17, "override", "| verdict=rst rule=2");
    report_overridden(9, &rst);
    expect_line("override", "| verdict=rst rule=2");
}

/* The counters tell how many lines the log lacks. */
static void test_a_lost_line_is_counted(void **state)
{
    static const enum stats_counter moved[] = {STAT_FAILED, STAT_LOG_LOST};
    struct settings full = {.given = 1 << SETTING_LOG, .log_path = "/dev/full"};

    (void)state;
    assert_string_equal(said_at_open(&full), "");
    report_failed(9, "SO_LINGER", 1, NULL);
    expect_counts(2, moved, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_on_unless_it_is_asked_for),
        cmocka_unit_test(test_what_cannot_be_opened_is_said),
        cmocka_unit_test(test_a_log_alone),
        cmocka_unit_test(test_counters_alone_and_then_a_log),
        cmocka_unit_test_setup_teardown(test_without_a_clock_the_times_are_zero, begin_report,
                                        end_report),
        cmocka_unit_test_setup_teardown(test_load, begin_report, end_report),
        cmocka_unit_test_prestate_setup_teardown(test_what_is_known_of_a_connection, begin_report,
                                                 end_report, ROWS),
        cmocka_unit_test_setup_teardown(test_events_of_a_connection, begin_report, end_report),
        cmocka_unit_test_setup_teardown(test_close, begin_report, end_report),
        cmocka_unit_test_setup_teardown(test_close_with_unread_data, begin_report, end_report),
        cmocka_unit_test_setup_teardown(test_close_with_data_held_back, begin_report, end_report),
        cmocka_unit_test_setup_teardown(test_close_with_unsent_data, begin_report, end_report),
        cmocka_unit_test_setup_teardown(test_bind, begin_report, end_report),
        cmocka_unit_test_setup_teardown(test_bind_that_fails_says_who_holds_the_port, begin_report,
                                        end_report),
        cmocka_unit_test_setup_teardown(test_the_supervisor_reports_about_another_process,
                                        begin_report, end_report),
        cmocka_unit_test_setup_teardown(test_a_lost_line_is_counted, begin_report, end_report),
    };

    parse(&policy, POLICY_TEARDOWN, "wait:5 port=1; rst");
    return rows_run(tests, begin_group, end_group);
}
