/* SPDX-License-Identifier: MIT */
/*
 * One run, step by step: a namespace, the server under the mode, its listener, the counters, the
 * load, the counters again, the server's end, the port. It happens in a child, which adopts all
 * processes that the server and the load leave behind (a subreaper) and ends them, however the run
 * ended. Must never leave a process behind, or wait without a limit.
 */
#include "cli/ab/run.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/ab/netns.h"
#include "cli/process/holders.h"
#include "cli/process/processes.h"
#include "cli/process/target.h"
#include "cli/reach/reach.h"
#include "cli/sockets/sockets.h"

#define LISTEN_SECONDS 30  /* until the server listens */
#define NAP_MILLISECONDS 2 /* between two checks */
#define OUTPUT_SHOWN 400   /* bytes of the last output in an error */
#define ARGUMENTS_MAX 4096
#define NOT_LISTED "the kernel does not list its sockets"
#define RESTART_SECONDS 0.5 /* of trying; beyond that the kernel's timers say how long */

static struct run {
    const struct ab_plan *plan;
    struct ab_result *result;
    const char *mode;
    char server_output[PATH_MAX];
    char load_output[PATH_MAX];
    char watch_output[PATH_MAX];
    char stats_path[PATH_MAX];
    bool counts;        /* there is a file of counters */
    pid_t server;       /* 0: not our child, or it has ended */
    struct seen former; /* sockets that an earlier run left */
    double other_cpu;   /* seconds, of the load, all that it waited for, and the watch */
} run;

static void nap(void)
{
    static const struct timespec time = {0, NAP_MILLISECONDS * 1000000L};

    nanosleep(&time, NULL);
}

/* Fills `why`, with the end of what was printed to `output` (or NULL). Returns false. */
static bool fail(const char *output, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool fail(const char *output, const char *format, ...)
{
    struct error *why = &run.result->why;
    char text[OUTPUT_SHOWN + 1] = "";
    va_list arguments;
    int fd = output ? open(output, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;

    va_start(arguments, format);
    int length = vsnprintf(why->text, sizeof(why->text), format, arguments);
    va_end(arguments);
    if (fd >= 0) {
        off_t size = lseek(fd, 0, SEEK_END);
        ssize_t got = pread(fd, text, OUTPUT_SHOWN, size > OUTPUT_SHOWN ? size - OUTPUT_SHOWN : 0);
        text[got > 0 ? got : 0] = '\0';
        close(fd);
    }
    if (text[0] && (size_t)length < sizeof(why->text))
        snprintf(why->text + length, sizeof(why->text) - (size_t)length,
                 "; the last of its output:\n%s", text);
    run.result->outcome = AB_FAILED;
    return false;
}

/* In a new session: the terminal's signals reach only us, and we end the rest in order. */
static pid_t start(const char *const argv[], const char *output)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    int null = open("/dev/null", O_RDONLY);
    int out = open(output, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0644);
    setsid();
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    if (null < 0 || out < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
        _exit(CLI_FAILED);
    execvp(argv[0], (char *const *)argv); /* which does not modify them */
    _exit(cli_exec_failed(run.plan->self, argv[0]));
}

/* Is that program out of a preload's reach? Then counting closes would slow it down too much. */
static bool is_supervised(const char *program)
{
    static struct reach reach;

    reach_judge(program, false, &reach);
    return reach.how == REACH_SUPERVISE;
}

/* Judges the program of a shell's command line, after assignments. */
static bool load_is_supervised(const char *load)
{
    char word[PATH_MAX];

    for (const char *at = load + strspn(load, " \t"); *at; at += strspn(at, " \t")) {
        size_t length = strcspn(at, " \t");
        snprintf(word, sizeof(word), "%.*s", (int)length, at);
        if (!strchr(word, '='))
            return is_supervised(word);
        at += length;
    }
    return false;
}

/* Puts `linger run -m MODE ... --` before the command. */
static pid_t start_under(const char *const argv[], const char *output, bool supervised)
{
    static const char *all[ARGUMENTS_MAX];
    static char stats[PATH_MAX + 3];
    const char *const front[] = {
        "/proc/self/exe", "run", "-m", run.mode, supervised ? "-bsupervise" : stats, "--"};
    size_t count = sizeof(front) / sizeof(front[0]);

    snprintf(stats, sizeof(stats), "-s%s", run.stats_path);
    run.counts |= !supervised;
    memcpy(all, front, sizeof(front));
    for (int i = 0; argv[i] && count < ARGUMENTS_MAX - 1; i++)
        all[count++] = argv[i];
    all[count] = NULL;
    return start(all, output);
}

static bool find_port_free(void)
{
    uint32_t *inodes = NULL;
    struct holder *holders = NULL;
    ssize_t listeners = sockets_at(run.plan->port, true, &inodes);

    if (listeners < 0)
        return fail(NULL, NOT_LISTED ": %s", strerror(errno));
    ssize_t found = listeners > 0 ? holders_find(inodes, (size_t)listeners, &holders) : 0;
    if (found > 0)
        fail(NULL, "port %ld is taken, by %s (pid %d)", run.plan->port, holders[0].program,
             (int)holders[0].pid);
    else if (listeners > 0)
        fail(NULL, "port %ld is taken", run.plan->port);
    free(holders);
    free(inodes);
    return listeners == 0;
}

static bool has_listener(void)
{
    uint32_t *inodes = NULL;
    ssize_t count = sockets_at(run.plan->port, true, &inodes);

    free(inodes);
    return count > 0;
}

/* "exited with status 3", "died of signal 9 (Killed)" */
#define ending(status) put_ending((char[64]){0}, status)
static const char *put_ending(char text[64], int status)
{
    if (WIFSIGNALED(status))
        snprintf(text, 64, "died of signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(text, 64, "exited with status %d", WEXITSTATUS(status));
    return text;
}

/* A daemon may go into the background, and still come to listen. */
static bool await_listener(void)
{
    long limit = run.plan->timeout < LISTEN_SECONDS ? run.plan->timeout : LISTEN_SECONDS;
    double end = cli_now() + (double)limit;
    int status;

    while (!has_listener()) {
        if (cli_is_interrupted())
            return false;
        if (run.server && waitpid(run.server, &status, WNOHANG) == run.server) {
            run.server = 0;
            if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
                return fail(run.server_output, "the server %s before it listened on port %ld",
                            ending(status), run.plan->port);
        }
        if (cli_now() > end)
            return fail(run.server_output, "the server does not listen on port %ld after %ld s",
                        run.plan->port, limit);
        nap();
    }
    return true;
}

static bool start_server(void)
{
    const struct ab_plan *plan = run.plan;

    if (plan->attach)
        return true;
    if (!find_port_free())
        return false;
    run.server = plan->on_server ? start_under((const char *const *)plan->server, run.server_output,
                                               is_supervised(plan->server[0]))
                                 : start((const char *const *)plan->server, run.server_output);
    if (run.server < 0)
        return fail(NULL, "cannot start a process: %s", strerror(errno));
    return await_listener();
}

static double seconds_of(const struct rusage *usage)
{
    return (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) +
           (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1e6;
}

/* The server's: for a daemon that we start, ours except the load's and our own. */
static double server_cpu(void)
{
    struct rusage own;

    if (run.plan->attach)
        return processes_cpu(run.plan->attach);
    getrusage(RUSAGE_SELF, &own);
    return processes_cpu(getpid()) - seconds_of(&own) - run.other_cpu;
}

/* Waits for the load; ends it and all that it started if it does not end by itself. */
static bool await_load(pid_t load)
{
    double end = cli_now() + (double)run.plan->timeout;
    struct rusage usage = {0};
    int status;

    while (wait4(load, &status, WNOHANG, &usage) == 0) {
        bool is_late = cli_now() > end;
        if (cli_is_interrupted() || is_late) {
            kill(-load, SIGKILL);
            waitpid(load, &status, 0);
            return is_late &&
                   fail(run.load_output, "the load has not ended after %ld s (--timeout)",
                        run.plan->timeout);
        }
        nap();
    }
    run.other_cpu = seconds_of(&usage);
    return (WIFEXITED(status) && WEXITSTATUS(status) == 0) ||
           fail(run.load_output, "the load %s", ending(status));
}

/*
 * `linger watch` sees every connection from when it has a handler of SIGINT. Until exec(), whose
 * end of the pipe closes then, the handler is ours.
 */
static pid_t start_watch(void)
{
    char port[16], text[TARGET_STATUS_MAX] = "";
    const char *const watch[] = {"/proc/self/exe", "watch", "-p", port, NULL};
    const unsigned long long wanted = 1ull << (SIGINT - 1);
    int ends[2];

    if (!run.plan->is_watched || pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    snprintf(port, sizeof(port), "%ld", run.plan->port);
    pid_t pid = start(watch, run.watch_output);
    close(ends[1]);
    while (read(ends[0], port, 1) < 0 && errno == EINTR)
        ;
    close(ends[0]);
    while (pid > 0 && !cli_is_interrupted() && target_state(pid) != 'Z' &&
           target_status_text(pid, "SigCgt", text) && !(strtoull(text, NULL, 16) & wanted))
        nap();
    return pid;
}

static void end_watch(pid_t pid)
{
    struct rusage usage = {0};

    if (pid <= 0)
        return;
    kill(pid, SIGINT);
    while (wait4(pid, NULL, 0, &usage) < 0 && errno == EINTR)
        ;
    run.other_cpu += seconds_of(&usage);
}

static bool put_load_on(double *values)
{
    const char *const shell[] = {"/bin/sh", "-c", run.plan->load, NULL};
    uint64_t counters[COUNTER_COUNT];
    double cpu = server_cpu();
    double last;

    if (!figures_note_former(run.plan->port, &run.former))
        return fail(NULL, NOT_LISTED ": %s", strerror(errno));
    pid_t watch = start_watch();
    (void)counters_read(counters);
    double begin = cli_now();
    pid_t load = run.plan->on_client
                     ? start_under(shell, run.load_output, load_is_supervised(run.plan->load))
                     : start(shell, run.load_output);
    if (load < 0)
        return fail(NULL, "cannot start a process: %s", strerror(errno));
    bool is_done = await_load(load);
    values[FIGURE_SECONDS] = cli_now() - begin;
    end_watch(watch);
    if (!is_done)
        return false;
    cpu = server_cpu() - cpu;
    values[FIGURE_CPU] = cpu > 0 ? cpu : 0;
    figures_of_counters(counters, values);
    values[FIGURE_TIME_WAIT] =
        figures_time_wait(run.plan->port, !run.plan->on_server, &run.former, &last);
    figures_of_output(run.load_output, run.plan->metrics, run.plan->metric_count, values);
    return true;
}

/* Ends the server and what is left: SIGTERM, and SIGKILL after the grace period. */
static void stop_server(void)
{
    double end = cli_now() + (double)run.plan->grace;

    if (run.server > 0)
        kill(run.server, SIGTERM);
    while (run.server > 0 && cli_now() < end && !cli_is_interrupted()) {
        if (waitpid(run.server, NULL, WNOHANG) != 0)
            run.server = 0;
        nap();
    }
    processes_end_children();
}

static bool can_bind(void)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, /* or in part a struct sockaddr_in */
                               .sin6_port = htons((uint16_t)run.plan->port)};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        any.sin6_family = AF_INET;
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    }
    int status = bind(fd, (struct sockaddr *)&any, sizeof(any));
    close(fd);
    return status == 0;
}

/*
 * How long until a server that does not set SO_REUSEADDR can bind the port again. If TIME_WAIT is
 * in the way, the kernel's timer says for how long, and we do not wait for it. If only TIME_WAIT of
 * an earlier run is, this run has no figure.
 */
static double measure_restart(void)
{
    double begin = cli_now();
    double last;

    while (!can_bind()) {
        double waited = cli_now() - begin;
        if (waited > RESTART_SECONDS) {
            double own =
                figures_time_wait(run.plan->port, !run.plan->on_server, &run.former, &last);
            return own > 0 ? last + waited : NAN;
        }
        nap();
    }
    return cli_now() - begin;
}

static void be_runner(void)
{
    double values[FIGURES_MAX];

    for (int i = 0; i < FIGURES_MAX; i++)
        values[i] = NAN;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    run.result->outcome = AB_FAILED;
    if (run.plan->in_namespace && netns_enter() != 0) {
        run.result->outcome = AB_NO_NAMESPACE;
        return;
    }
    bool done = start_server() && put_load_on(values);
    stop_server();
    if (done && run.plan->on_server && run.counts)
        values[FIGURE_UNSENT] = figures_unsent(run.stats_path);
    if (done && run.plan->on_server && !run.plan->attach)
        values[FIGURE_RESTART] = measure_restart();
    memcpy(run.result->values, values, sizeof(values));
    run.result->outcome = cli_is_interrupted() ? AB_INTERRUPTED : done ? AB_DONE : AB_FAILED;
}

void ab_run(const struct ab_plan *plan, const char *mode, const char *label,
            struct ab_result *result)
{
    int status;

    run = (struct run){.plan = plan, .mode = mode, .result = result};
    snprintf(run.server_output, sizeof(run.server_output), "%s/%s.server", plan->directory, label);
    snprintf(run.load_output, sizeof(run.load_output), "%s/%s.load", plan->directory, label);
    snprintf(run.watch_output, sizeof(run.watch_output), "%s/%s.watch", plan->directory, label);
    snprintf(run.stats_path, sizeof(run.stats_path), "%s/%s.counters", plan->directory, label);
    result->outcome = AB_FAILED;
    error_set(&result->why, "the run ended without a result");
    pid_t runner = fork();
    if (runner == 0) {
        be_runner();
        _exit(0);
    }
    if (runner < 0)
        error_set(&result->why, "cannot start a process: %s", strerror(errno));
    while (runner > 0 && waitpid(runner, &status, 0) != runner) {
        /* A signal that only we received is meant for the runner too. */
        kill(runner, SIGTERM);
    }
}
