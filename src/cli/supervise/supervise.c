/* SPDX-License-Identifier: MIT */
/*
 * The supervisor. A program that makes raw system calls is out of a preload's reach, so the kernel
 * is asked to hold the few calls that matter and to notify us first: seccomp user notification,
 * seccomp_unotify(2). The program's keeper (launch/) is notified; start.c explains how the program
 * comes under the filter, answer.c how a call is answered.
 */
#include "cli/supervise/supervise.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/notify/notify.h"
#include "cli/supervise/answer.h"
#include "cli/supervise/filter.h"
#include "cli/supervise/start.h"
#include "core/plan.h"

static struct answerer answerer;
static struct answer_room room;

/* Waits in the kernel's queue, not in the keeper's poll(), which does not hear what went away. */
static void *answer_all(void *unused)
{
    while (answer_call(&answerer))
        ;
    return unused;
}

static pid_t start(struct launch *launch, int *status)
{
    pid_t program = start_program(&answerer, launch->file, launch->argv, status);
    pthread_t thread;

    if (program && pthread_create(&thread, NULL, answer_all, NULL) != 0)
        launch->served = answerer.listener; /* no process more is allowed */
    else if (program)
        pthread_detach(thread); /* it ends with its listener, or with us */
    return program;
}

static void serve(struct launch *launch)
{
    (void)launch;
    answer_call(&answerer);
}

/* To be asked, the kernel needs a filter: that of a process which ends at once. */
static bool can_make_accept(void)
{
    static struct filter filter;
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        filter_build(&filter, 0, false);
        _exit(notify_can_give(filter_install(&filter)));
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status);
}

bool supervise_traps_close(struct settings *settings)
{
    struct plan plan;

    plan_make(&plan, &settings->mode, true, true);
    settings->makes_accept = plan.moments & MOMENT_ACCEPT && can_make_accept();
    plan_make(&plan, &settings->mode, true, settings->makes_accept);
    return plan.moments & MOMENT_CLOSE;
}

int supervise(struct launch *launch, struct settings *settings)
{
    answerer.self = launch->self;
    answerer.all = settings;
    answerer.room = &room;
    settings->backend = BACKEND_SUPERVISE;
    launch->start = start;
    launch->serve = serve;
    return launch_run(launch);
}
