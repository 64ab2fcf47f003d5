/* SPDX-License-Identifier: MIT */
/* Another process whose sockets are examined: pidfd_open(2), pidfd_getfd(2), /proc/PID/fd. */
#pragma once

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cli/error.h"

#define TARGET_NAME_MAX 256

struct target {
    pid_t pid;
    int pidfd;                  /* held from the start: the pid cannot be reused unseen */
    char name[TARGET_NAME_MAX]; /* the file name it was started by, as prog= compares it */
};

/* Opens the process. Returns 0, or -1; `why` says what prevents it and what would help. */
int target_open(struct target *target, pid_t pid, struct error *why);
void target_close(struct target *target);

/* Has it ended, or does it within a second? Its first thread may have ended before the others. */
bool target_has_ended(const struct target *target);

/* Examines a duplicate of the socket that has this number in the process. False: stop. */
typedef bool target_visit(int fd, int number, void *context);

/*
 * Calls `visit` for each socket of the process; the duplicate is closed after the call. A
 * descriptor that is closed by then is skipped. Returns 0, or -1 and `why`; stops at once,
 * with -1 and `why` as it is, where `visit` returns false.
 */
int target_each_socket(const struct target *target, target_visit *visit, void *context,
                       struct error *why);

/*
 * A duplicate of descriptor `number` of a thread, close-on-exec; -1 and errno. `thread` may be any
 * thread of a process: one that has called unshare(CLONE_FILES) has its own descriptors.
 */
int target_take(pid_t thread, int number);

/*
 * The same. `is_met`: a descriptor was taken of that very thread before, or of its process before
 * Linux 6.9; not of another one that had its number.
 */
int target_take_again(pid_t thread, int number, bool *is_met);

/* The same, of the process behind a pidfd. */
int target_duplicate(int pidfd, int number);

/* Closes what target_take() keeps open to be quicker, before all descriptors are closed. */
void target_forget(void);

/*
 * Closes a duplicate, and never waits: it may be the last reference, and with SO_LINGER {1, N} on
 * the socket the kernel would keep the caller for N seconds (inet_release()).
 */
void target_release(int fd);

/* Why pidfd_getfd(2) was refused (EPERM), and what would help. Returns -1. */
int target_explain_refusal(pid_t pid, struct error *why);

/*
 * Says in `why` that the Yama security module forbids it, if its scope (0 to 3) is `least` or more;
 * else returns false and leaves `why` as it was.
 */
bool target_explain_yama(int least, struct error *why);

/* "/proc/PID/NAME", in an array of the block that asks for it. Nobody can plant a link there. */
#define target_path(pid, ...) target_put_path((char[TARGET_PATH_SIZE]){0}, pid, __VA_ARGS__)
#define TARGET_PATH_SIZE 64
const char *target_put_path(char path[TARGET_PATH_SIZE], pid_t pid, const char *name, ...)
    __attribute__((format(printf, 3, 4)));

/* The text of that file, or its beginning; "" if there is none. Returns its length. */
size_t target_read(pid_t pid, const char *name, char *text, size_t size);

/* Reads its memory; false unless all of it can be. */
bool target_peek(pid_t pid, uint64_t at, void *to, size_t size);

/* What ps(1) calls the program, comm of proc(5); "" if it is gone. */
void target_comm(pid_t pid, char *name, size_t size);

/* The next process that a directory stream of /proc lists; 0: no more, or no stream. */
pid_t target_next(DIR *proc);

/* The file name that a process was started by, as prog= compares it; "" if unknown. */
void target_name(pid_t pid, char name[TARGET_NAME_MAX]);

/*
 * What /proc/PID/status, proc(5), has of that name, or the beginning of it; false if it is missing.
 * Read to its end: a process's groups alone may take 700,000 bytes of it.
 */
#define TARGET_STATUS_MAX 64
bool target_status_text(pid_t pid, const char *name, char text[TARGET_STATUS_MAX]);

/* The number that it begins with: "Tgid", "PPid", "Uid"; -1 if it is missing. */
long target_status(pid_t pid, const char *name);

/* proc_pid_stat(5). From STAT_UTIME on, four kinds of processor time. */
enum stat_field {
    STAT_PPID = 4,
    STAT_FLAGS = 9,
    STAT_UTIME = 14,
    STAT_CSTIME = 17,
    STAT_STARTTIME = 22,
};

/* A number in /proc/PID/stat; 0 if it is missing. */
unsigned long long target_stat(pid_t pid, enum stat_field field);

/* Of a thread, as ps(1) prints it: R, S, D; 0 if there is none. */
char target_state(pid_t thread);
