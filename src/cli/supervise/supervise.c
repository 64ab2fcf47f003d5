/*
 * The supervisor. A program that makes raw system calls is out of a preload's reach, so the kernel
 * is asked to hold the few calls that matter and to tell us of each first: seccomp user
 * notification, seccomp_unotify(2).
 *
 * Three processes:
 *
 *     front          what the user started. Passes signals on, stops and goes on with the
 *       |            program, and returns its exit status.
 *     supervisor     serves the notifications of the program and of all its descendants, until
 *       |            the last of them has ended.
 *     program
 *
 * The supervisor is an ancestor of all that it serves (a subreaper: orphans stay its
 * descendants), so that Yama's scope 1 lets it take duplicates of their descriptors. It is not
 * the front, so that a program which goes into the background gives the prompt back.
 *
 * This file is the life of the first two; how the program is started stands in start.c, how a call
 * is answered in answer.c.
 *
 * Who dies first takes nobody along half-working: a call that nobody answers fails with ENOSYS,
 * so when the supervisor dies the front ends all that it served; when the front dies the
 * supervisor ends the program, as the same signal would have without us.
 *
 * Must never block but in poll(), or hold any descriptor of the program's.
 */
#include "supervise/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launch/front.h"
#include "supervise/answer.h"
#include "supervise/start.h"
#include "system/processes.h"

#define NO_NEWS (-1) /* no wait status has all bits set */

static struct supervisor {
    pid_t front;
    pid_t program; /* 0: it has ended */
    int signals;
    struct answerer answerer;
} supervisor;

/* The program's wait status, from the supervisor to the front, in shared memory. */
static _Atomic int *news;

static void tell(int status)
{
    atomic_store(news, status);
    kill(supervisor.front, SIGCHLD);
}

/* The program has ended, but not all that it started: nobody waits for us any more. */
static void go_into_background(void)
{
    int null;

    supervisor.program = 0;
    if (strcmp(supervisor.answerer.all->log_path, SETTINGS_STDERR) == 0)
        return;
    null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(null, STDERR_FILENO);
    close(null);
}

/* Reaps; false when there is no descendant left. */
static bool reap(void)
{
    pid_t pid;
    int status;

    if (supervisor.program && getppid() != supervisor.front)
        kill(supervisor.program, SIGKILL);
    while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
        if (pid != supervisor.program)
            continue;
        tell(status);
        if (!WIFSTOPPED(status))
            go_into_background();
    }
    return pid == 0;
}

/* False when there is nobody left to serve. */
static bool take_signals(void)
{
    struct signalfd_siginfo info;
    bool goes_on = true;

    while (read(supervisor.signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            goes_on = reap();
        else if (supervisor.program)
            front_forward(supervisor.program, (int)info.ssi_signo, info.ssi_code);
    }
    return goes_on;
}

/* Signals are blocked since front_begin(), and read like notifications. */
static int watch_signals(void)
{
    sigset_t all;

    sigfillset(&all);
    return signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void serve_all(void)
{
    struct pollfd watched[] = {{supervisor.answerer.listener, POLLIN, 0},
                               {supervisor.signals, POLLIN, 0}};
    bool goes_on = true;

    while (goes_on) {
        if (poll(watched, 2, -1) < 0)
            continue;
        if (watched[0].revents & POLLIN)
            answer_call(&supervisor.answerer);
        else if (watched[0].revents & POLLHUP) /* all have ended, and will be reaped */
            watched[0].fd = -1;
        if (watched[1].revents & POLLIN)
            goes_on = take_signals();
    }
}

static _Noreturn void be_supervisor(const char *file, char **argv)
{
    int status;

    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_PDEATHSIG, SIGCHLD); /* reap() notices */
    if (!start_program(&supervisor.answerer, file, argv, &supervisor.program, &status)) {
        tell(status);
        _exit(CLI_FAILED);
    }
    supervisor.signals = watch_signals();
    /* Until a call is taken a signal can interrupt it, so that it is never made. Root's right. */
    setpriority(PRIO_PROCESS, 0, -20);
    if (chdir("/") != 0) {
        /* Then a file system stays in use while the program runs, which it does anyway. */
    }
    serve_all();
    _exit(CLI_OK);
}

static bool look_at_supervisor(pid_t child, int *status)
{
    bool is_dead = waitpid(child, status, WNOHANG) == child;
    int told = atomic_exchange(news, NO_NEWS);

    if (told == NO_NEWS && !is_dead)
        return false;
    if (told == NO_NEWS) {
        cli_error(supervisor.answerer.self, "the supervisor died, so the program has been ended");
        processes_end_children(); /* all that it has left are ours now */
        told = START_FAILED;
    }
    *status = told;
    return true;
}

int supervise(const struct cli_command *self, struct settings *settings, const char *file,
              char **argv)
{
    struct front front;

    supervisor.answerer.self = self;
    supervisor.answerer.all = settings;
    supervisor.front = getpid();
    settings->backend = BACKEND_SUPERVISE;
    news = mmap(NULL, sizeof(*news), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (news == MAP_FAILED) {
        cli_error(self, "out of memory");
        return START_FAILED;
    }
    atomic_store(news, NO_NEWS);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (front_begin(&front) != 0) {
        cli_error(self, "cannot start a process: %s", strerror(errno));
        return START_FAILED;
    }
    if (front.child == 0)
        be_supervisor(file, argv);
    front_release(-1);
    return front_wait(&front, look_at_supervisor);
}
