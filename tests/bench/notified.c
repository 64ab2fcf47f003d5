/* SPDX-License-Identifier: MIT */
/*
 * Runs a program whose connect(), or accept4(), is held and notified to a supervisor that lets it
 * go on and does nothing else: the least that a seccomp user notification costs,
 * seccomp_unotify(2).
 *
 *     notified connect|accept4 PROGRAM [ARG...]     its exit status is the program's
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../tools/common.h"

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP 1
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

static int listener;

static void *answer_all(void *unused)
{
    static union {
        struct seccomp_notif request;
        char room[512];
    } held;
    struct seccomp_notif_resp answer = {.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};

    for (;;) {
        memset(&held, 0, sizeof(held));
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &held) != 0)
            continue;
        answer.id = held.request.id;
        ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
    }
    return unused;
}

static void become(unsigned call, char **command, int channel)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
    char go;

    check(prctl(PR_SET_PDEATHSIG, SIGTERM) == 0, "prctl"); /* nobody would answer its calls */
    check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "prctl");
    int number = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                              SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    check(number >= 0, "seccomp");
    check(write(channel, &number, sizeof(number)) == sizeof(number), "write");
    check(read(channel, &go, 1) == 1, "read");
    execvp(command[0], command);
    check(0, command[0]);
}

int main(int argc, char **argv)
{
    int channel[2], number, status;
    pthread_t thread;

    check(argc >= 3, "usage");
    bool is_accept = strcmp(argv[1], "accept4") == 0;
    check(is_accept || strcmp(argv[1], "connect") == 0, "usage");
    check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) == 0, "socketpair");
    pid_t pid = fork();
    check(pid >= 0, "fork");
    if (pid == 0)
        become(is_accept ? SYS_accept4 : SYS_connect, argv + 2, channel[1]);
    check(read(channel[0], &number, sizeof(number)) == sizeof(number), "read");
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    listener = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
    check(listener >= 0, "pidfd_getfd");
    __u64 flags = SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP;
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, flags); /* Linux 6.6; as the supervisor does */
    setpriority(PRIO_PROCESS, 0, -20);
    check(pthread_create(&thread, NULL, answer_all, NULL) == 0, "pthread_create");
    check(write(channel[0], "", 1) == 1, "write");
    check(waitpid(pid, &status, 0) == pid, "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
