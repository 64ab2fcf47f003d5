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
#include "cli/sockets/sockets.h"
#include "cli/states/counters.h"
#include "cli/trace/scope.h"
#include "cli/trace/tracepoints.h"
#include "cli/watch/findings.h"
#include "cli/watch/table.h"

#define TICK 100            /* ms between looks at the events */
#define SETTLED SECOND      /* after the end: the peer has closed its end too, or takes its time */
#define LOOK_AT_MOST 20     /* a dump may take a twentieth of the time */
#define UNCLOSED_SECONDS 10 /* in CLOSE_WAIT: no program needs so long to notice */
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
    const struct cli_command *self;
    struct scope scope;
    long seconds; /* of -t; 0: until a signal comes */
    bool events, verbose, json, redraw;
    struct tracepoints *tracepoints;
    struct connections *connections;
    struct groups groups;
    struct sockets held;              /* in FIN_WAIT2, by ports */
    uint64_t counters[COUNTER_COUNT]; /* at the start */
    uint64_t began;
    double clock_offset; /* from the events' time to the time of day */
};

/* RST of no connection, or of one that only its TIME_WAIT remembers. */
static void see_stray(struct watch *w, const struct record *record, struct scope_actor actor)
{
    if (record->time >= w->began && scope_has_stray(&w->scope, record, actor))
        groups_add_reset(&w->groups, record, w->scope.listeners[record->local_port] > 0,
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

static int compare_ports(const void *a, const void *b)
{
    const struct diag_socket *x = a, *y = b;
    uint32_t p = (uint32_t)x->local_port << 16 | x->peer_port;
    uint32_t q = (uint32_t)y->local_port << 16 | y->peer_port;

    return (p > q) - (p < q);
}

static bool is_held(const struct watch *w, const struct connection *c)
{
    const struct diag_socket key = {.local_port = c->local_port, .peer_port = c->peer_port};

    return w->held.count > 0 &&
           bsearch(&key, w->held.items, w->held.count, sizeof(key), compare_ports);
}

static bool add(struct watch *w, struct connection *c)
{
    const struct scope_ends ends = {c->local, c->local_port, c->peer_port, c->role == END_SERVER};

    /* What began before all tracepoints were open may be known in part only. */
    if (c->ended < w->began || !scope_has(&w->scope, c->whose, &ends))
        return true;
    if (c->role == END_UNSEEN)
        c->role = w->scope.was_listener[c->local_port] ? END_SERVER : END_CLIENT;
    if (c->left == LEFT_TIME_WAIT && is_held(w, c))
        c->left = LEFT_FIN_WAIT2;
    double time = (double)c->ended / SECOND + w->clock_offset;
    if (w->events && w->json)
        table_print_json_connection(stdout, c, time, w->verbose);
    else if (w->events)
        table_print_connection(stdout, c, time, w->verbose);
    return groups_add(&w->groups, c);
}

/* Those whose end is over: FIN_WAIT2 and TIME_WAIT have no event, so the kernel's list tells. */
static bool settle(struct watch *w, uint64_t before)
{
    struct connection *c;
    bool is_added = true;

    if (!connections_has_ended(w->connections, before))
        return true;
    if (sockets_read_in(&w->held, 1u << TCP_FIN_WAIT2) != 0)
        w->held.count = 0;
    qsort(w->held.items, w->held.count, sizeof(*w->held.items), compare_ports);
    while (is_added && (c = connections_next_ended(w->connections, before))) {
        is_added = add(w, c);
        free(c);
    }
    return is_added;
}

static void print_title(FILE *out, const struct watch *w)
{
    double seconds = (double)(tracepoints_now() - w->began) / SECOND;

    fprintf(out, "%.0f s", seconds);
    for (unsigned i = 0; i < w->scope.port_count; i++)
        fprintf(out, "%s%u", i == 0 ? " at port " : ", ", w->scope.ports[i]);
    fprintf(out, ": %lu connection%s ended", w->groups.ended, w->groups.ended == 1 ? "" : "s");
}

static struct findings find(const struct watch *w)
{
    struct findings f = {.unclosed_after = UNCLOSED_SECONDS};
    uint64_t now = tracepoints_now();
    uint64_t counters[COUNTER_COUNT];

    f.unclosed = connections_unclosed(w->connections, now - UNCLOSED_SECONDS * (uint64_t)SECOND);
    if (counters_read(counters) == 0) {
        f.overflows = counters[COUNTER_OVERFLOWS] - w->counters[COUNTER_OVERFLOWS];
        if (!tracepoints_have_reasons(w->tracepoints)) {
            f.unread = counters[COUNTER_UNREAD] - w->counters[COUNTER_UNREAD];
            f.aborted = counters[COUNTER_ABORTED] - w->counters[COUNTER_ABORTED];
        }
    }
    return f;
}

static void print_table(FILE *out, struct watch *w)
{
    struct json json = {.out = out};
    struct advice advice = {out, w->json ? &json : NULL, 0};
    struct findings f = find(w);

    if (w->json) {
        json_open(&json, NULL, '{');
        json_real(&json, "seconds", (double)(tracepoints_now() - w->began) / SECOND, 6);
        table_add_json(&json, &w->groups);
        json_open(&json, "advice", '[');
        findings_print(&advice, &w->groups, &f);
        json_close(&json, ']');
        json_close(&json, '}');
        fputc('\n', out);
        return;
    }
    print_title(out, w);
    fputc('\n', out);
    table_print(out, &w->groups);
    findings_print(&advice, &w->groups, &f);
}

static void redraw(struct watch *w)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return;
    print_table(out, w);
    if (fclose(out) == 0)
        screen_redraw(text);
    free(text);
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
            if (!settle(w, is_last ? UINT64_MAX : now - SETTLED))
                return -1;
            next_settle = now + LOOK_AT_MOST * (tracepoints_now() - now);
        }
        if (w->redraw && now >= next_redraw) {
            redraw(w);
            next_redraw = now + SECOND;
        }
        if (fflush(stdout) != 0)
            return 0;
        if (!is_last)
            tracepoints_wait(w->tracepoints, TICK, NULL);
    }
    if (w->events && w->json && w->groups.lost > 0)
        cli_error(w->self,
                  "events lost: %lu; each may hide a connection, or show it with the wrong ending",
                  (unsigned long)w->groups.lost);
    if (!w->events || !w->json)
        w->redraw ? redraw(w) : print_table(stdout, w);
    return 0;
}

static int count(struct watch *w, const char *why)
{
    uint64_t counters[COUNTER_COUNT];

    if (w->events)
        return cli_usage(w->self, "-e needs the kernel's events: %s", why), -1;
    if (w->scope.has_pids || w->scope.port_count > 0)
        cli_error(w->self, "without the kernel's events, all ports and processes are counted: %s",
                  why);
    while (!is_over(w, tracepoints_now()))
        nanosleep(&(struct timespec){.tv_nsec = TICK * 1000000L}, NULL);
    if (counters_read(counters) != 0)
        return cli_error(w->self, "/proc/self/net/netstat: %s", strerror(errno));
    for (unsigned i = 0; i < COUNTER_COUNT; i++)
        counters[i] -= w->counters[i];
    double seconds = (double)(tracepoints_now() - w->began) / SECOND;
    if (w->json) {
        struct json json = {.out = stdout};
        json_open(&json, NULL, '{');
        json_real(&json, "seconds", seconds, 6);
        table_add_json_counters(&json, counters);
        json_close(&json, '}');
        putchar('\n');
        return 0;
    }
    printf("%.0f s, by the counters of this network namespace (%s); root sees each connection\n",
           seconds, why);
    table_print_counters(stdout, counters);
    return 0;
}

/* The tracepoints first: from then on no process begins unseen. */
static int watch(struct watch *w, char **pids)
{
    struct error why;
    struct timespec time;
    int status;

    w->tracepoints = tracepoints_open(false, w->scope.ports, w->scope.port_count, &why);
    w->connections = connections_new();
    if (!w->connections)
        return cli_error(w->self, "out of memory");
    if (scope_begin(&w->scope, w->self, pids) != 0)
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
        cli_error(w->self, "out of memory");
    return status;
}

static void release(struct watch *w)
{
    if (w->tracepoints)
        tracepoints_close(w->tracepoints);
    if (w->connections)
        connections_free(w->connections);
    scope_end(&w->scope);
    free(w->groups.items);
    free(w->held.items);
}

static bool take_port(struct watch *w, const char *text)
{
    long port;

    if (!cli_take_port(w->self, text, &port))
        return false;
    if (w->scope.port_count == TRACEPOINTS_PORTS) {
        (void)cli_usage(w->self, "-p: at most %d ports may be given", TRACEPOINTS_PORTS);
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
    w.self = self;
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
