/* SPDX-License-Identifier: MIT */
/*
 * The one table of what a feature needs of the kernel. Each call is made with arguments that are
 * never right, so that the error says whether the kernel knows it. Must never conclude from the
 * version that a call is there: distributions add calls to older kernels, and containers hide those
 * of newer ones.
 */
#include "cli/needs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/kernel.h"
#include "cli/supervise/filter.h"

#define FILTER SECCOMP_SET_MODE_FILTER
#define LISTENER SECCOMP_FILTER_FLAG_NEW_LISTENER
#define THREADS (LISTENER | SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH)

enum { NOTIFIES = 1, TAKES = 2, INJECTS = 4 };

/* `known` is the error where the call exists. */
static const struct {
    const char *name;
    long number, first, second;
    unsigned who;
    int known;
} calls[] = {
    {"seccomp(2) with notifications", SYS_seccomp, FILTER, LISTENER, NOTIFIES, EFAULT},
    {"pidfd_open(2)", SYS_pidfd_open, -1, 0, TAKES, EINVAL},
    {"pidfd_getfd(2)", SYS_pidfd_getfd, -1, 0, TAKES, EBADF},
    {"seccomp(2) for all threads", SYS_seccomp, FILTER, THREADS, INJECTS, EFAULT},
    {"close_range(2)", SYS_close_range, 1, 0, INJECTS, EINVAL},
};

/* The version is that of the newest call; a filter can let a call continue since Linux 5.5. */
static const struct {
    unsigned who;
    const char *name, *version, *instead;
} features[] = {
    [NEED_SUPERVISOR] = {NOTIFIES | TAKES, "the supervisor", "5.6",
                         "-b preload does without, for what is dynamically linked"},
    [NEED_ATTACH] = {TAKES, "attach", "5.6", "start the program by `linger run`"},
    [NEED_KEEP] = {TAKES, "keep", "5.6", "start the program by `linger run`"},
    [NEED_CLOSE] = {TAKES, "close", "5.6", "as root, `ss -K` resets connections"},
    [NEED_INJECTION] = {NOTIFIES | TAKES | INJECTS, "supervise", "5.9",
                        "start the program by `linger run`"},
};

/* The first call that is missing; errno says how. NULL if none is. */
static const char *missing_call(enum need need)
{
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        if (!(features[need].who & calls[i].who))
            continue;
        syscall(calls[i].number, calls[i].first, calls[i].second, 0L);
        if (errno != calls[i].known)
            return calls[i].name;
    }
    return NULL;
}

bool needs_is_linux(const char *version)
{
    struct utsname name;

    return uname(&name) == 0 && strverscmp(name.release, version) >= 0;
}

/* Is it missing although the kernel is new enough? */
static bool is_hidden(enum need need)
{
    return errno == EPERM || errno == EACCES || needs_is_linux(features[need].version);
}

bool needs_explain(enum need need, struct error *why)
{
    const char *missing = missing_call(need);

    if (missing && is_hidden(need))
        error_set(why,
                  "%s is refused, perhaps by a container's profile: allow seccomp, pidfd_open and "
                  "pidfd_getfd there, or add CAP_SYS_PTRACE",
                  missing);
    else if (missing)
        error_set(why,
                  "%s needs Linux %s: this kernel has no %s, or a seccomp profile hides it; %s",
                  features[need].name, features[need].version, missing, features[need].instead);
    return !missing;
}

bool needs_are_met(enum need need, const struct cli_command *self)
{
    struct error why;
    bool are_met = needs_explain(need, &why);

    if (!are_met)
        cli_error(self, "%s", why.text);
    return are_met;
}
