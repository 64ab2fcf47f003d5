/* SPDX-License-Identifier: MIT */
/*
 * linger supervise: running programs under the whole policy, until they end. What would be refused
 * is refused for all of the processes first, and a message says what cannot be undone.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/adopt/handover.h"
#include "cli/adopt/inject.h"
#include "cli/adopt/pair.h"
#include "cli/apply.h"
#include "cli/launch/supervisor.h"
#include "cli/needs.h"
#include "policy/condition.h"

static const char help[] =
    "usage: linger supervise -m POLICY [OPTION...] PID|UNIT...\n"
    "       linger supervise -m POLICY [OPTION...] --port PORT\n"
    "\n"
    "Puts running processes under a policy for all that they will do, connections\n"
    "that they will make and programs that they will start included: a supervisor of\n"
    "their system calls, as by linger run -b supervise. They stop for a moment.\n"
    "It cannot be undone, so it asks first; given again, it replaces the policy.\n"
    "\n"
    "  -m, --mode=POLICY   a mode, or rules; off: do nothing\n"
    "  -p, --port=PORT     the processes that listen there, and all that they do\n"
    "  -t, --tree          their children, too, that run already\n"
    "  -l, --log=FILE      a line for each event\n"
    "  -s, --save=FILE     note what each socket had, for linger attach -r\n"
    "  -y, --yes           do not ask\n" SELECTION_HELP "example:\n"
    "  linger supervise -m 'fin-rst role=client' 1234\n";

static const struct option options[] = {
    SELECTION_OPTIONS,
    {"tree", no_argument, NULL, 't'},
    {"log", required_argument, NULL, 'l'},
    {"save", required_argument, NULL, 's'},
    {"yes", no_argument, NULL, 'y'},
    CLI_OPTIONS_END,
};

static struct supervise {
    struct apply apply; /* its selection has the processes */
    const char *log;
    bool has_tree;
    bool is_confirmed;
    struct settings settings;
    bool is_replaced[SELECTION_TARGETS_MAX]; /* it had a policy */
} our;

static struct selection *const chosen = &our.apply.selection;

/* Takes --log and the variables. The policy is that of -m: LINGER_MODE is ignored. */
static bool take_settings(void)
{
    struct settings *s = &our.settings;
    char buffer[SETTINGS_COMPLAINT_MAX];
    struct text complaint;

    s->who = "linger supervise";
    s->backend = BACKEND_SUPERVISE;
    text_begin(&complaint, buffer, sizeof(buffer));
    unsetenv(settings_name(SETTING_MODE));
    if (our.log)
        unsetenv(settings_name(SETTING_LOG));
    int status = settings_take_environment(s, environ, &complaint);
    if (status == 0 && our.log)
        status = settings_take(s, SETTING_LOG, "-l", our.log, &complaint);
    fputs(complaint.data, stderr);
    if (status == 0 && strcmp(s->log_path, LOG_TO_STDERR) == 0) {
        cli_error(chosen->self, "-l: the supervisor has no standard error; give a file");
        return false;
    }
    s->mode = chosen->rules;
    return status == 0;
}

/* What cannot be undone. */
static void explain(FILE *terminal, bool no_new_privs)
{
    fputs("These processes, and what they start, will run under a supervisor until they end.\n"
          "That cannot be undone; `linger supervise -m off` later makes it do nothing.\n"
          "- Two processes (" HANDOVER_NAME ") answer their calls. If one dies, the other goes\n"
          "  on and starts another; if both die at once, connect() and the like fail: ENOSYS.\n"
          "- A signal whose handler lacks SA_RESTART can interrupt a call while it is held:\n"
          "  EINTR, for 1 to 6 of 10,000 connects under a 10 ms timer.\n",
          terminal);
    if (no_new_privs)
        fputs("- no_new_privs is set: setuid programs that they start gain no privileges.\n",
              terminal);
}

static bool is_answered_yes(FILE *terminal)
{
    char line[16];

    fputs("Go on? [y/N] ", terminal);
    return fgets(line, sizeof(line), stdin) &&
           (strcmp(line, "y\n") == 0 || strcmp(line, "yes\n") == 0);
}

static bool ask(bool no_new_privs)
{
    if (our.is_confirmed)
        return true;
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
        cli_error(chosen->self, "this cannot be undone: confirm it with --yes");
        return false;
    }
    for (int i = 0; i < chosen->target_count; i++)
        cli_print_line(stderr, "pid %d (%s)", (int)chosen->targets[i].pid, chosen->targets[i].name);
    explain(stderr, no_new_privs);
    if (is_answered_yes(stderr))
        return true;
    cli_error(chosen->self, "not confirmed: nothing was changed");
    return false;
}

/* Would that process be refused, which is not supervised yet? Then after a message. */
static bool is_refused(int at, bool *is_fresh, bool *no_new_privs)
{
    pid_t program = chosen->targets[at].pid;
    struct error error;
    int turn;

    if (!handover_await_turn(chosen->self, program, &turn))
        return true;
    *is_fresh = handover_find(program, false) == 0;
    bool refused = *is_fresh && inject_check(program, no_new_privs, &error) != 0 &&
                   !selection_is_gone(chosen, at);
    if (refused)
        cli_error(chosen->self, "process %d: %s", (int)program, error.text);
    close(turn);
    return refused;
}

/* Finds out what would be refused, and touches nothing. */
static bool check(int from)
{
    bool no_new_privs = false;
    int fresh = 0;

    for (int i = from; i < chosen->target_count; i++) {
        bool is_needed = false;
        bool is_fresh = false;
        if (is_refused(i, &is_fresh, &is_needed))
            return false;
        no_new_privs = no_new_privs || is_needed;
        fresh += is_fresh;
    }
    return from > 0 || chosen->dry_run || fresh == 0 || ask(no_new_privs);
}

static bool start(int at)
{
    const struct target *target = &chosen->targets[at];
    static const char *const results[2][2] = {
        {"is supervised until it ends", "has the new policy"},
        {"would be supervised until it ends", "would have the new policy"},
    };
    int turn;

    fflush(stdout);
    if (!handover_await_turn(chosen->self, target->pid, &turn))
        return false;
    our.is_replaced[at] = handover_find(target->pid, false) > 0;
    bool is_well = chosen->dry_run || pair_start(chosen->self, &our.settings, target->pid);
    close(turn);
    if (is_well && !chosen->quiet && !chosen->json.out)
        cli_print_line(stdout, "process     %d %s  %s", (int)target->pid, target->name,
                       results[chosen->dry_run][our.is_replaced[at]]);
    if (is_well || selection_is_gone(chosen, at))
        return true;
    if (target_has_ended(target))
        cli_error(chosen->self, "process %d: it has ended", (int)target->pid);
    return false;
}

/*
 * Is the child under the filter that its parent has now? If it has fewer filters, it was made
 * before. /proc has shown their number since Linux 5.9, which the injection needs. It is asked
 * first, as a supervisor is looked for in all processes.
 */
static bool is_under_filter_of(pid_t child, pid_t parent)
{
    return target_status(child, "Seccomp_filters") >= target_status(parent, "Seccomp_filters") &&
           handover_find(parent, false) > 0 && handover_find(child, false) == 0;
}

static void name_child(pid_t pid, pid_t parent)
{
    char name[TARGET_NAME_MAX];

    target_name(pid, name);
    cli_error(chosen->self,
              "process %d (%s), a child of %d, runs already and is not supervised: --tree takes it "
              "too",
              (int)pid, name, (int)parent);
}

/*
 * The children of those processes that run already: adds them, or names them. Returns how many were
 * added, or -1 after a message.
 */
static int look_at_children(bool adds)
{
    DIR *proc = opendir("/proc");
    int added = 0;
    int status = 0;
    pid_t pid;

    handover_forget();
    while (status >= 0 && (pid = target_next(proc))) {
        pid_t parent = (pid_t)target_status(pid, "PPid");
        if (parent <= 0 || !selection_has(chosen, parent) || selection_has(chosen, pid) ||
            is_under_filter_of(pid, parent) || target_state(pid) == 'Z')
            continue;
        if (!adds && !chosen->quiet)
            name_child(pid, parent);
        status = adds ? selection_add(chosen, pid) : 0;
        added += status > 0;
    }
    if (proc)
        closedir(proc);
    return status < 0 ? -1 : added;
}

/* With --tree repeats while there are new ones, made before their parent was supervised. */
static bool supervise_all(void)
{
    int from = 0;

    do {
        int added = our.has_tree;
        while (added > 0)
            added = look_at_children(true);
        if (added < 0 || !check(from))
            return false;
        handover_forget(); /* who was asked has taken his time */
        for (; from < chosen->target_count; from++) {
            if (!start(from))
                return false;
        }
    } while (our.has_tree && !chosen->dry_run && look_at_children(true) > 0);
    if (!our.has_tree)
        (void)look_at_children(false);
    return true;
}

/* Where clients' connections are to leave no TIME_WAIT: how to end those that wait already. */
static void advise(const struct policy *policy)
{
    char peers[256] = " peer=ADDRESS:PORT";
    struct policy_rule rule = policy->rules[0];
    bool is_for_clients = false;
    struct text out;

    for (unsigned i = 0; i < policy->rule_count; i++) {
        const struct policy_rule *r = &policy->rules[i];
        is_for_clients =
            is_for_clients || ((r->mode == MODE_RST || r->mode == MODE_FIN_RST) &&
                               !(r->conditions & CONDITION_ROLE && r->role == ROLE_SERVER));
    }
    rule.conditions &= CONDITION_PEER;
    if (policy->rule_count == 1 && rule.conditions && rule.peer.count <= 4) { /* that fit */
        text_begin(&out, peers, sizeof(peers));
        condition_print(policy, &rule, &out);
    }
    if (is_for_clients)
        printf("what is in TIME_WAIT keeps its port for up to 60 seconds: `linger close --state "
               "time-wait -m 'rst%s'` ends it\n",
               peers);
}

static void print_supervised(struct json *json)
{
    json_open(json, "supervised", '[');
    for (int i = 0; i < chosen->target_count; i++) {
        json_open(json, NULL, '{');
        json_number(json, "pid", chosen->targets[i].pid);
        json_string(json, "program", chosen->targets[i].name);
        json_bool(json, "replaced", our.is_replaced[i]);
        json_close(json, '}');
    }
    json_close(json, ']');
}

/* First what the processes will make, then what they have: so nothing is made in between. */
static bool supervise_chosen(char **pids)
{
    if (selection_take_mode(chosen) != 0 || selection_open(chosen, pids) != 0)
        return false;
    chosen->port = 0; /* it was there to find the processes */
    chosen->takes_others = true;
    our.apply.is_supervised = true;
    if (!take_settings())
        return false;
    if (supervisor_traps_close(&our.settings) && !chosen->quiet)
        supervisor_warn_of_closes(chosen->self, &our.settings, false);
    if (!supervise_all())
        return false;
    bool is_done = apply(&our.apply);
    if (chosen->json.out && !chosen->quiet && !chosen->dry_run)
        print_supervised(&chosen->json);
    else if (!chosen->quiet && !chosen->dry_run)
        advise(&chosen->rules);
    apply_end_json(&our.apply);
    return is_done;
}

static int supervise_main(const struct cli_command *self, int argc, char **argv)
{
    int option;
    int status = CLI_FAILED;

    chosen->self = self;
    chosen->of_listeners = true;
    while ((option = cli_option(self, argc, argv, options, false, &status)) > 0) {
        if (option == 'l')
            our.log = optarg;
        our.has_tree = our.has_tree || option == 't';
        our.is_confirmed = our.is_confirmed || option == 'y';
        if (!apply_take_option(&our.apply, option))
            return CLI_FAILED;
    }
    if (option == 0)
        return status;
    const char *mistake = apply_find_mistake(&our.apply, argv[optind]);
    if (mistake)
        return cli_usage(self, "%s", mistake);
    if (!needs_are_met(NEED_INJECTION, self))
        return CLI_FAILED;
    bool is_done = supervise_chosen(argv + optind);
    selection_close(chosen);
    return cli_flush(self, is_done ? CLI_OK : CLI_FAILED);
}

const struct cli_command cli_supervise = {
    "supervise", "put a running program under a supervisor, until it ends", help, supervise_main};
