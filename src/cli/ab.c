/* SPDX-License-Identifier: MIT */
/*
 * linger ab: measures a daemon under each of several modes, in turn (A B C, A B C, ...), so that
 * whatever drifts over time affects all of them alike. One run is ab/run.c, the sums ab/table.c.
 * Must leave no process behind, and a daemon that it was attached to as it was found.
 */
#include <errno.h>
#include <regex.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/ab/table.h"
#include "cli/attach/saved.h"
#include "cli/needs.h"
#include "cli/process/target.h"
#include "cli/reach/reach.h"

#define DEFAULT_ROUNDS 3
#define DEFAULT_TIMEOUT 600
#define DEFAULT_GRACE 5

static const char help[] =
    "usage: linger ab --mode=POLICY --mode=POLICY... --port=PORT --load=COMMAND\n"
    "                 [OPTION...] [--] SERVER [ARGUMENT...]\n"
    "       linger ab ... --attach=PID\n"
    "\n"
    "Runs a load against a server under each mode in turn, and shows what differs:\n"
    "what the load reports, TIME_WAIT, resets, connections, CPU time, and how long\n"
    "until the port can be bound again (without SO_REUSEADDR).\n"
    "\n"
    "  -m, --mode=POLICY        a mode or rules; at least twice\n"
    "  -p, --port=PORT          where the server listens\n"
    "  -l, --load=COMMAND       for sh -c; it must end by itself\n"
    "  -r, --rounds=N           runs of each mode (default 3)\n"
    "  -a, --attach=PID         a running daemon instead of SERVER\n"
    "  -c, --client             apply the modes to the load, not to the server\n"
    "  -b, --both               apply the modes to both\n"
    "  -M, --metric=NAME=REGEX  a figure from the load's output: the regular\n"
    "                           expression's group; wrk's, ab's, hey's and\n"
    "                           redis-benchmark's are known\n"
    "  -t, --timeout=SECONDS    for the load (default 600), and until the server\n"
    "                           listens (30 at most)\n"
    "  -g, --grace=SECONDS      between SIGTERM and SIGKILL (default 5)\n"
    "  -o, --output=DIRECTORY   an existing one, for what server and load print\n"
    "                           (default: a new one)\n"
    "  -w, --watch              what linger watch sees of each run: a file there\n"
    "  -N, --no-namespace       no network namespace for each run\n"
    "  -j, --json               as JSON, in one line\n"
    "  -h, --help               this text\n"
    "\n"
    "exit status: 0 all runs done; 125 one failed; 130 stopped by Ctrl-C\n"
    "\n"
    "example:\n"
    "  linger ab -m fin -m fin-rst -m rst -p 8080 \\\n"
    "    -l 'wrk -d5s -H \"Connection: close\" http://127.0.0.1:8080/' -- ./server\n";

static const struct option options[] = {
    CLI_OPTION_MODE,
    CLI_OPTION_PORT,
    {"load", required_argument, NULL, 'l'},
    {"rounds", required_argument, NULL, 'r'},
    {"attach", required_argument, NULL, 'a'},
    {"client", no_argument, NULL, 'c'},
    {"both", no_argument, NULL, 'b'},
    {"metric", required_argument, NULL, 'M'},
    {"timeout", required_argument, NULL, 't'},
    {"grace", required_argument, NULL, 'g'},
    {"output", required_argument, NULL, 'o'},
    {"watch", no_argument, NULL, 'w'},
    {"no-namespace", no_argument, NULL, 'N'},
    CLI_OPTION_JSON,
    CLI_OPTION_HELP,
    CLI_OPTIONS_END,
};

struct ab {
    struct ab_plan plan;
    struct ab_table table;
    bool json;
    struct target target; /* of --attach */
    struct saved saved;   /* what its sockets had */
    char was[PATH_MAX];   /* a file with the same, until that is put back */
};

static bool take_mode(struct ab *ab, const char *text)
{
    static struct policy policy;

    if (!cli_take_policy(ab->plan.self, text, &policy))
        return false;
    if (ab->table.mode_count == AB_MODES_MAX) {
        cli_error(ab->plan.self, "more than %d modes", AB_MODES_MAX);
        return false;
    }
    ab->table.modes[ab->table.mode_count++] = text;
    return true;
}

/* NAME=REGEX */
static bool take_metric(struct ab *ab, char *text)
{
    char *equals = strchr(text, '=');
    char message[128];
    regex_t regex;

    if (!equals || equals == text || !equals[1]) {
        cli_error(ab->plan.self, "--metric: '%s' is not NAME=REGEX", text);
        return false;
    }
    if (ab->plan.metric_count == FIGURES_METRICS_MAX) {
        cli_error(ab->plan.self, "more than %d metrics", FIGURES_METRICS_MAX);
        return false;
    }
    int error = regcomp(&regex, equals + 1, REG_EXTENDED);
    if (error != 0) {
        regerror(error, &regex, message, sizeof(message));
        cli_error(ab->plan.self, "--metric: '%s': %s", equals + 1, message);
        return false;
    }
    regfree(&regex);
    *equals = '\0';
    ab->plan.metrics[ab->plan.metric_count++] = (struct figures_metric){text, equals + 1};
    return true;
}

static bool take_option(struct ab *ab, int option)
{
    const struct cli_command *self = ab->plan.self;
    long number = 0;
    bool good = true;

    switch (option) {
    case 'm':
        return take_mode(ab, optarg);
    case 'M':
        return take_metric(ab, optarg);
    case 'p':
        return cli_take_port(self, optarg, &ab->plan.port);
    case 'l':
        ab->plan.load = optarg;
        break;
    case 'r':
        good = cli_take_number(self, "--rounds", optarg, 1, AB_ROUNDS_MAX, &number);
        ab->table.rounds = (int)number;
        break;
    case 'a':
        good = cli_take_number(self, "--attach", optarg, 1, INT_MAX, &number);
        ab->plan.attach = (pid_t)number;
        break;
    case 't':
        return cli_take_seconds(self, "--timeout", optarg, 1, 1000000, &ab->plan.timeout);
    case 'g':
        return cli_take_seconds(self, "--grace", optarg, 0, 3600, &ab->plan.grace);
    case 'o':
        snprintf(ab->plan.directory, sizeof(ab->plan.directory), "%s", optarg);
        break;
    case 'c':
        ab->plan.on_server = false;
        ab->plan.on_client = true;
        break;
    case 'b':
        ab->plan.on_client = true;
        break;
    case 'w':
        ab->plan.is_watched = true;
        break;
    case 'N':
        ab->plan.in_namespace = false;
        break;
    default:
        ab->json = true;
    }
    return good;
}

/* The text of what is missing or contradictory; NULL if nothing is. */
static const char *find_mistake(const struct ab *ab)
{
    const struct ab_plan *plan = &ab->plan;

    if (ab->table.mode_count < 2)
        return "give at least two modes: --mode fin --mode rst";
    if (plan->port == 0)
        return "give the server's port: --port PORT";
    if (!plan->load)
        return "give the load: --load COMMAND";
    if (plan->attach && plan->server)
        return "give either a server to start or --attach, not both";
    if (!plan->attach && !plan->server)
        return "a server is missing: -- SERVER [ARGUMENT...], or --attach PID";
    if (plan->attach && plan->on_client)
        return "--attach changes a running server; it excludes --client and --both";
    return NULL;
}

/* A server that cannot be put under a policy is refused before anything is run. */
static int check_server(const struct ab_plan *plan)
{
    static struct reach reach;

    if (!plan->server || !plan->on_server)
        return CLI_OK;
    reach_judge(plan->server[0], false, &reach);
    if (reach.how == REACH_PRELOAD || reach.how == REACH_SUPERVISE)
        return CLI_OK;
    cli_error(plan->self, "%s: %s", plan->server[0], reach.why.text);
    return CLI_FAILED;
}

static int make_directory(struct ab_plan *plan)
{
    char file[PATH_MAX];

    if (!plan->directory[0])
        return cli_make_temporary(plan->self, "linger-ab", plan->directory, sizeof(plan->directory))
                   ? 0
                   : -1;
    if (access(plan->directory, W_OK | X_OK) != 0)
        return cli_error(plan->self, "cannot write to %s: %s", plan->directory, strerror(errno));
    snprintf(file, sizeof(file), "%s/*", plan->directory);
    cli_warn_exposed(plan->self, "-o", file);
    return 0;
}

static int open_target(struct ab *ab)
{
    struct error why;

    if (!needs_are_met(NEED_ATTACH, ab->plan.self))
        return -1;
    if (target_open(&ab->target, ab->plan.attach, &why) != 0 ||
        saved_take(&ab->saved, &ab->target, &why) != 0)
        return cli_error(ab->plan.self, "pid %d: %s", (int)ab->plan.attach, why.text);
    if (saved_has_listener(&ab->saved, ab->plan.port))
        return 0;
    return cli_error(ab->plan.self, "pid %d does not listen on port %ld", (int)ab->plan.attach,
                     ab->plan.port);
}

/* For linger attach --restore, after a SIGKILL. */
static int save_target(struct ab *ab)
{
    struct error why;
    int status = 0;

    snprintf(ab->was, sizeof(ab->was), "%s/was", ab->plan.directory);
    int file = saved_create(ab->was, &why);
    if (file < 0)
        return cli_error(ab->plan.self, "%s: %s", ab->was, why.text);
    for (size_t i = 0; status == 0 && i < ab->saved.count; i++)
        status = saved_write(file, &ab->saved.sockets[i]);
    if (status != 0)
        cli_error(ab->plan.self, "%s: cannot be written: %s", ab->was, strerror(errno));
    close(file);
    return status;
}

static void restore_target(struct ab *ab)
{
    struct error why;

    if (saved_put_back(&ab->saved, false, &why) != 0)
        cli_error(ab->plan.self, "pid %d is left under the last mode: %s", (int)ab->plan.attach,
                  why.text);
    else
        unlink(ab->was);
    saved_free(&ab->saved);
    target_close(&ab->target);
}

/* By `linger attach`, which itself reports what a running daemon cannot be given. */
static bool switch_target(const struct ab *ab, const char *mode)
{
    char pid[16];
    int status = 0;
    pid_t child = fork();

    snprintf(pid, sizeof(pid), "%d", (int)ab->plan.attach);
    if (child == 0) {
        execl("/proc/self/exe", "linger", "attach", "-q", "-m", mode, pid, (char *)NULL);
        _exit(CLI_FAILED);
    }
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void show_progress(const struct ab_table *r, double begin)
{
    int all = r->rounds * r->mode_count;

    if (!cli_is_terminal(stderr))
        return;
    fprintf(stderr, "\r\033[Kround %d of %d, %s", r->done / r->mode_count + 1, r->rounds,
            r->modes[r->done % r->mode_count]);
    if (r->done > 0)
        fprintf(stderr, ", about %.0f s left", (cli_now() - begin) / r->done * (all - r->done));
    fflush(stderr);
}

static void clear_progress(void)
{
    if (cli_is_terminal(stderr))
        fputs("\r\033[K", stderr);
}

/* One run; if no namespace is permitted, all runs from then on do without. */
static enum ab_outcome run_one(struct ab *ab)
{
    struct ab_table *r = &ab->table;
    const char *mode = r->modes[r->done % r->mode_count];
    struct ab_result *result = &r->results[r->done];
    char label[64];

    snprintf(label, sizeof(label), "round%d-mode%d", r->done / r->mode_count + 1,
             r->done % r->mode_count + 1);
    if (ab->plan.attach && !switch_target(ab, mode)) {
        error_set(&result->why, "pid %d was not switched to %s", (int)ab->plan.attach, mode);
        return AB_FAILED;
    }
    ab_run(&ab->plan, mode, label, result);
    if (result->outcome != AB_NO_NAMESPACE)
        return result->outcome;
    clear_progress();
    cli_error(ab->plan.self, "network namespaces are not permitted here, so the runs share this "
                             "one: TIME_WAIT of one run may slow the next");
    ab->plan.in_namespace = false;
    ab_run(&ab->plan, mode, label, result);
    return result->outcome;
}

/* Why a run failed, and the lines that were printed last. */
static void complain_of(const struct ab *ab, char *why)
{
    const struct ab_table *r = &ab->table;
    char *rest = why;
    char *line = strsep(&rest, "\n");

    cli_error(ab->plan.self, "round %d, %s: %s", r->done / r->mode_count + 1,
              r->modes[r->done % r->mode_count], line);
    while ((line = strsep(&rest, "\n")))
        cli_print_line(stderr, "%s", line);
}

static int run_all(struct ab *ab)
{
    struct ab_table *r = &ab->table;
    enum ab_outcome outcome = AB_DONE;
    double begin = cli_now();

    while (r->done < r->rounds * r->mode_count) {
        show_progress(r, begin);
        outcome = run_one(ab);
        if (outcome != AB_DONE)
            break;
        r->done++;
    }
    clear_progress();
    if (outcome == AB_FAILED)
        complain_of(ab, r->results[r->done].why.text);
    return outcome == AB_DONE ? CLI_OK : outcome == AB_INTERRUPTED ? 130 : CLI_FAILED;
}

/* The terminal signals the runner as well, which ends; then we print the results so far. */
static void catch_signals(void)
{
    struct sigaction action;

    cli_catch_signals();
    sigaction(SIGTERM, NULL, &action);
    sigaction(SIGHUP, &action, NULL);
}

static int measure(struct ab *ab)
{
    struct ab_table *r = &ab->table;
    size_t size = (size_t)(r->rounds * r->mode_count) * sizeof(*r->results);

    r->results = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (r->results == MAP_FAILED) {
        cli_error(ab->plan.self, "out of memory");
        return CLI_FAILED;
    }
    if (ab->plan.attach && open_target(ab) != 0)
        return CLI_FAILED;
    if (make_directory(&ab->plan) != 0 || (ab->plan.attach && save_target(ab) != 0))
        return CLI_FAILED;
    catch_signals();
    int status = run_all(ab);
    if (ab->plan.attach)
        restore_target(ab);
    if (r->done > 0 && ab->json)
        ab_table_print_json(r);
    else if (r->done > 0)
        ab_table_print(r);
    return cli_flush(ab->plan.self, status);
}

static int ab_main(const struct cli_command *self, int argc, char **argv)
{
    static struct ab ab;
    int status = CLI_FAILED;
    int option;

    ab.plan.self = self;
    ab.plan.on_server = true;
    ab.plan.in_namespace = true;
    ab.plan.timeout = DEFAULT_TIMEOUT;
    ab.plan.grace = DEFAULT_GRACE;
    ab.table.plan = &ab.plan;
    ab.table.rounds = DEFAULT_ROUNDS;
    while ((option = cli_option(self, argc, argv, options, true, &status)) > 0) {
        if (!take_option(&ab, option))
            return CLI_FAILED;
    }
    if (option == 0)
        return status;
    ab.plan.server = argv[optind] ? argv + optind : NULL;
    if (ab.plan.attach)
        ab.plan.in_namespace = false; /* the daemon's own counts */
    const char *mistake = find_mistake(&ab);
    if (mistake)
        return cli_usage(self, "%s", mistake);
    status = check_server(&ab.plan);
    return status != CLI_OK ? status : measure(&ab);
}

const struct cli_command cli_ab = {"ab", "measure a daemon under each of several modes", help,
                                   ab_main};
