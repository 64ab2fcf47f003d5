/* SPDX-License-Identifier: MIT */
/*
 * linger close: ends connections that running processes have open. A duplicate of the descriptor
 * is enough: connect(2) to AF_UNSPEC aborts, shutdown(2) sends FIN, and the process finds its
 * socket ended. Its descriptor stays open: only the process itself can close that.
 *
 * One pass: a socket is examined, decided on and ended through the same duplicate, so that a number
 * that is reused cannot lead to another. What no process holds (TIME_WAIT, and
 * connections that their program closed) is ended by the kernel, SOCK_DESTROY. Must never touch a
 * listener.
 */
#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/attach/selection.h"
#include "cli/needs.h"
#include "cli/sockets/sockets.h"
#include "socket/diag.h"
#include "socket/sock.h"

#define WATCH_PAUSE 100000000 /* nanoseconds */
#define IDLE_MAX 10000000 /* seconds, some months; the kernel's milliseconds wrap after 49 days */

static const char help[] =
    "usage: linger close -m POLICY [OPTION...] PID|UNIT...\n"
    "       linger close -m POLICY [OPTION...] --port PORT\n"
    "       linger close --state time-wait [-m POLICY] [--port PORT]\n"
    "\n"
    "Ends TCP connections that running processes have open, and never a listener:\n"
    "rst aborts; fin shuts down both directions; fin-rst does so and asks for no\n"
    "TIME_WAIT; off leaves a connection alone. Without a PID it also ends, as root,\n"
    "what no process holds, in the states that are named: TIME_WAIT, for example.\n"
    "If nothing matches, the status is 0.\n"
    "\n"
    "  -m, --mode=POLICY   a mode, or rules (for time-wait alone: default rst)\n"
    "  -p, --port=PORT     the processes with connections there, and only those\n"
    "  -s, --state=LIST    those in one of these states, as ss(8) names them\n"
    "  -i, --idle=SECONDS  those on which no data has moved for that long\n"
    "  -S, --stuck=SECONDS those with data that the peer has not taken for that long\n"
    "  -a, --all           required unless a condition, a state or a time selects\n"
    "  -w, --watch=SECONDS go on for so long, or until Ctrl-C: peers connect again\n" SELECTION_HELP
    "examples:\n"
    "  linger close -m fin --state close-wait --port 8080\n"
    "  linger close --state time-wait --port 8080\n";

static const struct option options[] = {
    SELECTION_OPTIONS,
    {"state", required_argument, NULL, 's'},
    {"idle", required_argument, NULL, 'i'},
    {"stuck", required_argument, NULL, 'S'},
    {"all", no_argument, NULL, 'a'},
    {"watch", required_argument, NULL, 'w'},
    CLI_OPTIONS_END,
};

struct closing {
    struct selection selection;
    bool also_orphans; /* what nobody holds is ended, too */
    unsigned states;   /* 1 << TCP_ESTABLISHED, ...; 0: all */
    long idle;         /* seconds */
    long stuck;        /* seconds */
    bool all;
    long watch;          /* seconds; 0: one pass */
    struct seen settled; /* ended, or what failed: not again */
    struct seen left_at; /* once left alone, and printed */
    unsigned ended;
    unsigned orphans; /* of these: held by nobody */
    unsigned left;
    unsigned undecided; /* of these: held by nobody, and the rule cannot be decided */
    unsigned undecided_rule;
    unsigned failed;
};

/* A connection, and its outcome. */
struct outcome {
    const struct facts *facts;
    uint32_t idle; /* milliseconds */
    uint32_t stuck;
    enum decision decision;
    struct verdict verdict;
    const char *left;    /* why it is left alone; NULL if it is not */
    const char *refused; /* a call or an option, or NULL */
    int error;
    bool is_orphan;    /* held by nobody */
    bool is_unchanged; /* nothing was refused, and yet its state is the same */
};

/* States in which our FIN has been sent: another one ends nothing. */
#define FIN_SENT                                                                                   \
    (1u << TCP_FIN_WAIT1 | 1u << TCP_FIN_WAIT2 | 1u << TCP_CLOSING | 1u << TCP_LAST_ACK |          \
     1u << TCP_TIME_WAIT)

/* Decides what becomes of it: is it to be ended now? */
static bool is_to_be_ended(const struct closing *c, const struct policy *policy, struct outcome *o)
{
    o->decision = decide(policy, o->facts, &o->verdict);
    o->left = selection_left_text(o->decision, &o->verdict);
    if (!o->left && o->verdict.mode != MODE_RST) {
        if (FIN_SENT >> o->facts->state & 1)
            o->left = "left alone: its FIN is sent already; rst ends it";
        else if (c->stuck > 0)
            o->left = "left alone: its FIN would wait behind the data; rst ends it";
    }
    return !o->left && !c->selection.dry_run;
}

#define RESULT_MAX 128
#define result_text(c, o) put_result((char[RESULT_MAX]){0}, c, o)
static const char *put_result(char text[RESULT_MAX], const struct closing *c,
                              const struct outcome *o)
{
    if (o->left)
        return o->left;
    if (o->refused) {
        snprintf(text, RESULT_MAX, "failed: %s: %s", o->refused, strerror(o->error));
        return text;
    }
    if (o->is_unchanged)
        return "failed: it is in the same state as before";
    return c->selection.dry_run ? "would be ended" : "ended";
}

static void print_times(const struct closing *c, struct json *json, const struct outcome *o)
{
    if (json->out) {
        json_real(json, "idle", o->is_orphan ? (double)NAN : o->idle / 1e3, 9);
        json_real(json, "stuck", o->is_orphan ? (double)NAN : o->stuck / 1e3, 9);
        return;
    }
    if (o->is_orphan)
        printf(", held by nobody");
    else
        printf(", idle %u s", o->idle / 1000);
    if (c->stuck > 0)
        printf(", stuck %u s", o->stuck / 1000);
}

static void print(struct closing *c, const struct outcome *o)
{
    const struct facts *f = o->facts;
    struct json *json = &c->selection.json;

    if (c->selection.quiet)
        return;
    if (json->out) {
        json_open(json, NULL, '{');
        json_real(json, "pid", o->is_orphan ? (double)NAN : c->selection.target->pid, 10);
    } else if (o->is_orphan && o->decision == DECIDE_NOT_YET) { /* thousands: one line for all */
        c->undecided++;
        c->undecided_rule = o->verdict.rule;
        return;
    }
    selection_print(json, "local", "", cli_endpoint(f->local_ip, f->local_port));
    selection_print(json, "peer", " ", selection_peer_text(f));
    selection_print(json, "state", "  ", diag_state_name(f->state));
    print_times(c, json, o);
    selection_print(json, "verdict", "  verdict ", selection_mode_text(o->decision, &o->verdict));
    selection_print(json, "result", "  ", result_text(c, o));
    selection_end_line(json);
}

static bool is_chosen(const struct closing *c, int fd, struct outcome *o)
{
    const struct facts *f = o->facts;

    if (f->state == TCP_LISTEN || (c->states && !(c->states & 1u << f->state)))
        return false;
    o->stuck = sock_stuck(fd, f->state);
    return sock_idle(fd, &o->idle) && (long)(o->idle / 1000) >= c->idle &&
           (long)(o->stuck / 1000) >= c->stuck;
}

/* A kernel that refuses nothing may have done nothing: look again. */
static bool has_changed(int fd, uint8_t before)
{
    struct facts now = {0};

    return !sock_facts(fd, 0, &now) || now.state != before;
}

static void conclude(struct closing *c, const struct outcome *o)
{
    if (c->watch > 0 && seen_note(o->left ? &c->left_at : &c->settled, o->facts->cookie) == 0)
        return; /* an earlier pass has said it */
    if (o->left) {
        c->left++;
    } else if (o->refused || o->is_unchanged) {
        c->failed++;
    } else {
        c->ended++;
        c->orphans += o->is_orphan;
    }
    print(c, o);
}

static bool visit(struct selection *s, int fd, const struct facts *facts, void *context)
{
    struct closing *c = context;
    struct outcome o = {.facts = facts};

    if (!is_chosen(c, fd, &o) || seen_has(&c->settled, facts->cookie))
        return true;
    if (is_to_be_ended(c, &s->policy, &o)) {
        o.refused = sock_end(fd, &o.verdict);
        o.error = errno;
        o.is_unchanged = !o.refused && !has_changed(fd, facts->state);
    }
    conclude(c, &o);
    return true;
}

/* False where the kernel would refuse the others, too. */
static bool end_orphan(struct closing *c, const struct diag_socket *s)
{
    /* What the kernel's list says: not who connected. */
    const struct facts facts = {.known = FACT_LOCAL_IP | FACT_LOCAL_PORT | FACT_PEER | FACT_COOKIE,
                                .state = s->state,
                                .local_port = s->local_port,
                                .peer_port = s->peer_port,
                                .local_ip = s->local,
                                .peer_ip = s->peer,
                                .cookie = s->cookie};
    struct outcome o = {.facts = &facts, .is_orphan = true};

    if (is_to_be_ended(c, &c->selection.rules, &o) && sockets_destroy(s) != 0) {
        if (errno == ENOENT)
            return true; /* it ended by itself */
        if (errno == EPERM || errno == EOPNOTSUPP)
            return false;
        o.refused = "SOCK_DESTROY";
        o.error = errno;
    }
    conclude(c, &o);
    return true;
}

/* TIME_WAIT and connections that their program has closed, of the port or of all. */
static int end_orphans(struct closing *c)
{
    struct sockets sockets = {NULL, 0};
    bool goes_on = true;

    if (sockets_read(&sockets, DIAG_EVERY_STATE) != 0)
        return cli_error(c->selection.self, "the kernel does not list its sockets: %s",
                         strerror(errno));
    for (size_t i = 0; i < sockets.count && goes_on; i++) {
        const struct diag_socket *s = &sockets.items[i];
        bool is_chosen_state = c->states & FIN_SENT & 1u << s->state;
        if (is_chosen_state && s->inode == 0 && !seen_has(&c->settled, s->cookie) &&
            (!c->selection.port || s->local_port == c->selection.port))
            goes_on = end_orphan(c, s);
    }
    if (!goes_on)
        cli_error(c->selection.self, "what nobody holds cannot be ended: %s",
                  sockets_why_not_destroyed(errno));
    else if (c->selection.port && !c->selection.quiet && c->watch == 0 &&
             c->ended + c->left + c->failed == 0)
        sockets_point_at_peers(c->selection.self, &sockets, c->states & FIN_SENT,
                               c->selection.port);
    free(sockets.items);
    return goes_on ? 0 : -1;
}

static void print_summary(struct closing *c)
{
    struct json *json = &c->selection.json;

    if (c->selection.quiet)
        return;
    if (c->selection.json.out) {
        json_close(json, ']');
        json_number(json, "ended", c->ended);
        json_number(json, "left", c->left);
        json_number(json, "failed", c->failed);
        json_close(json, '}');
        putchar('\n');
    } else {
        unsigned held = c->ended - c->orphans;
        int processes = c->selection.met;
        if (c->undecided > 0)
            printf("%u that nobody held left alone: rule %u (%s): role=, port=, when= and prog= "
                   "cannot be decided for them; local= and peer= can\n",
                   c->undecided, c->undecided_rule,
                   selection_rule_text(&c->selection.rules, c->undecided_rule));
        if (processes > 0 || !c->also_orphans)
            printf("%u connection%s of %d process%s%s", held, held == 1 ? "" : "s", processes,
                   processes == 1 ? "" : "es", c->orphans > 0 ? " and " : "");
        if (c->orphans > 0 || processes == 0)
            printf("%u that nobody held", c->orphans);
        printf(" %sended, %u left alone, %u failed\n", c->selection.dry_run ? "would be " : "",
               c->left, c->failed);
    }
}

/* Refuses what an open connection cannot be given. */
static int check_policy(const struct closing *c)
{
    const struct policy *rules = &c->selection.rules;

    for (unsigned i = 0; i < rules->rule_count; i++) {
        const struct policy_rule *rule = &rules->rules[i];
        const char *what = NULL;
        if (rule->mode == MODE_WAIT)
            what = "wait is for the process's own close(); use fin";
        else if (rule->conditions & CONDITION_OVERRULE)
            what = "overrule= is about socket options, not about ending a connection";
        if (what)
            return cli_error(c->selection.self, "rule %u (%s) ends nothing here: %s", rule->number,
                             selection_rule_text(rules, rule->number), what);
    }
    return 0;
}

/* prog= selects nothing: every named process must match it. */
static bool chooses(const struct closing *c)
{
    const struct policy *rules = &c->selection.rules;
    bool chosen = c->all || c->states || c->idle > 0 || c->stuck > 0;

    for (unsigned i = 0; i < rules->rule_count; i++)
        chosen = chosen || rules->rules[i].conditions & ~(unsigned)CONDITION_PROG;
    return chosen;
}

/* Reads a state. NULL, or the text of what is wrong with the word. */
static const char *read_state(const char *word, unsigned *state)
{
    static const unsigned open = 1u << TCP_ESTABLISHED | 1u << TCP_SYN_SENT | 1u << TCP_CLOSE_WAIT |
                                 (FIN_SENT & ~(1u << TCP_TIME_WAIT));

    if (strcmp(word, "connected") == 0 || strcmp(word, "synchronized") == 0) {
        *state = open & ~(word[0] == 's' ? 1u << TCP_SYN_SENT : 0u);
        return NULL;
    }
    if (strcmp(word, "listening") == 0 || strcmp(word, "listen") == 0)
        return "a listener is never ended";
    for (unsigned i = 1; i < DIAG_STATES; i++) {
        if (strcmp(word, diag_state_name(i)) != 0)
            continue;
        *state = 1u << i;
        return *state & (open | FIN_SENT) ? NULL : "no connection in that state can be ended";
    }
    return "a state is one of: established, syn-sent, fin-wait-1, fin-wait-2, close-wait, "
           "last-ack, closing, time-wait, connected, synchronized";
}

static bool take_states(struct closing *c, char *list)
{
    char *rest;
    char *word = strtok_r(list, ",", &rest);
    unsigned state = 0;

    do {
        const char *mistake = read_state(word ? word : "", &state);
        if (mistake) {
            (void)cli_usage(c->selection.self, "--state: '%s': %s", word ? word : "", mistake);
            return false;
        }
        c->states |= state;
    } while ((word = strtok_r(NULL, ",", &rest)));
    return true;
}

static bool take_option(struct closing *c, int option)
{
    switch (option) {
    case 's':
        return take_states(c, optarg);
    case 'i':
        return cli_take_seconds(c->selection.self, "--idle", optarg, 1, IDLE_MAX, &c->idle);
    case 'S':
        return cli_take_seconds(c->selection.self, "--stuck", optarg, 1, IDLE_MAX, &c->stuck);
    case 'w':
        return cli_take_seconds(c->selection.self, "--watch", optarg, 1, IDLE_MAX, &c->watch);
    case 'a':
        c->all = true;
        return true;
    default:
        return selection_take_option(&c->selection, option);
    }
}

/* Are there processes whose connections may come back? -1 after a message. */
static int renew(struct closing *c)
{
    struct selection *s = &c->selection;

    if (c->states == 1u << TCP_TIME_WAIT || (s->port == 0 && s->met == 0))
        return 1; /* no process has those */
    int count = selection_renew(s);
    return count == 0 ? s->port > 0 : count;
}

static int make_passes(struct closing *c)
{
    double end = cli_now() + (double)c->watch;
    int status;

    if (c->watch > 0)
        cli_catch_signals();
    do {
        status = selection_each(&c->selection, visit, c);
        if (status == 0 && c->also_orphans)
            status = end_orphans(c);
        if (status != 0 || c->watch == 0 || fflush(stdout) != 0)
            break;
        nanosleep(&(struct timespec){.tv_nsec = WATCH_PAUSE}, NULL);
        status = renew(c);
    } while (status > 0 && !cli_is_interrupted() && cli_now() < end);
    return status < 0 ? -1 : 0;
}

static int end_connections(struct closing *c)
{
    if (c->selection.json.out && !c->selection.quiet) {
        json_open(&c->selection.json, NULL, '{');
        json_open(&c->selection.json, "connections", '[');
    }
    int status = make_passes(c);
    print_summary(c);
    bool is_done = status == 0 && c->failed == 0 && c->selection.unseen == 0;
    return cli_flush(c->selection.self, is_done ? CLI_OK : CLI_FAILED);
}

/* What is missing or contradictory, or NULL. Completes what follows from the rest. */
static const char *find_mistake(struct closing *c, bool has_pids)
{
    struct selection *s = &c->selection;
    bool only_orphans = c->states && !(c->states & ~FIN_SENT);

    if (s->port && has_pids)
        return "give either pids or --port, not both";
    if (has_pids && c->states & 1u << TCP_TIME_WAIT)
        return "--state: no process has a socket in time-wait: leave out the pids";
    if (!s->port && !has_pids && !only_orphans)
        return "a pid or --port is missing";
    if (!s->mode && c->states == 1u << TCP_TIME_WAIT)
        s->mode = "rst";
    c->also_orphans = !has_pids && c->states & FIN_SENT && c->idle + c->stuck == 0;
    s->may_be_none = c->also_orphans || c->watch > 0;
    return s->mode ? NULL : "a policy is missing: -m";
}

static int close_main(const struct cli_command *self, int argc, char **argv)
{
    static struct closing c;
    int option;
    int status = CLI_FAILED;

    c.selection.self = self;
    c.selection.wanted = FACT_LOCAL_IP | FACT_LOCAL_PORT | FACT_PEER | FACT_WHEN;
    while ((option = cli_option(self, argc, argv, options, false, &status)) > 0) {
        if (!take_option(&c, option))
            return CLI_FAILED;
    }
    if (option == 0)
        return status;
    const char *mistake = find_mistake(&c, argv[optind] != NULL);
    if (mistake)
        return cli_usage(self, "%s", mistake);
    if (selection_take_mode(&c.selection) != 0 || check_policy(&c) != 0)
        return CLI_FAILED;
    if (!chooses(&c))
        return cli_usage(self, "that is every connection: narrow it by a condition, --state, "
                               "--idle or --stuck, or give --all");
    bool has_processes = argv[optind] || (c.selection.port && c.states != 1u << TCP_TIME_WAIT);
    if (has_processes &&
        (!needs_are_met(NEED_CLOSE, self) || selection_open(&c.selection, argv + optind) != 0 ||
         selection_each(&c.selection, NULL, NULL) != 0))
        return CLI_FAILED;
    status = end_connections(&c);
    selection_close(&c.selection);
    return status;
}

const struct cli_command cli_close = {"close", "end connections that are open now, or TIME_WAIT",
                                      help, close_main};
