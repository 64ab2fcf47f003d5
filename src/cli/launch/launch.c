/* SPDX-License-Identifier: MIT */
/*
 * If linger cannot become the program, it stays in front of it:
 *
 *     front          what the user started. Stops and continues with the program, ends as it ends.
 *       |
 *     keeper         the parent of the program and, as a subreaper, of all that it leaves behind,
 *       |            until the last of them has ended. The supervisor's calls are answered here.
 *     program
 *
 * The keeper is not the front, so that the prompt returns when a program goes into the background.
 * It is an ancestor, so that it knows when the last has ended, leaves no zombies to a container's
 * PID 1, and may take duplicates of descriptors under Yama's scope 1.
 *
 * Signals. A signal to a process group, a terminal's foreground, a cgroup or every process has
 * reached the program too; a signal to the front alone is meant for the program. The front cannot
 * tell which, but there is a witness: the keeper is wherever the program is, and acts on no signal.
 * What both receive went to everybody; what only the front receives is passed on, after PATIENCE (a
 * cgroup is signalled one process at a time), and by the keeper: only the keeper knows that it has
 * taken every signal sent to it, however long it waited for a processor. HINDSIGHT is for a front
 * that had to wait.
 *
 * The death of one must not leave a program half supervised: a call that is not answered fails
 * with ENOSYS, so when the keeper dies the front kills all that it was the parent of; when the
 * front dies the keeper kills the program, as the same signal would have without us. Where both
 * die, the supervisor's guard lets the calls of all others go on (supervisor.c). The keeper must
 * never block except in poll(), or hold a descriptor of the program's.
 */
#include "cli/launch/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/launch/supervisor.h"
#include "cli/process/processes.h"
#include "cli/supervise/child.h"
#include "report/stats.h"

#define GLANCE 1000000 /* nanoseconds */
#define PATIENCE (INT64_C(200) * GLANCE)
#define HINDSIGHT (INT64_C(1000) * GLANCE)
#define ARRIVALS_MAX 32

#define NO_NEWS (-1) /* no wait status has all bits set */
#define SIGNALS 64

/*
 * What the front and the keeper share. Times are clock_now()'s; 0 is never. gcc and clang align
 * _Atomic int64_t of 32-bit programs differently unless the field says how.
 */
struct news {
    _Atomic int status; /* the program's, wait(2) */
    /* When the keeper got the signal of that number. */
    _Alignas(8) _Atomic int64_t seen[SIGNALS + 1];
    /* When the front got it: the program gets it too unless the keeper has seen it since. */
    _Alignas(8) _Atomic int64_t alone[SIGNALS + 1];
};

static struct news *news;
static const struct launch *launch;

/* A signal that may be meant for the program, or has reached it already. */
struct arrival {
    int number;
    int64_t since; /* the keeper got the same one, if it did */
    int64_t until;
};

static struct front {
    pid_t pid;
    pid_t keeper;
    int64_t stopped; /* when we were stopped, and when we continued */
    int64_t continued;
    struct arrival arrivals[ARRIVALS_MAX];
    size_t waiting;
} front;

static struct keeper {
    pid_t program; /* 0: it has ended */
    int status;    /* of its end; NO_NEWS before, and once the front knows it */
    bool is_stopped;
    int signals;
    int listener; /* -1, or the keeper's loop answers the calls that it notifies of */
} keeper = {.status = NO_NEWS, .listener = -1};

static int64_t clock_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static bool has_front(void)
{
    return getppid() == front.pid;
}

static void tell(int status)
{
    atomic_store(&news->status, status);
    if (has_front())
        kill(front.pid, SIGCHLD);
}

static void note_program(int status)
{
    if (WIFCONTINUED(status)) {
        if (keeper.is_stopped && has_front())
            kill(front.pid, SIGCONT);
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
    keeper.status = NO_NEWS;
    if (launch->speaks)
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
    if (pid == 0 && keeper.status != NO_NEWS)
        go_into_background();
    return pid == 0;
}

/* Passes on what only the front received. */
static void pass_on(void)
{
    for (int number = 1; number <= SIGNALS; number++) {
        int64_t since = atomic_exchange(&news->alone[number], 0);
        if (since != 0 && keeper.program && atomic_load(&news->seen[number]) < since)
            kill(keeper.program, number);
    }
}

/* Passes on what arrived before there was a program. */
static void pass_on_early(const sigset_t *early)
{
    for (int number = 1; number <= SIGNALS; number++) {
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
        if (info.ssi_signo <= SIGNALS)
            atomic_store(&news->seen[info.ssi_signo], clock_now());
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
static pid_t start_program(void)
{
    pid_t pid = child_fork();

    if (pid == 0) {
        execv(launch->file, launch->argv);
        _exit(cli_exec_failed(launch->self, launch->argv[0]));
    }
    if (pid < 0) {
        cli_error(launch->self, "cannot start a process: %s", strerror(errno));
        keeper.status = CHILD_FAILED;
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

/* When the last descendant has ended: prints the counters, if there are any, and removes them. */
static void finish(void)
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

/* In the child of the front, with all signals blocked. */
static _Noreturn void be_keeper(void)
{
    sigset_t early;
    sigset_t all;

    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_PDEATHSIG, SIGCHLD); /* reap() notices */
    sigpending(&early);
    keeper.program = launch->settings ? supervisor_start(launch, &keeper.status, &keeper.listener)
                                      : start_program();
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
    finish();
    if (keeper.status != NO_NEWS)
        tell(keeper.status);
    _exit(CLI_OK);
}
/* Is it certain which? Then the keeper passes it on, or it is dropped. */
static bool is_resolved(const struct arrival *arrival)
{
    if (atomic_load(&news->alone[arrival->number]) != 0)
        return false; /* the keeper has not handled the previous one */
    if (atomic_load(&news->seen[arrival->number]) >= arrival->since)
        return true; /* the program has it too */
    if (clock_now() < arrival->until)
        return false;
    atomic_store(&news->alone[arrival->number], arrival->since);
    kill(front.keeper, SIGCHLD); /* wakes it */
    return true;
}

/* In the order of their arrival, so that the program gets them in that order. */
static void resolve_arrivals(void)
{
    while (front.waiting > 0 && is_resolved(&front.arrivals[0])) {
        front.waiting--;
        memmove(front.arrivals, front.arrivals + 1, front.waiting * sizeof(front.arrivals[0]));
    }
}

/* The keeper may have got it before us, and has if we were stopped. */
static void note_arrival(int number)
{
    int64_t now = clock_now();
    int64_t came = now - front.continued < PATIENCE ? front.stopped : now;

    front.arrivals[front.waiting++] = (struct arrival){number, came - HINDSIGHT, now + PATIENCE};
}

static void take_signal(void)
{
    static const struct timespec glance = {.tv_nsec = GLANCE};
    sigset_t all;
    siginfo_t info;

    if (front.waiting == ARRIVALS_MAX) { /* further ones stay pending */
        nanosleep(&glance, NULL);
        return;
    }
    sigfillset(&all);
    int number = sigtimedwait(&all, &info, front.waiting > 0 ? &glance : NULL);
    if (number > 0 && number != SIGCHLD && info.si_pid != front.keeper)
        note_arrival(number);
}

/* As a container's PID 1 the front gets the orphans of others too. */
static bool is_keeper_dead(void)
{
    bool is_dead = false;
    pid_t pid;

    while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
        is_dead = is_dead || pid == front.keeper;
    return is_dead;
}

/* The program's wait status, if it has ended or stopped. */
static int look(void)
{
    bool is_dead = is_keeper_dead();
    int status = atomic_exchange(&news->status, NO_NEWS);

    if (status != NO_NEWS || !is_dead)
        return status;
    cli_error(launch->self, "the supervisor died, so the program was killed");
    processes_end_children(); /* the processes that it left are now ours */
    finish();
    return CHILD_FAILED;
}

static int wait_for_end(void)
{
    for (;;) {
        int status = look();
        if (status == NO_NEWS) {
            resolve_arrivals();
            take_signal();
        } else if (WIFSTOPPED(status)) {
            front.stopped = clock_now();
            raise(SIGSTOP);
            front.continued = clock_now();
        } else {
            return status;
        }
    }
}

int launch_run(const struct launch *what)
{
    launch = what;
    front.pid = getpid();
    news = mmap(NULL, sizeof(*news), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (news == MAP_FAILED) {
        cli_error(launch->self, "out of memory");
        return CHILD_FAILED;
    }
    atomic_store(&news->status, NO_NEWS);
    child_prepare();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    front.keeper = fork();
    if (front.keeper == 0)
        be_keeper();
    if (front.keeper < 0) {
        cli_error(launch->self, "cannot start a process: %s", strerror(errno));
        return CHILD_FAILED;
    }
    child_release(-1);
    return wait_for_end();
}

int launch_exit(int status)
{
    static const struct rlimit no_core = {0, 0};
    sigset_t one;

    if (!WIFSIGNALED(status))
        return WEXITSTATUS(status);
    setrlimit(RLIMIT_CORE, &no_core); /* the program has dumped one, if it should */
    signal(WTERMSIG(status), SIG_DFL);
    sigemptyset(&one);
    sigaddset(&one, WTERMSIG(status));
    raise(WTERMSIG(status));
    sigprocmask(SIG_UNBLOCK, &one, NULL);
    return 128 + WTERMSIG(status);
}
