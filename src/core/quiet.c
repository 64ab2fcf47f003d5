/*
 * The signals that write(2) may raise are blocked meanwhile, and taken off the queue where this
 * call put them there. Must leave the signal mask and what was pending as they were.
 */
#include "quiet.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#include "kernel.h"

/* sigtimedwait(2), which libc makes a cancellation point. */
static void take_signal(const sigset_t *signals)
{
    static const struct timespec at_once = {0, 0};

    (void)kernel_call(SYS_rt_sigtimedwait, (long)signals, 0, (long)&at_once, _NSIG / 8, 0, 0);
}

bool quiet_write(int fd, const void *data, size_t length)
{
    sigset_t before;
    sigset_t pending;
    sigset_t own;

    if (!kernel_is_writable(fd)) {
        errno = EAGAIN;
        return false;
    }
    sigemptyset(&own);
    sigaddset(&own, SIGPIPE);
    sigaddset(&own, SIGXFSZ);
    sigaddset(&own, SIGTTOU); /* blocked, it lets a background process write: tty_check_change() */
    sigemptyset(&pending);
    sigpending(&pending);
    sigprocmask(SIG_BLOCK, &own, &before); /* on Linux: of this thread alone */
    ssize_t written = kernel_write(fd, data, length);
    int error = written < 0 ? errno : ENOSPC;
    if ((error == EPIPE && !sigismember(&pending, SIGPIPE)) ||
        (error == EFBIG && !sigismember(&pending, SIGXFSZ)))
        take_signal(&own);
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return written == (ssize_t)length;
}
