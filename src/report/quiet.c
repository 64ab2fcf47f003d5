/* SPDX-License-Identifier: MIT */
/*
 * The signals that write(2) may raise are blocked meanwhile, and taken off the queue if this call
 * raised them. Must leave the signal mask and pending signals as they were.
 */
#include "report/quiet.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <time.h>

#include "base/kernel.h"

/* The kernel's set of signals, signal(7). libc's is 16 times as long, and the stack may be a signal
 * handler's; and libc's sigtimedwait(3) is a cancellation point. */
struct signals {
    unsigned long words[64 / 8 / sizeof(long)];
};

#define BIT(signal) (1ul << ((signal)-1)) /* of the first word */

static bool has(const struct signals *signals, int signal)
{
    return signals->words[0] & BIT(signal);
}

static void change_mask(int how, const struct signals *signals, struct signals *before)
{
    (void)kernel_call(SYS_rt_sigprocmask, how, (long)signals, (long)before, sizeof(*signals));
}

static void take_signal(void)
{
    static const struct signals raised = {{BIT(SIGPIPE) | BIT(SIGXFSZ)}};
    static const struct timespec at_once = {0, 0};

    (void)kernel_call(SYS_rt_sigtimedwait, (long)&raised, 0, (long)&at_once, sizeof(raised));
}

bool quiet_write(int fd, const void *data, size_t length)
{
    /* SIGTTOU, blocked, lets a background process write: tty_check_change(). */
    static const struct signals own = {{BIT(SIGPIPE) | BIT(SIGXFSZ) | BIT(SIGTTOU)}};
    struct signals before = {{0}};
    struct signals pending = {{0}};

    if (!kernel_is_writable(fd)) {
        errno = EAGAIN;
        return false;
    }
    (void)kernel_call(SYS_rt_sigpending, (long)&pending, sizeof(pending));
    change_mask(SIG_BLOCK, &own, &before); /* on Linux: of this thread alone */
    ssize_t written = kernel_write(fd, data, length);
    int error = written < 0 ? errno : ENOSPC;
    if ((error == EPIPE && !has(&pending, SIGPIPE)) || (error == EFBIG && !has(&pending, SIGXFSZ)))
        take_signal();
    change_mask(SIG_SETMASK, &before, NULL);
    errno = error;
    return written == (ssize_t)length;
}
