/* SPDX-License-Identifier: MIT */
/*
 * linger states: sockets by TCP state, TIME_WAIT by peer, the distance to the port wall, and who
 * holds a port. Reads the kernel's own dump (diag.c), sums it up (states/summary.c), and prints.
 */
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/screen.h"
#include "cli/states/advice.h"
#include "cli/states/port.h"
#include "cli/states/summary.h"

#define HISTORY 30    /* samples in a bar of -w */
#define BESIDE_BAR 48 /* columns, or without queues: */
#define BESIDE_BAR_NARROW 26
#define PEERS_SHOWN 10 /* of those with the most TIME_WAIT */

static const char help[] =
    "usage: linger states [OPTION...]\n"
    "\n"
    "Shows the TCP sockets of this network namespace: how many in each state, the\n"
    "peers with the most TIME_WAIT, the ephemeral ports left towards the busiest\n"
    "destination, the processes that must call close() (CLOSE_WAIT), and what helps.\n"
    "\n"
    "  -p, --port=PORT         who holds a port, TIME_WAIT and for how long\n"
    "  -w, --watch[=SECONDS]   repeat every second, or every SECONDS; redrawn in\n"
    "                          place in a terminal, a line each time elsewhere\n"
    "  -j, --json              as JSON, in one line\n"
    "  -h, --help              this text\n"
    "\n"
    "example:\n"
    "  linger states -p 8080\n";

static const struct option options[] = {
    CLI_OPTION_PORT, CLI_OPTION_WATCH, CLI_OPTION_JSON, CLI_OPTION_HELP, CLI_OPTIONS_END,
};

struct request {
    const struct cli_command *self;
    long port;    /* 0: all */
    long seconds; /* of -w; 0: once */
    bool json;
    bool redraw;
    unsigned history[HISTORY][DIAG_STATES];
    unsigned samples;
};

/* The last samples of a state as a bar, in eighths of the largest. */
static void print_bar(FILE *out, const struct request *r, unsigned state, unsigned most)
{
    static const char *const blocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const letters[] = {" ", ".", ".", ":", ":", "+", "+", "#", "#"};
    bool utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    unsigned shown = r->samples < most ? r->samples : most;
    unsigned largest = 1;

    for (unsigned i = 0; i < HISTORY; i++) {
        if (r->history[i][state] > largest)
            largest = r->history[i][state];
    }
    for (unsigned i = r->samples - shown; i < r->samples; i++) {
        unsigned long value = r->history[i % HISTORY][state];
        unsigned step = (unsigned)((value * 8 + largest - 1) / largest);
        fputs(utf8 ? blocks[step] : letters[step], out);
    }
}

static void print_states(FILE *out, const struct request *r, const struct summary *s)
{
    bool is_narrow = r->redraw && screen_columns() < BESIDE_BAR + HISTORY / 2;
    unsigned beside = is_narrow ? BESIDE_BAR_NARROW : BESIDE_BAR;
    unsigned room = screen_columns() > beside ? screen_columns() - beside : 1;
    enum bystate_form form = is_narrow        ? BYSTATE_NARROW
                             : r->seconds > 0 ? BYSTATE_PADDED
                                              : BYSTATE_PLAIN;

    bystate_print_head(out, "TCP states", form);
    for (unsigned i = 1; i < DIAG_STATES; i++) {
        bool seen = s->states.count[i] > 0;
        for (unsigned j = 0; j < HISTORY; j++)
            seen = seen || r->history[j][i] > 0;
        if (!seen)
            continue;
        bystate_print(out, &s->states, i, form);
        if (r->seconds > 0) {
            fputs("  ", out);
            print_bar(out, r, i, room < HISTORY ? room : HISTORY);
        }
        fputc('\n', out);
    }
}

static void print_time_wait(FILE *out, const struct summary *s)
{
    if (s->states.count[TCP_TIME_WAIT] == 0)
        return;
    fprintf(out, "TIME_WAIT by destination\n");
    for (size_t i = 0; i < s->peer_count && i < PEERS_SHOWN && s->peers[i].time_wait > 0; i++) {
        const struct summary_peer *p = &s->peers[i];
        fprintf(out, "  %8u  %s %s", p->time_wait, p->peer_port ? "to" : "from",
                cli_endpoint(p->peer, p->peer_port));
        if (p->local_port)
            fprintf(out, ", %s our port %u", p->peer_port ? "from" : "at", p->local_port);
        fputc('\n', out);
    }
}

static unsigned left(const struct summary *s)
{
    unsigned range = summary_range(s);
    unsigned held = summary_held(s, &s->busiest);

    return held < range ? range - held : 0;
}

static void print_ephemeral(FILE *out, const struct summary *s)
{
    const struct summary_peer *b = &s->busiest;

    fprintf(out, "ephemeral ports\n");
    if (b->used == 0) {
        fprintf(out, "  none of %u in use\n", summary_range(s));
        return;
    }
    fprintf(out, "  to %s: %u of %u used (%u %%), %u of them by TIME_WAIT\n",
            cli_endpoint(b->peer, b->peer_port), b->used, summary_range(s),
            100 * b->used / summary_range(s), b->time_wait);
    fprintf(out,
            "  %u left; at most %u new connections a second, as TIME_WAIT holds a port for %g s\n",
            left(s), summary_rate(s, b), summary_seconds(s, b));
}

static void print_unclosed(FILE *out, const struct summary *s, enum summary_unclosed kind)
{
    const struct summary_holders *u = &s->unclosed[kind];

    if (u->count + u->unseen == 0)
        return;
    if (kind == UNCLOSED_CLOSE_WAIT)
        fprintf(out, "CLOSE_WAIT: the peer has closed and the program has not; no socket option "
                     "cures it\n");
    else if (kind == UNCLOSED_FIN_WAIT2)
        fprintf(out, "FIN_WAIT2: the program has sent its FIN, and holds the socket until the peer "
                     "closes\n");
    else
        fprintf(out, "closed: no connection is left, and the program still holds the socket; only "
                     "its close() frees it\n");
    for (size_t i = 0, next; i < u->count; i = next) {
        next = holders_next(u->holders, u->count, i);
        cli_print_line(out, "  %8zu  %s (pid %d)", next - i, u->holders[i].program,
                       (int)u->holders[i].pid);
    }
    if (u->unseen > 0)
        fprintf(out, "  %8zu  of processes that this user may not inspect\n", u->unseen);
    if (u->orphans > 0)
        fprintf(out, "  %8zu  of nobody: their program has closed them\n", u->orphans);
}

/* A setting that cannot be read (no /proc, an older kernel) is left out. */
static void print_sysctls(FILE *out, const struct summary *s)
{
    fprintf(out, "settings\n  ip_local_port_range %5u-%u\n", s->range.low, s->range.high);
    for (enum summary_sysctl i = 0; i < SYSCTLS; i++) {
        if (s->sysctls[i] >= 0)
            fprintf(out, "  %-19s %5d\n", text_file_name(summary_sysctls[i]), s->sysctls[i]);
    }
}

static void print_line(FILE *out, const struct summary *s)
{
    char clock[16];
    time_t now = time(NULL);
    struct tm local;

    strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&now, &local));
    fputs(clock, out);
    for (unsigned i = 1; i < DIAG_STATES; i++) {
        if (s->states.count[i] > 0)
            fprintf(out, " %s=%u", diag_state_name(i), s->states.count[i]);
    }
    if (s->busiest.used > 0)
        fprintf(out, " ports=%u/%u to=%s", s->busiest.used, summary_range(s),
                cli_endpoint(s->busiest.peer, s->busiest.peer_port));
    fputc('\n', out);
}

static void print_json_peers(struct json *json, const struct summary *s)
{
    json_open(json, "time_wait", '[');
    for (size_t i = 0; i < s->peer_count && i < PEERS_SHOWN && s->peers[i].time_wait > 0; i++) {
        const struct summary_peer *p = &s->peers[i];
        json_open(json, NULL, '{');
        json_string(json, "direction", p->peer_port ? "to" : "from");
        json_string(json, "peer", cli_endpoint(p->peer, p->peer_port));
        if (p->local_port)
            json_number(json, "port", p->local_port);
        json_number(json, "count", p->time_wait);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void print_json_unclosed(struct json *json, const char *key, const struct summary_holders *u)
{
    json_open(json, key, '[');
    for (size_t i = 0, next; i < u->count; i = next) {
        next = holders_next(u->holders, u->count, i);
        json_open(json, NULL, '{');
        json_number(json, "pid", u->holders[i].pid);
        json_string(json, "program", u->holders[i].program);
        json_number(json, "count", (long long)(next - i));
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void print_json_settings(struct json *json, const struct summary *s)
{
    json_open(json, "settings", '{');
    json_open(json, "ip_local_port_range", '[');
    json_number(json, NULL, s->range.low);
    json_number(json, NULL, s->range.high);
    json_close(json, ']');
    for (enum summary_sysctl i = 0; i < SYSCTLS; i++)
        json_number(json, text_file_name(summary_sysctls[i]), s->sysctls[i]);
    json_close(json, '}');
}

static void print_json(FILE *out, const struct summary *s)
{
    struct json json = {.out = out};

    json_open(&json, NULL, '{');
    bystate_print_json(&json, &s->states);
    print_json_peers(&json, s);
    print_json_unclosed(&json, "close_wait", &s->unclosed[UNCLOSED_CLOSE_WAIT]);
    print_json_unclosed(&json, "fin_wait2", &s->unclosed[UNCLOSED_FIN_WAIT2]);
    print_json_unclosed(&json, "closed", &s->unclosed[UNCLOSED_CLOSED]);
    json_number(&json, "fin_wait2_orphans", (long long)s->unclosed[UNCLOSED_FIN_WAIT2].orphans);
    json_open(&json, "listeners_in_range", '[');
    for (unsigned port = 1; port <= UINT16_MAX; port++) {
        if (s->is_exposed[port])
            json_number(&json, NULL, port);
    }
    json_close(&json, ']');
    json_open(&json, "ephemeral", '{');
    json_number(&json, "range", summary_range(s));
    json_number(&json, "used", s->busiest.used);
    json_number(&json, "left", left(s));
    json_number(&json, "per_second", summary_rate(s, &s->busiest));
    if (s->busiest.used > 0)
        json_string(&json, "to", cli_endpoint(s->busiest.peer, s->busiest.peer_port));
    json_close(&json, '}');
    print_json_settings(&json, s);
    json_number(&json, "close_wait_unseen", (long long)s->unclosed[UNCLOSED_CLOSE_WAIT].unseen);
    json_open(&json, "advice", '[');
    advice_print(&(struct advice){.json = &json}, s);
    json_close(&json, ']');
    json_close(&json, '}');
    fputc('\n', out);
}

static void print_all(FILE *out, const struct request *r, const struct summary *s)
{
    print_states(out, r, s);
    print_time_wait(out, s);
    print_ephemeral(out, s);
    for (enum summary_unclosed i = 0; i < UNCLOSED_KINDS; i++)
        print_unclosed(out, s, i);
    if (!r->redraw)
        print_sysctls(out, s);
    advice_print(&(struct advice){.out = out}, s);
    if (r->redraw) /* of what does not fit, this is missed least */
        print_sysctls(out, s);
}

static int show(struct request *r, const struct sockets *sockets, FILE *out)
{
    static struct summary sum;

    if (r->port)
        return port_show(out, sockets, r->port, r->json);
    if (summary_make(&sum, sockets) != 0)
        return -1;
    memcpy(r->history[r->samples++ % HISTORY], sum.states.count, sizeof(sum.states.count));
    if (r->json)
        print_json(out, &sum);
    else if (r->seconds > 0 && !r->redraw)
        print_line(out, &sum);
    else
        print_all(out, r, &sum);
    summary_free(&sum);
    return 0;
}

static int states(struct request *r)
{
    struct sockets sockets = {NULL, 0};
    struct screen screen;
    int status = CLI_OK;

    do {
        if (sockets_read(&sockets, DIAG_EVERY_STATE) != 0) {
            cli_error(r->self, "the kernel does not list its sockets (NETLINK_SOCK_DIAG): %s",
                      strerror(errno));
            status = CLI_FAILED;
        } else if (!screen_begin(&screen, r->redraw) || show(r, &sockets, screen.out) != 0) {
            cli_error(r->self, "out of memory");
            status = CLI_FAILED;
        } else {
            screen_end(&screen);
            status = cli_flush(r->self, CLI_OK);
        }
        if (r->seconds > 0 && status == CLI_OK)
            nanosleep(&(struct timespec){.tv_sec = r->seconds}, NULL);
    } while (r->seconds > 0 && status == CLI_OK);
    free(sockets.items);
    return status;
}

static int states_main(const struct cli_command *self, int argc, char **argv)
{
    static struct request request;
    int option;
    int status = CLI_OK;

    setlocale(LC_CTYPE, "");
    request.self = self;
    while ((option = cli_option(self, argc, argv, options, false, &status)) > 0) {
        if (option == 'j')
            request.json = true;
        else if ((option == 'p' && !cli_take_port(self, optarg, &request.port)) ||
                 (option == 'w' && !cli_take_interval(self, optarg, &request.seconds)))
            return CLI_FAILED;
    }
    if (option == 0)
        return status;
    if (optind < argc)
        return cli_usage(self, "unexpected argument '%s'; for one port: -p PORT", argv[optind]);
    request.redraw = request.seconds > 0 && !request.json && cli_is_terminal(stdout);
    return states(&request);
}

const struct cli_command cli_states = {
    "states", "TCP states, TIME_WAIT, ephemeral ports left, who holds a port", help, states_main};
