/* SPDX-License-Identifier: MIT */
/*
 * linger attach: changes a running daemon. The options live in the kernel's socket, so a duplicate
 * of the descriptor is enough to set them, and connections accepted later inherit them from their
 * listener: no preload, no restart, no code in the process.
 *
 * Two passes over the sockets. The first only decides, and refuses everything if a listener could
 * not carry the policy; the second decides again, by what each socket is by then, and applies.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#include "cli/adopt/stay.h"
#include "cli/attach/restore.h"
#include "cli/attach/savefile.h"
#include "cli/attach/selection.h"
#include "cli/needs.h"
#include "socket/sock.h"

static const char help[] =
    "usage: linger attach -m POLICY [OPTION...] PID...\n"
    "       linger attach -m POLICY [OPTION...] --port PORT\n"
    "       linger attach --stay -m POLICY [OPTION...] PID... | --port PORT\n"
    "       linger attach --restore FILE [-njq]\n"
    "\n"
    "Sets how the TCP connections of running processes end: those they have, and\n"
    "those their listeners will accept. Nothing is injected or restarted.\n"
    "With --stay the processes get a supervisor of their system calls, as by\n"
    "linger run -b supervise: then the policy holds for connections that they will\n"
    "make, too. They are stopped for a moment, and it stays until they end.\n"
    "\n"
    "  -m, --mode=POLICY  a mode, or rules; fin is the kernel's default\n"
    "  -p, --port=PORT    the processes that listen there; only sockets of that port\n"
    "  -s, --save=FILE    note what each socket had, in a new file\n"
    "  -r, --restore=FILE put back what was noted, and report which sockets are gone\n"
    "  -S, --stay         supervise them from now on; again: replace the policy\n"
    "  -y, --yes          with --stay: do not ask for confirmation\n"
    "  -l, --log=FILE     with --stay: a line for each event of the supervisor\n"
    "  -n, --dry-run      show what would be done\n"
    "  -j, --json         as JSON, in one line\n"
    "  -q, --quiet        only errors\n"
    "  -h, --help         this text\n"
    "\n"
    "exit status: 0 all done; 125 refused, or something was not done\n"
    "\n"
    "examples:\n"
    "  linger attach -m fin-rst --port 8080\n"
    "  linger attach --stay -m 'fin-rst role=client' 1234\n";

static const struct option options[] = {
    CLI_OPTION_MODE,
    CLI_OPTION_PORT,
    {"save", required_argument, NULL, 's'},
    {"restore", required_argument, NULL, 'r'},
    {"stay", no_argument, NULL, 'S'},
    {"yes", no_argument, NULL, 'y'},
    {"log", required_argument, NULL, 'l'},
    CLI_OPTION_DRY_RUN,
    CLI_OPTION_JSON,
    CLI_OPTION_QUIET,
    CLI_OPTION_HELP,
    CLI_OPTIONS_END,
};

struct attach {
    struct selection selection;
    const char *save; /* a file's name, or NULL */
    const char *restore;
    FILE *saved;
    struct stay stay;                        /* of --stay */
    bool is_replaced[SELECTION_TARGETS_MAX]; /* by --stay: it had a policy of another one */
    bool stays;
    bool dry_run;
    bool json;
    bool quiet;
    bool applies; /* in the second pass */
    unsigned listeners;
    unsigned connections;
    unsigned failed;
};

/* The outcome for one socket. */
struct outcome {
    struct verdict before;
    enum decision decision;
    struct verdict verdict;
    bool is_beyond;      /* fin-rst, and the socket is MPTCP's, which has no TCP_LINGER2 */
    const char *refused; /* an option, or NULL */
    int error;
};

static const char *result_text(const struct attach *a, const struct outcome *o)
{
    static char buffer[160];
    const char *left = selection_left_text(o->decision, &o->verdict);

    if (a->stays && o->decision == DECIDE_NOT_YET)
        return "left to the supervisor: it decides at close()";
    if (left)
        return left;
    if (o->is_beyond) {
        snprintf(buffer, sizeof(buffer),
                 "%s: MPTCP has no TCP_LINGER2; use plain TCP, by GODEBUG=multipathtcp=0 (Go) or "
                 "`linger run`",
                 a->dry_run ? "would fail" : "failed");
        return buffer;
    }
    if (o->refused) {
        snprintf(buffer, sizeof(buffer), "failed: %s: %s", o->refused, strerror(o->error));
        return buffer;
    }
    if (o->verdict.yields && (o->before.mode == MODE_RST || o->before.mode == MODE_WAIT))
        return "left alone: SO_LINGER is set already (overrule=no)";
    return a->dry_run ? "would be applied" : "applied";
}

static void print_json(const struct attach *a, const struct facts *f, const struct outcome *o)
{
    bool is_listener = f->state == TCP_LISTEN;

    printf("%s{\"pid\":%d,\"kind\":\"%s\",\"local\":\"%s\",",
           a->selection.seen.count > 1 ? "," : "", (int)a->selection.target->pid,
           is_listener ? "listener" : "connection", cli_endpoint(f->local_ip, f->local_port));
    printf("\"peer\":\"%s\",\"before\":\"%s\",\"verdict\":\"%s\",\"result\":",
           selection_peer_text(f), selection_mode_text(&o->before),
           o->decision == DECIDE_VERDICT ? selection_mode_text(&o->verdict) : "none");
    cli_print_json(stdout, result_text(a, o));
    putchar('}');
}

static void print(const struct attach *a, const struct facts *f, const struct outcome *o)
{
    if (a->quiet)
        return;
    if (a->json) {
        print_json(a, f, o);
        return;
    }
    printf("%-10s  %s%s%s  before %s  verdict %s  %s\n",
           f->state == TCP_LISTEN ? "listener" : "connection",
           cli_endpoint(f->local_ip, f->local_port), f->known & FACT_PEER ? " " : "",
           selection_peer_text(f), selection_mode_text(&o->before),
           o->decision == DECIDE_VERDICT ? selection_mode_text(&o->verdict) : "none",
           result_text(a, o));
}

/* The first pass: a listener must be able to carry the policy, where no supervisor does. */
static bool plan(struct attach *a, const struct facts *f)
{
    struct verdict verdict;

    if (a->stays || decide(&a->selection.policy, f, &verdict) != DECIDE_NOT_YET)
        return true;
    snprintf(
        a->selection.why, sizeof(a->selection.why),
        "rule %u (%.60s) cannot be carried by the listener %s: it depends on what only a later "
        "connection knows; `linger run` decides it for each",
        verdict.rule, selection_rule_text(&a->selection.policy, verdict.rule),
        cli_endpoint(f->local_ip, f->local_port));
    return false;
}

/* Writes what a socket has to the file, before it is changed; false, and `why`, on failure. */
static bool save(struct attach *a, int fd)
{
    struct saved_socket socket;

    if (!a->saved || (saved_look(fd, &socket) && savefile_write(a->saved, &socket) == 0))
        return true;
    snprintf(a->selection.why, sizeof(a->selection.why), "%.100s: cannot be written: %s", a->save,
             strerror(errno));
    return false;
}

/* The second pass. */
static bool change(struct attach *a, int fd, const struct facts *f)
{
    struct outcome o = {.decision = DECIDE_NO_RULE};
    struct sock_linger linger;
    bool is_known = sock_linger(fd, &linger);

    if (is_known)
        o.before = sock_linger_mode(&linger);
    o.decision = decide(&a->selection.policy, f, &o.verdict);
    o.is_beyond = o.decision == DECIDE_VERDICT && o.verdict.mode == MODE_FIN_RST && is_known &&
                  !linger.has_linger2;
    if (o.decision == DECIDE_VERDICT && o.verdict.mode != MODE_OFF && !a->dry_run) {
        if (!save(a, fd))
            return false;
        o.refused = sock_apply(fd, &o.verdict, false);
        o.error = errno;
    }
    if (f->state == TCP_LISTEN)
        a->listeners++;
    else
        a->connections++;
    a->failed += o.refused != NULL || (o.decision == DECIDE_NOT_YET && !a->stays);
    print(a, f, &o);
    return true;
}

static bool visit(struct selection *selection, int fd, const struct facts *facts, void *context)
{
    struct attach *a = context;

    (void)selection;
    return a->applies ? change(a, fd, facts) : plan(a, facts);
}

/* Refuses what no running process can be given without a supervisor, whatever its sockets. */
static int check_policy(const struct attach *a)
{
    for (unsigned i = 0; i < a->selection.rules.rule_count; i++) {
        const struct policy_rule *rule = &a->selection.rules.rules[i];
        const char *what = NULL;
        if (rule->conditions & CONDITION_WHEN)
            what = "when= is known only when a connection closes";
        else if (rule->conditions & CONDITION_ROLE && rule->role == ROLE_CLIENT)
            what = "connections that the process will make do not exist yet";
        if (!what)
            continue;
        cli_error(a->selection.self,
                  "rule %u (%.60s) cannot be applied: %s; `linger run` decides it for each",
                  rule->number, selection_rule_text(&a->selection.rules, rule->number), what);
        return -1;
    }
    return 0;
}

static void print_summary(const struct attach *a)
{
    if (a->quiet)
        return;
    if (a->json)
        printf("],\"listeners\":%u,\"connections\":%u,\"failed\":%u}\n", a->listeners,
               a->connections, a->failed);
    else
        printf("%s%u listener%s, %u connection%s in %d process%s, %u failed\n",
               a->dry_run ? "nothing was changed: " : "", a->listeners,
               a->listeners == 1 ? "" : "s", a->connections, a->connections == 1 ? "" : "s",
               a->selection.target_count, a->selection.target_count == 1 ? "" : "es", a->failed);
}

static void begin_json(const struct attach *a)
{
    putchar('{');
    if (a->stays && !a->dry_run) {
        stay_print_json(a->selection.targets, a->selection.target_count, a->is_replaced);
        putchar(',');
    }
    fputs("\"sockets\":[", stdout);
}

/* Decides everything, then does everything. */
static int attach(struct attach *a)
{
    struct selection *s = &a->selection;

    s->wanted = a->quiet ? 0 : FACT_LOCAL_IP | FACT_LOCAL_PORT | FACT_PEER;
    s->only_listeners = true;
    if (selection_each(s, visit, a) != 0)
        return CLI_FAILED;
    s->only_listeners = false;
    if (s->is_empty && !a->stays) {
        cli_error(s->self, "%s no TCP listener and no connection%s",
                  s->target_count == 1 ? "the process has" : "the processes have",
                  s->port ? " at that port" : "");
        return CLI_FAILED;
    }
    if (a->save)
        cli_warn_exposed(s->self, "--save", a->save);
    if (a->save && !(a->saved = savefile_create(a->save, s->why))) {
        cli_error(s->self, "%s: %s", a->save, s->why);
        return CLI_FAILED;
    }
    if (a->json && !a->quiet)
        begin_json(a);
    a->applies = true;
    int status = selection_each(s, visit, a);
    print_summary(a);
    return cli_flush(s->self, status == 0 && a->failed == 0 ? CLI_OK : CLI_FAILED);
}

/* The text of what is missing or contradictory; NULL if nothing is. */
static const char *find_mistake(const struct attach *a, bool has_pids)
{
    const struct selection *s = &a->selection;

    if (!a->stays && (a->stay.is_confirmed || a->stay.log))
        return "--yes and --log need --stay";
    if (a->restore && (s->mode || a->save || s->port || has_pids || a->stays))
        return "--restore takes no policy, port or pid: the file names the sockets";
    if (a->restore)
        return NULL;
    if (!s->mode)
        return "a policy is missing: -m";
    if (a->save && a->dry_run)
        return "--save and --dry-run exclude each other";
    if (!s->port == !has_pids)
        return s->port ? "give either pids or --port, not both" : "a pid or --port is missing";
    return NULL;
}

static int take_option(struct attach *a, int option)
{
    if (option == 'm')
        a->selection.mode = optarg;
    else if (option == 'p' && !cli_take_port(a->selection.self, optarg, &a->selection.port))
        return -1;
    else if (option == 's')
        a->save = optarg;
    else if (option == 'r')
        a->restore = optarg;
    else if (option == 'l')
        a->stay.log = optarg;
    a->stays = a->stays || option == 'S';
    a->stay.is_confirmed = a->stay.is_confirmed || option == 'y';
    a->dry_run = a->dry_run || option == 'n';
    a->json = a->json || option == 'j';
    a->quiet = a->quiet || option == 'q';
    return 0;
}

/* First what the processes will make, then what they have: so nothing is made in between. */
static int attach_to_stay(struct attach *a)
{
    struct selection *s = &a->selection;

    s->port = 0; /* it has said which processes: the supervisor serves all that they do */
    s->takes_others = true;
    if (stay_take_settings(&a->stay, &s->rules) != 0 ||
        stay_check(&a->stay, s->targets, s->target_count, !a->dry_run) != 0)
        return CLI_FAILED;
    if (!a->dry_run &&
        stay_start(&a->stay, s->targets, s->target_count, a->is_replaced, a->quiet || a->json) != 0)
        return CLI_FAILED;
    return attach(a);
}

static int main_attach(const struct cli_command *self, int argc, char **argv)
{
    static struct attach a;
    int option;
    int status = CLI_FAILED;

    a.selection.self = self;
    a.stay.self = self;
    a.selection.of_listeners = true;
    a.selection.looks_first = true;
    while ((option = cli_option(self, argc, argv, options, false, &status)) > 0) {
        if (take_option(&a, option) != 0)
            return CLI_FAILED;
    }
    if (option == 0)
        return status;
    const char *mistake = find_mistake(&a, argv[optind]);
    if (mistake)
        return cli_usage(self, "%s", mistake);
    if (!needs_are_met(a.stays ? NEED_STAY : NEED_ATTACH, self))
        return CLI_FAILED;
    if (a.restore)
        return restore(self, &(struct restore_request){a.restore, a.dry_run, a.json, a.quiet});
    if (selection_take_mode(&a.selection) != 0 || (!a.stays && check_policy(&a) != 0) ||
        selection_open(&a.selection, argv + optind) != 0)
        return CLI_FAILED;
    status = a.stays ? attach_to_stay(&a) : attach(&a);
    selection_close(&a.selection);
    if (a.saved)
        fclose(a.saved);
    return status;
}

const struct cli_command cli_attach = {"attach", "change a daemon that is running already", help,
                                       main_attach};
