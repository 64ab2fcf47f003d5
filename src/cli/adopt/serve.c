/* SPDX-License-Identifier: MIT */
/*
 * A filter stays until its program ends, and a call that nobody answers fails with ENOSYS. So two
 * processes have the listener:
 *
 *     server     answers. Its child is the
 *     partner    which waits for the server's end, answers from then on, and gets a partner itself.
 *
 * A call that the server had received would be held for ever: the kernel hands each out once. But
 * the kernel writes it straight into the page that both map, so the partner finds it there, whether
 * the server had seen it or not, and answers it first (answer_left()).
 *
 * A new policy is a new pair. Its server takes the listener and the page out of the old one, ends
 * it, and goes on from the page.
 *
 * Must never fork() in the midst of a call: the child would hold a socket of the program's.
 */
#include "cli/adopt/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/adopt/handover.h"
#include "cli/adopt/inject.h"
#include "cli/launch/launch.h"
#include "cli/supervise/filter.h"
#include "core/moments.h"

/*
 * A later policy may need more calls than the first one. All that costs a call or two for
 * a connection is in the filter; close() and exit_group() are where the first policy needs them.
 */
#define MOMENTS_CHEAP                                                                              \
    (MOMENT_CONNECT | MOMENT_LISTEN | MOMENT_BIND | MOMENT_SETSOCKOPT | MOMENT_SHUTDOWN)
#define MOMENTS_DEAR (MOMENT_CLOSE | MOMENT_EXIT)

#define TAKES_MAX 2000 /* milliseconds, for those that are ending */
#define HEAR_MAX 60000 /* milliseconds */

static struct server {
    struct answerer answerer;
    struct target target;
    struct page *page;
    int channel; /* to who started us, or -1 */
} server;

static volatile sig_atomic_t is_alone; /* the partner has ended, or there never was one */

/* A signal just before the server waits for a call would go unnoticed: then there is a second. */
static void note_end(int number)
{
    (void)number;
    is_alone = 1;
    alarm(1);
}

/* Ctrl-C, a hangup, and who ends processes by name: none of that ends the program. */
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

static void tell(const char *why)
{
    if (write(server.channel, why, strlen(why) + 1) < 0) {
        /* Who started us has gone: there is nobody to tell. */
    }
    close(server.channel);
    server.channel = -1;
}

static _Noreturn __attribute__((format(printf, 1, 2))) void fail(const char *format, ...)
{
    char text[SERVE_WHY_MAX];
    int length = snprintf(text, sizeof(text), "process %d: ", (int)server.target.pid);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text + length, sizeof(text) - (size_t)length, format, arguments);
    va_end(arguments);
    tell(text);
    _exit(CLI_FAILED);
}

/* Until the server ends. Who is not under the filter any more needs nobody. */
static void stand_by(int pidfd)
{
    struct pollfd watched[] = {{pidfd, POLLIN, 0}, {server.answerer.listener, 0, 0}};

    while (poll(watched, 2, -1) < 0)
        ;
    if (watched[1].revents & POLLHUP) { /* before Linux 6.11 the server does not wake by that */
        syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
        _exit(CLI_OK);
    }
    close(pidfd);
}

/* Has the right to answer from here on. */
static void take_over(bool replaces)
{
    if (!handover_own(server.target.pid, replaces)) {
        if (replaces)
            fail("its supervisors do not end");
        _exit(CLI_OK);
    }
    answer_left(&server.answerer);
}

/* Returns in both, and true in the child, as soon as it is the server itself. */
static bool get_partner(void)
{
    int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    pid_t pid;

    is_alone = 0;
    alarm(0);
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    pid = self < 0 ? -1 : fork();
    if (pid < 0)
        note_end(SIGCHLD); /* again in a second */
    if (pid != 0) {
        close(self);
        return false;
    }
    if (server.channel >= 0)
        close(server.channel);
    server.channel = -1;
    stand_by(self);
    take_over(false);
    is_alone = 1;
    return true;
}

static _Noreturn void serve(void)
{
    do {
        while (is_alone)
            (void)get_partner();
    } while (answer_call(&server.answerer));
    _exit(CLI_OK);
}

/* From those who serve it already, if any. Those that are found may be ending, replaced themselves.
 */
static bool take_page(void)
{
    for (int takes = 0; takes < TAKES_MAX; takes++) {
        server.page = handover_take(server.target.pid);
        if (server.page || errno != ESRCH)
            break;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    if (!server.page && errno != 0)
        fail("its supervisor cannot be replaced: %s", strerror(errno));
    return server.page != NULL;
}

/* Whose supervisor it is may not be known: a container runtime's, say. */
static _Noreturn void fail_to_inject(const struct inject_error *error)
{
    pid_t other = error->is_supervised ? handover_find(server.target.pid, true) : 0;

    if (other)
        fail("process %d of user %ld supervises it: who replaces the policy must be that user and "
             "have no other capabilities",
             (int)other, target_status(other, "Uid"));
    tell(error->text);
    _exit(CLI_FAILED);
}

static void put_under_filter(void)
{
    static struct filter filter;
    struct inject_error error = {{0}, false};

    server.page = handover_make(server.target.pid);
    if (!server.page)
        fail("no memory to share: %s", strerror(errno));
    server.page->moments = (moments_wanted & MOMENTS_DEAR) | MOMENTS_CHEAP;
    filter_build(&filter, server.page->moments,
                 policy_has_mode(&server.answerer.all->mode, MODE_FIN_RST));
    const struct sock_fprog program = {filter.length, filter.code};
    int listener = inject_filter(server.target.pid, &program, &error);
    if (listener < 0)
        fail_to_inject(&error);
    dup3(listener, HANDOVER_LISTENER, O_CLOEXEC);
    close(listener);
}

/* Leaves everything of who started it: descriptors, terminal, directory. */
static void become_daemon(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    setsid();
    refuse_signals();
    refuse_oom_killer();
    dup2(null, STDERR_FILENO);
    target_forget();
    server.channel = fcntl(server.channel, F_DUPFD_CLOEXEC, HANDOVER_FREE);
    launch_release(server.channel);
    for (int number = HANDOVER_PAGE; number < HANDOVER_FREE; number++)
        dup3(STDIN_FILENO, number, O_CLOEXEC); /* nothing else gets it */
    prctl(PR_SET_NAME, HANDOVER_NAME);
}

static _Noreturn void run(void)
{
    char why[TARGET_WHY_MAX];

    become_daemon();
    if (target_open(&server.target, server.target.pid, why) != 0)
        fail("%s", why);
    answer_begin(&server.answerer, server.target.pid, server.target.name);
    if (chdir("/") != 0) {
        /* Then a file system stays in use. */
    }
    bool replaces = take_page();
    if (!replaces)
        put_under_filter();
    else if (moments_wanted & MOMENTS_DEAR & ~server.page->moments)
        fail("this policy needs to be told of close(), and the filter of the first --stay does "
             "not tell of it; restart the program");
    server.answerer.room = &server.page->room;
    answer_use(&server.answerer, HANDOVER_LISTENER);
    if (!get_partner()) {
        take_over(replaces);
        tell("");
    }
    serve();
}

/* The answer of the server: empty, or why not. */
static int hear(int channel, pid_t program, char why[SERVE_WHY_MAX])
{
    struct pollfd answer = {channel, POLLIN, 0};
    bool is_late = poll(&answer, 1, HEAR_MAX) == 0;
    ssize_t length = is_late ? 0 : read(channel, why, SERVE_WHY_MAX - 1);

    why[length > 0 ? length : 0] = '\0';
    if (length <= 0)
        snprintf(why, SERVE_WHY_MAX, "process %d: %s", (int)program,
                 is_late
                     ? "the kernel does not finish a call that was made in it: it is supervised "
                       "when that is done"
                     : "its supervisor died as it started");
    return length == 1 ? 0 : -1;
}

int serve_start(const struct cli_command *self, const struct settings *settings, pid_t program,
                char why[SERVE_WHY_MAX])
{
    int channel[2];

    server.answerer.self = self;
    server.answerer.all = settings;
    server.target.pid = program;
    pid_t pid = -1;
    if (pipe2(channel, O_CLOEXEC) == 0) {
        server.channel = channel[1];
        pid = fork();
        if (pid == 0)
            run();
        close(channel[1]);
    }
    if (pid < 0) {
        snprintf(why, SERVE_WHY_MAX, "cannot start a process: %s", strerror(errno));
        return -1;
    }
    int status = hear(channel[0], program, why);
    close(channel[0]);
    return status;
}
