/* SPDX-License-Identifier: MIT */
/* The seccomp filter of the supervisor: the system calls that it sees. */
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5) /* Linux 5.19 */
#endif

#ifndef SECCOMP_FILTER_FLAG_TSYNC_ESRCH
#define SECCOMP_FILTER_FLAG_TSYNC_ESRCH (1UL << 4) /* Linux 5.7 */
#endif

#define FILTER_LENGTH_MAX 128

struct filter {
    struct sock_filter code[FILTER_LENGTH_MAX];
    unsigned short length;
    bool may_wait; /* for a connection: signals are to interrupt that */
};

/* The machine (EM_X86_64, ... of <elf.h>) whose programs can be filtered; 0 if none can. */
uint16_t filter_machine(void);

/* Is a call of that architecture, struct seccomp_data, one that is not supervised? */
bool filter_is_foreign(uint32_t arch);

/*
 * Reports the calls at these moments (enum moment or-ed) and allows all others;
 * `refuses_mptcp` answers socket(IPPROTO_MPTCP) with EPROTONOSUPPORT.
 */
void filter_build(struct filter *filter, unsigned moments, bool refuses_mptcp);

/*
 * Puts this process and what it will start under the filter, for good. Returns the descriptor
 * from which notifications are read (seccomp_unotify(2)), close-on-exec, or -1 and errno. Sets
 * no_new_privs if the kernel requires it (without CAP_SYS_ADMIN).
 */
int filter_install(const struct filter *filter);
