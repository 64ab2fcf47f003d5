/* SPDX-License-Identifier: MIT */
/*
 * Another process. Everything is done through a pidfd that is opened first; numbers in /proc are
 * only hints, and the duplicate itself shows what it refers to. Must leave the process as it is,
 * and no duplicate open: that would keep its connection alive.
 */
#include "cli/process/target.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/kernel.h"
#include "base/text.h"
#include "socket/sock.h"

#define PIDFDS_KEPT 64
#define CLOSER_STACK ((size_t)64 * 1024)
#define CLOSER_PATIENCE 100000000 /* nanoseconds */
#define ENDING_PATIENCE 1000      /* milliseconds */

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL /* Linux 6.9 */
#endif

const char *target_put_path(char path[TARGET_PATH_SIZE], pid_t pid, const char *name, ...)
{
    int length = snprintf(path, TARGET_PATH_SIZE, "/proc/%d/", (int)pid);
    va_list arguments;

    va_start(arguments, name);
    vsnprintf(path + length, TARGET_PATH_SIZE - (size_t)length, name, arguments);
    va_end(arguments);
    return path;
}

size_t target_read(pid_t pid, const char *name, char *text, size_t size)
{
    int fd = open(target_path(pid, "%s", name), O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, text, size - 1);
    size_t length = got > 0 ? (size_t)got : 0;

    if (fd >= 0)
        close(fd);
    text[length] = '\0';
    return length;
}

bool target_peek(pid_t pid, uint64_t at, void *to, size_t size)
{
    struct iovec local = {to, size};
    struct iovec remote = {(void *)(uintptr_t)at, size}; /* NOLINT(performance-no-int-to-ptr) */

    return process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)size;
}

void target_comm(pid_t pid, char *name, size_t size)
{
    char line[TARGET_NAME_MAX];
    size_t length = target_read(pid, "comm", line, sizeof(line));

    snprintf(name, size, "%.*s", (int)(length > 0 ? length - 1 : 0), line); /* its newline */
}

pid_t target_next(DIR *proc)
{
    const struct dirent *entry;

    while (proc && (entry = readdir(proc))) {
        if (atoi(entry->d_name) > 0)
            return (pid_t)atoi(entry->d_name);
    }
    return 0;
}

bool target_status_text(pid_t pid, const char *name, char text[TARGET_STATUS_MAX])
{
    size_t length = strlen(name);
    char *line = NULL;
    size_t room = 0;
    bool found = false;
    FILE *file = fopen(target_path(pid, "status"), "re");

    while (file && !found && getline(&line, &room, file) > 0) {
        found = strncmp(line, name, length) == 0 && strncmp(line + length, ":\t", 2) == 0;
        if (found)
            snprintf(text, TARGET_STATUS_MAX, "%s", line + length + 2);
    }
    free(line);
    if (file)
        fclose(file);
    return found;
}

long target_status(pid_t pid, const char *name)
{
    char text[TARGET_STATUS_MAX];

    return target_status_text(pid, name, text) ? strtol(text, NULL, 10) : -1;
}

char target_state(pid_t thread)
{
    char text[TARGET_STATUS_MAX];

    return (char)(target_status_text(thread, "State", text) ? text[0] : '\0');
}

unsigned long long target_stat(pid_t pid, enum stat_field field)
{
    char line[1024];
    const char *at = NULL;

    if (target_read(pid, "stat", line, sizeof(line)) > 0)
        at = strrchr(line, ')'); /* field 2 is a name, and may have any character */
    for (unsigned before = 2; at && before < field; before++)
        at = strchr(at + 1, ' ');
    return at ? strtoull(at, NULL, 10) : 0;
}

static int yama_scope(void)
{
    FILE *file = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
    int scope = 0;

    if (file && fscanf(file, "%d", &scope) != 1)
        scope = 0;
    if (file)
        fclose(file);
    return scope;
}

bool target_explain_yama(int least, struct error *why)
{
    int scope = yama_scope();

    if (scope < least)
        return false;
    if (scope >= 3)
        error_set(why, "kernel.yama.ptrace_scope is 3: nobody may do so until a reboot");
    else
        error_set(why, "kernel.yama.ptrace_scope is %d: root or CAP_SYS_PTRACE is needed", scope);
    return true;
}

int target_duplicate(int pidfd, int number)
{
    return (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
}

/* ptrace(2), "Ptrace access mode checking". */
int target_explain_refusal(pid_t pid, struct error *why)
{
    struct stat status;
    long owner = target_status(pid, "Uid");

    if (owner >= 0 && (uid_t)owner != geteuid())
        return error_set(
            why,
            "it belongs to user %ld: root, or CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH, is needed",
            owner);
    if (stat(target_path(pid, "fd"), &status) == 0 && status.st_uid != geteuid())
        return error_set(why, "it has made itself undumpable (prctl PR_SET_DUMPABLE, or more "
                              "privileges than its user's): root or CAP_SYS_PTRACE is needed");
    if (target_explain_yama(1, why))
        return -1;
    return error_set(why, "the kernel does not permit it (another user namespace, or a "
                          "security module): CAP_SYS_PTRACE in its namespace is needed");
}

/* AT_EXECFN of the process, the path it was started by; false if it cannot be read. */
static bool read_execfn(pid_t pid, char path[PATH_MAX])
{
    union {
        char bytes[4096];
        unsigned long
            words[4096 / sizeof(unsigned long)]; /* pairs of type and value, getauxval(3) */
    } auxv;
    size_t length = target_read(pid, "auxv", auxv.bytes, sizeof(auxv.bytes));

    for (size_t i = 0; (i + 2) * sizeof(unsigned long) <= length; i += 2) {
        if (auxv.words[i] != AT_EXECFN)
            continue;
        /* The string is at the top of the stack; a whole PATH_MAX may reach past its end. */
        for (size_t size = PATH_MAX - 1; size > 0; size /= 2) {
            struct iovec local = {path, size};
            struct iovec remote = {(void *)auxv.words[i + 1], size};
            ssize_t got = process_vm_readv(pid, &local, 1, &remote, 1, 0);
            path[got > 0 ? got : 0] = '\0';
            if (got > 0 && memchr(path, '\0', (size_t)got))
                return true;
        }
    }
    return false;
}

void target_name(pid_t pid, char name[TARGET_NAME_MAX])
{
    char path[PATH_MAX];

    if (!read_execfn(pid, path)) {
        ssize_t length = readlink(target_path(pid, "exe"), path, sizeof(path) - 1);
        path[length > 0 ? length : 0] = '\0';
    }
    snprintf(name, TARGET_NAME_MAX, "%.255s", text_file_name(path));
}

/* Why the process has no descriptors; NULL if it may have some. */
static const char *what_has_none(pid_t pid)
{
    if (target_state(pid) == 'Z')
        return "a zombie: it has ended already, and holds no sockets";
    if (target_stat(pid, STAT_FLAGS) & 0x00200000) /* PF_KTHREAD, include/linux/sched.h */
        return "a kernel thread: it has no descriptors";
    return NULL;
}

int target_open(struct target *target, pid_t pid, struct error *why)
{
    const char *none;

    target->pid = pid;
    target->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    int error = errno;
    long process = target->pidfd < 0 ? target_status(pid, "Tgid") : (long)pid;
    if (target->pidfd < 0 && error == ESRCH)
        error_set(why, "no such process");
    else if (process > 0 && process != (long)pid)
        error_set(why, "a thread of process %ld: give that pid", process);
    else if (target->pidfd < 0)
        error_set(why, "cannot be opened: %s", strerror(error));
    else if ((none = what_has_none(pid)))
        error_set(why, "%s", none);
    else {
        target_name(pid, target->name);
        return 0;
    }
    target_close(target);
    return -1;
}

/*
 * Opening and closing a pidfd costs as much as the rest of taking a duplicate, so some stay open. A
 * pidfd whose thread has ended answers ESRCH, even if another thread has the number now.
 */
static struct {
    pid_t thread; /* 0: none */
    int pidfd;
} places[PIDFDS_KEPT];

static int remembered(pid_t thread, bool anew)
{
    size_t at = (size_t)thread % PIDFDS_KEPT;

    if (places[at].thread == thread && !anew)
        return places[at].pidfd;
    if (places[at].thread != 0)
        close(places[at].pidfd);
    places[at].pidfd = (int)syscall(SYS_pidfd_open, thread, PIDFD_THREAD);
    if (places[at].pidfd < 0 && errno == EINVAL) /* before Linux 6.9: processes only */
        places[at].pidfd = (int)syscall(SYS_pidfd_open, target_status(thread, "Tgid"), 0);
    places[at].thread = places[at].pidfd < 0 ? 0 : thread;
    return places[at].pidfd;
}

void target_forget(void)
{
    for (size_t i = 0; i < PIDFDS_KEPT; i++) {
        if (places[i].thread != 0)
            close(places[i].pidfd);
        places[i].thread = 0;
    }
}

static int take(pid_t thread, int number, bool anew)
{
    int pidfd = remembered(thread, anew);

    return pidfd < 0 ? -1 : target_duplicate(pidfd, number);
}

int target_take_again(pid_t thread, int number, bool *is_met)
{
    *is_met = places[(size_t)thread % PIDFDS_KEPT].thread == thread;
    int fd = take(thread, number, false);

    *is_met = *is_met && fd >= 0;
    if (fd < 0 && errno == ESRCH)
        fd = take(thread, number, true);
    if (fd < 0 && errno == EMFILE) { /* RLIMIT_NOFILE is as low as that: none stays open */
        target_forget();
        fd = take(thread, number, true);
    }
    return fd;
}

int target_take(pid_t thread, int number)
{
    bool is_met;

    return target_take_again(thread, number, &is_met);
}

static void *close_it(void *fd)
{
    close((int)(intptr_t)fd);
    return NULL;
}

/*
 * Closes it in a thread, which is left to itself if it takes longer than a close() that does not
 * wait. False if there can be no thread.
 */
static bool close_aside(int fd)
{
    pthread_attr_t attributes;
    pthread_t thread;
    struct timespec until;

    if (pthread_attr_init(&attributes) != 0)
        return false;
    pthread_attr_setstacksize(&attributes, CLOSER_STACK);
    bool is_started =
        pthread_create(&thread, &attributes, close_it, (void *)(intptr_t)fd) == 0; /* NOLINT */
    pthread_attr_destroy(&attributes);
    if (!is_started)
        return false;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += CLOSER_PATIENCE;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    if (pthread_timedjoin_np(thread, NULL, &until) != 0)
        pthread_detach(thread);
    return true;
}

void target_release(int fd)
{
    if (!sock_waits(fd) || !close_aside(fd))
        close(fd);
}

void target_close(struct target *target)
{
    if (target->pidfd >= 0)
        close(target->pidfd);
    target->pidfd = -1;
}

bool target_has_ended(const struct target *target)
{
    struct pollfd end = {target->pidfd, POLLIN, 0};

    return poll(&end, 1, ENDING_PATIENCE) == 1;
}

/* 1: continue, 0: `visit` said stop, -1: `why`. */
static int look_at(const struct target *target, int number, target_visit *visit, void *context,
                   struct error *why)
{
    int fd = target_duplicate(target->pidfd, number);
    bool go_on;

    if (fd < 0 && errno == EBADF)
        return 1; /* closed by now */
    if (fd < 0 && errno == ESRCH)
        return error_set(why, "it has ended");
    if (fd < 0)
        return errno == EPERM ? target_explain_refusal(target->pid, why)
                              : error_set(why, "%s", strerror(errno));
    go_on = visit(fd, number, context);
    target_release(fd);
    return go_on;
}

int target_each_socket(const struct target *target, target_visit *visit, void *context,
                       struct error *why)
{
    char link[32];
    const char *path = target_path(target->pid, "fd");
    const struct dirent *entry;
    int status = 1;
    DIR *directory = opendir(path);

    if (!directory)
        return errno == EACCES || errno == EPERM ? target_explain_refusal(target->pid, why)
                                                 : error_set(why, "%s: %s", path, strerror(errno));
    while (status == 1 && (entry = readdir(directory))) {
        ssize_t length = readlinkat(dirfd(directory), entry->d_name, link, sizeof(link));
        if (length > 7 && memcmp(link, "socket:", 7) == 0)
            status = look_at(target, atoi(entry->d_name), visit, context, why);
    }
    closedir(directory);
    return status == 1 ? 0 : -1;
}
