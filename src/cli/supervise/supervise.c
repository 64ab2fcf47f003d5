/*
 * The supervisor. A program that makes raw system calls is out of a preload's reach, so the kernel
 * is asked to hold the few calls that matter and to tell us of each first: seccomp user
 * notification, seccomp_unotify(2). The keeper of the program (launch/) is who is told; how the
 * program comes under the filter stands in start.c, how a call is answered in answer.c.
 */
#include "supervise/supervise.h"

#include <sys/resource.h>

#include "supervise/answer.h"
#include "supervise/start.h"

static struct answerer answerer;

static pid_t start(struct launch *launch, int *status)
{
    pid_t program = start_program(&answerer, launch->file, launch->argv, status);

    launch->served = answerer.listener;
    /* Until a call is taken a signal can interrupt it, so that it is never made. Root's right. */
    setpriority(PRIO_PROCESS, 0, -20);
    return program;
}

static void serve(struct launch *launch)
{
    (void)launch;
    answer_call(&answerer);
}

int supervise(struct launch *launch, struct settings *settings)
{
    answerer.self = launch->self;
    answerer.all = settings;
    settings->backend = BACKEND_SUPERVISE;
    launch->start = start;
    launch->serve = serve;
    return launch_run(launch);
}
