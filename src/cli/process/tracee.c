/* SPDX-License-Identifier: MIT */
/*
 * A thread that makes system calls for us: it is stopped, given the registers of a call, stopped
 * again after it, and given back the registers and the signal mask that it had. None of the
 * program's memory is written: the instruction that enters the kernel is one that it has already,
 * in the vDSO. Others of its threads may run through any other place at that moment.
 *
 * What was interrupted is restarted by the kernel: where it leaves a signal stop it finds the
 * registers as they were in the first one (orig_rax is the call, rax says -ERESTART...), and a
 * signal or none, and does what it always does. So each call that is made here ends in the stop in
 * which it begins, PTRACE_EVENT_STOP: leaving another one, the kernel need not look.
 * PTRACE_SINGLESTEP will not do: its SIGTRAP is forced on the thread (force_sig_info()), which
 * takes the handler away from a program that ignores it or, as here, blocks it.
 *
 * Signals wait, blocked, until the mask is back. SIGSTOP cannot be blocked; it is passed on, and
 * the thread works for us while its process counts as stopped. A process that was stopped stays so.
 *
 * If we are killed between tracee_begin() and tracee_end() (a tenth of a millisecond, where it has
 * a processor), the thread goes on with our registers, and the program crashes: nothing that waits
 * for anything may stand there.
 */
#include "cli/process/tracee.h"

#ifdef TRACEE_SUPPORTED
#include <elf.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/rseq.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

enum { GET_RSEQ = 0x420f }; /* Linux 5.13: PTRACE_GET_RSEQ_CONFIGURATION */

#define BUSY_PATIENCE 30000  /* milliseconds */
#define ENTRY_PATIENCE 10000 /* milliseconds, for a thread that ran just before */
#define SEARCHED 16384       /* bytes of the vDSO */

/* The architectures: the instruction that enters the kernel, a call in registers, its result. */
#if defined(__x86_64__)
#define ENTER "\x0f\x05" /* syscall */
#define RESULT(r) ((long)(r)->rax)
#define PLACE(r) ((r)->rip)

static void put_call(struct user_regs_struct *regs, uint64_t at, long number,
                     const uint64_t *values)
{
    regs->rip = at;
    regs->rax = (uint64_t)number;
    regs->orig_rax = (uint64_t)-1; /* nothing to restart */
    regs->rdi = values[0];
    regs->rsi = values[1];
    regs->rdx = values[2];
    regs->r10 = values[3];
    regs->r8 = values[4];
    regs->r9 = values[5];
}

/*
 * These say EINTR where only a stop, and no handler, has interrupted them (signal(7)), and have
 * done nothing by then. ERESTARTNOHAND leaves that to the kernel: EINTR only if a handler runs. A
 * time limit begins again.
 */
static bool mend(struct user_regs_struct *regs)
{
    static const unsigned short calls[] = {
        SYS_epoll_wait, SYS_epoll_pwait, 441 /* epoll_pwait2 */, SYS_rt_sigtimedwait, SYS_semop,
        SYS_semtimedop, SYS_io_getevents, 426 /* io_uring_enter */,
        /* of a socket with SO_RCVTIMEO or SO_SNDTIMEO: */
        SYS_accept, SYS_accept4, SYS_connect, SYS_read, SYS_readv, SYS_recvfrom, SYS_recvmsg,
        SYS_recvmmsg, SYS_write, SYS_writev, SYS_sendto, SYS_sendmsg};

    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        if (regs->orig_rax == calls[i] && regs->rax == (uint64_t)-EINTR) {
            regs->rax = (uint64_t)-514; /* ERESTARTNOHAND, include/linux/errno.h */
            return true;
        }
    }
    return false;
}
#else
/*
 * Here the kernel has gone back to the call before it shows the registers (do_signal()), and
 * forgets about it when others are put in: a call that we interrupt begins again, with the whole of
 * a time limit, and a signal that came by then is handled before it begins. Those that say EINTR
 * still do: their first argument can no longer be seen.
 */
static bool mend(struct user_regs_struct *regs)
{
    (void)regs;
    return false;
}

#define PLACE(r) ((r)->pc)
#if defined(__aarch64__)
#define ENTER "\x01\x00\x00\xd4" /* svc #0 */
#define RESULT(r) ((long)(r)->regs[0])

static void put_call(struct user_regs_struct *regs, uint64_t at, long number,
                     const uint64_t *values)
{
    regs->pc = at;
    regs->pstate &= ~0xc00ULL; /* BTYPE: says that a branch came here, which must meet a landing */
    regs->regs[8] = (uint64_t)number;
    memcpy(regs->regs, values, TRACEE_ARGUMENTS * sizeof(*values));
}
#else
#define ENTER "\x73\x00\x00\x00" /* ecall */
#define RESULT(r) ((long)(r)->a0)

static void put_call(struct user_regs_struct *regs, uint64_t at, long number,
                     const uint64_t *values)
{
    regs->pc = at;
    regs->a7 = (uint64_t)number;
    memcpy((char *)regs + offsetof(struct user_regs_struct, a0), values,
           TRACEE_ARGUMENTS * sizeof(*values));
}
#endif
#endif

#define ENTER_SIZE (sizeof(ENTER) - 1)

static long trace(const struct tracee *t, int request, uintptr_t address, void *data)
{
    return ptrace(request, t->thread, (void *)address, data);
}

static bool registers(const struct tracee *t, int request, struct user_regs_struct *regs)
{
    struct iovec whole = {regs, sizeof(*regs)};

    return trace(t, request, NT_PRSTATUS, &whole) == 0 &&
           whole.iov_len == sizeof(*regs); /* shorter in 32-bit code */
}

static bool has_stopped(const struct tracee *t)
{
    siginfo_t info = {0};

    return waitid(P_PID, (id_t)t->thread, &info, WSTOPPED | WEXITED | WNOWAIT | WNOHANG | __WALL) !=
               0 ||
           info.si_pid != 0;
}

static bool stops_within(const struct tracee *t, int milliseconds)
{
    for (int naps = 0; naps < milliseconds * 10; naps++) {
        if (has_stopped(t))
            return true;
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
    return false;
}

/*
 * Waits for its next stop of the kind that `request` leads to; after any other stop it is continued
 * by `request`. A thread that does not come to make its call, frozen by a cgroup, say, is stopped
 * where it is: then this is false and t->is_late.
 */
static bool await(struct tracee *t, int request)
{
    bool is_interrupted = false;
    int status;

    if (request == PTRACE_SYSCALL && !stops_within(t, ENTRY_PATIENCE))
        is_interrupted = trace(t, PTRACE_INTERRUPT, 0, NULL) == 0;
    while (waitpid(t->thread, &status, __WALL) == t->thread && WIFSTOPPED(status)) {
        bool is_event = status >> 16 == PTRACE_EVENT_STOP;
        intptr_t signal = is_event ? 0 : WSTOPSIG(status);
        if (request == PTRACE_SYSCALL ? signal == (SIGTRAP | 0x80) : is_event)
            return true;
        t->is_late = is_event && is_interrupted;
        t->is_dispatched = request == PTRACE_SYSCALL && signal == SIGSYS;
        if (t->is_late || t->is_dispatched)
            return false;
        trace(t, request, 0, (void *)signal);
    }
    t->is_gone = true;
    return false;
}

long tracee_call(struct tracee *t, long number, const uint64_t values[TRACEE_ARGUMENTS])
{
    struct user_regs_struct regs = t->saved;

    if (t->is_late)
        return -ETIMEDOUT;
    put_call(&regs, t->at, number, values);
    if (registers(t, PTRACE_SETREGSET, &regs) && trace(t, PTRACE_SYSCALL, 0, NULL) == 0 &&
        await(t, PTRACE_SYSCALL) && trace(t, PTRACE_INTERRUPT, 0, NULL) == 0 &&
        trace(t, PTRACE_CONT, 0, NULL) == 0 && await(t, PTRACE_CONT) &&
        registers(t, PTRACE_GETREGSET, &regs))
        return RESULT(&regs);
    t->is_gone = !t->is_late && !t->is_dispatched;
    return t->is_late ? -ETIMEDOUT : -ESRCH;
}

/* An instruction that enters the kernel; 0 for a program that has unmapped its vDSO. */
static uint64_t find_instruction(const struct tracee *t)
{
    static char code[SEARCHED];
    char line[512];
    unsigned long from = 0;
    unsigned long to = 0;
    FILE *maps = fopen(target_path(t->thread, "maps"), "re");

    while (maps && fgets(line, sizeof(line), maps)) {
        if (strstr(line, "[vdso]"))
            sscanf(line, "%lx-%lx", &from, &to);
    }
    if (maps)
        fclose(maps);
    size_t size = to - from < SEARCHED ? to - from : SEARCHED;
    if (!target_peek(t->thread, from, code, size))
        return 0;
    /* Any address will do on x86-64; elsewhere instructions are aligned. */
    for (size_t i = 0; i + ENTER_SIZE <= size; i += ENTER_SIZE == 2 ? 1 : 4) {
        if (memcmp(code + i, ENTER, ENTER_SIZE) == 0)
            return from + i;
    }
    return 0;
}

/* What keeps it from stopping, or NULL: one in state D may never wake. */
static const char *await_stop(const struct tracee *t)
{
    if (stops_within(t, TRACEE_PATIENCE) ||
        (target_state(t->thread) != 'D' && stops_within(t, BUSY_PATIENCE)))
        return NULL;
    return target_state(t->thread) == 'D'
               ? TRACEE_STUCK
               : "it got no processor: try again when this machine is less busy";
}

/* Does it stand at an instruction that enters the kernel, or behind one? */
static bool is_at_call(const struct tracee *t)
{
    char code[2 * ENTER_SIZE];

    return target_peek(t->thread, PLACE(&t->saved) - ENTER_SIZE, code, sizeof(code)) &&
           (memcmp(code, ENTER, ENTER_SIZE) == 0 ||
            memcmp(code + ENTER_SIZE, ENTER, ENTER_SIZE) == 0);
}

/*
 * A thread that was interrupted in a restartable sequence, rseq(2), goes on where that is aborted.
 * By our registers the kernel would see that it has left it, and forget about it (rseq_ip_fixup()):
 * so we lead it there. False where a kernel does not say where sequences are, and the thread may be
 * in one: it may not make a call there.
 */
static bool leave_sequence(struct tracee *t)
{
    uint64_t where[3]; /* the address; size and signature; flags */
    struct rseq_cs sequence;
    uint64_t at;

    if (trace(t, GET_RSEQ, sizeof(where), where) <= 0)
        return errno != EIO || is_at_call(t);
    if (where[0] &&
        target_peek(t->thread, where[0] + offsetof(struct rseq, rseq_cs), &at, sizeof(at)) && at &&
        target_peek(t->thread, at, &sequence, sizeof(sequence)) &&
        PLACE(&t->saved) - sequence.start_ip < sequence.post_commit_offset)
        PLACE(&t->saved) = sequence.abort_ip;
    return true;
}

/*
 * Is it a program that handles its own system calls, PR_SET_SYSCALL_USER_DISPATCH? Then its first
 * call raises SIGSYS in place of being made, and that is kept from it: a signal that it blocked
 * would be forced on it.
 */
static bool dispatches(struct tracee *t)
{
    uint64_t mask = ~(UINT64_C(1) << (SIGSYS - 1));

    trace(t, PTRACE_SETSIGMASK, sizeof(mask), &mask);
    tracee_call(t, SYS_getpid, (uint64_t[TRACEE_ARGUMENTS]){0});
    mask = UINT64_MAX;
    trace(t, PTRACE_SETSIGMASK, sizeof(mask), &mask);
    return t->is_dispatched;
}

/* Stopped, it can make calls; else why not, and it goes on as it was. */
static const char *prepare(struct tracee *t)
{
    if (!await(t, PTRACE_CONT) || trace(t, PTRACE_GETSIGMASK, sizeof(t->mask), &t->mask) != 0)
        return "it has ended";
    if (!registers(t, PTRACE_GETREGSET, &t->saved))
        return "it is in 32-bit code";
    t->at = find_instruction(t); /* not before: it may have been in execve(2) */
    if (!t->at)
        return "no instruction of its vDSO enters the kernel";
    if (!leave_sequence(t))
        return "it computes, and before Linux 5.13 it may be stopped only in a system call: try "
               "again";
    (void)mend(&t->saved);
    return dispatches(t) ? "it handles its own system calls, as Wine does" : NULL;
}

/*
 * A thread that is being killed cannot be detached, and is a zombie of ours, which keeps its whole
 * process from being reaped, until we have waited for it; the first thread, for all others to end.
 */
static void detach(const struct tracee *t)
{
    int status;

    while (trace(t, PTRACE_DETACH, 0, NULL) != 0 && stops_within(t, BUSY_PATIENCE) &&
           waitpid(t->thread, &status, __WALL | WNOHANG) == t->thread && WIFSTOPPED(status))
        continue;
}

int tracee_begin(struct tracee *t, pid_t thread, bool unfiltered, struct error *why)
{
    uintptr_t options = PTRACE_O_TRACESYSGOOD | (unfiltered ? PTRACE_O_SUSPEND_SECCOMP : 0);

    t->thread = thread;
    t->is_gone = t->is_late = t->is_dispatched = false;
    if (trace(t, PTRACE_SEIZE, 0, (void *)options) != 0)
        return error_set(why, "it cannot be traced: %s", strerror(errno));
    trace(t, PTRACE_INTERRUPT, 0, NULL);
    const char *obstacle = await_stop(t);
    if (!obstacle) {
        obstacle = prepare(t);
        if (t->is_dispatched)
            tracee_end(t);
        else if (obstacle)
            detach(t);
    }
    if (obstacle)
        error_set(why, "%s", obstacle);
    return obstacle ? -1 : 0;
}

void tracee_restart(pid_t thread)
{
    struct tracee t = {.thread = thread};

    if (trace(&t, PTRACE_SEIZE, 0, NULL) != 0)
        return;
    trace(&t, PTRACE_INTERRUPT, 0, NULL);
    if (!stops_within(&t, TRACEE_PATIENCE))
        return;
    if (await(&t, PTRACE_CONT) && registers(&t, PTRACE_GETREGSET, &t.saved) && mend(&t.saved))
        registers(&t, PTRACE_SETREGSET, &t.saved);
    detach(&t);
}

bool tracee_is_supervised(const struct tracee *t)
{
    static struct sock_filter code[BPF_MAXINSNS];
    long length;

    for (uintptr_t i = 0; (length = trace(t, PTRACE_SECCOMP_GET_FILTER, i, NULL)) > 0; i++) {
        trace(t, PTRACE_SECCOMP_GET_FILTER, i, code);
        for (long at = 0; at < length; at++) {
            if (code[at].code == (BPF_RET | BPF_K) &&
                (code[at].k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_USER_NOTIF)
                return true;
        }
    }
    return false;
}

void tracee_end(struct tracee *t)
{
    trace(t, PTRACE_SETSIGMASK, sizeof(t->mask), &t->mask);
    registers(t, PTRACE_SETREGSET, &t->saved);
    detach(t);
}
#endif
