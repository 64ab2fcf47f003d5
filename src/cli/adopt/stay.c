/* SPDX-License-Identifier: MIT */
/*
 * Before a program comes under a filter, which it cannot leave: what would be refused is refused
 * for all of the processes first, and the user is told what cannot be undone.
 */
#include "cli/adopt/stay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "cli/adopt/handover.h"
#include "cli/adopt/inject.h"
#include "cli/adopt/serve.h"

#define TURN_PATIENCE 5000 /* milliseconds */

int stay_take_settings(struct stay *stay, const struct policy *mode)
{
    struct settings *s = &stay->settings;
    char buffer[SETTINGS_COMPLAINT_MAX];
    struct text complaint;

    s->who = "linger attach";
    s->backend = BACKEND_SUPERVISE;
    text_begin(&complaint, buffer, sizeof(buffer));
    unsetenv(settings_name(SETTING_MODE));
    if (stay->log)
        unsetenv(settings_name(SETTING_LOG));
    int status = settings_take_environment(s, environ, &complaint);
    if (status == 0 && stay->log)
        status = settings_take(s, SETTING_LOG, "-l", stay->log, &complaint);
    fputs(complaint.data, stderr);
    if (status == 0 && strcmp(s->log_path, LOG_TO_STDERR) == 0) {
        cli_error(stay->self, "-l: the supervisor has no standard error; give a file");
        return -1;
    }
    s->mode = *mode;
    return status;
}

/* What cannot be undone. */
static void explain(FILE *terminal, bool no_new_privs)
{
    fputs("These processes, and what they start, will run under a supervisor until they end.\n"
          "That cannot be undone; `linger attach --stay -m off` later makes it do nothing.\n"
          "- Two processes (" HANDOVER_NAME ") answer their calls. If one dies, the other goes on\n"
          "  and starts another; if both die at once, connect() and the like fail: ENOSYS.\n"
          "- A signal whose handler lacks SA_RESTART can interrupt a call while it is held:\n"
          "  EINTR, for 1 to 3 of 10,000 connects under a 10 ms timer.\n",
          terminal);
    if (no_new_privs)
        fputs("- no_new_privs is set: setuid programs that they start gain no privileges.\n",
              terminal);
}

static bool is_answered_yes(FILE *terminal)
{
    char line[16];

    fputs("Go on? [y/N] ", terminal);
    return fgets(line, sizeof(line), stdin) &&
           (strcmp(line, "y\n") == 0 || strcmp(line, "yes\n") == 0);
}

static int ask(const struct stay *stay, const struct target *targets, int count, bool no_new_privs)
{
    if (stay->is_confirmed)
        return 0;
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
        cli_error(stay->self, "--stay cannot be undone: confirm it with --yes");
        return -1;
    }
    for (int i = 0; i < count; i++)
        cli_print_line(stderr, "pid %d (%s)", (int)targets[i].pid, targets[i].name);
    explain(stderr, no_new_privs);
    if (is_answered_yes(stderr))
        return 0;
    cli_error(stay->self, "not confirmed: nothing was changed");
    return -1;
}

/* Who holds the lock on an open file; 0 if that is not to be seen. */
static int find_holder(int fd)
{
    struct stat status = {0};
    char line[256];
    int holder = 0;
    unsigned long inode;
    unsigned device;
    int pid;

    fstat(fd, &status);
    FILE *locks = fopen("/proc/locks", "re");
    while (locks && fgets(line, sizeof(line), locks)) {
        if (sscanf(line, "%*d: FLOCK %*s %*s %d %*x:%x:%lu", &pid, &device, &inode) == 3 &&
            inode == status.st_ino && device == minor(status.st_dev))
            holder = pid;
    }
    if (locks)
        fclose(locks);
    return holder;
}

/*
 * One at a time for a process: a second one would find it traced by the first. Lasts until the
 * descriptor is closed. Who may trace the process may lock that, and so may the process itself: it
 * is waited for no longer than the first one takes. False after a message; -1 without the right.
 */
static bool await_turn(const struct stay *stay, pid_t program, int *turn)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/fd", (int)program);
    *turn = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int naps = 0; *turn >= 0 && naps < TURN_PATIENCE; naps++) {
        if (flock(*turn, LOCK_EX | LOCK_NB) == 0)
            return true;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    if (*turn < 0)
        return true;
    cli_error(
        stay->self,
        "process %d: process %d has locked its descriptors in /proc, flock(2): end that one first",
        (int)program, find_holder(*turn));
    close(*turn);
    return false;
}

/* One that is not supervised yet, and would be refused; after a message. */
static bool is_refused(const struct stay *stay, pid_t program, bool *is_fresh, bool *no_new_privs)
{
    struct inject_error error;
    int turn;

    if (!await_turn(stay, program, &turn))
        return true;
    *is_fresh = handover_find(program, false) == 0;
    bool refused = *is_fresh && inject_check(program, no_new_privs, &error) != 0;
    if (refused)
        cli_error(stay->self, "%s", error.text);
    close(turn);
    return refused;
}

int stay_check(const struct stay *stay, const struct target *targets, int count, bool asks)
{
    bool no_new_privs = false;
    int fresh = 0;

    for (int i = 0; i < count; i++) {
        bool is_needed = false;
        bool is_fresh;
        if (is_refused(stay, targets[i].pid, &is_fresh, &is_needed))
            return -1;
        no_new_privs = no_new_privs || is_needed;
        fresh += is_fresh;
    }
    return asks && fresh > 0 ? ask(stay, targets, count, no_new_privs) : 0;
}

static int start(const struct stay *stay, const struct target *target, bool *is_replaced,
                 bool is_quiet)
{
    char why[SERVE_WHY_MAX];
    int turn;

    if (!await_turn(stay, target->pid, &turn))
        return -1;
    *is_replaced = handover_find(target->pid, false) > 0;
    int status = serve_start(stay->self, &stay->settings, target->pid, why);
    close(turn);
    if (status != 0)
        cli_error(stay->self, "%s", why);
    else if (!is_quiet)
        cli_print_line(stdout, "process     %d %s  %s", (int)target->pid, target->name,
                       *is_replaced ? "has the new policy" : "is supervised until it ends");
    return status;
}

int stay_start(const struct stay *stay, const struct target *targets, int count, bool *is_replaced,
               bool is_quiet)
{
    int status = 0;

    fflush(stdout);
    for (int i = 0; i < count && status == 0; i++)
        status = start(stay, &targets[i], &is_replaced[i], is_quiet);
    return status;
}

void stay_print_json(const struct target *targets, int count, const bool *is_replaced)
{
    fputs("\"served\":[", stdout);
    for (int i = 0; i < count; i++) {
        printf("%s{\"pid\":%d,\"program\":", i > 0 ? "," : "", (int)targets[i].pid);
        cli_print_json(stdout, targets[i].name);
        printf(",\"replaced\":%s}", is_replaced[i] ? "true" : "false");
    }
    putchar(']');
}
