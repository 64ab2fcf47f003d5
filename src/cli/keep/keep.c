/* SPDX-License-Identifier: MIT */
/*
 * Waits, for the kernel's event that a socket begins to listen, for a signal and for the time to
 * list the listeners again. Must never be kept busy by what processes do: it rests after each work.
 */
#include "cli/keep/keep.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/stat.h>

#include "cli/keep/status.h"
#include "cli/trace/tracepoints.h"

#define SECOND 1000000000ull
#define EACH_SECOND SECOND
#define EACH_WHILE (10 * SECOND) /* where events say what is new */
#define RESTS 3                  /* times as long as it works */
#define REST_MAX SECOND
#define PIDS_MAX 256

static volatile sig_atomic_t must_end, must_reread;

struct life {
    struct keep *keep;
    struct tracepoints *tracepoints; /* NULL: the list alone */
    sigset_t mask;                   /* of signals while it waits */
    struct stat file;                /* the policy's, when it was read */
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
static void catch_signals(struct life *life)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t held;

    sigemptyset(&held);
    sigaddset(&held, SIGHUP);
    sigaddset(&held, SIGTERM);
    sigaddset(&held, SIGINT);
    sigprocmask(SIG_BLOCK, &held, &life->mask);
    sigdelset(&life->mask, SIGHUP);
    sigdelset(&life->mask, SIGTERM);
    sigdelset(&life->mask, SIGINT);
    sigaction(SIGHUP, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}

/* The file of -m @FILE. */
static const char *file_of(const struct life *life)
{
    const char *mode = life->keep->look.apply.selection.mode;

    return mode[0] == '@' ? mode + 1 : NULL;
}

static void note_file(struct life *life)
{
    const char *file = file_of(life);

    if (!file || stat(file, &life->file) != 0)
        life->file = (struct stat){0};
}

/* A file that is replaced may be missing for a moment. */
static bool has_new_file(const struct life *life)
{
    const char *file = file_of(life);
    struct stat now;

    return life->keep->follows && file && stat(file, &now) == 0 &&
           (now.st_dev != life->file.st_dev || now.st_ino != life->file.st_ino ||
            now.st_size != life->file.st_size || now.st_mtim.tv_sec != life->file.st_mtim.tv_sec ||
            now.st_mtim.tv_nsec != life->file.st_mtim.tv_nsec);
}

static void note_pid(struct life *life, pid_t pid)
{
    for (size_t i = 0; i < life->pid_count; i++) {
        if (life->pids[i] == pid)
            return;
    }
    if (pid > 0 && life->pid_count < PIDS_MAX)
        life->pids[life->pid_count++] = pid;
}

/* The list makes up for events that were lost, or have a pid of a namespace unknown here. */
static void take_events(struct life *life)
{
    uint64_t before =
        tracepoints_now(); /* what comes later ends the next wait, and this loop ends */
    struct record record;
    bool has_any = false;

    while (life->tracepoints && tracepoints_next(life->tracepoints, before, &record)) {
        if (record.to == TCP_LISTEN)
            note_pid(life, record.pid);
        has_any = true;
    }
    if (has_any)
        life->next_list = MIN(life->next_list, before + EACH_SECOND);
}

static bool is_new(const struct listener *listener)
{
    return listener->state == LISTENER_NEW && !listener->is_tried;
}

static bool is_unseen(const struct listener *listener)
{
    return listener->state == LISTENER_NEW;
}

static bool is_left(const struct listener *listener)
{
    return listener->state == LISTENER_LEFT;
}

/* A listener may have come to another process, which a rule names. */
static void retry(struct life *life, uint64_t now)
{
    struct look *l = &life->keep->look;

    if (now < life->next_retry)
        return;
    life->next_retry = now + EACH_WHILE;
    look_at_holders(l, is_unseen, false);
    if (look_has_names(&l->apply.selection.rules, NULL))
        look_at_holders(l, is_left, true);
}

/* It has what a former policy gave it, and no rule of this one matches. */
static bool is_over(const struct listener *listener)
{
    return listener->state == LISTENER_LEFT || listener->state == LISTENER_REFUSED;
}

static int list(struct life *life, uint64_t now)
{
    struct look *l = &life->keep->look;

    if (listeners_refresh(&l->listeners, l->apply.selection.self) != 0)
        return CLI_FAILED;
    look_at_holders(l, is_new, false);
    retry(life, now);
    look_put_back(l, is_over, false);
    life->next_list = life->tracepoints ? life->next_retry : now + EACH_SECOND;
    if (look_at_connections(l))
        life->next_list = now + EACH_SECOND;
    return CLI_OK;
}

static uint64_t after_rest(uint64_t began)
{
    uint64_t now = tracepoints_now();

    return now + MIN(RESTS * (now - began), REST_MAX);
}

/* What takes longer the more processes there are; what has begun to listen does not wait for it. */
static int walk(struct life *life)
{
    struct look *l = &life->keep->look;
    uint64_t now = tracepoints_now();
    int status = CLI_OK;

    if (now < life->next_walk || (!life->must_pass && now < life->next_list))
        return CLI_OK;
    if (life->must_pass)
        (void)look_at_connections(l);
    life->must_pass = false;
    if (now >= life->next_list)
        status = list(life, now);
    life->next_walk = after_rest(now);
    return status;
}

static void write_status(struct life *life)
{
    uint64_t now = tracepoints_now();

    if (!life->has_changed || now < life->next_status)
        return;
    life->next_status = now + EACH_SECOND;
    life->has_changed = false;
    (void)status_write(&life->keep->look, life->keep->prometheus);
}

static int work(struct life *life)
{
    struct look *l = &life->keep->look;
    const struct look_counts before = l->counts;
    size_t gone = l->listeners.gone;
    uint64_t began = tracepoints_now();

    if (!look_at_processes(l, life->pids, life->pid_count))
        life->next_list = 0; /* a daemon's first process has ended and its child has the listener */
    life->pid_count = 0;
    life->must_pass |= l->counts.applied != before.applied;
    life->rest = after_rest(began);
    int status = walk(life);
    life->has_changed |=
        memcmp(&before, &l->counts, sizeof(before)) != 0 || gone != l->listeners.gone;
    write_status(life);
    return cli_flush(l->apply.selection.self, status);
}

/* A mistake leaves the policy as it was. */
static void reread(struct life *life)
{
    static struct policy former;
    struct look *l = &life->keep->look;
    struct selection *s = &l->apply.selection;

    must_reread = 0;
    former = s->rules;
    note_file(life);
    if (selection_take_mode(s) != 0 || apply_check_rules(s, true) != 0) {
        s->rules = former;
        cli_error(s->self, "the former policy stays");
        return;
    }
    for (size_t i = 0; i < l->listeners.count; i++) {
        l->listeners.items[i].state = LISTENER_NEW;
        l->listeners.items[i].is_tried = false;
    }
    life->next_list = life->next_walk = 0;
    life->has_changed = true;
}

static int milliseconds_until(uint64_t when, uint64_t now)
{
    return when > now ? (int)((when - now) / 1000000) + 1 : 0;
}

/* Until the next work is due, and never less than a rest, whatever comes. */
static void wait_for_work(const struct life *life)
{
    uint64_t now = tracepoints_now();
    uint64_t next = MAX(life->must_pass ? 0 : life->next_list, life->next_walk);

    if (life->has_changed)
        next = MIN(next, life->next_status);
    if (life->keep->follows)
        next = MIN(next, now + EACH_SECOND);
    while (now < life->rest && !must_end) {
        tracepoints_wait(NULL, milliseconds_until(life->rest, now), &life->mask);
        now = tracepoints_now();
    }
    if (!must_end && !must_reread)
        tracepoints_wait(life->tracepoints, milliseconds_until(next, now), &life->mask);
}

static bool is_any(const struct listener *listener)
{
    (void)listener;
    return true;
}

static int live(struct life *life)
{
    struct look *l = &life->keep->look;
    int status = CLI_OK;

    while (!must_end && status == CLI_OK) {
        if (must_reread || has_new_file(life))
            reread(life);
        take_events(life);
        status = work(life);
        wait_for_work(life);
    }
    if (l->restores)
        look_put_back(l, is_any, true);
    return cli_flush(l->apply.selection.self, status);
}

static int show(struct look *l)
{
    if (listeners_refresh(&l->listeners, l->apply.selection.self) != 0)
        return CLI_FAILED;
    look_at_holders(l, is_new, false);
    return cli_flush(l->apply.selection.self, CLI_OK);
}

int keep_run(struct keep *k)
{
    static struct life life;
    struct apply *a = &k->look.apply;
    struct error why;
    int status;

    life.keep = k;
    if (a->selection.dry_run)
        return show(&k->look);
    if ((k->prometheus && !status_may_write(a->selection.self, k->prometheus)) ||
        status_lock(a->selection.self) != 0)
        return CLI_FAILED;
    life.next_retry = tracepoints_now() + EACH_WHILE;
    life.has_changed = true;
    note_file(&life);
    catch_signals(&life);
    life.tracepoints = tracepoints_open(true, NULL, 0, &why);
    if (!life.tracepoints && !a->selection.quiet)
        cli_error(a->selection.self, "listeners are looked for each second: %s", why.text);
    status = live(&life);
    if (life.tracepoints)
        tracepoints_close(life.tracepoints);
    listeners_free(&k->look.listeners);
    saved_free(&k->look.connections);
    return status;
}
