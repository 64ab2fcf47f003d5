/* SPDX-License-Identifier: MIT */
/*
 * What the library says: log lines (LINGER_LOG) and counters (LINGER_STATS). Nothing here may
 * block the program, change it or end it; a line goes to the log or nowhere.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "policy/decide.h"
#include "socket/sock.h"

/*
 * Opens the counters and the log, of a path each (NULL: none); one line on standard error for each
 * that fails. `events` are those that the log gets, 1 << enum event or-ed.
 */
void report_open(const char *stats_path, const char *log_path, unsigned events);

/* Is there a log or a file of counters? */
bool report_is_on(void);

/*
 * The next events are about another process: its pid, and its number for the descriptor of which
 * the caller holds a duplicate. Without this call they are about our own.
 */
void report_subject(pid_t pid, int fd);

/* A policy that a program runs under, by its key in the line: "mode". */
struct report_policy {
    const char *key;
    const struct policy *policy;
};

/* The events. errno may change. */
void report_load(const char *backend, const char *program, const struct report_policy *policies,
                 size_t count);
/* `at`: the call at which it happened, "listen". */
void report_armed(int fd, const char *at, const struct facts *facts, const struct verdict *verdict);
/* `option` could not be applied; `verdict` is NULL if there was none. */
void report_failed(int fd, const char *option, int error, const struct verdict *verdict);
/* A signal interrupted a call before the supervisor read it: process and descriptor are unknown. */
void report_interrupted(void);
void report_overridden(int fd, const struct verdict *verdict);
void report_aborted(int fd, const struct facts *facts, const struct verdict *verdict);

/* `verdict` is NULL if no rule matched; else `policy` has the text of the rule. */
void report_closed(int fd, const struct facts *facts, const struct policy *policy,
                   const struct verdict *verdict);

/* `option` was set or cleared before bind(). */
void report_bind(int fd, const struct facts *facts, enum sock_switch option, bool on);

/* connect() failed; `lack` is what sock_lacks() says where an address may be missing. */
void report_connect_failed(int fd, const struct facts *facts, int error, enum sock_lack lack);

/* bind() failed: this host has no such address. */
void report_no_address(int fd, const struct facts *facts);

/* bind() failed with EADDRINUSE, or is about to be called (0): says who holds the port. */
void report_port_held(int fd, const struct facts *facts, int error);
