/* What the library says. Must not raise a signal in the program or write into a connection. */
#include "report.h"

#include <errno.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "sock.h"

/* write(2) without SIGPIPE: blocked, and taken off the queue where this call put it there. */
static void write_quietly(int fd, const char *data, size_t length)
{
    static const struct timespec at_once = {0, 0};
    sigset_t before;
    sigset_t pending;
    sigset_t pipe;

    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigemptyset(&pending);
    sigpending(&pending);
    sigprocmask(SIG_BLOCK, &pipe, &before); /* on Linux: of this thread alone */
    if (write(fd, data, length) < 0 && errno == EPIPE && !sigismember(&pending, SIGPIPE))
        sigtimedwait(&pipe, NULL, &at_once);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

void report_stderr(const char *message, size_t length)
{
    struct facts facts = {0};
    int saved = errno;

    if (!sock_facts(STDERR_FILENO, 0, &facts))
        write_quietly(STDERR_FILENO, message, length);
    errno = saved;
}
