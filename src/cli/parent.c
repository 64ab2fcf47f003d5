/*
 * The parent in front of a program. All signals are blocked and taken one by one with
 * sigwaitinfo(2). What the terminal sends (Ctrl-C, Ctrl-Z) goes to the whole process group, so the
 * child has it already; what others send to us alone is forwarded.
 */
#include "parent.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int parent_begin(struct parent *parent)
{
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &parent->before);
    parent->child = fork();
    if (parent->child <= 0)
        sigprocmask(SIG_SETMASK, &parent->before, NULL);
    return parent->child < 0 ? -1 : 0;
}

/* True: the child has ended. If it was stopped, so are we; going on we wake it. */
static bool look_at(pid_t child, int *status)
{
    if (waitpid(child, status, WNOHANG | WUNTRACED) != child)
        return false;
    if (!WIFSTOPPED(*status))
        return true;
    raise(SIGSTOP);
    kill(child, SIGCONT);
    return false;
}

int parent_wait(const struct parent *parent)
{
    sigset_t all;
    siginfo_t info;
    int status = 0;

    sigfillset(&all);
    while (!look_at(parent->child, &status)) {
        int number = sigwaitinfo(&all, &info);
        bool from_terminal = info.si_code == SI_KERNEL;
        if (number > 0 && number != SIGCHLD && !from_terminal)
            kill(parent->child, number);
    }
    return status;
}

int parent_exit(int status)
{
    static const struct rlimit no_core = {0, 0};
    sigset_t one;

    if (!WIFSIGNALED(status))
        return WEXITSTATUS(status);
    setrlimit(RLIMIT_CORE, &no_core); /* the child has left one, if it should */
    signal(WTERMSIG(status), SIG_DFL);
    sigemptyset(&one);
    sigaddset(&one, WTERMSIG(status));
    raise(WTERMSIG(status));
    sigprocmask(SIG_UNBLOCK, &one, NULL);
    return 128 + WTERMSIG(status);
}
