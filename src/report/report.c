/* SPDX-License-Identifier: MIT */
/*
 * The events: each is counted, and put into a line of the log where there is one.
 * Must never block the program, change it or end it.
 */
#include "report/report.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "policy/address.h"
#include "policy/condition.h"
#include "policy/mode.h"
#include "report/fileid.h"
#include "report/line.h"
#include "report/log.h"
#include "report/stats.h"
#include "socket/diag.h"
#include "socket/portholders.h"

static struct stats *counters; /* NULL: none */
static unsigned logged;        /* 1 << enum event, or-ed */
static struct {
    pid_t pid;
    int fd;
} subject; /* of the events, where it is not this process */

static void count(enum stats_counter counter, uint32_t amount)
{
    static const char lost[] =
        "liblinger: LINGER_STATS: the file cannot be written any more, so counts are lost\n";
    static unsigned lost_count;

    if (counters && amount > 0 && !stats_add(counters, counter, amount) &&
        __atomic_fetch_add(&lost_count, 1, __ATOMIC_RELAXED) == 0)
        log_say(lost, sizeof(lost) - 1);
}

void report_subject(pid_t pid, int fd)
{
    subject.pid = pid;
    subject.fd = fd;
    log_subject(pid);
}

static void put_descriptor(struct line *line, int fd)
{
    int number = subject.pid ? subject.fd : fd;

    if (number < 0)
        line_word(line, "fd", "-1");
    else
        line_number(line, "fd", (unsigned)number);
}

static void put_facts(struct line *line, const struct facts *f)
{
    if (f->known & FACT_COOKIE)
        line_number(line, "cookie", f->cookie);
    if (f->known & FACT_ROLE)
        line_word(line, "role", condition_roles[f->role]);
    if (f->known & FACT_LOCAL_IP)
        line_endpoint(line, "local", f->local_ip, f->local_port);
    else if (f->known & FACT_LOCAL_PORT)
        line_number(line, "local", f->local_port);
    if (f->known & FACT_PEER)
        line_endpoint(line, "peer", f->peer_ip, f->peer_port);
}

static void put_verdict(struct line *line, const struct verdict *verdict)
{
    line_word(line, "verdict", verdict ? "" : "none");
    if (verdict)
        mode_print(&line->text, verdict->mode, verdict->seconds);
    if (verdict)
        line_number(line, "rule", verdict->rule);
}

/* False if no log wants the event: then there is nothing to compose. */
static bool begin(struct line *line, enum event event)
{
    struct timespec wall = {0, 0};
    struct timespec steady = {0, 0};

    if (!log_is_on() || !(logged >> event & 1))
        return false;
    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_MONOTONIC, &steady);
    line_begin(line, &wall, &steady);
    line_number(line, "pid", log_pid());
    line_word(line, "event", event_names[event]);
    return true;
}

static void end(struct line *line)
{
    if (!log_write(line->data, line_end(line)))
        count(STAT_LOG_LOST, 1);
}

static void warn(const char *name, const char *value, const char *why)
{
    char buffer[LINE_LENGTH_MAX];
    struct text out;

    text_begin(&out, buffer, sizeof(buffer));
    text_put(&out, "liblinger: ");
    text_put(&out, name);
    text_put(&out, ": '");
    text_put_printable(&out, value, strnlen(value, 200));
    text_put(&out, "' ");
    text_put(&out, why);
    text_put_char(&out, '\n');
    log_stderr(out.data, out.length);
}

static void open_counters(const char *path)
{
    switch (stats_open(path, &counters)) {
    case STATS_OK:
        if (fileid_may_be_replaced(path))
            warn("LINGER_STATS", path, FILEID_EXPOSED);
        break;
    case STATS_FAILED:
        warn("LINGER_STATS", path, "cannot be opened or made, so nothing is written there");
        break;
    case STATS_FOREIGN:
        warn("LINGER_STATS", path,
             "is not a file of counters of this version, so nothing is written there");
        break;
    }
}

void report_open(const char *stats_path, const char *log_path, unsigned events)
{
    logged = events;
    if (stats_path)
        open_counters(stats_path);
    const char *why = log_path || counters ? log_open(log_path) : NULL;
    if (why && log_path)
        warn("LINGER_LOG", log_path, why);
}

bool report_is_on(void)
{
    return log_is_on() || counters;
}

static void put_policy(struct line *line, const char *key, const struct policy *policy)
{
    char buffer[LINE_LENGTH_MAX];
    struct text out;

    if (policy->rule_count == 0)
        return;
    text_begin(&out, buffer, sizeof(buffer));
    policy_print(policy, &out);
    line_value(line, key, buffer);
}

void report_load(const char *backend, const char *program, const struct report_policy *policies,
                 size_t count)
{
    struct line line;

    if (!begin(&line, EVENT_LOAD))
        return;
    line_word(&line, "version", LINGER_VERSION);
    line_word(&line, "backend", backend);
    line_value(&line, "program", program);
    for (size_t i = 0; i < count; i++)
        put_policy(&line, policies[i].key, policies[i].policy);
    end(&line);
}

/* A verdict on a socket: `at` which call, and `facts`, where these are not NULL. */
static void log_verdict(enum event event, const char *at, int fd, const struct facts *facts,
                        const struct verdict *verdict)
{
    struct line line;

    if (!begin(&line, event))
        return;
    if (at)
        line_word(&line, "at", at);
    put_descriptor(&line, fd);
    if (facts)
        put_facts(&line, facts);
    put_verdict(&line, verdict);
    end(&line);
}

void report_armed(int fd, const char *at, const struct facts *facts, const struct verdict *verdict)
{
    count(stats_armed(verdict->mode), 1);
    log_verdict(EVENT_ARM, at, fd, facts, verdict);
}

void report_failed(int fd, const char *option, int error, const struct verdict *verdict)
{
    struct line line;

    count(STAT_FAILED, 1);
    if (!begin(&line, EVENT_FAIL))
        return;
    put_descriptor(&line, fd);
    line_word(&line, "option", option);
    line_number(&line, "errno", (unsigned)error);
    put_verdict(&line, verdict);
    end(&line);
}

void report_interrupted(void)
{
    struct line line;

    count(STAT_INTERRUPTED, 1);
    if (begin(&line, EVENT_INTERRUPT))
        end(&line);
}

void report_overridden(int fd, const struct verdict *verdict)
{
    count(STAT_OVERRIDDEN, 1);
    log_verdict(EVENT_OVERRIDE, NULL, fd, NULL, verdict);
}

void report_aborted(int fd, const struct facts *facts, const struct verdict *verdict)
{
    count(STAT_ABORTS, 1);
    log_verdict(EVENT_RESET, NULL, fd, facts, verdict);
}

/* Not inlined: its buffer has left the stack, which may be small, when the line is written. */
__attribute__((noinline)) static void put_rule(struct line *line, const struct policy *policy,
                                               unsigned rule)
{
    char buffer[LINE_LENGTH_MAX];
    struct text out;

    text_begin(&out, buffer, sizeof(buffer));
    policy_print_rule(policy, policy_rule(policy, rule), &out);
    line_value(line, "why", buffer);
}

/* Options act on a connection: without one, no verdict was carried out. */
static void put_outcome(struct line *line, bool is_connected, uint32_t unread, bool is_corked,
                        const struct policy *policy, const struct verdict *verdict)
{
    put_verdict(line, is_connected ? verdict : NULL);
    if (!is_connected)
        line_value(line, "why", "no connection is left to end");
    else if (unread > 0)
        line_value(line, "why", "unread data: the kernel sends RST whatever the mode");
    else if (!verdict)
        line_value(line, "why", "no rule matches");
    else if (is_corked)
        line_value(line, "why", "TCP_CORK is set: RST discards what it holds back");
    else
        put_rule(line, policy, verdict->rule);
}

void report_closed(int fd, const struct facts *facts, const struct policy *policy,
                   const struct verdict *verdict)
{
    bool is_passive = facts->when == WHEN_PASSIVE;
    bool is_connected = facts->state != TCP_CLOSE;
    struct line line;
    uint32_t unsent = 0;
    uint32_t unread = 0;

    if (!is_connected) {
        count(STAT_CLOSED_UNCONNECTED, 1);
    } else {
        sock_queues(fd, facts->state, &unsent, &unread);
        count(stats_closed(is_passive, verdict, verdict ? verdict->mode : MODE_OFF), 1);
        count(STAT_UNREAD, unread > 0);
        count(STAT_UNSENT_BYTES, verdict && verdict->mode == MODE_RST ? unsent : 0);
    }
    if (!begin(&line, EVENT_CLOSE))
        return;
    put_descriptor(&line, fd);
    put_facts(&line, facts);
    line_word(&line, "state", diag_state_name(facts->state));
    if (is_connected)
        line_word(&line, "when", condition_whens[facts->when]);
    line_number(&line, "unsent", unsent);
    line_number(&line, "unread", unread);
    bool is_corked = unsent > 0 && verdict && verdict->mode == MODE_RST && sock_holds_back(fd);
    put_outcome(&line, is_connected, unread, is_corked, policy, verdict);
    end(&line);
}

void report_bind(int fd, const struct facts *facts, enum sock_switch option, bool on)
{
    struct line line;

    count(stats_switched(option, on), 1);
    if (!begin(&line, EVENT_BIND))
        return;
    put_descriptor(&line, fd);
    line_endpoint(&line, "local", facts->local_ip, facts->local_port);
    line_word(&line, sock_switch_name(option), on ? "1" : "0");
    end(&line);
}

static void put_why(struct line *line, const char *what, struct policy_ip ip, uint16_t port,
                    const char *then)
{
    char buffer[LINE_LENGTH_MAX / 2];
    struct text out;

    text_begin(&out, buffer, sizeof(buffer));
    text_put(&out, what);
    address_print_endpoint(&out, ip, port);
    text_put(&out, then);
    line_value(line, "why", buffer);
}

/* A bound port has a connection to this peer already; without one, all ports have. */
static void put_no_port(struct line *line, const struct facts *facts)
{
    struct portholders use = {.port = facts->known & FACT_LOCAL_PORT ? facts->local_port : 0,
                              .peer = facts->peer_ip,
                              .peer_port = facts->peer_port};

    if (portholders_find(&use)) {
        line_number(line, "time_wait", use.time_wait);
        line_number(line, "others", use.others);
        line_number(line, "seconds", (use.last + 999) / 1000);
    }
    put_why(line, use.port ? "this port has a connection already to " : "no port is left towards ",
            facts->peer_ip, facts->peer_port, "");
}

static void put_connect_why(struct line *line, const struct facts *facts, int error,
                            enum sock_lack lack)
{
    if (lack == SOCK_LACKS_LOCAL)
        put_why(line, "this host has no address ", facts->local_ip, 0, "");
    else if (lack == SOCK_LACKS_SOURCE)
        put_why(line, "this host has no address to reach ", facts->peer_ip, 0, " from");
    else if (error == EADDRNOTAVAIL)
        put_no_port(line, facts);
    else if (error == ECONNREFUSED)
        line_value(line, "why", "refused: nobody listens there, or a filter says so");
    else if (error == ETIMEDOUT)
        line_value(line, "why", "timed out: the peer does not answer");
    else if (error == ENETUNREACH || error == EHOSTUNREACH)
        line_value(line, "why", "unreachable: there is no route, or a router says so");
}

void report_connect_failed(int fd, const struct facts *facts, int error, enum sock_lack lack)
{
    struct line line;

    count(STAT_CONNECT_FAILED, 1);
    if (!begin(&line, EVENT_CONNECT))
        return;
    put_descriptor(&line, fd);
    put_facts(&line, facts);
    line_number(&line, "errno", (unsigned)error);
    put_connect_why(&line, facts, error, lack);
    end(&line);
}

void report_no_address(int fd, const struct facts *facts)
{
    struct line line;

    count(STAT_BIND_FAILED, 1);
    if (!begin(&line, EVENT_BIND))
        return;
    put_descriptor(&line, fd);
    line_endpoint(&line, "local", facts->local_ip, facts->local_port);
    line_number(&line, "errno", EADDRNOTAVAIL);
    put_why(&line, "this host has no address ", facts->local_ip, 0, "");
    end(&line);
}

static void put_holder(struct line *line, const struct portholders *use)
{
    char buffer[LINE_LENGTH_MAX / 2];
    struct text out;

    text_begin(&out, buffer, sizeof(buffer));
    portholders_say(use, &out);
    line_value(line, "why", buffer);
}

void report_port_held(int fd, const struct facts *facts, int error)
{
    struct portholders use = {.port = facts->local_port};
    struct line line;

    count(STAT_BIND_FAILED, error != 0);
    if (!begin(&line, EVENT_BIND))
        return;
    bool is_known = portholders_find(&use);
    bool is_held = is_known && use.listeners + use.time_wait + use.others > 0;
    if (error == 0 && !is_held)
        return;
    put_descriptor(&line, fd);
    line_endpoint(&line, "local", facts->local_ip, facts->local_port);
    if (error != 0)
        line_number(&line, "errno", (unsigned)error);
    if (is_known) {
        line_number(&line, "listeners", use.listeners);
        line_number(&line, "time_wait", use.time_wait);
        line_number(&line, "others", use.others);
        line_number(&line, "seconds", (use.last + 999) / 1000);
        put_holder(&line, &use);
    }
    end(&line);
}
