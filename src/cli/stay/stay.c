/*
 * Before a program comes under a filter, which it cannot leave: what would be refused is refused
 * for all of the processes first, and the user is told what cannot be undone.
 */
#include "stay/stay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stay/inject.h"
#include "stay/page.h"
#include "stay/serve.h"

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
    if (status == 0 && strcmp(s->log_path, SETTINGS_STDERR) == 0) {
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
          "- Two processes (" PAGE_SERVER ") answer their calls. If one dies, the other goes on\n"
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
        fprintf(stderr, "pid %d (%s)\n", (int)targets[i].pid, targets[i].name);
    explain(stderr, no_new_privs);
    if (is_answered_yes(stderr))
        return 0;
    cli_error(stay->self, "not confirmed: nothing was changed");
    return -1;
}

int stay_check(const struct stay *stay, const struct target *targets, int count, bool asks)
{
    struct inject_error error = {{0}};
    bool no_new_privs = false;
    int fresh = 0;

    for (int i = 0; i < count; i++) {
        bool is_needed = false;
        if (page_server(targets[i].pid) > 0)
            continue;
        if (inject_check(targets[i].pid, &is_needed, &error) != 0) {
            cli_error(stay->self, "%s", error.text);
            return -1;
        }
        no_new_privs = no_new_privs || is_needed;
        fresh++;
    }
    return asks && fresh > 0 ? ask(stay, targets, count, no_new_privs) : 0;
}

int stay_start(const struct stay *stay, const struct target *targets, int count, bool is_quiet)
{
    char why[SERVE_WHY_MAX];

    fflush(stdout);
    for (int i = 0; i < count; i++) {
        bool is_served = page_server(targets[i].pid) > 0;
        if (serve_start(stay->self, &stay->settings, targets[i].pid, why) != 0) {
            cli_error(stay->self, "%s", why);
            return -1;
        }
        if (!is_quiet)
            printf("process     %d %s  %s\n", (int)targets[i].pid, targets[i].name,
                   is_served ? "has the new policy" : "is supervised until it ends");
    }
    return 0;
}
