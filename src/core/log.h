/* Where log lines go: descriptor 2, or a file (LINGER_LOG). */
#ifndef LINGER_LOG_H
#define LINGER_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Writes to descriptor 2, unless that is a TCP socket (inetd hands the connection over as 0, 1
 * and 2: not a byte of ours may go there). A broken pipe raises no SIGPIPE. Keeps errno.
 */
void log_stderr(const char *message, size_t length);

/*
 * Opens the log of that name, SETTINGS_STDERR or a file, in which %p is the pid. Returns NULL, or
 * what the file is that cannot be one: "is a directory". Without descriptor 2 there is no log.
 */
const char *log_open(const char *name);

bool log_is_on(void);

/* Writes a line with its newline, whole; false where it is lost. */
bool log_write(const char *line, size_t length);

/* The lines to come are of that process; 0 is this one. */
void log_subject(pid_t pid);

/* The process that the lines are of. */
uint64_t log_pid(void);

#endif
