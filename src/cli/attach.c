/*
 * linger attach: changes a daemon that is running. The options live in the kernel's socket, so a
 * duplicate of the descriptor is enough to set them, and a listener hands them to all it accepts
 * from then on: no preload, no restart, no code in the process.
 *
 * Two passes over the sockets. The first only decides, and refuses the whole where a listener
 * could not carry the policy; the second decides again, by what each socket is then, and applies.
 * Must never touch a socket by its number alone: numbers are reused, so each duplicate is asked.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "attach/restore.h"
#include "attach/savefile.h"
#include "cli.h"
#include "mode.h"
#include "role.h"
#include "settings.h"
#include "sock.h"
#include "sockets/seen.h"
#include "sockets/sockets.h"
#include "system/holders.h"
#include "system/target.h"

#define TARGETS_MAX 1024

static const char help[] =
    "usage: linger attach -m POLICY [OPTION...] PID...\n"
    "       linger attach -m POLICY [OPTION...] --port PORT\n"
    "       linger attach --restore FILE [-njq]\n"
    "\n"
    "Sets how the TCP connections of running processes end: of those they have, and\n"
    "of those their listeners will accept. Nothing is injected or restarted.\n"
    "\n"
    "  -m, --mode=POLICY  a mode, or rules; fin takes it back\n"
    "  -p, --port=PORT    whoever listens there; only that port's sockets are changed\n"
    "  -s, --save=FILE    note what each socket had, in a new file\n"
    "  -r, --restore=FILE put back what was noted, and tell which sockets are gone\n"
    "  -n, --dry-run      show what would be done\n"
    "  -j, --json         as JSON, in one line\n"
    "  -q, --quiet        only errors\n"
    "  -h, --help         this text\n"
    "\n"
    "exit status: 0 all done; 125 refused, or something was not done\n"
    "\n"
    "example:\n"
    "  linger attach -m fin-rst --port 8080\n";

static const struct option options[] = {
    CLI_OPTION_MODE,
    CLI_OPTION_PORT,
    {"save", required_argument, NULL, 's'},
    {"restore", required_argument, NULL, 'r'},
    CLI_OPTION_DRY_RUN,
    CLI_OPTION_JSON,
    {"quiet", no_argument, NULL, 'q'},
    CLI_OPTION_HELP,
    CLI_OPTIONS_END,
};

struct attach {
    const struct cli_command *self;
    const char *mode;
    long port;
    const char *save; /* a file's name, or NULL */
    const char *restore;
    FILE *saved;
    bool dry_run;
    bool json;
    bool quiet;
    struct settings settings;
    struct target targets[TARGETS_MAX];
    int target_count;
    struct role_ports ports;

    /* Of the pass that is on. */
    const struct target *target;
    struct policy policy; /* the target's: prog= is decided */
    struct seen seen;
    bool applies;
    char why[TARGET_WHY_MAX];
    unsigned listeners;
    unsigned connections;
    unsigned failed;
};

/* The rule of that number, in the language. */
static const char *rule_text(const struct policy *policy, unsigned number)
{
    static char buffer[512];
    struct text out;

    text_begin(&out, buffer, sizeof(buffer));
    policy_print_rule(policy, policy_rule(policy, number), &out);
    return buffer;
}

/* The other end of a connection; a listener has none. */
static const char *peer_text(const struct facts *f)
{
    return f->known & FACT_PEER ? cli_endpoint(f->peer_ip, f->peer_port) : "";
}

static const char *mode_text(const struct verdict *verdict)
{
    static char buffers[2][16];
    static int turn;
    struct text out;

    turn = !turn;
    text_begin(&out, buffers[turn], sizeof(buffers[turn]));
    mode_print(&out, verdict->mode, verdict->seconds);
    return buffers[turn];
}

/* What came of one socket. */
struct outcome {
    struct verdict before;
    enum decision decision;
    struct verdict verdict;
    const char *refused; /* an option, or NULL */
    int error;
};

static const char *result_text(const struct attach *a, const struct outcome *o)
{
    static char buffer[128];

    if (o->decision == DECIDE_NO_RULE)
        return "left alone: no rule matches";
    if (o->decision == DECIDE_NOT_YET)
        return "left alone: a rule cannot be decided here";
    if (o->refused) {
        snprintf(buffer, sizeof(buffer), "failed: %s: %s", o->refused, strerror(o->error));
        return buffer;
    }
    if (o->verdict.mode == MODE_OFF)
        return "left alone: off";
    if (o->verdict.yields && (o->before.mode == MODE_RST || o->before.mode == MODE_WAIT))
        return "left alone: SO_LINGER is set already (overrule=no)";
    return a->dry_run ? "would be applied" : "applied";
}

static void print_json(const struct attach *a, const struct facts *f, const struct outcome *o)
{
    bool is_listener = f->state == TCP_LISTEN;

    printf("%s{\"pid\":%d,\"kind\":\"%s\",\"local\":\"%s\",", a->seen.count > 1 ? "," : "",
           (int)a->target->pid, is_listener ? "listener" : "connection",
           cli_endpoint(f->local_ip, f->local_port));
    printf("\"peer\":\"%s\",\"before\":\"%s\",\"verdict\":\"%s\",\"result\":", peer_text(f),
           mode_text(&o->before), o->decision == DECIDE_VERDICT ? mode_text(&o->verdict) : "none");
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
           cli_endpoint(f->local_ip, f->local_port), f->known & FACT_PEER ? " " : "", peer_text(f),
           mode_text(&o->before), o->decision == DECIDE_VERDICT ? mode_text(&o->verdict) : "none",
           result_text(a, o));
}

/*
 * The facts of a duplicate; false where it is not one to be changed: no TCP socket, not connected,
 * or of another port than the one asked for.
 */
static bool look(const struct attach *a, int fd, struct facts *f)
{
    unsigned all = FACT_ROLE | FACT_LOCAL_IP | FACT_LOCAL_PORT | FACT_PEER | FACT_COOKIE;

    return sock_facts(fd, all, f) && f->state != TCP_CLOSE &&
           (!a->port || f->local_port == a->port);
}

static bool note_listener(int fd, int number, void *context)
{
    struct attach *a = context;
    struct facts facts = {0};

    (void)number;
    if (sock_facts(fd, FACT_LOCAL_PORT, &facts))
        role_complete(&a->ports, &facts, FACT_ROLE);
    return true;
}

/* The first pass: a listener has to be able to carry the policy. */
static bool plan(struct attach *a, const struct facts *f)
{
    struct verdict verdict;

    if (decide(&a->policy, f, &verdict) != DECIDE_NOT_YET)
        return true;
    snprintf(a->why, sizeof(a->why),
             "rule %u (%.60s) cannot be carried by the listener %s: it hangs on what only a later "
             "connection knows; `linger run` decides it for each",
             verdict.rule, rule_text(&a->policy, verdict.rule),
             cli_endpoint(f->local_ip, f->local_port));
    return false;
}

/* What a socket had is in the file before it is changed; false, and `why`, where it is not. */
static bool save(struct attach *a, int fd)
{
    struct saved_socket socket;

    if (!a->saved || (saved_look(fd, &socket) && savefile_write(a->saved, &socket) == 0))
        return true;
    snprintf(a->why, sizeof(a->why), "%.100s: cannot be written: %s", a->save, strerror(errno));
    return false;
}

/* The second pass. */
static bool change(struct attach *a, int fd, const struct facts *f)
{
    struct outcome o = {.decision = DECIDE_NO_RULE};

    (void)sock_applied(fd, &o.before);
    o.decision = decide(&a->policy, f, &o.verdict);
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
    a->failed += o.refused != NULL || o.decision == DECIDE_NOT_YET;
    print(a, f, &o);
    return true;
}

static bool visit(int fd, int number, void *context)
{
    struct attach *a = context;
    struct facts facts = {0};
    int is_new;

    (void)number;
    if (!look(a, fd, &facts))
        return true;
    is_new = seen_note(&a->seen, facts.cookie);
    if (is_new < 0)
        snprintf(a->why, sizeof(a->why), "out of memory");
    if (is_new <= 0)
        return is_new == 0;
    role_complete(&a->ports, &facts, FACT_ROLE);
    if (a->applies)
        return change(a, fd, &facts);
    if (facts.state == TCP_LISTEN)
        return plan(a, &facts);
    return true;
}

/* prog= has to match the target's name: a rule for another program is a slip. */
static int take_policy(struct attach *a, const struct target *target)
{
    a->policy = a->settings.mode;
    policy_keep_program(&a->policy, target->name);
    for (unsigned i = 0; i < a->settings.mode.rule_count; i++) {
        const struct policy_rule *rule = &a->settings.mode.rules[i];
        if (policy_rule(&a->policy, rule->number))
            continue;
        cli_error(a->self, "rule %u (%.60s) is not for %s (pid %d)", rule->number,
                  rule_text(&a->settings.mode, rule->number), target->name, (int)target->pid);
        return -1;
    }
    return 0;
}

/* One pass over all targets. */
static int pass(struct attach *a, bool applies)
{
    a->applies = applies;
    seen_forget(&a->seen);
    for (int i = 0; i < a->target_count; i++) {
        a->target = &a->targets[i];
        a->why[0] = '\0';
        if (take_policy(a, a->target) != 0)
            return -1;
        if (target_each_socket(a->target, visit, a, a->why) != 0) {
            cli_error(a->self, "pid %d: %s", (int)a->target->pid, a->why);
            return -1;
        }
    }
    return 0;
}

/* What no running process can be given, whatever its sockets are. */
static int check_policy(const struct attach *a)
{
    for (unsigned i = 0; i < a->settings.mode.rule_count; i++) {
        const struct policy_rule *rule = &a->settings.mode.rules[i];
        const char *what = NULL;
        if (rule->conditions & CONDITION_WHEN)
            what = "when= is known only as a connection closes";
        else if (rule->conditions & CONDITION_ROLE && rule->role == ROLE_CLIENT)
            what = "connections that the process will make are not born yet";
        if (!what)
            continue;
        cli_error(a->self,
                  "rule %u (%.60s) cannot be carried: %s; `linger run` decides it for each",
                  rule->number, rule_text(&a->settings.mode, rule->number), what);
        return -1;
    }
    return 0;
}

static int add_target(struct attach *a, pid_t pid)
{
    for (int i = 0; i < a->target_count; i++) {
        if (a->targets[i].pid == pid)
            return 0;
    }
    if (a->target_count == TARGETS_MAX) {
        cli_error(a->self, "more than %d processes", TARGETS_MAX);
        return -1;
    }
    if (target_open(&a->targets[a->target_count], pid, a->why) != 0) {
        cli_error(a->self, "pid %d: %s", (int)pid, a->why);
        return -1;
    }
    a->target_count++;
    return 0;
}

/* Everybody who holds a listener of the port. */
static int add_holders(struct attach *a)
{
    struct holder *holders = NULL;
    uint32_t *inodes = NULL;
    ssize_t listeners = sockets_listeners(a->port, &inodes);
    ssize_t found = listeners > 0 ? holders_find(inodes, (size_t)listeners, &holders) : 0;
    int status = -1;

    if (listeners < 0)
        cli_error(a->self, "the kernel does not list its sockets: %s", strerror(errno));
    else if (listeners == 0)
        cli_error(a->self, "nobody listens on port %ld (in this network namespace)", a->port);
    else if (found <= 0)
        cli_error(a->self,
                  "port %ld is listened on by a process that may not be looked into: root, or "
                  "CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH, is needed",
                  a->port);
    else
        status = 0;
    for (ssize_t i = 0; i < found && status == 0; i++)
        status = add_target(a, holders[i].pid);
    free(inodes);
    free(holders);
    return status;
}

static int add_pids(struct attach *a, char **names)
{
    long pid;

    for (; *names; names++) {
        if (!cli_number(*names, 1, INT32_MAX, &pid)) {
            (void)cli_usage(a->self, "'%s' is not a pid", *names);
            return -1;
        }
        if (add_target(a, (pid_t)pid) != 0)
            return -1;
    }
    return 0;
}

static int take_mode(struct attach *a)
{
    char buffer[SETTINGS_COMPLAINT_MAX];
    struct text complaint;

    a->settings.who = "linger attach";
    text_begin(&complaint, buffer, sizeof(buffer));
    if (settings_take(&a->settings, SETTING_MODE, "-m", a->mode, &complaint) != 0) {
        fputs(complaint.data, stderr);
        return -1;
    }
    settings_warn(&a->settings, SETTING_MODE, "-m", &complaint);
    fputs(complaint.data, stderr);
    if (a->settings.mode.rule_count == 0) {
        (void)cli_usage(a->self, "-m: the policy has no rules");
        return -1;
    }
    return check_policy(a);
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
               a->target_count, a->target_count == 1 ? "" : "es", a->failed);
}

/* Decides all, then does all. */
static int attach(struct attach *a)
{
    role_read_range(&a->ports);
    for (int i = 0; i < a->target_count; i++) {
        if (target_each_socket(&a->targets[i], note_listener, a, a->why) != 0) {
            cli_error(a->self, "pid %d: %s", (int)a->targets[i].pid, a->why);
            return CLI_FAILED;
        }
    }
    if (pass(a, false) != 0)
        return CLI_FAILED;
    if (a->seen.count == 0) {
        cli_error(a->self, "%s no TCP listener and no connection%s",
                  a->target_count == 1 ? "the process has" : "the processes have",
                  a->port ? " at that port" : "");
        return CLI_FAILED;
    }
    if (a->save && !(a->saved = savefile_create(a->save, a->why))) {
        cli_error(a->self, "%s: %s", a->save, a->why);
        return CLI_FAILED;
    }
    if (a->json && !a->quiet)
        fputs("{\"sockets\":[", stdout);
    int status = pass(a, true);
    print_summary(a);
    return cli_flush(a->self, status == 0 && a->failed == 0 ? CLI_OK : CLI_FAILED);
}

/* What is missing or contradicts itself, in words; NULL if nothing. */
static const char *find_mistake(const struct attach *a, bool has_pids)
{
    if (a->restore && (a->mode || a->save || a->port || has_pids))
        return "--restore goes with no policy, port or pid: the file knows the sockets";
    if (a->restore)
        return NULL;
    if (!a->mode)
        return "a policy is missing: -m";
    if (a->save && a->dry_run)
        return "--save and --dry-run exclude each other";
    if (!a->port == !has_pids)
        return a->port ? "either pids or --port" : "a pid is missing, or --port";
    return NULL;
}

static int main_attach(const struct cli_command *self, int argc, char **argv)
{
    static struct attach a;
    int option;
    int status = CLI_FAILED;

    a.self = self;
    while ((option = cli_option(self, argc, argv, options, false, &status)) > 0) {
        if (option == 'm')
            a.mode = optarg;
        else if (option == 'p' && !cli_take_port(self, optarg, &a.port))
            return CLI_FAILED;
        else if (option == 's')
            a.save = optarg;
        else if (option == 'r')
            a.restore = optarg;
        a.dry_run = a.dry_run || option == 'n';
        a.json = a.json || option == 'j';
        a.quiet = a.quiet || option == 'q';
    }
    if (option == 0)
        return status;
    const char *mistake = find_mistake(&a, argv[optind]);
    if (mistake)
        return cli_usage(self, "%s", mistake);
    if (a.restore)
        return restore(self, &(struct restore_request){a.restore, a.dry_run, a.json, a.quiet});
    if (take_mode(&a) != 0 || (a.port ? add_holders(&a) : add_pids(&a, argv + optind)) != 0)
        return CLI_FAILED;
    status = attach(&a);
    for (int i = 0; i < a.target_count; i++)
        target_close(&a.targets[i]);
    seen_forget(&a.seen);
    if (a.saved)
        fclose(a.saved);
    return status;
}

const struct cli_command cli_attach = {"attach", "change a daemon that is running already", help,
                                       main_attach};
