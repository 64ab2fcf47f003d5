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
 * A new policy is a new pair. Its server takes the listener and the page out of the old one,
 * declares all others to be of an older generation, ends the server, and goes on from the page.
 *
 * Must never fork() in the midst of a call: the child would hold a socket of the program's.
 */
#include "cli/adopt/serve.h"

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

#include "cli/adopt/inject.h"
#include "cli/adopt/page.h"
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

#define GLANCES_MAX 2000 /* milliseconds */

static struct server {
    struct answerer answerer;
    struct target target;
    struct paged paged;
    unsigned generation; /* that this process is of */
    int channel;         /* to who started us, or -1 */
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

static _Noreturn void fail(const char *why)
{
    char text[SERVE_WHY_MAX];

    snprintf(text, sizeof(text), "process %d: %s", (int)server.target.pid, why);
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

static bool note_socket(int fd, int number, void *context)
{
    (void)number;
    (void)context;
    moments_note(fd);
    return true;
}

/* Has the right to answer from here on, and knows what the one before it knew. */
static void take_over(void)
{
    char why[TARGET_WHY_MAX];

    if (!page_own(&server.paged, server.generation))
        _exit(CLI_OK);
    answer_left(&server.answerer);
    (void)target_each_socket(&server.target, note_socket, NULL, why);
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
    take_over();
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

/* From those who serve it already, if any. One that is found may be ending, replaced itself. */
static bool take_page(void)
{
    static const struct timespec glance = {.tv_nsec = 1000000};
    char why[TARGET_WHY_MAX];
    pid_t old;

    for (int glances = 0; (old = page_server(server.target.pid)) > 0; glances++) {
        if (page_take(&server.paged, old, server.target.pid, why) == 0)
            return true;
        if (errno == EPERM || glances == GLANCES_MAX)
            fail(why);
        nanosleep(&glance, NULL);
    }
    return false;
}

/* Their filter has to tell of what this policy needs. */
static void use_their_filter(void)
{
    if (moments_wanted & MOMENTS_DEAR & ~server.paged.page->moments)
        fail("this policy needs to be told of close(), and the filter of the first --stay does "
             "not tell of it; restart the program");
    answer_use(&server.answerer, server.paged.listener);
    server.answerer.room = &server.paged.page->room;
}

static void put_under_filter(void)
{
    static struct filter filter;
    struct inject_error error = {{0}};
    char why[TARGET_WHY_MAX];

    if (page_make(&server.paged, server.target.pid, why) != 0)
        fail(why);
    server.paged.page->moments = (moments_wanted & MOMENTS_DEAR) | MOMENTS_CHEAP;
    server.answerer.room = &server.paged.page->room;
    filter_build(&filter, server.paged.page->moments,
                 policy_has_mode(&server.answerer.all->mode, MODE_FIN_RST));
    const struct sock_fprog program = {filter.length, filter.code};
    server.paged.listener = inject_filter(server.target.pid, &program, &error);
    if (server.paged.listener < 0) {
        tell(error.text);
        _exit(CLI_FAILED);
    }
    answer_use(&server.answerer, server.paged.listener);
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
    launch_release(server.channel);
    prctl(PR_SET_NAME, PAGE_SERVER);
}

static _Noreturn void run(void)
{
    char why[TARGET_WHY_MAX];

    become_daemon();
    if (target_open(&server.target, server.target.pid, why) != 0)
        fail(why);
    answer_begin(&server.answerer, server.target.pid, server.target.name);
    if (chdir("/") != 0) {
        /* Then a file system stays in use. */
    }
    if (take_page())
        use_their_filter();
    else
        put_under_filter();
    server.generation = atomic_load(&server.paged.page->generation) + 1;
    if (!get_partner()) {
        atomic_store(&server.paged.page->generation, server.generation);
        take_over();
        tell("");
    }
    serve();
}

/* The answer of the server: empty, or why not. */
static int hear(int channel, pid_t program, char why[SERVE_WHY_MAX])
{
    ssize_t length = read(channel, why, SERVE_WHY_MAX - 1);

    why[length > 0 ? length : 0] = '\0';
    if (length <= 0)
        snprintf(why, SERVE_WHY_MAX, "process %d: its supervisor died as it started", (int)program);
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
