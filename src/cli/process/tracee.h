/* SPDX-License-Identifier: MIT */
/* A thread of a running process that is made to call the kernel, by ptrace(2). */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>
#if defined(__riscv)
#include <asm/ptrace.h>
#endif

#include "cli/process/target.h"

#if (defined(__x86_64__) && defined(__LP64__)) || defined(__aarch64__) ||                          \
    (defined(__riscv) && __riscv_xlen == 64)
#define TRACEE_SUPPORTED
#endif

#define TRACEE_ARGUMENTS 6

#ifdef TRACEE_SUPPORTED
struct tracee {
    pid_t thread;
    bool is_gone;       /* it has ended, or has become another program */
    bool is_late;       /* it did not come to make its call, and has been stopped where it was */
    bool is_dispatched; /* SIGSYS came in place of its call */
    uint64_t at;        /* where an instruction stands that enters the kernel */
    uint64_t mask;      /* of signals, as it was */
    struct user_regs_struct saved;
};

#define TRACEE_PATIENCE 2000 /* milliseconds, for a thread in state D */
#define TRACEE_STUCK                                                                               \
    "it is in state D, where no signal reaches it: try again when what it waits for (a disk, a "   \
    "file server) has answered"

/*
 * Stops the thread, and keeps signals from it. `unfiltered`: the calls that it will make are hidden
 * from its seccomp filters; needs CAP_SYS_ADMIN. Returns 0, or -1 and `why`, with the thread as it
 * was; one that does not stop stays seized until we end.
 */
int tracee_begin(struct tracee *t, pid_t thread, bool unfiltered, struct error *why);

/*
 * The thread makes a call. Returns its result, or the error as a negative number; -ETIMEDOUT where
 * it does not run, and for each call after that.
 */
long tracee_call(struct tracee *t, long number, const uint64_t values[TRACEE_ARGUMENTS]);

/* Does a seccomp filter of the thread notify a supervisor? For one that is `unfiltered`. */
bool tracee_is_supervised(const struct tracee *t);

/* Lets it go on as if nothing had happened. */
void tracee_end(struct tracee *t);

/*
 * Stops a thread, which makes no call for us: the one that it waits in begins again, and meets the
 * filters that it has by now. A thread that does not stop stays seized until we end.
 */
void tracee_restart(pid_t thread);
#endif
