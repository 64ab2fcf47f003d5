/* SPDX-License-Identifier: MIT */
/*
 * The keeper's life: it starts the program, answers calls, reaps, notes signals, and ends with the
 * last of its descendants. Must never block except in poll(), or hold a descriptor of the
 * program's.
 */
#include "cli/launch/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/launch/supervisor.h"
#include "cli/supervise/child.h"
#include "report/stats.h"

static struct keeper {
    const struct launch *launch;
    struct keeper_news *news;
    pid_t front;
    pid_t program; /* 0: it has ended */
    int status;    /* of its end; KEEPER_NO_NEWS before, and once the front knows it */
    bool is_stopped;
    int signals;
    int listener; /* -1, or the keeper's loop answers the calls that it notifies of */
} keeper = {.status = KEEPER_NO_NEWS, .listener = -1};

int64_t keeper_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static bool has_front(void)
{
    return getppid() == keeper.front;
}

static void tell(int status)
{
    atomic_store(&keeper.news->status, status);
    if (has_front())
        kill(keeper.front, SIGCHLD);
}

static void note_program(int status)
{
    if (WIFCONTINUED(status)) {
        if (keeper.is_stopped && has_front())
            kill(keeper.front, SIGCONT);
        keeper.is_stopped = false;
    } else if (WIFSTOPPED(status)) {
        keeper.is_stopped = true;
        tell(status);
    } else {
        keeper.program = 0;
        keeper.status = status;
    }
}

/* The program has ended, but not all that it started: the front no longer waits. */
static void go_into_background(void)
{
    tell(keeper.status);
    keeper.status = KEEPER_NO_NEWS;
    if (keeper.launch->speaks)
        return;
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(null, STDERR_FILENO);
    close(null);
}

/* Reaps; false when there is no descendant left. */
static bool reap(void)
{
    pid_t pid;
    int status;

    if (keeper.program && !has_front())
        kill(keeper.program, SIGKILL);
    while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0) {
        if (pid == keeper.program)
            note_program(status);
    }
    if (pid == 0 && keeper.status != KEEPER_NO_NEWS)
        go_into_background();
    return pid == 0;
}

/* Passes on what only the front received. */
static void pass_on(void)
{
    for (int number = 1; number <= KEEPER_SIGNALS; number++) {
        int64_t since = atomic_exchange(&keeper.news->alone[number], 0);
        if (since != 0 && keeper.program && atomic_load(&keeper.news->seen[number]) < since)
            kill(keeper.program, number);
    }
}

/* Passes on what arrived before there was a program. */
static void pass_on_early(const sigset_t *early)
{
    for (int number = 1; number <= KEEPER_SIGNALS; number++) {
        if (number != SIGCHLD && sigismember(early, number) == 1)
            kill(keeper.program, number);
    }
}

/* False when no descendant is left. */
static bool take_signals(void)
{
    struct signalfd_siginfo info;
    bool is_child = false;

    while (read(keeper.signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo <= KEEPER_SIGNALS)
            atomic_store(&keeper.news->seen[info.ssi_signo], keeper_clock());
        is_child = is_child || info.ssi_signo == SIGCHLD;
    }
    if (!is_child)
        return true;
    pass_on(); /* before it is reaped and its pid can be reused */
    return reap();
}

static void keep(void)
{
    struct pollfd watched[] = {{keeper.listener, POLLIN, 0}, {keeper.signals, POLLIN, 0}};
    bool goes_on = true;

    while (goes_on) {
        if (poll(watched, 2, -1) < 0)
            continue;
        if (watched[0].revents & POLLIN)
            supervisor_answer();
        else if (watched[0].revents & POLLHUP) /* all have ended, and will be reaped */
            watched[0].fd = -1;
        if (watched[1].revents & POLLIN)
            goes_on = take_signals();
    }
}

/* Starts a program that needs no supervisor. */
static pid_t start_program(const struct launch *launch, int *status)
{
    pid_t pid = child_fork();

    if (pid == 0) {
        execv(launch->file, launch->argv);
        _exit(cli_exec_failed(launch->self, launch->argv[0]));
    }
    if (pid < 0) {
        cli_error(launch->self, "cannot start a process: %s", strerror(errno));
        *status = CHILD_FAILED;
        return 0;
    }
    child_release(-1);
    return pid;
}

void launch_remove_stats(const char *file)
{
    char directory[PATH_MAX];

    snprintf(directory, sizeof(directory), "%.*s", (int)(strrchr(file, '/') - file), file);
    unlink(file);
    rmdir(directory);
}

void launch_finish(const struct launch *launch)
{
    struct stats stats;

    if (!launch->stats)
        return;
    if (stats_read(launch->stats, &stats) == STATS_OK) {
        cli_print_line(stderr, "linger run: what %s did to its connections",
                       text_file_name(launch->file));
        cli_print_counters(stderr, &stats);
        if (launch->settings && !launch->sees_closes)
            fputs("linger run: closes are not counted: no rule of this policy is decided at "
                  "close()\n",
                  stderr);
    }
    launch_remove_stats(launch->stats);
}

_Noreturn void keeper_run(const struct launch *launch, struct keeper_news *news, pid_t front)
{
    sigset_t early;
    sigset_t all;

    keeper.launch = launch;
    keeper.news = news;
    keeper.front = front;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_PDEATHSIG, SIGCHLD); /* reap() notices */
    sigpending(&early);
    keeper.program = launch->settings ? supervisor_start(launch, &keeper.status, &keeper.listener)
                                      : start_program(launch, &keeper.status);
    if (keeper.program) {
        child_lend_name(launch->file, launch->argv);
        pass_on_early(&early);
        sigfillset(&all);
        keeper.signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
        if (chdir("/") != 0) {
            /* A file system stays in use while the program runs, as it does anyway. */
        }
        keep();
        supervisor_finish();
    }
    launch_finish(launch);
    if (keeper.status != KEEPER_NO_NEWS)
        tell(keeper.status);
    _exit(CLI_OK);
}
