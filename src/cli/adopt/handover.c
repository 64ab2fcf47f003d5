/* SPDX-License-Identifier: MIT */
/*
 * How a new policy finds the supervisors that have the program already, and takes their place.
 * There is no file and no socket for that: the supervisors map a page whose name says which program
 * it is of, and hold it and the listener by fixed numbers.
 *
 * Any process can use that name, and name a page like that. So a process is a supervisor only if it
 * may do all that we may: what it makes us do it could do itself. A pidfd is opened first; then the
 * process is judged, and by that pidfd alone its descriptors are taken and it is ended.
 */
#include "cli/adopt/handover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define PAGE_VERSION 2 /* of struct page; other supervisors are not recognized */
#define NAME_LENGTH_MAX 64
#define PATIENCE 2000      /* milliseconds */
#define TURN_PATIENCE 5000 /* milliseconds */

/* With the time at which it started, a pid names a process for good. */
static void name_page(pid_t program, char name[NAME_LENGTH_MAX])
{
    snprintf(name, NAME_LENGTH_MAX, HANDOVER_NAME "-%d:%d:%llu", PAGE_VERSION, (int)program,
             target_stat(program, STAT_STARTTIME));
}

/* A descriptor may be inherited, even by a setuid program; what a process maps is its own. */
static bool maps_page(pid_t pid, pid_t program)
{
    char name[NAME_LENGTH_MAX];
    char wanted[NAME_LENGTH_MAX + 16];
    char line[512];
    bool found = false;

    name_page(program, name);
    snprintf(wanted, sizeof(wanted), "/memfd:%s ", name);
    FILE *maps = fopen(target_path(pid, "maps"), "re");
    while (maps && !found && fgets(line, sizeof(line), maps)) {
        int path = 0;
        sscanf(line, "%*s %*s %*s %*s %*s %n", &path);
        found = path > 0 && strncmp(line + path, wanted, strlen(wanted)) == 0;
    }
    if (maps)
        fclose(maps);
    return found;
}

/* May it do all that we may? Its user ids and its user namespace are ours, its capabilities too. */
static bool is_as_mighty(pid_t pid)
{
    char theirs[TARGET_STATUS_MAX];
    char ours[TARGET_STATUS_MAX];
    struct stat their_space;
    struct stat our_space;

    if (!target_status_text(pid, "Uid", theirs) || !target_status_text(getpid(), "Uid", ours) ||
        strcmp(theirs, ours) != 0 || stat(target_path(pid, "ns/user"), &their_space) != 0 ||
        stat("/proc/self/ns/user", &our_space) != 0 || their_space.st_ino != our_space.st_ino)
        return false;
    return target_status_text(pid, "CapPrm", theirs) &&
           target_status_text(getpid(), "CapPrm", ours) &&
           (strtoull(ours, NULL, 16) & ~strtoull(theirs, NULL, 16)) == 0;
}

static bool is_named(pid_t pid)
{
    char name[TARGET_STATUS_MAX];

    return target_status_text(pid, "Name", name) && strcmp(name, HANDOVER_NAME "\n") == 0;
}

/* A stream of /proc to look for the program's supervisors in; NULL if it is under no filter. */
static DIR *open_processes(pid_t program)
{
    return target_status(program, "Seccomp") == SECCOMP_MODE_FILTER ? opendir("/proc") : NULL;
}

/*
 * The next process in /proc that supervises the program: its pid, and a pidfd of it. Passes over
 * this process and its own successor.
 */
static pid_t next(DIR *proc, pid_t program, bool anybody, int *pidfd)
{
    pid_t pid;

    while ((pid = target_next(proc))) {
        if (pid == getpid() || !is_named(pid) || target_status(pid, "PPid") == getpid())
            continue;
        *pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
        if (*pidfd >= 0 && maps_page(pid, program) && (anybody || is_as_mighty(pid)))
            return pid;
        close(*pidfd);
    }
    return 0;
}

/* The process that holds the lock on an open file; 0 if that cannot be seen. */
static int find_holder(int fd)
{
    struct stat status = {0};
    char line[256];
    int holder = 0;
    unsigned long inode;
    unsigned device;
    int pid;

    fstat(fd, &status);
    FILE *locks = fopen("/proc/locks", "re");
    while (locks && fgets(line, sizeof(line), locks)) {
        if (sscanf(line, "%*d: FLOCK %*s %*s %d %*x:%x:%lu", &pid, &device, &inode) == 3 &&
            inode == status.st_ino && device == minor(status.st_dev))
            holder = pid;
    }
    if (locks)
        fclose(locks);
    return holder;
}

bool handover_await_turn(const struct cli_command *self, pid_t program, int *turn)
{
    *turn = open(target_path(program, "fd"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int naps = 0; *turn >= 0 && naps < TURN_PATIENCE; naps++) {
        if (flock(*turn, LOCK_EX | LOCK_NB) == 0)
            return true;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    if (*turn < 0)
        return true;
    cli_error(
        self,
        "process %d: process %d has locked its descriptors in /proc, flock(2): end that one first",
        (int)program, find_holder(*turn));
    close(*turn);
    return false;
}

pid_t handover_find(pid_t program, bool anybody)
{
    DIR *proc = open_processes(program);
    int pidfd = -1;
    pid_t pid = next(proc, program, anybody, &pidfd);

    if (pid)
        close(pidfd);
    if (proc)
        closedir(proc);
    return pid;
}

/* Puts it where successors look for it. */
static bool place(int fd, int number)
{
    bool is_placed = fd >= 0 && dup3(fd, number, O_CLOEXEC) == number;

    if (fd >= 0)
        close(fd);
    return is_placed;
}

static struct page *map(void)
{
    void *page =
        mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, HANDOVER_PAGE, 0);

    return page == MAP_FAILED ? NULL : page;
}

struct page *handover_take(pid_t program)
{
    DIR *proc = open_processes(program);
    struct page *page = NULL;
    int error = 0;
    int pidfd;

    while (!page && next(proc, program, false, &pidfd)) {
        if (place(target_duplicate(pidfd, HANDOVER_PAGE), HANDOVER_PAGE) &&
            place(target_duplicate(pidfd, HANDOVER_LISTENER), HANDOVER_LISTENER))
            page = map();
        error = errno;
        close(pidfd);
    }
    if (proc)
        closedir(proc);
    errno = error;
    return page;
}

struct page *handover_make(pid_t program)
{
    char name[NAME_LENGTH_MAX];

    name_page(program, name);
    int fd = memfd_create(name, MFD_CLOEXEC);
    return ftruncate(fd, sizeof(struct page)) == 0 && place(fd, HANDOVER_PAGE) ? map() : NULL;
}

static void end_others(pid_t program)
{
    DIR *proc = open_processes(program);
    int pidfd;

    while (next(proc, program, false, &pidfd)) {
        syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
        close(pidfd);
    }
    if (proc)
        closedir(proc);
}

bool handover_own(pid_t program, bool replaces)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    for (int naps = 0; fcntl(HANDOVER_PAGE, F_SETLK, &lock) != 0; naps++) {
        if (!replaces || naps == PATIENCE)
            return false;
        end_others(program);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return true;
}
