/* SPDX-License-Identifier: MIT */
/*
 * What the parent of a program must ensure: that the program finds signals, descriptors and its
 * environment as it would without a parent, and that the parent holds nothing of the program's.
 */
#include "cli/supervise/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/kernel.h"
#include "base/text.h"
#include "socket/sock.h"

/* What linger was started with. */
static struct {
    pid_t pid;
    sigset_t mask;
    struct sigaction on_child;
} found;

/* With SIGCHLD ignored, perhaps inherited over execve(2), wait(2) would find no child. */
void child_prepare(void)
{
    struct sigaction plain = {.sa_handler = SIG_DFL};
    sigset_t all;

    found.pid = getpid();
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &found.mask);
    sigaction(SIGCHLD, &plain, &found.on_child);
}

static bool names_us(const char *variable)
{
    const char *value = getenv(variable);

    return value && strtol(value, NULL, 10) == found.pid;
}

static void set_number(const char *variable, unsigned long long number)
{
    char text[32];

    snprintf(text, sizeof(text), "%llu", number);
    setenv(variable, text, 1);
}

/* systemd's variables, by which a program sees that the sockets are for it, sd_listen_fds(3). */
static void rename_pids(void)
{
    static const char *const names[] = {"LISTEN_PID", "WATCHDOG_PID", "SYSTEMD_EXEC_PID"};
    bool is_listener = names_us("LISTEN_PID");
    struct stat status;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names_us(names[i]))
            set_number(names[i], (unsigned long long)getpid());
    }
    if (!is_listener || !getenv("LISTEN_PIDFDID"))
        return;
    int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0); /* close-on-exec */
    if (fstat(pidfd, &status) == 0)
        set_number("LISTEN_PIDFDID", status.st_ino); /* unique since Linux 6.9 */
}

pid_t child_fork(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        rename_pids();
        sigaction(SIGCHLD, &found.on_child, NULL);
        sigprocmask(SIG_SETMASK, &found.mask, NULL);
    }
    return pid;
}

static void close_range_by_hand(unsigned first, unsigned last)
{
    long limit = sysconf(_SC_OPEN_MAX);

    for (unsigned fd = first; fd <= last && fd < (unsigned)limit; fd++)
        close((int)fd);
}

/* close_range(2) is Linux 5.9. */
static void close_all(unsigned first, unsigned last)
{
    if (first <= last && syscall(SYS_close_range, first, last, 0) != 0)
        close_range_by_hand(first, last);
}

void child_release(int kept)
{
    struct facts facts = {0};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    bool drops_stderr = fcntl(STDERR_FILENO, F_GETFD) < 0 || sock_facts(STDERR_FILENO, 0, &facts);

    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    if (drops_stderr)
        dup2(null, STDERR_FILENO);
    if (kept > STDERR_FILENO) {
        close_all(STDERR_FILENO + 1, (unsigned)kept - 1);
        close_all((unsigned)kept + 1, ~0u);
    } else {
        close_all(STDERR_FILENO + 1, ~0u);
    }
}

void child_lend_name(const char *file, char *const *argv)
{
    char *first = program_invocation_name; /* argv[0], where the kernel begins to show them */
    char *const *last = argv;
    char name[64];

    snprintf(name, sizeof(name), "(%.60s)", text_file_name(file));
    prctl(PR_SET_NAME, name);
    while (last[1])
        last++;
    size_t size = (size_t)(*last + strlen(*last) - first);
    memset(first, 0, size);
    snprintf(first, size, "%s", name);
}
