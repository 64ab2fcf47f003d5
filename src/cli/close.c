/* SPDX-License-Identifier: MIT */
/*
 * linger close: ends connections that running processes have open. A duplicate of the descriptor
 * is enough: connect(2) to AF_UNSPEC aborts, shutdown(2) sends FIN, and the process finds its
 * socket ended. Its descriptor stays open: only the process itself can close that.
 *
 * One pass: a socket is examined, decided on and ended through the same duplicate, so that a number
 * that is reused meanwhile cannot lead to another. Must never touch a listener.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "cli/attach/selection.h"
#include "cli/json.h"
#include "cli/needs.h"
#include "socket/diag.h"
#include "socket/sock.h"

#define IDLE_MAX 10000000 /* seconds, some months; the kernel's milliseconds wrap after 49 days */

static const char help[] =
    "usage: linger close -m POLICY [OPTION...] PID...\n"
    "       linger close -m POLICY [OPTION...] --port PORT\n"
    "\n"
    "Ends TCP connections that running processes have open, and never a listener:\n"
    "rst aborts; fin shuts down both directions; fin-rst does so and asks for no\n"
    "TIME_WAIT; off leaves a connection alone.\n"
    "\n"
    "  -m, --mode=POLICY   a mode, or rules\n"
    "  -p, --port=PORT     the processes with connections there, and only those\n"
    "  -s, --state=LIST    those in one of these states, as ss(8) names them\n"
    "  -i, --idle=SECONDS  those on which no data has moved for that long\n"
    "  -a, --all           required unless a condition, state or idle time selects\n"
    "  -n, --dry-run       show what would be ended\n"
    "  -j, --json          as JSON, in one line\n"
    "  -q, --quiet         only errors\n"
    "  -h, --help          this text\n"
    "\n"
    "exit status: 0 all done; 125 refused, or something was not done\n"
    "\n"
    "example:\n"
    "  linger close -m fin --state close-wait --port 8080\n";

static const struct option options[] = {
    CLI_OPTION_MODE,
    CLI_OPTION_PORT,
    {"state", required_argument, NULL, 's'},
    {"idle", required_argument, NULL, 'i'},
    {"all", no_argument, NULL, 'a'},
    CLI_OPTION_DRY_RUN,
    CLI_OPTION_JSON,
    CLI_OPTION_QUIET,
    CLI_OPTION_HELP,
    CLI_OPTIONS_END,
};

struct closing {
    struct selection selection;
    unsigned states; /* 1 << TCP_ESTABLISHED, ...; 0: all */
    long idle;       /* seconds */
    bool all;
    bool dry_run;
    struct json json; /* on no stream without --json */
    bool quiet;
    unsigned ended;
    unsigned left;
    unsigned failed;
};

/* A connection, and its outcome. */
struct outcome {
    const struct facts *facts;
    uint32_t idle; /* milliseconds */
    enum decision decision;
    struct verdict verdict;
    const char *refused; /* a call or an option, or NULL */
    int error;
};

static const char *result_text(const struct closing *c, const struct outcome *o)
{
    static char buffer[128];
    const char *left = selection_left_text(o->decision, &o->verdict);

    if (left)
        return left;
    if (o->refused) {
        snprintf(buffer, sizeof(buffer), "failed: %s: %s", o->refused, strerror(o->error));
        return buffer;
    }
    return c->dry_run ? "would be ended" : "ended";
}

static void print_json(struct closing *c, const struct outcome *o, const char *verdict)
{
    const struct facts *f = o->facts;

    json_open(&c->json, NULL, '{');
    json_number(&c->json, "pid", c->selection.target->pid);
    json_string(&c->json, "local", cli_endpoint(f->local_ip, f->local_port));
    json_string(&c->json, "peer", selection_peer_text(f));
    json_string(&c->json, "state", diag_state_name(f->state));
    json_real(&c->json, "idle", o->idle / 1e3, 9);
    json_string(&c->json, "verdict", verdict);
    json_string(&c->json, "result", result_text(c, o));
    json_close(&c->json, '}');
}

static void print(struct closing *c, const struct outcome *o)
{
    const struct facts *f = o->facts;
    const char *verdict = o->decision == DECIDE_VERDICT ? selection_mode_text(&o->verdict) : "none";

    if (c->quiet)
        return;
    if (c->json.out)
        print_json(c, o, verdict);
    else
        printf("%s %s  %s, idle %u s  verdict %s  %s\n", cli_endpoint(f->local_ip, f->local_port),
               selection_peer_text(f), diag_state_name(f->state), o->idle / 1000, verdict,
               result_text(c, o));
}

static bool is_chosen(const struct closing *c, int fd, const struct facts *f, uint32_t *idle)
{
    if (f->state == TCP_LISTEN || (c->states && !(c->states & 1u << f->state)))
        return false;
    return sock_idle(fd, idle) && (long)(*idle / 1000) >= c->idle;
}

static bool visit(struct selection *s, int fd, const struct facts *facts, void *context)
{
    struct closing *c = context;
    struct outcome o = {.facts = facts};

    if (!is_chosen(c, fd, facts, &o.idle))
        return true;
    o.decision = decide(&s->policy, facts, &o.verdict);
    if (selection_left_text(o.decision, &o.verdict)) {
        c->left++;
    } else {
        o.refused = c->dry_run ? NULL : sock_end(fd, &o.verdict);
        o.error = errno;
        c->ended += !o.refused;
        c->failed += o.refused != NULL;
    }
    print(c, &o);
    return true;
}

static void print_summary(struct closing *c)
{
    if (c->quiet)
        return;
    if (c->json.out) {
        json_close(&c->json, ']');
        json_number(&c->json, "ended", c->ended);
        json_number(&c->json, "left", c->left);
        json_number(&c->json, "failed", c->failed);
        json_close(&c->json, '}');
        putchar('\n');
    } else {
        printf("%u connection%s of %d process%s %sended, %u left alone, %u failed\n", c->ended,
               c->ended == 1 ? "" : "s", c->selection.target_count,
               c->selection.target_count == 1 ? "" : "es", c->dry_run ? "would be " : "", c->left,
               c->failed);
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
        if (!what)
            continue;
        cli_error(c->selection.self, "rule %u (%.60s) ends nothing here: %s", rule->number,
                  selection_rule_text(rules, rule->number), what);
        return -1;
    }
    return 0;
}

/* prog= selects nothing: every named process must match it. */
static bool chooses(const struct closing *c)
{
    const struct policy *rules = &c->selection.rules;
    bool chosen = c->all || c->states || c->idle > 0;

    for (unsigned i = 0; i < rules->rule_count; i++)
        chosen = chosen || rules->rules[i].conditions & ~(unsigned)CONDITION_PROG;
    return chosen;
}

/* Reads a state. NULL, or the text of what is wrong with the word. */
static const char *read_state(const char *word, unsigned *state)
{
    static const unsigned open = 1u << TCP_ESTABLISHED | 1u << TCP_SYN_SENT | 1u << TCP_FIN_WAIT1 |
                                 1u << TCP_FIN_WAIT2 | 1u << TCP_CLOSE_WAIT | 1u << TCP_LAST_ACK |
                                 1u << TCP_CLOSING;

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
        return *state & open ? NULL : "no process has a connection in that state";
    }
    return "a state is one of: established, syn-sent, fin-wait-1, fin-wait-2, close-wait, "
           "last-ack, closing, connected, synchronized";
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
    const struct cli_command *self = c->selection.self;

    switch (option) {
    case 'm':
        c->selection.mode = optarg;
        break;
    case 'p':
        return cli_take_port(self, optarg, &c->selection.port);
    case 's':
        return take_states(c, optarg);
    case 'i':
        return cli_take_number(self, "--idle", optarg, 1, IDLE_MAX, &c->idle);
    case 'a':
        c->all = true;
        break;
    case 'n':
        c->dry_run = true;
        break;
    case 'j':
        c->json.out = stdout;
        break;
    default:
        c->quiet = true;
    }
    return true;
}

static int end_connections(struct closing *c)
{
    struct selection *s = &c->selection;

    if (c->json.out && !c->quiet) {
        json_open(&c->json, NULL, '{');
        json_open(&c->json, "connections", '[');
    }
    int status = selection_each(s, visit, c);
    print_summary(c);
    return cli_flush(s->self, status == 0 && c->failed == 0 ? CLI_OK : CLI_FAILED);
}

static int main_close(const struct cli_command *self, int argc, char **argv)
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
    if (!c.selection.mode)
        return cli_usage(self, "a policy is missing: -m");
    if (!c.selection.port == !argv[optind])
        return cli_usage(self, c.selection.port ? "give either pids or --port, not both"
                                                : "a pid or --port is missing");
    if (selection_take_mode(&c.selection) != 0 || check_policy(&c) != 0)
        return CLI_FAILED;
    if (!chooses(&c))
        return cli_usage(self, "that is every connection: narrow it by a condition, --state or "
                               "--idle, or give --all");
    if (!needs_are_met(NEED_CLOSE, self) || selection_open(&c.selection, argv + optind) != 0)
        return CLI_FAILED;
    status = end_connections(&c);
    selection_close(&c.selection);
    return status;
}

const struct cli_command cli_close = {"close", "end connections that are open now", help,
                                      main_close};
