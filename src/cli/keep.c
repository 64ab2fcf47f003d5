/* SPDX-License-Identifier: MIT */
/*
 * linger keep: one policy for a host, also for what starts later.
 *
 * Waits, for the kernel's event that a socket begins to listen, for a signal and for the time to
 * list the listeners again. Must never be kept busy by what processes do: it rests after each work.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/param.h>
#include <sys/stat.h>

#include "cli/keep/status.h"
#include "cli/needs.h"
#include "cli/trace/tracepoints.h"

#define SECOND 1000000000ull
#define EACH_SECOND SECOND
#define EACH_WHILE (10 * SECOND) /* where events say what is new */
#define RESTS 3                  /* times as long as it works */
#define REST_MAX SECOND
#define PIDS_MAX 256

static const char help[] =
    "usage: linger keep -m POLICY [OPTION...]\n"
    "\n"
    "Keeps one policy for a host: attaches to each TCP listener that it matches, and\n"
    "to each that begins to listen, in all network namespaces, until it is ended.\n"
    "SIGHUP makes it read the policy again, SIGTERM ends it.\n"
    "\n"
    "  -m, --mode=POLICY     a mode, or rules for listeners; @FILE reads them\n"
    "  -f, --follow          read the file again whenever it changes\n"
    "  -P, --prometheus=FILE counters for Prometheus, in a file that is replaced\n"
    "  -r, --restore-at-end  put back at the end what was\n"
    "  -n, --dry-run         show what would be done now\n"
    "  -j, --json            as JSON, a line for each listener\n"
    "  -q, --quiet           only errors\n"
    "  -h, --help            this text\n"
    "\n"
    "exit status: 0 ended by SIGTERM or SIGINT; 125 refused\n"
    "\n"
    "examples:\n"
    "  linger keep -m 'fin-rst port=8080,9000-9100; fin prog=haproxy'\n"
    "  linger keep -m @/etc/linger/policy\n";

static const struct option options[] = {
    CLI_OPTION_MODE,
    {"follow", no_argument, NULL, 'f'},
    {"prometheus", required_argument, NULL, 'P'},
    {"restore-at-end", no_argument, NULL, 'r'},
    CLI_OPTION_DRY_RUN,
    CLI_OPTION_JSON,
    CLI_OPTION_QUIET,
    CLI_OPTION_HELP,
    CLI_OPTIONS_END,
};

static volatile sig_atomic_t must_end, must_reread;

struct keep {
    struct look look;
    const char *prometheus;          /* a file's name, or NULL */
    bool follows;                    /* the policy's file is read when it changes */
    struct tracepoints *tracepoints; /* NULL: the list alone */
    sigset_t mask;                   /* of signals while it waits */
    struct stat file;                /* the policy's that is followed, when it was read */
    pid_t pids[PIDS_MAX];            /* that began to listen */
    size_t pid_count;
    uint64_t next_list, next_retry, next_status;
    uint64_t next_walk; /* through all processes: not before that */
    uint64_t rest;      /* nothing before that */
    bool must_pass;     /* the connections of listeners are to be examined */
    bool has_changed;   /* the status is to be written */
};

static void on_signal(int number)
{
    if (number == SIGHUP)
        must_reread = 1;
    else
        must_end = 1;
}

/* Blocked except while it waits: none comes between the check of a flag and the wait. */
static void catch_signals(struct keep *k)
{
    static const int numbers[] = {SIGHUP, SIGTERM, SIGINT};
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t held;

    sigemptyset(&held);
    sigprocmask(SIG_BLOCK, NULL, &k->mask);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        sigaddset(&held, numbers[i]);
        sigdelset(&k->mask, numbers[i]);
        sigaction(numbers[i], &action, NULL);
    }
    sigprocmask(SIG_BLOCK, &held, NULL);
}

/* Has the file of -m @FILE changed? One that is replaced may be missing for a moment. */
static bool has_new_file(struct keep *k)
{
    const struct stat was = k->file;
    struct stat now;

    if (!k->follows || stat(k->look.apply.selection.mode + 1, &now) != 0)
        return false;
    k->file = now;
    return now.st_dev != was.st_dev || now.st_ino != was.st_ino || now.st_size != was.st_size ||
           now.st_mtim.tv_sec != was.st_mtim.tv_sec || now.st_mtim.tv_nsec != was.st_mtim.tv_nsec;
}

static void note_pid(struct keep *k, pid_t pid)
{
    for (size_t i = 0; i < k->pid_count; i++) {
        if (k->pids[i] == pid)
            return;
    }
    if (pid > 0 && k->pid_count < PIDS_MAX)
        k->pids[k->pid_count++] = pid;
}

/* The list makes up for events that were lost, or have a pid of a namespace unknown here. */
static void take_events(struct keep *k)
{
    uint64_t before = tracepoints_now(); /* what comes later ends the next wait */
    struct record record;
    bool has_any = false;

    while (k->tracepoints && tracepoints_next(k->tracepoints, before, &record)) {
        if (record.to == TCP_LISTEN)
            note_pid(k, record.pid);
        has_any = true;
    }
    if (has_any)
        k->next_list = MIN(k->next_list, before + EACH_SECOND);
}

static int list(struct keep *k, uint64_t now)
{
    struct look *l = &k->look;

    if (listeners_refresh(&l->listeners, l->apply.selection.self) != 0)
        return CLI_FAILED;
    look_at_holders(l, LISTENER_NEW, false);
    if (now >= k->next_retry) {
        k->next_retry = now + EACH_WHILE;
        look_at_holders(l, LISTENER_NEW | LISTENER_TRIED, false);
        look_at_holders(l, LISTENER_LEFT, true); /* it may have come to one that a rule names */
    }
    look_put_back(l, LISTENER_LEFT | LISTENER_REFUSED, false); /* what a former policy gave it */
    k->next_list = k->tracepoints ? k->next_retry : now + EACH_SECOND;
    if (look_at_connections(l))
        k->next_list = now + EACH_SECOND;
    return CLI_OK;
}

static uint64_t after_rest(uint64_t began)
{
    uint64_t now = tracepoints_now();

    return now + MIN(RESTS * (now - began), REST_MAX);
}

/* What takes longer the more processes there are; what has begun to listen does not wait for it. */
static int walk(struct keep *k)
{
    struct look *l = &k->look;
    uint64_t now = tracepoints_now();
    int status = CLI_OK;

    if (now < k->next_walk || (!k->must_pass && now < k->next_list))
        return CLI_OK;
    if (k->must_pass)
        (void)look_at_connections(l);
    k->must_pass = false;
    if (now >= k->next_list)
        status = list(k, now);
    k->next_walk = after_rest(now);
    return status;
}

static int work(struct keep *k)
{
    struct look *l = &k->look;
    const struct listeners_counts before = l->listeners.counts;
    uint64_t began = tracepoints_now();

    for (size_t i = 0; i < k->pid_count; i++) {
        if (!look_at_process(l, k->pids[i]))
            k->next_list = 0; /* a daemon's first process: its child has the listener */
    }
    k->pid_count = 0;
    k->must_pass |= l->listeners.counts.applied != before.applied;
    k->rest = after_rest(began);
    int status = walk(k);
    k->has_changed |= memcmp(&before, &l->listeners.counts, sizeof(before)) != 0;
    if (k->has_changed && tracepoints_now() >= k->next_status) {
        k->next_status = tracepoints_now() + EACH_SECOND;
        k->has_changed = false;
        status_write(l, k->prometheus);
    }
    return cli_flush(l->apply.selection.self, status);
}

/* A mistake leaves the policy as it was. */
static void reread(struct keep *k)
{
    static struct policy former;
    struct look *l = &k->look;
    struct selection *s = &l->apply.selection;

    must_reread = 0;
    former = s->rules;
    if (apply_take_mode(s, true) != 0) {
        s->rules = former;
        cli_error(s->self, "the former policy stays");
        return;
    }
    for (size_t i = 0; i < l->listeners.count; i++)
        l->listeners.items[i].state = LISTENER_NEW;
    k->next_list = k->next_walk = 0;
    k->has_changed = true;
}

static int milliseconds_until(uint64_t when, uint64_t now)
{
    return when > now ? (int)((when - now) / 1000000) + 1 : 0;
}

/* Until the next work is due, and never less than a rest, whatever comes. */
static void wait_for_work(const struct keep *k)
{
    uint64_t now = tracepoints_now();
    uint64_t next = MAX(k->must_pass ? 0 : k->next_list, k->next_walk);

    if (k->has_changed)
        next = MIN(next, k->next_status);
    if (k->follows)
        next = MIN(next, now + EACH_SECOND);
    while (now < k->rest && !must_end) {
        tracepoints_wait(NULL, milliseconds_until(k->rest, now), &k->mask);
        now = tracepoints_now();
    }
    if (!must_end && !must_reread)
        tracepoints_wait(k->tracepoints, milliseconds_until(next, now), &k->mask);
}

static int live(struct keep *k)
{
    struct look *l = &k->look;
    int status = CLI_OK;

    while (!must_end && status == CLI_OK) {
        if (has_new_file(k) || must_reread)
            reread(k);
        take_events(k);
        status = work(k);
        wait_for_work(k);
    }
    if (l->restores)
        look_put_back(l, LISTENER_ANY, true);
    return cli_flush(l->apply.selection.self, status);
}

static int show(struct look *l)
{
    if (listeners_refresh(&l->listeners, l->apply.selection.self) != 0)
        return CLI_FAILED;
    look_at_holders(l, LISTENER_NEW, false);
    return cli_flush(l->apply.selection.self, CLI_OK);
}

static int run(struct keep *k)
{
    const struct selection *s = &k->look.apply.selection;
    struct error why;

    if ((k->prometheus && !status_may_write(s->self, k->prometheus)) || status_lock(s->self) != 0)
        return CLI_FAILED;
    k->next_retry = tracepoints_now() + EACH_WHILE;
    k->has_changed = true;
    catch_signals(k);
    k->tracepoints = tracepoints_open(TRACEPOINTS_LISTENS, NULL, 0, &why);
    if (!k->tracepoints && !s->quiet)
        cli_error(s->self, "listeners are looked for each second: %s", why.text);
    int status = live(k);
    if (k->tracepoints)
        tracepoints_close(k->tracepoints);
    listeners_free(&k->look.listeners);
    saved_free(&k->look.connections);
    seen_forget(&k->look.noted);
    return status;
}

static int keep_main(const struct cli_command *self, int argc, char **argv)
{
    static struct keep k;
    struct selection *s = &k.look.apply.selection;
    int option;
    int status = CLI_FAILED;

    s->self = self;
    k.look.apply.has_lines = true;
    while ((option = cli_option(self, argc, argv, options, false, &status)) > 0) {
        k.follows = k.follows || option == 'f';
        k.look.restores = k.look.restores || option == 'r';
        if (option == 'P')
            k.prometheus = optarg;
        else if (!selection_take_option(s, option))
            return CLI_FAILED;
    }
    if (option == 0)
        return status;
    if (optind < argc)
        return cli_usage(self, "unexpected argument '%s'", argv[optind]);
    if (!s->mode)
        return cli_usage(self, "a policy is missing: -m");
    if (k.follows && s->mode[0] != '@')
        return cli_usage(self, "--follow needs a file: -m @FILE");
    (void)has_new_file(&k);
    if (!needs_are_met(NEED_KEEP, self) || apply_take_mode(s, true) != 0)
        return CLI_FAILED;
    return s->dry_run ? show(&k.look) : run(&k);
}

const struct cli_command cli_keep = {"keep", "one policy for a host, also for what starts later",
                                     help, keep_main};
