/* SPDX-License-Identifier: MIT */
/*
 * linger watch: who closes first, how, and who resets and why. The kernel's events (trace/) become
 * connections, those that end become sums (watch/). Must leave nothing behind, however it ends.
 */
#include <errno.h>
#include <locale.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/screen.h"
#include "cli/sockets/seen.h"
#include "cli/states/counters.h"
#include "cli/trace/scope.h"
#include "cli/trace/tracepoints.h"
#include "cli/watch/findings.h"
#include "cli/watch/table.h"

#define TICK 100           /* ms between looks at the events */
#define SETTLED SECOND     /* after the end: the peer has closed its end too, or takes its time */
#define LOOK_FOR_EVENTS 20 /* a dump may take a twentieth of the time */
#define LOOK_FOR_SUMS 100
#define SECOND 1000000000u

static const char help[] =
    "usage: linger watch [OPTION...] [PID|UNIT...]\n"
    "\n"
    "Watches TCP connections as they end, and shows who closed first (this end, and\n"
    "which program, or the peer), how (FIN, RST and why, timeout), what that left,\n"
    "and what to do about it: in this network namespace, or of the processes with\n"
    "these PIDs and their descendants. Users other than root get the kernel's\n"
    "counters.\n"
    "\n"
    "  -p, --port=PORT         only connections with that port at either end; may be\n"
    "                          given several times\n"
    "  -t, --time=SECONDS      end after so long; else Ctrl-C ends it\n"
    "  -e, --events            a line for each connection as it ends\n"
    "  -v, --verbose           the same, with the time it spent in each state\n"
    "  -j, --json              as JSON: with -e an object for each connection\n"
    "  -h, --help              this text\n"
    "\n"
    "example:\n"
    "  linger watch -p 80 -t 10\n";

static const struct option options[] = {
    CLI_OPTION_PORT,
    {"time", required_argument, NULL, 't'},
    {"events", no_argument, NULL, 'e'},
    {"verbose", no_argument, NULL, 'v'},
    CLI_OPTION_JSON,
    CLI_OPTION_HELP,
    CLI_OPTIONS_END,
};

struct watch {
    struct scope scope;
    long seconds; /* of -t; 0: until a signal comes */
    bool events, verbose, json, redraw;
    struct tracepoints *tracepoints;
    struct connections *connections;
    struct groups groups;
    struct seen held;                 /* in FIN_WAIT2: the ports of both ends */
    uint64_t counters[COUNTER_COUNT]; /* at the start */
    uint64_t began;
    double clock_offset; /* from the events' time to the time of day */
};

/* RST of no connection, or of one that only its TIME_WAIT remembers. */
static void see_stray(struct watch *w, const struct record *record, struct scope_actor actor)
{
    if (record->time >= w->began && scope_has_stray(&w->scope, record, actor))
        groups_add_reset(&w->groups, record,
                         w->scope.listeners[record->local_port] > 0 ||
                             connections_is_former(w->connections, record));
}

static bool see(struct watch *w, const struct record *record)
{
    struct scope_actor actor = scope_actor(&w->scope, record);

    if (record->kind == RECORD_LOST)
        w->groups.lost += record->lost;
    else if (record->kind >= RECORD_TRACEPOINTS)
        programs_note(w->scope.programs, record);
    else if (record->kind == RECORD_STATE &&
             (record->from == TCP_LISTEN || record->to == TCP_LISTEN))
        scope_see_listener(&w->scope, record, actor);
    else if (record->kind == RECORD_SENT_RESET &&
             (record->socket == 0 || record->reason == REASON_TIME_WAIT))
        see_stray(w, record, actor);
    else
        return connections_see(w->connections, record, actor);
    return true;
}

static uint64_t ports_of(uint16_t local, uint16_t peer)
{
    return (uint64_t)local << 16 | peer;
}

static bool note_held(const struct diag_socket *socket, void *held)
{
    return seen_note(held, ports_of(socket->local_port, socket->peer_port)) >= 0;
}

static void add(struct watch *w, struct connection *c)
{
    /* What began before all tracepoints were open may be known in part only. */
    if (c->ended < w->began || !scope_has(&w->scope, c->whose, c->local, c->local_port,
                                          c->peer_port, c->role == END_SERVER))
        return;
    if (c->role == END_UNSEEN)
        c->role = w->scope.was_listener[c->local_port] ? END_SERVER : END_CLIENT;
    if (c->left == LEFT_TIME_WAIT && seen_has(&w->held, ports_of(c->local_port, c->peer_port)))
        c->left = LEFT_FIN_WAIT2;
    double time = (double)c->ended / SECOND + w->clock_offset;
    if (w->events)
        table_print_connection(stdout, c, time, w->json, w->verbose);
    groups_add(&w->groups, c);
}

/* Those whose end is over: FIN_WAIT2 and TIME_WAIT have no event, so the kernel's list tells. */
static void settle(struct watch *w, uint64_t before)
{
    static _Alignas(16) char buffer[DIAG_BUFFER_SIZE];
    bool is_listed = false;

    for (struct connection *c; (c = connections_next_ended(w->connections, before)); free(c)) {
        if (!is_listed)
            (void)diag_each(buffer, 1u << TCP_FIN_WAIT2, note_held, &w->held);
        is_listed = true;
        add(w, c);
    }
    seen_forget(&w->held);
}

static double seconds_since_begin(const struct watch *w)
{
    return (double)(tracepoints_now() - w->began) / SECOND;
}

static void print_title(FILE *out, const struct watch *w)
{
    fprintf(out, "%.0f s", seconds_since_begin(w));
    for (unsigned i = 0; i < w->scope.port_count; i++)
        fprintf(out, "%s%u", i == 0 ? " at port " : ", ", w->scope.ports[i]);
    fprintf(out, ": %lu connection%s ended\n", w->groups.ended, w->groups.ended == 1 ? "" : "s");
}

static void print_table(struct watch *w)
{
    uint64_t long_ago = tracepoints_now() - FINDINGS_UNCLOSED * (uint64_t)SECOND;
    uint64_t growth[COUNTER_COUNT];
    struct screen screen;

    if (!screen_begin(&screen, w->redraw))
        return;
    if (counters_since(w->counters, growth) != 0)
        memset(growth, 0, sizeof(growth));
    struct json json = {.out = screen.out};
    struct advice advice = {screen.out, w->json ? &json : NULL, 0};
    if (w->json) {
        json_open(&json, NULL, '{');
        json_real(&json, "seconds", seconds_since_begin(w), 6);
        table_add_json(&json, &w->groups);
        json_open(&json, "advice", '[');
    } else {
        print_title(screen.out, w);
        table_print(screen.out, &w->groups);
    }
    findings_print(&advice, &w->groups, connections_unclosed(w->connections, long_ago), growth,
                   tracepoints_have_reasons(w->tracepoints));
    if (w->json) {
        json_close(&json, ']');
        json_close(&json, '}');
        fputc('\n', screen.out);
    }
    screen_end(&screen);
}

static bool is_over(const struct watch *w, uint64_t now)
{
    return cli_is_interrupted() ||
           (w->seconds > 0 && now - w->began >= (uint64_t)w->seconds * SECOND);
}

/* Takes the events older than the last look: all of those have arrived. */
static int follow(struct watch *w)
{
    uint64_t last = w->began, next_settle = 0, next_redraw = 0, now;
    struct record record;
    bool is_last = false;

    while (!is_last) {
        now = tracepoints_now();
        is_last = is_over(w, now);
        if (is_last)
            tracepoints_stop(w->tracepoints);
        while (tracepoints_next(w->tracepoints, is_last ? UINT64_MAX : last, &record)) {
            if (!see(w, &record))
                return -1;
        }
        if (is_last)
            w->groups.lost = tracepoints_lost(w->tracepoints);
        last = now;
        if (is_last || now >= next_settle) {
            settle(w, is_last ? UINT64_MAX : now - SETTLED);
            next_settle =
                now + (w->events ? LOOK_FOR_EVENTS : LOOK_FOR_SUMS) * (tracepoints_now() - now);
        }
        if (w->redraw && now >= next_redraw) {
            print_table(w);
            next_redraw = now + SECOND;
        }
        if (fflush(stdout) != 0)
            return 0;
        if (!is_last)
            tracepoints_wait(w->tracepoints, TICK, NULL);
    }
    if (w->events && w->json && w->groups.lost > 0)
        cli_error(w->scope.self,
                  "events lost: %lu; each may hide a connection, or show it with the wrong ending",
                  (unsigned long)w->groups.lost);
    if (!w->events || !w->json)
        print_table(w);
    return 0;
}

static int count(struct watch *w, const char *why)
{
    uint64_t growth[COUNTER_COUNT];

    if (w->events)
        return cli_usage(w->scope.self, "-e needs the kernel's events: %s", why), -1;
    if (w->scope.has_pids || w->scope.port_count > 0)
        cli_error(w->scope.self,
                  "without the kernel's events, all ports and processes are counted: %s", why);
    while (!is_over(w, tracepoints_now()))
        nanosleep(&(struct timespec){.tv_nsec = TICK * 1000000L}, NULL);
    if (counters_since(w->counters, growth) != 0)
        return cli_error(w->scope.self, "/proc/self/net/netstat: %s", strerror(errno));
    if (w->json)
        table_print_json_counters(seconds_since_begin(w), w->counters, growth);
    else
        table_print_counters(seconds_since_begin(w), why, growth);
    return 0;
}

/* The tracepoints first: from then on no process begins unseen. */
static int watch(struct watch *w, char **pids)
{
    struct error why;
    struct timespec time;
    int status;

    w->tracepoints = tracepoints_open(w->events ? TRACEPOINTS_STATES : TRACEPOINTS_ENDS,
                                      w->scope.ports, w->scope.port_count, &why);
    w->connections = connections_new();
    if (!w->connections)
        return cli_error(w->scope.self, "out of memory");
    if (scope_begin(&w->scope, pids) != 0)
        return -1;
    (void)counters_read(w->counters);
    clock_gettime(CLOCK_REALTIME, &time);
    w->began = tracepoints_now();
    w->clock_offset =
        (double)time.tv_sec + (double)time.tv_nsec / SECOND - (double)w->began / SECOND;
    cli_catch_signals();
    if (!w->tracepoints)
        return count(w, why.text);
    status = follow(w);
    if (status != 0)
        cli_error(w->scope.self, "out of memory");
    return status;
}

static void release(struct watch *w)
{
    if (w->tracepoints)
        tracepoints_close(w->tracepoints);
    if (w->connections)
        connections_free(w->connections);
    scope_end(&w->scope);
}

static bool take_port(struct watch *w, const char *text)
{
    long port;

    if (!cli_take_port(w->scope.self, text, &port))
        return false;
    if (w->scope.port_count == TRACEPOINTS_PORTS) {
        (void)cli_usage(w->scope.self, "-p: at most %d ports may be given", TRACEPOINTS_PORTS);
        return false;
    }
    w->scope.ports[w->scope.port_count++] = (uint16_t)port;
    return true;
}

static int watch_main(const struct cli_command *self, int argc, char **argv)
{
    static struct watch w;
    int option;
    int status = CLI_OK;

    setlocale(LC_CTYPE, "");
    w.scope.self = self;
    while ((option = cli_option(self, argc, argv, options, false, &status)) > 0) {
        w.json |= option == 'j';
        w.events |= option == 'e' || option == 'v';
        w.verbose |= option == 'v';
        if ((option == 'p' && !take_port(&w, optarg)) ||
            (option == 't' && !cli_take_seconds(self, "-t", optarg, 1, 86400, &w.seconds)))
            return CLI_FAILED;
    }
    if (option == 0)
        return status;
    w.redraw = !w.events && !w.json && cli_is_terminal(stdout);
    status = watch(&w, argv + optind) == 0 ? CLI_OK : CLI_FAILED;
    release(&w);
    return cli_flush(self, status);
}

const struct cli_command cli_watch = {"watch", "who closes first, how, and who resets and why",
                                      help, watch_main};
