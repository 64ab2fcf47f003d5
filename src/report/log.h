/* SPDX-License-Identifier: MIT */
/* Where log lines go: descriptor 2, or a file (LINGER_LOG). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The events, by the names that lines and LINGER_LOG have for them. */
enum event {
    EVENT_LOAD,
    EVENT_ARM,
    EVENT_OVERRIDE,
    EVENT_INTERRUPT,
    EVENT_RESET,
    EVENT_CLOSE,
    EVENT_BIND,
    EVENT_CONNECT,
    EVENT_FAIL,
    EVENT_COUNT
};

#define EVENT_ALL ((1u << EVENT_COUNT) - 1)

extern const char *const event_names[EVENT_COUNT];

#define LOG_PATH_MAX 4096      /* PATH_MAX, the NUL included */
#define LOG_TO_STDERR "stderr" /* the value of LINGER_LOG that is not a file */

/*
 * Writes to descriptor 2, unless that is a TCP socket (inetd hands the connection over as 0, 1
 * and 2: not a byte of ours may reach it). A broken pipe raises no SIGPIPE. Keeps errno.
 */
void log_stderr(const char *message, size_t length);

/*
 * The same later, unless the program has put something else there; only after log_open(). False
 * where it is lost.
 */
bool log_say(const char *message, size_t length);

/*
 * Opens the log of that name: LOG_TO_STDERR, or a file whose %p is the pid; NULL: none. Returns
 * NULL, or what is wrong with the file: "is a directory, so ...", or that another user can replace
 * it. Without descriptor 2, LOG_TO_STDERR means no log.
 */
const char *log_open(const char *name);

bool log_is_on(void);

/* Writes a line with its newline, whole; false where it is lost. */
bool log_write(const char *line, size_t length);

/* The next lines are about that process; 0 is this one. */
void log_subject(pid_t pid);

/* The process that the lines are about. */
uint64_t log_pid(void);
