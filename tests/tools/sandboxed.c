/*
 * A server that locks itself in once it has its sockets: from then on setsockopt, getsockopt,
 * getsockname, getpeername and opening a file kill it (SIGSYS), and yet it has to close.
 * With "refuse" in place of "kill" these calls fail with EPERM.
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

int main(int argc, char **argv)
{
    bool kills = argc < 2 || strcmp(argv[1], "refuse") != 0;
    struct sockaddr_storage address;
    socklen_t length = test_address(AF_INET, 0, &address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    int file = dup(0);

    alarm(30);
    check(bind(listener, (struct sockaddr *)&address, length) == 0, "bind");
    check(listen(listener, 10) == 0, "listen");
    printf("port %d\n", port_of(listener));
    fflush(stdout);
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
