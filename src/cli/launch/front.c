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
 * die, the supervisor's guard lets the calls of all others go on (supervisor.c).
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/launch/keeper.h"
#include "cli/process/processes.h"
#include "cli/supervise/child.h"

#define GLANCE 1000000 /* nanoseconds */
#define PATIENCE (INT64_C(200) * GLANCE)
#define HINDSIGHT (INT64_C(1000) * GLANCE)
#define ARRIVALS_MAX 32

/* A signal that may be meant for the program, or has reached it already. */
struct arrival {
    int number;
    int64_t since; /* the keeper got the same one, if it did */
    int64_t until;
};

static struct front {
    const struct launch *launch;
    struct keeper_news *news;
    pid_t keeper;
    int64_t stopped; /* when we were stopped, and when we continued */
    int64_t continued;
    struct arrival arrivals[ARRIVALS_MAX];
    size_t waiting;
} front;

/* Is it certain which? Then the keeper passes it on, or it is dropped. */
static bool is_resolved(const struct arrival *arrival)
{
    if (atomic_load(&front.news->alone[arrival->number]) != 0)
        return false; /* the keeper has not handled the previous one */
    if (atomic_load(&front.news->seen[arrival->number]) >= arrival->since)
        return true; /* the program has it too */
    if (keeper_clock() < arrival->until)
        return false;
    atomic_store(&front.news->alone[arrival->number], arrival->since);
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
    int64_t now = keeper_clock();
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

/* Has the program ended or stopped? Then its wait status. */
static bool look(int *status)
{
    bool is_dead = is_keeper_dead();
    int news = atomic_exchange(&front.news->status, KEEPER_NO_NEWS);

    if (news == KEEPER_NO_NEWS && !is_dead)
        return false;
    if (news == KEEPER_NO_NEWS) {
        cli_error(front.launch->self, "the supervisor died, so the program was killed");
        processes_end_children(); /* the processes that it left are now ours */
        launch_finish(front.launch);
        news = CHILD_FAILED;
    }
    *status = news;
    return true;
}

static void stop(void)
{
    front.stopped = keeper_clock();
    raise(SIGSTOP);
    front.continued = keeper_clock();
}

static int wait_for_end(void)
{
    int status = 0;

    for (;;) {
        if (!look(&status)) {
            resolve_arrivals();
            take_signal();
        } else if (WIFSTOPPED(status)) {
            stop();
        } else {
            return status;
        }
    }
}

int launch_run(const struct launch *launch)
{
    pid_t self = getpid();

    front.launch = launch;
    front.news =
        mmap(NULL, sizeof(*front.news), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (front.news == MAP_FAILED) {
        cli_error(launch->self, "out of memory");
        return CHILD_FAILED;
    }
    atomic_store(&front.news->status, KEEPER_NO_NEWS);
    child_prepare();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    front.keeper = fork();
    if (front.keeper == 0)
        keeper_run(launch, front.news, self);
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
