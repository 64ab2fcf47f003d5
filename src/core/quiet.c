/*
 * The signals that write(2) may raise are blocked meanwhile, and taken off the queue where this
 * call put them there. Must leave the signal mask and what was pending as they were.
 */
#include "quiet.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

bool quiet_write(int fd, const void *data, size_t length)
{
    static const struct timespec at_once = {0, 0};
    struct pollfd writable = {.fd = fd, .events = POLLOUT};
    sigset_t before;
    sigset_t pending;
    sigset_t own;

    if (poll(&writable, 1, 0) != 1 || !(writable.revents & POLLOUT)) {
        errno = EAGAIN;
        return false;
    }
    sigemptyset(&own);
    sigaddset(&own, SIGPIPE);
    sigaddset(&own, SIGXFSZ);
    sigemptyset(&pending);
    sigpending(&pending);
    sigprocmask(SIG_BLOCK, &own, &before); /* on Linux: of this thread alone */
    ssize_t written = write(fd, data, length);
    int error = written < 0 ? errno : ENOSPC;
    if ((error == EPIPE && !sigismember(&pending, SIGPIPE)) ||
        (error == EFBIG && !sigismember(&pending, SIGXFSZ)))
        sigtimedwait(&own, NULL, &at_once);
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return written == (ssize_t)length;
}
