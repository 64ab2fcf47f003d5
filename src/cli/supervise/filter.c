/* SPDX-License-Identifier: MIT */
/*
 * The filter's program, for the kernel's classic BPF (seccomp(2)): a series of blocks, each of
 * which loads the call's number, compares it and at most two arguments, and returns; a call that
 * matches none is allowed. A call that no block names never loads an argument, so the kernel finds
 * out once that it is always allowed (seccomp_cache_prepare()) and runs no filter for it. Must
 * never report a call that the policy does not need: each costs the program a detour.
 */
#include "cli/supervise/filter.h"

#include <elf.h>
#include <errno.h>
#include <linux/audit.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/moments.h"
#include "socket/sock.h"

#if defined(__x86_64__) && defined(__LP64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#define FOREIGN_ARCH AUDIT_ARCH_I386
#define OUR_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#define FOREIGN_ARCH AUDIT_ARCH_ARM
#define OUR_MACHINE EM_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define OUR_ARCH AUDIT_ARCH_RISCV64
#define OUR_MACHINE EM_RISCV
#else
#define OUR_ARCH 0
#define OUR_MACHINE EM_NONE
#endif

/* An argument and the value that it must have. Both are ints to the kernel: the lower half. */
struct comparison {
    int argument;
    uint32_t value;
};

struct call {
    unsigned moment;
    uint32_t number;
    unsigned count;
    struct comparison comparisons[2];
};

static const struct call calls[] = {
    {.moment = MOMENT_CONNECT, .number = SYS_connect},
    {.moment = MOMENT_LISTEN, .number = SYS_listen},
    {.moment = MOMENT_BIND, .number = SYS_bind},
#ifdef SYS_accept
    {.moment = MOMENT_ACCEPT, .number = SYS_accept},
#endif
    {.moment = MOMENT_ACCEPT, .number = SYS_accept4},
    {MOMENT_SETSOCKOPT, SYS_setsockopt, 2, {{1, SOL_SOCKET}, {2, SO_LINGER}}},
    {MOMENT_SETSOCKOPT, SYS_setsockopt, 2, {{1, IPPROTO_TCP}, {2, TCP_LINGER2}}},
    {MOMENT_SHUTDOWN, SYS_shutdown, 1, {{1, SHUT_RDWR}}},
    {.moment = MOMENT_CLOSE, .number = SYS_close},
#ifdef SYS_dup2
    {.moment = MOMENT_CLOSE, .number = SYS_dup2},
#endif
    {.moment = MOMENT_CLOSE, .number = SYS_dup3},
    {.moment = MOMENT_EXIT, .number = SYS_exit_group},
};

/* Each with one address family: the number is some other protocol's in another. */
static const struct call mptcp[] = {
    {0, SYS_socket, 2, {{0, AF_INET}, {2, SOCK_IPPROTO_MPTCP}}},
    {0, SYS_socket, 2, {{0, AF_INET6}, {2, SOCK_IPPROTO_MPTCP}}},
};

/*
 * What a 32-bit program calls to get a connection: it is not supervised, and that is said. i386
 * has each call by itself, and as one of socketcall(2).
 */
#ifdef FOREIGN_ARCH
static const struct call foreign[] = {
#if FOREIGN_ARCH == AUDIT_ARCH_I386
    {.moment = MOMENT_CONNECT, .number = 362},
    {.moment = MOMENT_LISTEN, .number = 363},
    {MOMENT_CONNECT, 102, 1, {{0, 3}}}, /* SYS_CONNECT of <linux/net.h> */
    {MOMENT_LISTEN, 102, 1, {{0, 4}}},
#else
    {.moment = MOMENT_CONNECT, .number = 283},
    {.moment = MOMENT_LISTEN, .number = 284},
#endif
};
#endif

bool filter_is_foreign(uint32_t arch)
{
    return arch != OUR_ARCH;
}

uint16_t filter_machine(void)
{
    return OUR_MACHINE;
}

static void put(struct filter *f, struct sock_filter instruction)
{
    f->code[f->length++] = instruction;
}

static void put_load(struct filter *f, size_t offset)
{
    put(f, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

/* Goes on with the next instruction where the value is equal, else passes over `otherwise`. */
static void put_equal(struct filter *f, uint32_t value, unsigned otherwise)
{
    put(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, (uint8_t)otherwise));
}

static void put_return(struct filter *f, uint32_t action)
{
    put(f, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

static void put_block(struct filter *f, const struct call *call, uint32_t action)
{
    put_load(f, offsetof(struct seccomp_data, nr));
    put_equal(f, call->number, 2 * call->count + 1);
    for (unsigned i = 0; i < call->count; i++) {
        /* The lower half comes first: all three architectures are little-endian. */
        put_load(f, offsetof(struct seccomp_data, args) +
                        sizeof(uint64_t) * (size_t)call->comparisons[i].argument);
        put_equal(f, call->comparisons[i].value, 2 * (call->count - i) - 1);
    }
    put_return(f, action);
}

/* Returns unless the architecture that was loaded is this one. */
static void put_only(struct filter *f, uint32_t arch)
{
    put_equal(f, arch, 1);
    put(f, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, 1));
    put_return(f, SECCOMP_RET_ALLOW);
}

static void put_foreign(struct filter *f, unsigned moments)
{
#ifdef FOREIGN_ARCH
    put_equal(f, OUR_ARCH, 1);
    unsigned over = f->length;
    put(f, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, 0));
    put_only(f, FOREIGN_ARCH);
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        if (foreign[i].moment & moments)
            put_block(f, &foreign[i], SECCOMP_RET_USER_NOTIF);
    }
    put_return(f, SECCOMP_RET_ALLOW);
    f->code[over].k = f->length - over - 1;
#else
    (void)moments;
    put_only(f, OUR_ARCH);
#endif
}

void filter_build(struct filter *f, unsigned moments, bool refuses_mptcp)
{
    f->length = 0;
    f->may_wait = moments & MOMENT_ACCEPT;
    put_load(f, offsetof(struct seccomp_data, arch));
    put_foreign(f, moments);
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        if (calls[i].moment & moments)
            put_block(f, &calls[i], SECCOMP_RET_USER_NOTIF);
    }
    for (size_t i = 0; refuses_mptcp && i < sizeof(mptcp) / sizeof(mptcp[0]); i++)
        put_block(f, &mptcp[i], SECCOMP_RET_ERRNO | EPROTONOSUPPORT);
    put_return(f, SECCOMP_RET_ALLOW);
}

static int install(unsigned long flags, const struct sock_fprog *program)
{
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, program);
}

/* Without a program it fails: by EINVAL before Linux 5.19, else by EFAULT. */
static bool knows(unsigned long flags)
{
    install(flags, NULL);
    return errno != EINVAL;
}

int filter_install(const struct filter *filter)
{
    /* The kernel only reads what this points to. */
    struct sock_fprog program = {filter->length, (struct sock_filter *)filter->code};
    unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;

    if (!filter->may_wait && knows(flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV))
        flags |= SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    int listener = install(flags, &program);
    if (listener >= 0 || errno != EACCES)
        return listener;
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return install(flags, &program);
}
