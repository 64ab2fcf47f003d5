/*
 * The front of a program: the parent that the user sees. All signals are blocked and taken one by
 * one with sigwaitinfo(2). What the terminal sends (Ctrl-C, Ctrl-Z) goes to the whole process
 * group, so the child has it already; what others send to us alone is forwarded.
 */
#include "launch/front.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sock.h"

#ifndef SYS_close_range
#define SYS_close_range 436 /* Linux 5.9, the same on every architecture */
#endif

int front_begin(struct front *front)
{
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &front->before);
    front->child = fork();
    if (front->child <= 0)
        sigprocmask(SIG_SETMASK, &front->before, NULL);
    return front->child < 0 ? -1 : 0;
}

bool front_look_at_child(pid_t child, int *status)
{
    return waitpid(child, status, WNOHANG | WUNTRACED) == child;
}

void front_forward(pid_t child, int number, int code)
{
    bool is_from_terminal = code == SI_KERNEL;

    if (number > 0 && number != SIGCHLD && !is_from_terminal)
        kill(child, number);
}

int front_wait(const struct front *front, front_look *look)
{
    sigset_t all;
    siginfo_t info;
    int status = 0;

    sigfillset(&all);
    for (;;) {
        if (look(front->child, &status)) {
            if (!WIFSTOPPED(status))
                return status;
            raise(SIGSTOP);
            kill(front->child, SIGCONT);
            continue;
        }
        int number = sigwaitinfo(&all, &info);
        front_forward(front->child, number, info.si_code);
    }
}

static void close_range_by_hand(unsigned first, unsigned last)
{
    long limit = sysconf(_SC_OPEN_MAX);

    for (unsigned fd = first; fd <= last && fd < (unsigned)limit; fd++)
        close((int)fd);
}

/* close_range(2) is of Linux 5.9. */
static void close_all(unsigned first, unsigned last)
{
    if (first <= last && syscall(SYS_close_range, first, last, 0) != 0)
        close_range_by_hand(first, last);
}

void front_release(int kept)
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

int front_exit(int status)
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
