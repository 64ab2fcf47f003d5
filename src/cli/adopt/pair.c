/* SPDX-License-Identifier: MIT */
/*
 * A filter stays until its program ends, and a call that nobody answers fails with ENOSYS. So two
 * processes have the listener:
 *
 *     supervisor   answers. Its child is the
 *     partner      which waits for the supervisor's end, answers from then on, and gets a partner.
 *
 * A call that the supervisor had received would be held for ever: the kernel hands each out once.
 * But the kernel writes it straight into the page that both map, so the partner finds it there,
 * whether the supervisor had seen it or not, and answers it first (answer_left()).
 *
 * A new policy is a new pair. Its supervisor takes the listener and the page out of the old one,
 * ends it, and goes on from the page.
 *
 * Must never fork() in the midst of a call: the child would hold a socket of the program's.
 */
#include "cli/adopt/pair.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/adopt/cgroup.h"
#include "cli/adopt/handover.h"
#include "cli/adopt/inject.h"
#include "cli/supervise/child.h"
#include "cli/supervise/filter.h"
#include "core/moments.h"

/*
 * A later policy may need more calls than the first one. All that costs a call or two for
 * a connection is in the filter; accept(), which event loops call more often than that, close() and
 * exit_group() are where the first policy needs them.
 */
#define MOMENTS_CHEAP                                                                              \
    (MOMENT_CONNECT | MOMENT_LISTEN | MOMENT_BIND | MOMENT_SETSOCKOPT | MOMENT_SHUTDOWN)
#define MOMENTS_COSTLY (MOMENT_ACCEPT | MOMENT_CLOSE | MOMENT_EXIT)

#define TAKES_MAX 2000 /* milliseconds, for those that are ending */
#define WAIT_MAX 60000 /* milliseconds */

static struct supervisor {
    struct answerer answerer;
    struct target target;
    struct page *page;
    int starter; /* a pipe to the process that started us, or -1 */
    pid_t partner;
} our;

static volatile sig_atomic_t is_alone; /* the partner may have ended, or there never was one */

/*
 * A signal that comes just before we wait for a call goes unnoticed, so alarm() sends a second one.
 */
static void note_end(int number)
{
    (void)number;
    is_alone = 1;
    alarm(1);
}

/* Neither Ctrl-C, a hangup nor pkill(1) may end us: the program would be left alone. */
static void refuse_signals(void)
{
    struct sigaction action = {.sa_handler = note_end}; /* no SA_RESTART: the wait is left */
    sigset_t all;

    sigfillset(&all);
    sigdelset(&all, SIGCHLD);
    sigdelset(&all, SIGALRM);
    sigaction(SIGCHLD, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
    sigprocmask(SIG_SETMASK, &all, NULL);
}

/* Where memory runs out, others are ended first; root's right. */
static void refuse_oom_killer(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    if (write(fd, "-1000", 5) != 5) {
        /* Then it is as likely to be ended as others. */
    }
    close(fd);
}

/* Lets the process that started us go on. */
static void let_go(void)
{
    dup2(STDIN_FILENO, STDERR_FILENO);
    close(our.starter);
    our.starter = -1;
}

/* The same after a word to it: 'y', all is well, or 'n', after a message. */
static void report_start(char word)
{
    if (write(our.starter, &word, 1) != 1) {
        /* Then it no longer waits. */
    }
    let_go();
}

/* If the program has ended, the process that started us says so. */
static _Noreturn void fail(const char *what, const char *detail)
{
    char state = target_state(our.target.pid);

    if (state && state != 'Z')
        cli_error(our.answerer.self, "process %d: %s%s", (int)our.target.pid, what, detail);
    report_start('n');
    _exit(CLI_FAILED);
}

/* Until the supervisor ends. If the program is gone, there is nobody left to supervise. */
static void stand_by(int pidfd)
{
    struct pollfd watched[] = {{pidfd, POLLIN, 0}, {our.answerer.listener, 0, 0}};

    while (poll(watched, 2, -1) < 0)
        ;
    if (watched[1].revents & POLLHUP) { /* before Linux 6.11 that does not wake the supervisor */
        syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
        _exit(CLI_OK);
    }
    close(pidfd);
}

/* Has the right to answer from here on. */
static void take_over(bool replaces)
{
    if (!handover_own(our.target.pid, replaces)) {
        if (replaces)
            fail("its supervisors do not end", "");
        _exit(CLI_OK);
    }
    answer_left(&our.answerer);
}

/* Returns false in this process, and true in the partner once that is the supervisor. */
static bool get_partner(void)
{
    is_alone = 0;
    alarm(0);
    if (our.partner > 0 && waitpid(our.partner, NULL, WNOHANG) == 0)
        return false; /* anybody may send SIGCHLD, and a stopped partner does */
    int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    our.partner = self < 0 ? -1 : fork();
    if (our.partner < 0)
        note_end(SIGCHLD); /* again in a second */
    if (our.partner != 0) {
        close(self);
        return false;
    }
    let_go();
    answer_forget(&our.answerer);
    stand_by(self);
    take_over(false);
    is_alone = 1;
    return true;
}

static _Noreturn void answer_all(void)
{
    do {
        while (is_alone)
            (void)get_partner();
    } while (answer_call(&our.answerer));
    _exit(CLI_OK);
}

/* Takes the page from the supervisors, if any: they may be ending, replaced themselves. */
static bool take_page(void)
{
    for (int takes = 0; takes < TAKES_MAX; takes++) {
        our.page = handover_take(our.target.pid);
        if (our.page || errno != ESRCH)
            break;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    if (!our.page && errno != 0)
        fail("its supervisor cannot be replaced: ", strerror(errno));
    return our.page != NULL;
}

/* The supervisor that it has may be one that we cannot name, such as a container runtime's. */
static _Noreturn void fail_to_inject(struct error *error)
{
    pid_t other = error->cause == EBUSY ? handover_find(our.target.pid, true) : 0;

    if (other)
        error_set(error,
                  "process %d of user %ld supervises it: whoever replaces the policy must be that "
                  "user, with no more capabilities",
                  (int)other, target_status(other, "Uid"));
    fail(error->text, "");
}

/* False if it has a supervisor by now: its page was taken. */
static bool put_under_filter(void)
{
    static struct filter filter;
    struct error error;

    our.page = handover_make(our.target.pid);
    if (!our.page)
        fail("no memory to share: ", strerror(errno));
    our.page->moments = (moments_wanted & MOMENTS_COSTLY) | MOMENTS_CHEAP;
    filter_build(&filter, our.page->moments,
                 policy_has_mode(&our.answerer.all->mode, MODE_FIN_RST));
    int listener = inject_filter(our.target.pid, &filter, &error);
    if (listener < 0) {
        handover_forget();
        if (error.cause == EBUSY && take_page())
            return false;
        fail_to_inject(&error);
    }
    dup3(listener, HANDOVER_LISTENER, O_CLOEXEC);
    close(listener);
    return true;
}

/* Gives up all that it inherited, but standard error only when all is well. */
static void become_daemon(void)
{
    setsid();
    refuse_signals();
    refuse_oom_killer();
    target_forget();
    our.starter = fcntl(our.starter, F_DUPFD_CLOEXEC, HANDOVER_FREE);
    child_release(our.starter);
    for (int number = HANDOVER_PAGE; number < HANDOVER_FREE; number++)
        dup3(STDIN_FILENO, number, O_CLOEXEC); /* nothing else gets it */
    prctl(PR_SET_NAME, HANDOVER_NAME);
    if (chdir("/") != 0) {
        /* Then a file system stays in use. */
    }
}

static _Noreturn void run(struct settings *settings)
{
    struct error why;

    become_daemon();
    if (target_open(&our.target, our.target.pid, &why) != 0)
        fail(why.text, "");
    if (!cgroup_enter(our.target.pid))
        fail(CGROUP_ENDS_US, "");
    bool replaces = take_page();
    bool wants_accept = settings->makes_accept;
    settings->makes_accept &= !replaces || our.page->moments & MOMENT_ACCEPT;
    answer_begin(&our.answerer, our.target.pid, our.target.name);
    replaces = replaces || !put_under_filter();
    if (replaces && moments_wanted & MOMENTS_COSTLY & ~our.page->moments)
        fail(wants_accept ? "this policy decides at accept()" : "this policy decides at close()",
             ", which the filter of the first one does not report: restart the program");
    our.answerer.room = &our.page->room;
    answer_use(&our.answerer, HANDOVER_LISTENER);
    if (!get_partner()) {
        take_over(replaces);
        report_start('y');
    }
    answer_all();
}

/* A call that is held in the kernel has no limit; the registers are put back when it ends. */
static bool await_word(int pipe, const struct cli_command *self, pid_t program)
{
    struct pollfd answer = {pipe, POLLIN, 0};
    char word = 'n';

    if (poll(&answer, 1, WAIT_MAX) == 0)
        cli_error(self,
                  "process %d: the kernel does not finish a call that was made in it: it is "
                  "supervised when that is done",
                  (int)program);
    else if (read(pipe, &word, 1) != 1)
        cli_error(self, "process %d: its supervisor died as it started", (int)program);
    return word == 'y';
}

bool pair_start(const struct cli_command *self, struct settings *settings, pid_t program)
{
    int ends[2];

    our.answerer.self = self;
    our.answerer.all = settings;
    our.target.pid = program;
    pid_t pid = -1;
    if (pipe2(ends, O_CLOEXEC) == 0) {
        our.starter = ends[1];
        pid = fork();
        if (pid == 0)
            run(settings);
        close(ends[1]);
    }
    if (pid < 0) {
        cli_error(self, "cannot start a process: %s", strerror(errno));
        return false;
    }
    bool is_well = await_word(ends[0], self, program);
    close(ends[0]);
    if (is_well && settings->makes_accept)
        inject_restart_accepts(program);
    return is_well;
}
