/* SPDX-License-Identifier: MIT */
/*
 * The signals that a write may raise are blocked during it, and taken off the queue if it raised
 * them. Must leave the signal mask and pending signals as they were.
 */
#include "report/write.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

#include "base/kernel.h"

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8 /* linux/fs.h, Linux 4.14 */
#endif

/*
 * The kernel's set of signals, signal(7): libc's is 16 times as long, and the stack may be a signal
 * handler's. libc's sigtimedwait(3) would be a cancellation point, too.
 */
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

/*
 * O_NONBLOCK is of the open file description, which others share; RWF_NOWAIT is of this call alone,
 * and pipes have it since Linux 6.4. Before that splice(2) moves the data from a pipe of ours.
 */
static ssize_t write_to_pipe(int fd, const void *data, size_t length)
{
    const struct iovec whole = {(void *)data, length};
    ssize_t written = kernel_call(SYS_pwritev2, fd, (long)&whole, 1, -1, -1, RWF_NOWAIT);
    int own[2] = {-1, -1};

    if (written >= 0 || errno == EAGAIN || errno == EPIPE ||
        kernel_call(SYS_pipe2, (long)own, O_CLOEXEC | O_NONBLOCK) != 0)
        return written;
    written = kernel_write(own[1], data, length);
    if (written > 0)
        written = kernel_call(SYS_splice, own[0], 0, fd, 0, written, SPLICE_F_NONBLOCK);
    kernel_close(own[0]);
    kernel_close(own[1]);
    return written;
}

/* poll(2) says that there is room, not how much. For the rest there is nothing better. */
static ssize_t write_as_polled(int fd, const void *data, size_t length)
{
    if (kernel_is_writable(fd))
        return kernel_write(fd, data, length);
    errno = EAGAIN;
    return -1;
}

/* Not inlined: what it needs has left the stack, which may be small, when the line is written. */
__attribute__((noinline)) static unsigned type_of(int fd)
{
    struct kernel_status status = {0};

    return kernel_statx(fd, "", KERNEL_STATUS_TYPE, &status) == 0 ? status.mode & S_IFMT : 0;
}

static ssize_t write_at_once(int fd, const void *data, size_t length)
{
    unsigned type = type_of(fd);

    if (type == S_IFSOCK)
        return kernel_call(SYS_sendto, fd, (long)data, (long)length, MSG_DONTWAIT, 0, 0);
    return type == S_IFIFO ? write_to_pipe(fd, data, length) : write_as_polled(fd, data, length);
}

bool write_or_drop(int fd, const void *data, size_t length)
{
    /* SIGTTOU, blocked, lets a background process write: tty_check_change(). */
    static const struct signals own = {{BIT(SIGPIPE) | BIT(SIGXFSZ) | BIT(SIGTTOU)}};
    struct signals before = {{0}};
    struct signals pending = {{0}};

    (void)kernel_call(SYS_rt_sigpending, (long)&pending, sizeof(pending));
    change_mask(SIG_BLOCK, &own, &before); /* on Linux: of this thread alone */
    ssize_t written = write_at_once(fd, data, length);
    int error = written < 0 ? errno : ENOSPC;
    if ((error == EPIPE && !has(&pending, SIGPIPE)) || (error == EFBIG && !has(&pending, SIGXFSZ)))
        take_signal();
    change_mask(SIG_SETMASK, &before, NULL);
    errno = error;
    return written == (ssize_t)length;
}
