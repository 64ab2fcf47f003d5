/* SPDX-License-Identifier: MIT */
#include "cli/process/processes.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/process/target.h"

/* Is it that process, or a descendant of it? */
static bool is_below(pid_t pid, pid_t root)
{
    while (pid > 0 && pid != root)
        pid = (pid_t)target_stat(pid, STAT_PPID);
    return pid == root;
}

/* One that ends after it was read counts in its parent, which has been read by then. */
double processes_cpu(pid_t root)
{
    DIR *proc = opendir("/proc");
    unsigned long long ticks = 0;
    pid_t pid;

    while ((pid = target_next(proc))) {
        bool is_counted = is_below(pid, root);
        for (enum stat_field i = STAT_UTIME; is_counted && i <= STAT_CSTIME; i++)
            ticks += target_stat(pid, i);
    }
    if (proc)
        closedir(proc);
    return (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

void processes_end_children(void)
{
    DIR *directory;
    pid_t pid;

    while (waitpid(-1, NULL, WNOHANG) >= 0 && (directory = opendir("/proc"))) {
        while ((pid = target_next(directory))) {
            if (target_status(pid, "PPid") == getpid())
                kill(pid, SIGKILL);
        }
        closedir(directory);
        waitpid(-1, NULL, 0);
    }
}
