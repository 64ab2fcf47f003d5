/* SPDX-License-Identifier: MIT */
/*
 * Runs a program to which the kernel refuses a system call: refuse ERRNO CALL PROGRAM [ARGUMENT...]
 * CALL is one of connect, seccomp, pidfd_open, pidfd_getfd, process_vm_readv, close_range; or the
 * number of an ioctl(2); or yama: pidfd_getfd by a pidfd that there is.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#include "common.h"

static const struct {
    const char *name;
    unsigned number;
} calls[] = {{"connect", SYS_connect},
             {"seccomp", SYS_seccomp},
             {"pidfd_open", SYS_pidfd_open},
             {"pidfd_getfd", SYS_pidfd_getfd},
             {"yama", SYS_pidfd_getfd},
             {"process_vm_readv", SYS_process_vm_readv},
             {"close_range", 436}}; /* which glibc's headers lack before 2.34 */

int main(int argc, char **argv)
{
    check(argc > 3, "usage");
    unsigned number = SYS_ioctl;
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        if (strcmp(calls[i].name, argv[2]) == 0)
            number = calls[i].number;
    }
    unsigned is_ioctl = number == SYS_ioctl;
    const struct sock_filter ioctl =
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)strtoul(argv[2], NULL, 0), 0, 1);
    const struct sock_filter valid =
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, strcmp(argv[2], "yama") == 0 ? 1U << 31 : 0, 1, 0);
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[is_ioctl])),
        is_ioctl ? ioctl : valid,
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)atoi(argv[1])),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};

    check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
    check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "seccomp");
    execvp(argv[3], argv + 3);
    perror(argv[3]);
    return 127;
}
