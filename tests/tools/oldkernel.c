/* SPDX-License-Identifier: MIT */
/*
 * Runs a program to which the kernel looks like an older one: oldkernel VERSION PROGRAM
 * [ARGUMENT...] What is newer than VERSION, as 5.4, answers as it did when nobody knew it. By
 * seccomp(2): so what the kernel does, other than knowing a call or a number, is that of the kernel
 * which runs. To uname(2) it is one of Linux 2.6, as to any program of before 3.0.
 *
 * Sources: syscalls(2), seccomp(2), seccomp_unotify(2), ptrace(2), socket(7), ip(7), tcp(7),
 * pidfd_open(2), close_range(2), and the kernel's history where they say nothing: include/uapi/ of
 * the release that has a number first. The errors: sys_ni_syscall(), sock_setsockopt(),
 * do_seccomp(), seccomp_notify_ioctl(), ptrace_request(), inet_create(), do_waitid().
 */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>

#include "common.h"

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#else
#define OUR_ARCH AUDIT_ARCH_RISCV64
#endif

#define FILTER_MAX 4096 /* BPF_MAXINSNS */

/* Numbers are given where Debian 11's headers have no name; these are the same on every
 * architecture. */
enum { PIDFD_OPEN = 434, CLOSE_RANGE = 436, SO_MPTCP = 262 };

/* Calls that nobody knew: ENOSYS. */
static const struct {
    int since; /* 100 * version + patchlevel */
    unsigned number;
} calls[] = {
    {501, 424},         /* pidfd_send_signal */
    {501, 425},         /* io_uring_setup */
    {501, 426},         /* io_uring_enter */
    {501, 427},         /* io_uring_register */
    {502, 428},         /* open_tree */
    {502, 429},         /* move_mount */
    {502, 430},         /* fsopen */
    {502, 431},         /* fsconfig */
    {502, 432},         /* fsmount */
    {502, 433},         /* fspick */
    {503, PIDFD_OPEN},  /* pidfd_open */
    {503, 435},         /* clone3 */
    {509, CLOSE_RANGE}, /* close_range */
    {506, 437},         /* openat2 */
    {506, 438},         /* pidfd_getfd */
    {508, 439},         /* faccessat2 */
    {510, 440},         /* process_madvise */
    {511, 441},         /* epoll_pwait2 */
    {512, 442},         /* mount_setattr */
    {514, 443},         /* quotactl_fd */
    {513, 444},         /* landlock_create_ruleset */
    {513, 445},         /* landlock_add_rule */
    {513, 446},         /* landlock_restrict_self */
    {514, 447},         /* memfd_secret */
    {515, 448},         /* process_mrelease */
    {516, 449},         /* futex_waitv */
    {517, 450},         /* set_mempolicy_home_node */
};

/* What an argument has to be, an int each, for a row to apply: any value, this one, or this bit
 * set. */
struct argument {
    enum { ANY, IS, HAS } how;
    int index;
    unsigned value;
};
#define NO_MORE                                                                                    \
    {                                                                                              \
        ANY, 0, 0                                                                                  \
    }

/* Uses of a call that it did not know, and what it answers. */
static const struct use {
    int since;
    unsigned call;
    int error;
    struct argument arguments[2];
} uses[] = {
    {506, SYS_socket, EPROTONOSUPPORT, {{IS, 0, AF_INET}, {IS, 2, SO_MPTCP}}},
    {506, SYS_socket, EPROTONOSUPPORT, {{IS, 0, AF_INET6}, {IS, 2, SO_MPTCP}}},
    {412, SYS_getsockopt, ENOPROTOOPT, {{IS, 1, SOL_SOCKET}, {IS, 2, 57}}}, /* SO_COOKIE */
    {411, SYS_statx, ENOSYS, {NO_MORE, NO_MORE}},
    /* SO_BINDTOIFINDEX, SO_NETNS_COOKIE */
    {500, SYS_getsockopt, ENOPROTOOPT, {{IS, 1, SOL_SOCKET}, {IS, 2, 62}}},
    {500, SYS_setsockopt, ENOPROTOOPT, {{IS, 1, SOL_SOCKET}, {IS, 2, 62}}},
    {514, SYS_getsockopt, ENOPROTOOPT, {{IS, 1, SOL_SOCKET}, {IS, 2, 71}}},

    /* SECCOMP_GET_NOTIF_SIZES; the flags NEW_LISTENER, TSYNC_ESRCH, WAIT_KILLABLE_RECV */
    {500, SYS_seccomp, EINVAL, {{IS, 0, 3}, NO_MORE}},
    {500, SYS_seccomp, EINVAL, {{IS, 0, SECCOMP_SET_MODE_FILTER}, {HAS, 1, 1U << 3}}},
    {507, SYS_seccomp, EINVAL, {{IS, 0, SECCOMP_SET_MODE_FILTER}, {HAS, 1, 1U << 4}}},
    {519, SYS_seccomp, EINVAL, {{IS, 0, SECCOMP_SET_MODE_FILTER}, {HAS, 1, 1U << 5}}},
    /* SECCOMP_IOCTL_NOTIF_ID_VALID as corrected in 5.9 (47e33c05f9f0), _SET_FLAGS */
    {509, SYS_ioctl, EINVAL, {{IS, 1, SECCOMP_IOW(2, __u64)}, NO_MORE}},
    {606, SYS_ioctl, EINVAL, {{IS, 1, SECCOMP_IOW(4, __u64)}, NO_MORE}},
    /* SECCOMP_IOCTL_NOTIF_ADDFD with the flag SEND, which is in memory; linger makes no other */
    {514, SYS_ioctl, EINVAL, {{IS, 1, SECCOMP_IOW(3, char[24])}, NO_MORE}},

    /* P_PIDFD; PIDFD_NONBLOCK, PIDFD_THREAD; CLOSE_RANGE_CLOEXEC */
    {504, SYS_waitid, EINVAL, {{IS, 0, 3}, NO_MORE}},
    {510, PIDFD_OPEN, EINVAL, {{HAS, 1, 04000}, NO_MORE}},
    {609, PIDFD_OPEN, EINVAL, {{HAS, 1, 0200}, NO_MORE}},
    {511, CLOSE_RANGE, EINVAL, {{HAS, 2, 1U << 2}, NO_MORE}},
    /* PTRACE_GET_SYSCALL_INFO, _GET_RSEQ_CONFIGURATION, _GET_SYSCALL_USER_DISPATCH_CONFIG */
    {503, SYS_ptrace, EIO, {{IS, 0, 0x420e}, NO_MORE}},
    {513, SYS_ptrace, EIO, {{IS, 0, 0x420f}, NO_MORE}},
    {604, SYS_ptrace, EIO, {{IS, 0, 0x4211}, NO_MORE}},
};

static struct sock_filter code[FILTER_MAX];
static unsigned short length;

static void put(unsigned what, unsigned value, unsigned otherwise)
{
    check(length < FILTER_MAX, "too long");
    code[length++] = (struct sock_filter){(unsigned short)what, 0, (unsigned char)otherwise, value};
}

/* Answers so, if the number that is loaded and the arguments are those; else loads the number
 * again. */
static void put_answer(unsigned call, int error, const struct argument *arguments, unsigned count)
{
    put(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0);
    put(BPF_JMP | BPF_JEQ | BPF_K, call, 2 * count + 1);
    for (unsigned i = 0; i < count; i++) {
        put(BPF_LD | BPF_W | BPF_ABS,
            (unsigned)offsetof(struct seccomp_data, args) + 8 * (unsigned)arguments[i].index, 0);
        put(BPF_JMP | BPF_K | (arguments[i].how == IS ? BPF_JEQ : BPF_JSET), arguments[i].value,
            2 * (count - i) - 1);
    }
    put(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error, 0);
}

static void put_filter(int version)
{
    put(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch), 0);
    put(BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 1);
    put(BPF_JMP | BPF_JA, 1, 0);
    put(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0); /* a program for 32 bits has other numbers */
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        if (calls[i].since > version)
            put_answer(calls[i].number, ENOSYS, NULL, 0);
    }
    for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
        if (uses[i].since > version)
            put_answer(uses[i].call, uses[i].error, uses[i].arguments,
                       (uses[i].arguments[0].how != ANY) + (uses[i].arguments[1].how != ANY));
    }
    put(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0);
}

int main(int argc, char **argv)
{
    int major = 0;
    int minor = 0;
    char rest;

    check(argc > 2 && sscanf(argv[1], "%d.%d%c", &major, &minor, &rest) == 2, "usage");
    put_filter(100 * major + minor);
    check(personality(UNAME26) != -1, "personality");
    struct sock_fprog program = {length, code};
    /* Root needs no no_new_privs, which programs under test would notice. */
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
        check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "seccomp");
    }
    execvp(argv[2], argv + 2);
    perror(argv[2]);
    return 127;
}
