/* SPDX-License-Identifier: MIT */
/*
 * Starts a program in a process group of its own, and sends the group SIGTERM at the moment at
 * which it has two processes, the second of which has not run yet: early-signal PROGRAM
 * [ARGUMENT...] Ends as the program does.
 */
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "common.h"

#define TIME_LIMIT 60 /* seconds */

static int status;

static void await_stop(pid_t pid)
{
    check(waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status), "a stop");
}

int main(int argc, char **argv)
{
    unsigned long second;

    alarm(TIME_LIMIT);
    check(argc > 1, "usage");
    pid_t first = fork();
    if (first == 0) {
        setpgid(0, 0);
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        execvp(argv[1], argv + 1);
        _exit(127);
    }
    await_stop(first);
    check(ptrace(PTRACE_SETOPTIONS, first, 0, PTRACE_O_TRACEFORK) == 0, "PTRACE_SETOPTIONS");
    while (status >> 16 != PTRACE_EVENT_FORK) {
        check(ptrace(PTRACE_CONT, first, 0, 0) == 0, "PTRACE_CONT");
        await_stop(first);
    }
    check(ptrace(PTRACE_GETEVENTMSG, first, 0, &second) == 0, "PTRACE_GETEVENTMSG");
    await_stop((pid_t)second);
    check(kill(-first, SIGTERM) == 0, "kill");
    ptrace(PTRACE_DETACH, (pid_t)second, 0, 0);
    ptrace(PTRACE_DETACH, first, 0, 0);
    check(waitpid(first, &status, 0) == first, "its end");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
