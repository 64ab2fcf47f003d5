/* SPDX-License-Identifier: MIT */
/*
 * A server that locks itself in once it has its sockets: from then on setsockopt, getsockopt,
 * getsockname, getpeername and opening a file kill it (SIGSYS), and yet it has to close.
 * With "refuse" instead of "kill" these calls fail with EPERM. With "strict" it serves one
 * connection, and every call but read, write, close, shutdown and recvmsg kills it.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "common.h"

#define DENY(call) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1), BPF_STMT(BPF_RET | BPF_K, deny)

static void lock_in(unsigned deny)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        DENY(SYS_setsockopt),
        DENY(SYS_getsockopt),
        DENY(SYS_getsockname),
        DENY(SYS_getpeername),
        DENY(SYS_openat),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};

    check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
    check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "seccomp");
}

#define ALLOW(call)                                                                                \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static void lock_in_strictly(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(SYS_read),
        ALLOW(SYS_write),
        ALLOW(SYS_close),
        ALLOW(SYS_shutdown),
        ALLOW(SYS_recvmsg),
        ALLOW(SYS_exit_group),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};

    check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
    check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "seccomp");
}

static void serve_strictly(int listener, int file)
{
    char byte;
    struct iovec iov = {&byte, 1};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    int fd = accept(listener, NULL, NULL);
    int pair[2];

    check(fd >= 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "accept");
    lock_in_strictly();
    bool good = recvmsg(fd, &message, 0) == 1 && write(fd, "hello", 5) == 5 &&
                write(pair[0], "x", 1) == 1 && recvmsg(pair[1], &message, 0) == 1 &&
                shutdown(pair[0], SHUT_WR) == 0 && close(pair[0]) == 0 && close(file) == 0 &&
                close(fd) == 0;
    _exit(good ? 0 : 99);
}

int main(int argc, char **argv)
{
    bool kills = argc < 2 || strcmp(argv[1], "refuse") != 0;
    struct sockaddr_storage address;
    socklen_t length = test_address(AF_INET, 0, &address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    int file = dup(0);

    alarm(100);
    check(bind(listener, (struct sockaddr *)&address, length) == 0, "bind");
    check(listen(listener, 10) == 0, "listen");
    printf("port %d\n", port_of(listener));
    fflush(stdout);
    if (argc > 1 && strcmp(argv[1], "strict") == 0)
        serve_strictly(listener, file);
    lock_in(kills ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ERRNO | 1);
    for (int i = 0; i < 10; i++) {
        int fd = accept(listener, NULL, NULL);
        check(fd >= 0, "accept");
        char knock;
        check(recv(fd, &knock, 1, 0) == 1, "recv");
        check(send(fd, "hello", 5, MSG_NOSIGNAL) == 5, "send");
        check(close(fd) == 0, "close");
    }
    check(close(file) == 0, "close of a file");
    return 0;
}
