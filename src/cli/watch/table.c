/* SPDX-License-Identifier: MIT */
/*
 * Words for what connections.c finds. Names of processes are chosen by other users: nothing of them
 * but printable ASCII reaches a terminal.
 */
#include "cli/watch/table.h"

#include <inttypes.h>
#include <netinet/tcp.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "cli/cli.h"

#define SHOWN 10 /* groups */
#define WORDS_MAX 160

static const char *const first_words[] = {
    [FIRST_NOBODY] = "nobody",
    [FIRST_HERE] = "this end",
    [FIRST_PEER] = "the peer",
    [FIRST_BOTH] = "both at once",
};

static const char *const reason_words[] = {
    [REASON_UNKNOWN] = "no reason given",  [REASON_NO_SOCKET] = "another reason",
    [REASON_UNREAD] = "unread data",       [REASON_ABORTED] = "SO_LINGER 0",
    [REASON_ORPHAN] = "after close()",     [REASON_LINGER2] = "TCP_LINGER2 < 0",
    [REASON_MEMORY] = "out of memory",     [REASON_KEEPALIVE] = "keepalive",
    [REASON_TIME_WAIT] = "another reason", [REASON_MPTCP] = "MPTCP",
    [REASON_OTHER] = "another reason",     [REASON_UNACCEPTED] = "not accepted",
    [REASON_DESTROYED] = "SOCK_DESTROY",   [REASON_LATE] = "data after close()",
};

/* `failed`: of a connect() that led to no connection. */
static const struct {
    const char *word, *failed;
} how_words[] = {
    [HOW_FIN] = {"FIN", NULL},
    [HOW_RST] = {"RST", NULL},
    [HOW_TIMEOUT] = {"timeout", NULL},
    [HOW_REFUSED] = {"refused", "refused: the answer was RST"},
    [HOW_UNANSWERED] = {"unanswered", "not answered"},
    [HOW_GIVEN_UP] = {"given up", "given up before an answer came"},
    [HOW_NO_PORT] = {"no local port", "failed: no local port was left (`linger states`)"},
};

static const char *const left_words[] = {
    [LEFT_NOTHING] = "nothing",
    [LEFT_TIME_WAIT] = "TIME_WAIT",
    [LEFT_FIN_WAIT2] = "FIN_WAIT2",
};

static const char *const role_words[] = {
    [END_UNSEEN] = "-",
    [END_SERVER] = "server",
    [END_CLIENT] = "client",
};

static void put_program(struct text *out, const char *before, const struct connection *c,
                        bool is_one_process)
{
    text_put(out, before);
    text_put_printable(out, c->program, strlen(c->program));
    if (is_one_process) {
        text_put(out, " (pid ");
        text_put_number(out, (uint64_t)c->pid);
        text_put_char(out, ')');
    }
}

/* "FIN, nginx" */
static void put_by(char text[WORDS_MAX], const struct connection *c, bool is_one_process)
{
    static const char *const then[][2] = {
        [THEN_NOTHING] = {"", ""},
        [THEN_SENT_RST] = {"; then RST", "; then RST"},
        [THEN_GOT_RST] = {"; then RST", "; answered by RST"},
        [THEN_TIMEOUT] = {"; then no answer", "; never acknowledged"},
    };
    bool is_first = c->first == FIRST_HERE;
    bool is_seen = c->pid != 0 && c->is_closer;
    struct text out;

    text_begin(&out, text, WORDS_MAX);
    text_put(&out, c->how == HOW_TIMEOUT && c->reason == REASON_KEEPALIVE ? "keepalive " : "");
    text_put(&out, how_words[c->how].word);
    if (is_seen && (is_first || c->first == FIRST_BOTH))
        put_program(&out, ", ", c, is_one_process);
    text_put(&out, then[c->then][is_first]);
    if (is_seen && !is_first && c->then == THEN_SENT_RST)
        put_program(&out, ", ", c, is_one_process);
    if (c->then == THEN_SENT_RST || (c->how == HOW_RST && is_first)) {
        text_put(&out, ": ");
        text_put(&out, reason_words[c->reason]);
    }
}

static void where(char text[WORDS_MAX], const struct connection *c)
{
    if (c->role == END_CLIENT)
        snprintf(text, WORDS_MAX, "client of %s", cli_endpoint(c->peer, c->peer_port));
    else
        snprintf(text, WORDS_MAX, "server at port %u", c->local_port);
}

struct row {
    char where[WORDS_MAX], by[WORDS_MAX];
    const struct group *group;
    unsigned long count;
};

/* What a peer closes shows no program: groups that differ in it alone are one row. */
static struct row *same_row(struct row *rows, unsigned shown, const struct row *row)
{
    for (unsigned i = 0; i < shown; i++) {
        const struct connection *a = &rows[i].group->like, *b = &row->group->like;
        if (a->first == b->first && a->left == b->left && strcmp(rows[i].by, row->by) == 0 &&
            strcmp(rows[i].where, row->where) == 0)
            return &rows[i];
    }
    return NULL;
}

static int widest(int width, const char *text)
{
    int length = (int)strlen(text);

    return length > width ? length : width;
}

static void print_connections(FILE *out, const struct groups *g)
{
    struct row rows[SHOWN];
    unsigned long rest = g->ended;
    unsigned shown = 0;
    int where_width = 4, by_width = 2;

    for (size_t i = 0; i < g->count; i++) {
        struct row row = {.group = g->order[i], .count = g->order[i]->count};
        if (!groups_is_connection(&row.group->like))
            continue;
        where(row.where, &row.group->like);
        put_by(row.by, &row.group->like, row.group->is_one_process);
        struct row *same = same_row(rows, shown, &row);
        if (same)
            same->count += row.count;
        else if (shown < SHOWN)
            rows[shown++] = row;
        else
            continue;
        where_width = widest(where_width, row.where);
        by_width = widest(by_width, row.by);
        rest -= row.count;
    }
    if (shown == 0)
        return;
    fprintf(out, "  %-*s  %-12s  %-*s  %-9s  connections\n", where_width, "here", "closed first",
            by_width, "by", "left here");
    for (unsigned i = 0; i < shown; i++)
        fprintf(out, "  %-*s  %-12s  %-*s  %-9s  %11lu\n", where_width, rows[i].where,
                first_words[rows[i].group->like.first], by_width, rows[i].by,
                left_words[rows[i].group->like.left], rows[i].count);
    if (rest > 0)
        fprintf(out, "  %-*s  %11lu\n", where_width + by_width + 27, "others", rest);
}

static void put_failed(char words[WORDS_MAX], const struct connection *c, bool is_one_process,
                       unsigned long count)
{
    struct text out;

    text_begin(&out, words, WORDS_MAX);
    put_program(&out, "connect() by ", c, is_one_process);
    if (c->how != HOW_NO_PORT)
        text_put(&out, count == 1 ? " was" : " were");
    text_put_char(&out, ' ');
    text_put(&out, how_words[c->how].failed);
}

static void print_failed(FILE *out, const struct groups *g)
{
    unsigned shown = 0;

    for (size_t i = 0; i < g->count && shown < SHOWN; i++) {
        const struct group *group = g->order[i];
        char words[WORDS_MAX];
        if (groups_is_connection(&group->like))
            continue;
        put_failed(words, &group->like, group->is_one_process, group->count);
        fprintf(out, "%lu %s, to %s\n", group->count, words,
                cli_endpoint(group->like.peer, group->like.peer_port));
        shown++;
    }
}

static void print_port(FILE *out, uint16_t port, unsigned long count, const char *why)
{
    if (count > 0)
        fprintf(out, "%lu RST in answer to a packet for port %u: %s\n", count, port, why);
}

static void print_ports(FILE *out, const struct groups *g)
{
    for (size_t i = 0; i < g->port_count; i++) {
        const struct group_port *p = &g->ports[i];
        print_port(out, p->port, p->nobody, "nobody listens there");
        print_port(out, p->port, p->late, "its connection was gone");
        print_port(out, p->port, p->time_wait, "its connection was in TIME_WAIT or FIN_WAIT2");
    }
}

void table_print(FILE *out, struct groups *g)
{
    groups_sort(g);
    print_connections(out, g);
    print_failed(out, g);
    print_ports(out, g);
    if (g->lost > 0)
        fprintf(out,
                "events lost: %" PRIu64
                "; each may hide a connection, or show it with the wrong ending\n",
                g->lost);
}

static void add_ending(struct json *json, const struct connection *c)
{
    static const char *const then[] = {
        [THEN_SENT_RST] = "RST sent",
        [THEN_GOT_RST] = "RST received",
        [THEN_TIMEOUT] = "timeout",
    };

    json_string(json, "role", role_words[c->role]);
    json_string(json, "first", first_words[c->first]);
    json_string(json, "how", how_words[c->how].word);
    if (c->then != THEN_NOTHING)
        json_string(json, "then", then[c->then]);
    if (c->then == THEN_SENT_RST || (c->how == HOW_RST && c->first == FIRST_HERE) ||
        c->reason == REASON_KEEPALIVE)
        json_string(json, "reason", reason_words[c->reason]);
    json_string(json, "left", left_words[c->left]);
    if (c->pid != 0)
        json_string(json, "program", c->program);
}

static void add_group(struct json *json, const struct group *group)
{
    const struct connection *c = &group->like;

    json_open(json, NULL, '{');
    json_number(json, "count", (long long)group->count);
    add_ending(json, c);
    if (group->is_one_process && c->pid != 0)
        json_number(json, "pid", c->pid);
    if (c->role == END_CLIENT)
        json_string(json, "to", cli_endpoint(c->peer, c->peer_port));
    else
        json_number(json, "port", c->local_port);
    json_close(json, '}');
}

static void add_port(struct json *json, const struct group_port *p)
{
    json_open(json, NULL, '{');
    json_number(json, "port", p->port);
    json_number(json, "nobody_listens", (long long)p->nobody);
    json_number(json, "connection_gone", (long long)p->late);
    json_number(json, "time_wait", (long long)p->time_wait);
    json_close(json, '}');
}

void table_add_json(struct json *json, struct groups *g)
{
    groups_sort(g);
    json_number(json, "ended", (long long)g->ended);
    json_number(json, "failed", (long long)g->failed);
    json_number(json, "lost", (long long)g->lost);
    json_number(json, "others", (long long)g->others);
    json_open(json, "groups", '[');
    for (size_t i = 0; i < g->count; i++)
        add_group(json, g->order[i]);
    json_close(json, ']');
    json_open(json, "resets", '[');
    for (size_t i = 0; i < g->port_count; i++)
        add_port(json, &g->ports[i]);
    json_close(json, ']');
}

/* The state that it entered next after that time: TCP_CLOSE is the last one. */
static unsigned next_state(const struct connection *c, uint64_t after)
{
    unsigned next = TCP_CLOSE;

    for (unsigned i = 1; i < DIAG_STATES; i++) {
        if (c->since[i] > after && c->since[i] < c->since[next])
            next = i;
    }
    return next;
}

static void print_states(FILE *out, struct json *json, const struct connection *c)
{
    for (unsigned state = next_state(c, 0), next; state != TCP_CLOSE; state = next) {
        next = next_state(c, c->since[state]);
        double seconds = (double)(c->since[next] - c->since[state]) / 1e9;
        if (json)
            json_real(json, diag_state_name(state), seconds, 9);
        else
            fprintf(out, "\n    %-12s %.6f s", diag_state_name(state), seconds);
    }
}

static void print_clock(FILE *out, double seconds)
{
    char clock[16];
    time_t now = (time_t)seconds;
    struct tm local;

    strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&now, &local));
    fprintf(out, "%s.%03u", clock, (unsigned)((seconds - (double)now) * 1000));
}

static void print_line(FILE *out, const struct connection *c, double time, bool has_states)
{
    char words[WORDS_MAX];

    print_clock(out, time);
    fprintf(out, " %-6s %s %s ", role_words[c->role], cli_endpoint(c->local, c->local_port),
            cli_endpoint(c->peer, c->peer_port));
    if (groups_is_connection(c)) {
        put_by(words, c, true);
        fprintf(out, "closed first: %s, by %s; left %s", first_words[c->first], words,
                left_words[c->left]);
    } else {
        put_failed(words, c, true, 1);
        fputs(words, out);
    }
    if (c->began != 0)
        fprintf(out, "; lived %.6f s", (double)(c->ended - c->began) / 1e9);
    if (has_states)
        print_states(out, NULL, c);
}

static void print_json(FILE *out, const struct connection *c, double time, bool has_states)
{
    struct json json = {.out = out};

    json_open(&json, NULL, '{');
    json_real(&json, "time", time, 16);
    json_string(&json, "local", cli_endpoint(c->local, c->local_port));
    json_string(&json, "peer", cli_endpoint(c->peer, c->peer_port));
    add_ending(&json, c);
    if (c->pid != 0)
        json_number(&json, "pid", c->pid);
    if (c->began != 0)
        json_real(&json, "seconds", (double)(c->ended - c->began) / 1e9, 9);
    if (has_states) {
        json_open(&json, "states", '{');
        print_states(out, &json, c);
        json_close(&json, '}');
    }
    json_close(&json, '}');
}

void table_print_connection(FILE *out, const struct connection *c, double time, bool is_json,
                            bool has_states)
{
    if (is_json)
        print_json(out, c, time, has_states);
    else
        print_line(out, c, time, has_states);
    fputc('\n', out);
}

static const struct {
    enum counter counter;
    const char *name;
    const char *words;
} counter_rows[] = {
    {COUNTER_CONNECTED, "connected", "connections opened by programs here"},
    {COUNTER_ACCEPTED, "accepted", "connections opened by peers"},
    {COUNTER_TIME_WAIT, "time_wait", "closed first by this end: they entered TIME_WAIT"},
    {COUNTER_RESETS, "reset", "ended by RST, of either end"},
    {COUNTER_SENT_RESETS, "rst_sent", "RST sent"},
    {COUNTER_UNREAD, "unread_data", "closed with unread data"},
    {COUNTER_ABORTED, "aborted", "aborted: SO_LINGER 0, or data or an ACK after close()"},
    {COUNTER_LINGER2, "linger2", "closed in FIN_WAIT2 with TCP_LINGER2 < 0"},
    {COUNTER_TIMEOUTS, "timeout", "given up by the kernel: timeout"},
    {COUNTER_MEMORY, "memory", "given up by the kernel: out of memory for TCP"},
    {COUNTER_CONNECT_FAILS, "connect_failed", "connect() that failed"},
    {COUNTER_OVERFLOWS, "listen_overflow", "SYN or ACK dropped: a listener's queue was full"},
};

void table_print_counters(double seconds, const char *why, const uint64_t growth[COUNTER_COUNT])
{
    printf("%.0f s, by the counters of this network namespace (%s); root sees each connection\n",
           seconds, why);
    for (size_t i = 0; i < sizeof(counter_rows) / sizeof(counter_rows[0]); i++) {
        uint64_t value = growth[counter_rows[i].counter];
        if (value > 0)
            printf("  %8" PRIu64 "  %s\n", value, counter_rows[i].words);
    }
}

void table_print_json_counters(double seconds, const uint64_t before[COUNTER_COUNT],
                               const uint64_t growth[COUNTER_COUNT])
{
    struct json json = {.out = stdout};

    json_open(&json, NULL, '{');
    json_real(&json, "seconds", seconds, 6);
    json_open(&json, "counters", '{');
    for (size_t i = 0; i < sizeof(counter_rows) / sizeof(counter_rows[0]); i++) {
        enum counter counter = counter_rows[i].counter;
        if (before[counter] != COUNTER_MISSING)
            json_number(&json, counter_rows[i].name, (long long)growth[counter]);
    }
    json_close(&json, '}');
    json_close(&json, '}');
    putchar('\n');
}
