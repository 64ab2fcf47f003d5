/* SPDX-License-Identifier: MIT */
/*
 * System calls that bypass libc. libc's names can be interposed: close() would be this library's
 * own hook, open() and write() may be another preload's. Each of them is also a cancellation point,
 * pthreads(7), which socket() or setsockopt() must not become. syscall(3) can be interposed too:
 * torsocks, preloaded beside this library, has one of its own, which knows a few calls and crashes
 * on the others. On architectures that are missing here it is libc's.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "base/errno.h"

/* Calls that older headers lack; these numbers are the same on every architecture. */
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434 /* Linux 5.3 */
#endif
#ifndef SYS_close_range
#define SYS_close_range 436 /* Linux 5.9 */
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438 /* Linux 5.6 */
#endif

/* kernel_raw() and kernel_call() take a number and up to six arguments: the rest are zeros. */
#define KERNEL_SIX(number, a, b, c, d, e, f, ...) number, a, b, c, d, e, f
#define kernel_raw(...) kernel_raw6(KERNEL_SIX(__VA_ARGS__, 0, 0, 0, 0, 0, 0))
#define kernel_call(...) kernel_call6(KERNEL_SIX(__VA_ARGS__, 0, 0, 0, 0, 0, 0))

/* A result, or a negated errno: syscall(2), "Architecture calling conventions". */
static inline long kernel_raw6(long number, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__) && defined(__LP64__)
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;

    __asm__ volatile("svc #0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
#elif defined(__riscv) && __riscv_xlen == 64
    register long a7 __asm__("a7") = number;
    register long a0 __asm__("a0") = a;
    register long a1 __asm__("a1") = b;
    register long a2 __asm__("a2") = c;
    register long a3 __asm__("a3") = d;
    register long a4 __asm__("a4") = e;
    register long a5 __asm__("a5") = f;

    __asm__ volatile("ecall"
                     : "+r"(a0)
                     : "r"(a7), "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5)
                     : "memory");
    return a0;
#else
    KEEP_ERRNO;
    long result = syscall(number, a, b, c, d, e, f);

    return result == -1 ? -errno : result;
#endif
}

/* As syscall(3) answers: a result, or -1 and errno. */
static inline long kernel_call6(long number, long a, long b, long c, long d, long e, long f)
{
    long result = kernel_raw6(number, a, b, c, d, e, f);

    if (result >= 0 || result < -4095) /* MAX_ERRNO, linux/err.h */
        return result;
    errno = (int)-result;
    return -1;
}

static inline int kernel_open(const char *path, int flags, unsigned mode)
{
    return (int)kernel_call(SYS_openat, AT_FDCWD, (long)path, flags, mode);
}

/* Keeps errno: the caller's error is why the descriptor is no longer needed. */
static inline void kernel_close(int fd)
{
    (void)kernel_raw(SYS_close, fd);
}

static inline ssize_t kernel_read(int fd, void *data, size_t size)
{
    return kernel_call(SYS_read, fd, (long)data, (long)size);
}

/* What statx(2) fills. musl declares it since 1.2.5 only, and musl-gcc finds no linux/stat.h. */
struct kernel_status {
    uint32_t mask, blksize;
    uint64_t attributes;
    uint32_t nlink, uid, gid;
    uint16_t mode, pad;
    uint64_t ino, size, blocks, attributes_mask, times[8];
    uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
    uint64_t more[14];
};
_Static_assert(sizeof(struct kernel_status) == 256, "struct statx of linux/stat.h");
enum {
    KERNEL_STATUS_TYPE = 0x1,
    KERNEL_STATUS_MODE = 0x2,
    KERNEL_STATUS_NLINK = 0x4,
    KERNEL_STATUS_OWNER = 0x18, /* user and group */
    KERNEL_STATUS_INO = 0x100,
};

/*
 * Some libcs lack fstat(2) (glibc before 2.33), and its structure differs; statx(2)'s does not.
 * With the path "" it is about `fd` itself. The caller zeroes `status`: analysers do not see the
 * kernel write it.
 */
static inline int kernel_statx(int fd, const char *path, unsigned mask,
                               struct kernel_status *status)
{
    return (int)kernel_call(SYS_statx, fd, (long)path, AT_EMPTY_PATH, mask, (long)status);
}

/*
 * Could KERNEL_PROBE bytes be read there? epoll_ctl(2) reads its event before it looks for the
 * descriptor, which -1 is not (ep_op_has_event(), fs/eventpoll.c), and answers EFAULT to a bad
 * pointer where this process would crash.
 */
enum { KERNEL_PROBE = sizeof(struct epoll_event) }; /* 12 or 16 */

static inline bool kernel_is_readable(const void *at)
{
    return at && kernel_raw(SYS_epoll_ctl, -1, EPOLL_CTL_ADD, -1, (long)at) != -EFAULT;
}

/* Reads from the beginning of a file; ESPIPE of a pipe, a socket or a terminal. */
static inline ssize_t kernel_read_start(int fd, void *data, size_t size)
{
    return kernel_call(SYS_pread64, fd, (long)data, (long)size, 0);
}

static inline ssize_t kernel_write(int fd, const void *data, size_t size)
{
    return kernel_call(SYS_write, fd, (long)data, (long)size);
}

/* Would write(2) find room at once? poll(2) where it exists: sandboxes allow what libc uses. */
static inline bool kernel_is_writable(int fd)
{
    struct pollfd writable = {.fd = fd, .events = POLLOUT};
#ifdef SYS_poll
    long ready = kernel_call(SYS_poll, (long)&writable, 1, 0);
#else
    struct timespec at_once = {0, 0}; /* ppoll(2) writes the remaining time into it */
    long ready = kernel_call(SYS_ppoll, (long)&writable, 1, (long)&at_once, 0, 0);
#endif

    return ready == 1 && writable.revents & POLLOUT;
}
