/* SPDX-License-Identifier: MIT */
/*
 * Runs a program to which the kernel refuses a system call: refuse ERRNO CALL PROGRAM [ARGUMENT...]
 * CALL is one of seccomp, pidfd_open, pidfd_getfd.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "common.h"

int main(int argc, char **argv)
{
    check(argc > 3, "usage");
    unsigned number = strcmp(argv[2], "seccomp") == 0      ? SYS_seccomp
                      : strcmp(argv[2], "pidfd_open") == 0 ? SYS_pidfd_open
                                                           : SYS_pidfd_getfd;
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
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
