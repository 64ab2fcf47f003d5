/* SPDX-License-Identifier: MIT */
/*
 * The supervisor. A program that makes raw system calls is out of a preload's reach, so the kernel
 * is asked to hold the few calls that matter and to notify us first: seccomp user notification,
 * seccomp_unotify(2). The program's keeper is notified; supervise/start.c explains how the program
 * comes under the filter, supervise/answer.c how a call is answered.
 */
#include "cli/launch/supervisor.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/notify/notify.h"
#include "cli/supervise/answer.h"
#include "cli/supervise/child.h"
#include "cli/supervise/filter.h"
#include "cli/supervise/start.h"
#include "core/plan.h"

static struct answerer answerer;
static struct answer_room *room; /* shared with the guard */
static bool is_threaded;         /* a thread of the keeper answers */

/* Waits in the kernel's queue: the keeper's poll() would not notice a call that was interrupted. */
static void *answer_all(void *unused)
{
    while (answer_call(&answerer))
        ;
    return unused;
}

/* Lets a call proceed that its receiver left unanswered when it died. */
static void let_go(__u64 id)
{
    struct seccomp_notif_resp answer = {.id = id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};

    notify_answer(answerer.listener, &answer);
}

/* Until no process is left to make a call; before Linux 6.11 the kernel does not wake us then. */
static void let_all_go(void)
{
    struct pollfd calls = {.fd = answerer.listener, .events = POLLIN};

    let_go(room->call.request.id);
    for (unsigned i = 0; i < room->accepts.count && i < ACCEPT_WAITING_MAX; i++)
        let_go(room->accepts.waiting[i].request.id);
    while (poll(&calls, 1, 1000) == 0 || !(calls.revents & POLLHUP)) {
        memset(&room->call, 0, sizeof(room->call));
        if (calls.revents && ioctl(answerer.listener, SECCOMP_IOCTL_NOTIF_RECV, &room->call) == 0)
            let_go(room->call.request.id);
    }
}

/*
 * SIGKILL of a process group ends keeper and front at once, and leaves what the program has started
 * in other groups: the filter's calls would fail with ENOSYS. So a process of a session of its own
 * has the listener too, and lets them go on when the keeper has died. No SIGCHLD: the keeper's
 * waitpid(2) passes over it.
 */
static void start_guard(const struct launch *launch)
{
    struct pollfd watched[] = {{.fd = -1, .events = POLLIN}, {.fd = answerer.listener}};
    int keeper = (int)syscall(SYS_pidfd_open, getpid(), 0);
    pid_t pid = keeper < 0 ? -1 : (pid_t)syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);

    if (pid == 0) {
        setsid();
        child_lend_name(launch->file, launch->argv);
        dup2(STDOUT_FILENO, STDERR_FILENO); /* /dev/null */
        watched[0].fd = keeper;
        while (poll(watched, 2, -1) < 0)
            ;
        if (!(watched[1].revents & POLLHUP))
            let_all_go();
        _exit(CLI_OK);
    }
    if (keeper >= 0)
        close(keeper);
}

pid_t supervisor_start(const struct launch *launch, int *status, int *listener)
{
    pthread_t thread;

    answerer.self = launch->self;
    answerer.all = launch->settings;
    launch->settings->backend = BACKEND_SUPERVISE;
    room = mmap(NULL, sizeof(*room), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED) {
        cli_error(launch->self, "out of memory");
        *status = CHILD_FAILED;
        return 0;
    }
    answerer.room = room;
    pid_t program = start_program(&answerer, launch->file, launch->argv, status);
    if (!program)
        return 0;
    start_guard(launch);
    if (pthread_create(&thread, NULL, answer_all, NULL) != 0)
        *listener = answerer.listener; /* no process more is allowed */
    else
        is_threaded = pthread_detach(thread) == 0; /* it ends with its listener, or with us */
    return program;
}

void supervisor_finish(void)
{
    for (int naps = 0; is_threaded && atomic_load(&answerer.is_busy) && naps < 1000; naps++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

void supervisor_answer(void)
{
    answer_call(&answerer);
}

/*
 * Only with a filter does the kernel say so: a process that ends at once installs one. No SIGCHLD:
 * where that is ignored, waitpid(2) finds no child.
 */
static bool can_make_accept(void)
{
    static struct filter filter;
    int status = 0;
    pid_t pid = (pid_t)syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);

    if (pid == 0) {
        filter_build(&filter, 0, false);
        _exit(notify_can_give(filter_install(&filter)));
    }
    return pid > 0 && waitpid(pid, &status, __WALL) == pid && WIFEXITED(status) &&
           WEXITSTATUS(status);
}

bool supervisor_traps_close(struct settings *settings)
{
    struct plan plan;

    plan_make(&plan, &settings->mode, true, true);
    settings->makes_accept = plan.moments & MOMENT_ACCEPT && can_make_accept();
    plan_make(&plan, &settings->mode, true, settings->makes_accept);
    return plan.moments & MOMENT_CLOSE;
}

void supervisor_warn_of_closes(const struct cli_command *self, const struct settings *settings,
                               bool can_preload)
{
    cli_error(self,
              "warning: %s at close(): a signal whose handler has no SA_RESTART may take a close() "
              "away, of a pipe or file too, and whoever reads that pipe waits for ever; %s",
              decide_needs(&settings->mode) & FACT_WHEN
                  ? "when= is decided"
                  : "before Linux 5.14 a server's peer=, share= and local= are decided",
              can_preload ? "-b preload has no such gap"
                          : "rules by role= and port= are decided before");
}
