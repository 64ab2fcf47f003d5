/* SPDX-License-Identifier: MIT */
/*
 * How a program comes under the filter. The supervisor forks; the child waits for its order, puts
 * itself under the filter, says which descriptor the listener is, waits for a go, and becomes the
 * program. In between the supervisor takes the listener out of it with pidfd_getfd(2): that this
 * works shows that it will for the program's sockets too, before the program has run at all.
 * Must never let a program go on that is not supervised.
 */
#include "cli/supervise/start.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/supervise/child.h"
#include "cli/supervise/filter.h"
#include "core/moments.h"

/* The messages between the supervisor and the program-to-be. */
struct order {
    unsigned moments;
    bool refuses_mptcp;
};

struct hello {
    int listener; /* its number in the program, or -1 */
    int error;
};

/* In the program's process: goes under the filter, and becomes the program. */
static _Noreturn void become_program(const struct cli_command *self, int channel, pid_t parent,
                                     const char *file, char **argv)
{
    static struct filter filter;
    struct order order;
    struct hello hello;
    char go;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || read(channel, &order, sizeof(order)) != (ssize_t)sizeof(order))
        _exit(CLI_FAILED);
    filter_build(&filter, order.moments, order.refuses_mptcp);
    hello.listener = filter_install(&filter);
    hello.error = errno;
    if (write(channel, &hello, sizeof(hello)) != (ssize_t)sizeof(hello) ||
        read(channel, &go, sizeof(go)) != (ssize_t)sizeof(go))
        _exit(CLI_FAILED);
    execv(file, argv);
    _exit(cli_exec_failed(self, argv[0]));
}

static void explain_filter(const struct cli_command *self, int error)
{
    const char *why = error == EBUSY ? "it has a supervisor already (a container runtime's, or "
                                       "linger's own), and the kernel permits one"
                                     : strerror(error);

    cli_error(self, "the program cannot be supervised: %s", why);
}

static void explain_take(const struct cli_command *self, int error)
{
    struct error why;

    if (error != EPERM || !target_explain_yama(2, &why)) /* at 1 an ancestor may */
        error_set(&why, "%s", strerror(error));
    cli_error(self, "the program cannot be supervised: %s", why.text);
}

/* Takes the listener out of the program, which also shows that its descriptors can be taken. */
static bool meet_program(struct answerer *answerer, pid_t program, int channel)
{
    struct hello hello;

    if (read(channel, &hello, sizeof(hello)) != (ssize_t)sizeof(hello))
        return false; /* it was killed: nothing to explain */
    if (hello.listener < 0) {
        explain_filter(answerer->self, hello.error);
        return false;
    }
    int listener = target_take(program, hello.listener);
    if (listener < 0) {
        explain_take(answerer->self, errno);
        return false;
    }
    answer_use(answerer, listener);
    const char *lacking = notify_lacks(listener);
    if (lacking)
        cli_error(answerer->self,
                  "the program cannot be supervised: this kernel has no %s (the supervisor needs "
                  "Linux 5.6), or a seccomp profile hides it",
                  lacking);
    return !lacking;
}

/* A pair of sockets beyond the standard descriptors, which may be closed and are the program's. */
static int make_channel(int channel[2])
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return -1;
    for (int i = 0; i < 2; i++) {
        channel[i] = fcntl(pair[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        close(pair[i]);
    }
    return channel[0] < 0 || channel[1] < 0 ? -1 : 0;
}

/* Orders the filter that the policy in force needs. */
static bool order_filter(const struct answerer *answerer, int channel)
{
    unsigned not_made = answerer->all->makes_accept ? 0 : MOMENT_ACCEPT;
    const struct order order = {moments_wanted & ~not_made,
                                policy_has_mode(&answerer->all->mode, MODE_FIN_RST)};

    return write(channel, &order, sizeof(order)) == (ssize_t)sizeof(order);
}

pid_t start_program(struct answerer *answerer, const char *file, char **argv, int *status)
{
    pid_t self = getpid();
    pid_t program;
    int channel[2];

    if (make_channel(channel) != 0 || (program = child_fork()) < 0) {
        cli_error(answerer->self, "cannot start a process: %s", strerror(errno));
        *status = CHILD_FAILED;
        return 0;
    }
    if (program == 0) {
        close(channel[0]);
        become_program(answerer->self, channel[1], self, file, argv);
    }
    close(channel[1]);
    answer_begin(answerer, program, text_file_name(file));
    bool ordered = order_filter(answerer, channel[0]);
    child_release(channel[0]);
    bool goes =
        ordered && meet_program(answerer, program, channel[0]) && write(channel[0], "", 1) == 1;
    close(channel[0]); /* without a go before, the program takes that for a no */
    if (!goes)
        waitpid(program, status, 0);
    return goes ? program : 0;
}
