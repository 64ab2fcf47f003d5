/* SPDX-License-Identifier: MIT */
/* Numbers are read once and summed up; one that ends after that counts in its parent. */
#include "cli/process/processes.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/process/target.h"

#define PROCESSES_MAX 32768

struct process {
    pid_t pid;
    pid_t parent;
    unsigned long ticks; /* its own, and of children that it has waited for */
    bool counted;
};

/* proc_pid_stat(5): fields 4, and 14 to 17. */
static bool read_process(pid_t pid, struct process *p)
{
    char line[1024];
    unsigned long user;
    unsigned long kernel;
    long waited_user;
    long waited_kernel;

    (void)target_read(pid, "stat", line, sizeof(line));
    const char *end = strrchr(line, ')');
    if (!end || sscanf(end + 1, " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %ld %ld",
                       &p->parent, &user, &kernel, &waited_user, &waited_kernel) != 5)
        return false;
    p->pid = pid;
    p->ticks = user + kernel + (unsigned long)waited_user + (unsigned long)waited_kernel;
    p->counted = false;
    return true;
}

static size_t read_processes(struct process *all)
{
    DIR *directory = opendir("/proc");
    size_t count = 0;
    pid_t pid;

    while (count < PROCESSES_MAX && (pid = target_next(directory)))
        count += read_process(pid, &all[count]);
    if (directory)
        closedir(directory);
    return count;
}

double processes_cpu(pid_t root)
{
    static struct process all[PROCESSES_MAX];
    size_t count = read_processes(all);
    unsigned long ticks = 0;
    bool found = true;

    for (size_t i = 0; i < count; i++)
        all[i].counted = all[i].pid == root;
    while (found) { /* a generation at a time */
        found = false;
        for (size_t i = 0; i < count; i++) {
            for (size_t j = 0; !all[i].counted && j < count; j++) {
                if (all[j].counted && all[j].pid == all[i].parent)
                    all[i].counted = found = true;
            }
        }
    }
    for (size_t i = 0; i < count; i++)
        ticks += all[i].counted ? all[i].ticks : 0;
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
