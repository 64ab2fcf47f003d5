/* SPDX-License-Identifier: MIT */
/* Each function is one system call about one call that is held. Must never wait. */
#include "cli/notify/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* The number before Linux 5.9, which later kernels take as well (seccomp_notify_ioctl()). */
#define ID_VALID SECCOMP_IOR(2, __u64)

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64) /* Linux 6.6 */
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

/* Linux 5.14; Debian 11's headers lack all of it. */
#define ADDFD SECCOMP_IOW(3, struct given)
#define ADDFD_SEND (1UL << 1)
struct given {
    __u64 id;
    __u32 flags;
    __u32 fd;
    __u32 number; /* the kernel chooses it */
    __u32 fd_flags;
};

/* A signal of ours may come while the kernel waits for its lock: an answer must not be lost. */
static int ask_kernel(int listener, unsigned long what, const void *of)
{
    long result;

    /* Of ioctl() the second argument is an int in musl, an unsigned long in glibc. */
    while ((result = syscall(SYS_ioctl, listener, what, of)) < 0 && errno == EINTR)
        ;
    return (int)result;
}

void notify_use(int listener)
{
    uint64_t flags = SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP;

    /* The caller sleeps anyway: answered on its processor it wakes soonest. May fail. */
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, flags);
}

/* ENOENT: no call has that number. */
const char *notify_lacks(int listener)
{
    struct seccomp_notif_resp to_nobody = {.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
    uint64_t value = 0;
    struct iovec ours = {&value, sizeof(value)};

    if (ask_kernel(listener, ID_VALID, &value) == 0 || errno != ENOENT)
        return "SECCOMP_IOCTL_NOTIF_ID_VALID";
    if (ask_kernel(listener, SECCOMP_IOCTL_NOTIF_SEND, &to_nobody) == 0 || errno != ENOENT)
        return "SECCOMP_IOCTL_NOTIF_SEND";
    if (process_vm_readv(getpid(), &ours, 1, &ours, 1, 0) < 0)
        return "process_vm_readv(2)";
    if (process_vm_writev(getpid(), &ours, 1, &ours, 1, 0) < 0)
        return "process_vm_writev(2)";
    return NULL;
}

bool notify_is_held(int listener, const struct seccomp_notif *request)
{
    return ask_kernel(listener, ID_VALID, &request->id) == 0;
}

void notify_answer(int listener, struct seccomp_notif_resp *answer)
{
    (void)ask_kernel(listener, SECCOMP_IOCTL_NOTIF_SEND, answer);
}

bool notify_read(const struct seccomp_notif *request, uint64_t from, void *to, size_t size)
{
    struct iovec local = {to, size};
    struct iovec remote = {(void *)(uintptr_t)from, size}; /* NOLINT: of another process */

    return process_vm_readv((pid_t)request->pid, &local, 1, &remote, 1, 0) == (ssize_t)size;
}

int notify_write_address(const struct seccomp_notif *request,
                         const struct sockaddr_storage *address, socklen_t length)
{
    const __u64 *arguments = request->data.args;
    struct sockaddr_storage copy = *address;
    uint32_t whole = length;
    int room = 0;

    errno = EFAULT;
    if (!notify_read(request, arguments[2], &room, sizeof(room)))
        return -1;
    if (room < 0) {
        errno = EINVAL;
        return -1;
    }
    size_t size = (size_t)room < length ? (size_t)room : length;
    /* In the order of move_addr_to_user(), which shows where only one of both can be written. */
    struct iovec local[] = {{&whole, sizeof(whole)}, {&copy, size}};
    struct iovec remote[] = {{(void *)(uintptr_t)arguments[2], sizeof(whole)}, /* NOLINT */
                             {(void *)(uintptr_t)arguments[1], size}};         /* NOLINT */
    ssize_t written = process_vm_writev((pid_t)request->pid, local, 2, remote, 2, 0);
    errno = EFAULT;
    return written == (ssize_t)(size + sizeof(whole)) ? 0 : -1;
}

bool notify_can_give(int listener)
{
    struct given to_nobody = {.flags = ADDFD_SEND};

    return ask_kernel(listener, ADDFD, &to_nobody) < 0 && errno == ENOENT;
}

int notify_give(int listener, const struct seccomp_notif *request, int fd, bool closes_on_exec)
{
    struct given given = {.id = request->id,
                          .flags = ADDFD_SEND,
                          .fd = (uint32_t)fd,
                          .fd_flags = closes_on_exec ? O_CLOEXEC : 0};
    sigset_t all, before;

    /* If a signal interrupts us once the caller is to be woken, its call returns 0. */
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int result = ask_kernel(listener, ADDFD, &given);
    int saved = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = saved;
    return result < 0 ? -1 : 0;
}
