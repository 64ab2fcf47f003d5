/* SPDX-License-Identifier: MIT */
/*
 * The page. There is no file and no socket by which servers are found or spoken to: who may take a
 * descriptor out of a server, by pidfd_getfd(2), and end it, by a signal, may have its place. That
 * is the same user, or root, by the kernel's own judgement, in whatever namespace.
 */
#include "cli/adopt/page.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE_VERSION 1
#define LINK_MAX_LENGTH 96
#define LISTENER_LINK "anon_inode:seccomp" /* " notify" */

/* With the time at which it started, a pid names a process for good. */
static void name_page(pid_t program, char name[LINK_MAX_LENGTH])
{
    snprintf(name, LINK_MAX_LENGTH, "linger-stay:%d:%llu", (int)program,
             target_stat(program, STAT_STARTTIME));
}

/* The number of the descriptor whose link begins with that, or -1. */
static int find_number(pid_t server, const char *begin)
{
    char path[64];
    char link[LINK_MAX_LENGTH];
    const struct dirent *entry;
    int number = -1;

    snprintf(path, sizeof(path), "/proc/%d/fd", (int)server);
    DIR *directory = opendir(path);
    while (directory && number < 0 && (entry = readdir(directory))) {
        ssize_t length = readlinkat(dirfd(directory), entry->d_name, link, sizeof(link) - 1);
        link[length > 0 ? length : 0] = '\0';
        if (strncmp(link, begin, strlen(begin)) == 0)
            number = atoi(entry->d_name);
    }
    if (directory)
        closedir(directory);
    return number;
}

static int find_page(pid_t server, pid_t program)
{
    char name[LINK_MAX_LENGTH];
    char link[LINK_MAX_LENGTH + 16];

    name_page(program, name);
    snprintf(link, sizeof(link), "/memfd:%s ", name); /* " (deleted)" */
    return find_number(server, link);
}

/* Of root, of this user or of the program's: nobody else's process is taken for one. */
static bool is_server(pid_t pid, pid_t program)
{
    char path[64];
    char name[32] = "";
    long owner = target_status(pid, "Uid");

    snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    FILE *file = fopen(path, "re");
    bool is_named = file && fgets(name, sizeof(name), file) && strcmp(name, PAGE_SERVER "\n") == 0;
    if (file)
        fclose(file);
    return is_named && pid != getpid() &&
           (owner == 0 || owner == (long)geteuid() || owner == target_status(program, "Uid"));
}

pid_t page_server(pid_t program)
{
    DIR *directory = opendir("/proc");
    const struct dirent *entry;
    pid_t server = 0;

    while (directory && !server && (entry = readdir(directory))) {
        pid_t pid = (pid_t)atoi(entry->d_name);
        if (pid > 0 && is_server(pid, program) && find_page(pid, program) >= 0)
            server = pid;
    }
    if (directory)
        closedir(directory);
    return server;
}

static int map(struct paged *paged, char why[TARGET_WHY_MAX])
{
    paged->page =
        mmap(NULL, sizeof(*paged->page), PROT_READ | PROT_WRITE, MAP_SHARED, paged->fd, 0);
    if (paged->page != MAP_FAILED)
        return 0;
    snprintf(why, TARGET_WHY_MAX, "no memory to share: %s", strerror(errno));
    return -1;
}

/* Who has the right to answer: a pid, 0 for nobody, -1 where it is out of sight. */
static pid_t find_owner(const struct paged *paged)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (fcntl(paged->fd, F_GETLK, &lock) != 0 || (lock.l_type != F_UNLCK && lock.l_pid <= 0)) {
        errno = EPERM; /* in another pid namespace, say */
        return -1;
    }
    return lock.l_type == F_UNLCK ? 0 : lock.l_pid;
}

int page_take(struct paged *paged, pid_t server, pid_t program, char why[TARGET_WHY_MAX])
{
    paged->fd = target_take(server, find_page(server, program));
    paged->listener = target_take(server, find_number(server, LISTENER_LINK));
    pid_t owner = paged->fd < 0 ? -1 : find_owner(paged);
    /* One that has ended by now need not be. */
    if (paged->listener < 0 || owner < 0 || (owner > 0 && kill(owner, 0) != 0 && errno != ESRCH)) {
        snprintf(why, TARGET_WHY_MAX, "its supervisor (pid %d) cannot be replaced: %s", (int)server,
                 strerror(errno));
        int error = errno;
        close(paged->fd);
        close(paged->listener);
        errno = error;
        return -1;
    }
    if (map(paged, why) != 0)
        return -1;
    if (paged->page->version != PAGE_VERSION) {
        snprintf(why, TARGET_WHY_MAX, "its supervisor (pid %d) is of another version of linger",
                 (int)server);
        return -1;
    }
    return 0;
}

int page_make(struct paged *paged, pid_t program, char why[TARGET_WHY_MAX])
{
    char name[LINK_MAX_LENGTH];

    name_page(program, name);
    paged->listener = -1;
    paged->fd = memfd_create(name, MFD_CLOEXEC);
    if (paged->fd < 0 || ftruncate(paged->fd, sizeof(struct page)) != 0) {
        snprintf(why, TARGET_WHY_MAX, "no memory to share: %s", strerror(errno));
        return -1;
    }
    if (map(paged, why) != 0)
        return -1;
    paged->page->version = PAGE_VERSION;
    return 0;
}

static void end_owner(const struct paged *paged)
{
    pid_t owner = find_owner(paged);
    int pidfd = owner > 0 ? (int)syscall(SYS_pidfd_open, owner, 0) : -1;

    if (pidfd < 0)
        return;
    if (find_owner(paged) == owner) /* still: then the pidfd is its own */
        syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
    close(pidfd);
}

bool page_own(const struct paged *paged, unsigned generation)
{
    static const struct timespec glance = {.tv_nsec = 100000};
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    while (atomic_load(&paged->page->generation) == generation) {
        if (fcntl(paged->fd, F_SETLK, &lock) == 0)
            return atomic_load(&paged->page->generation) == generation;
        end_owner(paged);
        nanosleep(&glance, NULL);
    }
    return false;
}
