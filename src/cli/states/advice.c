/* SPDX-License-Identifier: MIT */
/*
 * The advice. Each symptom has a function that examines the sums and prints one line or nothing:
 * what it is, whether it hurts, and the way out. Must never advise what is already in force.
 */
#include "cli/states/advice.h"

#include <netinet/tcp.h>
#include <stdarg.h>

#include "base/text.h"
#include "cli/cli.h"

#define MANY 100          /* sockets in a state that a healthy host passes through */
#define ORPHANS_MANY 1000 /* in FIN_WAIT2 */
#define PORTS_NAMED 5
#define BUCKETS_NEAR 80    /* percent of tcp_max_tw_buckets */
#define FIN_TIMEOUT_LOW 10 /* seconds: not worth lowering further */
#define PORTS_SLOW                                                                                 \
    "ports to %s: past half of them connect() walks over all that are taken, and with the last "   \
    "it fails; "

void advice_say(struct advice *a, const char *format, ...)
{
    char line[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    if (a->json) {
        json_string(a->json, NULL, line);
    } else {
        fputs(a->lines == 0 ? "advice\n" : "", a->out);
        cli_print_line(a->out, "  %s", line);
    }
    a->lines++;
}

/* What would make the kernel reuse ports in TIME_WAIT; "" if nothing would. */
static const char *reuse_remedy(const struct summary *s)
{
    int reuse = s->sysctls[SYSCTL_TW_REUSE];

    if (s->sysctls[SYSCTL_TIMESTAMPS] == 0)
        return ", or tcp_timestamps=1 and tcp_tw_reuse=1";
    return reuse == 1 || reuse < 0 ? "" : ", or tcp_tw_reuse=1";
}

/*
 * connect() tries all ports of one parity before those of the other (__inet_hash_connect()): once
 * half of the ports are taken, each call walks over all of those first.
 */
static void say_ports(struct advice *a, const struct summary *s)
{
    const struct summary_peer *b = &s->busiest;
    const char *to = cli_endpoint(b->peer, b->peer_port);
    unsigned range = summary_range(s);
    unsigned held = summary_held(s, b);

    if (held * 2 >= range && b->time_wait * 2 >= b->used && !summary_is_reused(s, b))
        advice_say(a,
                   PORTS_SLOW
                   "use fin-rst, which leaves no TIME_WAIT (`linger watch -p %u` names the "
                   "program, `linger supervise -m 'fin-rst role=client' PID` changes it "
                   "while it runs)%s, or a wider ip_local_port_range",
                   to, b->peer_port, reuse_remedy(s));
    else if (held * 2 >= range)
        advice_say(a,
                   PORTS_SLOW
                   "open connections hold them: close some, widen ip_local_port_range, or "
                   "use more addresses",
                   to);
    else if (b->used * 2 >= range)
        advice_say(
            a,
            "ports to %s: nothing to do; with tcp_tw_reuse=%d those in TIME_WAIT are used again "
            "after %g s",
            to, s->sysctls[SYSCTL_TW_REUSE], summary_seconds(s, b));
}

/* TIME_WAIT at a port that this host serves: connections that the server closed first. */
static void say_server(struct advice *a, const struct summary *s)
{
    if (s->served.time_wait == 0)
        return;
    if (s->served.is_listening)
        advice_say(
            a,
            "TIME_WAIT at our port %u does no harm while the server runs; for a restart both runs "
            "need SO_REUSEADDR (linger run -r); fin-rst leaves none",
            s->served.port);
    else
        advice_say(
            a,
            "TIME_WAIT at our port %u, which nobody listens on: bind() may fail there, unless both "
            "runs of the server set SO_REUSEADDR (linger run -r); fin-rst leaves none",
            s->served.port);
}

static void say_exposed(struct advice *a, const struct summary *s)
{
    size_t named = 0;
    char list[128];
    struct text out;

    if (s->exposed_count == 0)
        return;
    text_begin(&out, list, sizeof(list));
    for (unsigned port = 1; port <= UINT16_MAX && named < PORTS_NAMED; port++) {
        if (!s->is_exposed[port])
            continue;
        text_put(&out, named++ > 0 ? ", " : "");
        text_put_number(&out, port);
    }
    if (s->exposed_count > named) {
        text_put(&out, " and ");
        text_put_number(&out, s->exposed_count - named);
        text_put(&out, " more");
    }
    advice_say(a,
               "listener%s at %s lie%s in ip_local_port_range: while nobody listens there, a "
               "client may get the port; add it to ip_local_reserved_ports",
               s->exposed_count == 1 ? "" : "s", list, s->exposed_count == 1 ? "s" : "");
}

/* Beyond the limit the kernel forgets a connection at once (tcp_time_wait()). */
static void say_buckets(struct advice *a, const struct summary *s)
{
    unsigned waiting = s->states.count[TCP_TIME_WAIT];
    int most = s->sysctls[SYSCTL_MAX_TW_BUCKETS];

    if (most > 0 && waiting * 100ul >= (unsigned long)most * BUCKETS_NEAR)
        advice_say(
            a,
            "%u of the %d TIME_WAIT that tcp_max_tw_buckets allows: later connections get none; "
            "raise it, or use fin-rst",
            waiting, most);
}

static void say_closing(struct advice *a, const struct summary *s)
{
    unsigned unanswered = s->states.count[TCP_FIN_WAIT1] + s->states.count[TCP_CLOSING] +
                          s->states.count[TCP_LAST_ACK];
    size_t orphans = s->unclosed[UNCLOSED_FIN_WAIT2].orphans;
    size_t held = s->states.count[TCP_FIN_WAIT2] - orphans;

    if (orphans >= ORPHANS_MANY && s->sysctls[SYSCTL_FIN_TIMEOUT] > FIN_TIMEOUT_LOW)
        advice_say(a,
                   "%zu that nobody holds wait for the peer's FIN: a lower tcp_fin_timeout frees "
                   "them earlier, fin-rst at once",
                   orphans);
    if (held >= MANY)
        advice_say(a,
                   "%zu in FIN_WAIT2 are held by their program: it must call close(), or `linger "
                   "close -m rst --state fin-wait-2 PID` ends them",
                   held);
    if (unanswered >= MANY)
        advice_say(
            a,
            "%u peers do not acknowledge our FIN: they are gone, or the network drops it; the "
            "kernel retries for minutes (tcp_orphan_retries), rst does not wait",
            unanswered);
    if (s->states.count[TCP_CLOSE_WAIT] > 1)
        advice_say(a, "CLOSE_WAIT: the peer has closed; the program must call close(), or `linger "
                      "close -m fin --state close-wait PID` ends the connections, though not the "
                      "descriptors");
    if (s->unclosed[UNCLOSED_CLOSED].count >= MANY)
        advice_say(a,
                   "%zu closed sockets are still held by their programs: each counts against "
                   "RLIMIT_NOFILE until close(), or the end of the program",
                   s->unclosed[UNCLOSED_CLOSED].count);
}

static void say_opening(struct advice *a, const struct summary *s)
{
    if (s->states.count[TCP_SYN_SENT] >= MANY)
        advice_say(
            a, "%u connect() wait: the destination does not answer, or the network drops the SYN",
            s->states.count[TCP_SYN_SENT]);
    if (s->states.count[TCP_SYN_RECV] >= MANY)
        advice_say(a, "%u half-open: clients do not answer (a SYN flood: tcp_syncookies=1)",
                   s->states.count[TCP_SYN_RECV]);
    if (s->full.state)
        advice_say(
            a,
            "the queue of %s is full (%u): raise the backlog (up to somaxconn), or accept faster",
            cli_endpoint(s->full.local, s->full.local_port), s->full.backlog);
}

void advice_print(struct advice *advice, const struct summary *sum)
{
    say_ports(advice, sum);
    say_server(advice, sum);
    say_exposed(advice, sum);
    say_buckets(advice, sum);
    say_closing(advice, sum);
    say_opening(advice, sum);
}
