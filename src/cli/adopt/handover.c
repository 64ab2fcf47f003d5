/* SPDX-License-Identifier: MIT */
/*
 * How a new policy finds the supervisors that have the program already, and takes their place.
 * There is no file and no socket for that: the supervisors map a page whose name says which program
 * it is of, and hold it and the listener by fixed numbers.
 *
 * Any process can use that name, and name a page like that. So a process is a supervisor only if it
 * may do all that we may: what it makes us do it could do itself. A pidfd is opened first; then the
 * process is judged, and by that pidfd alone its descriptors are taken.
 */
#include "cli/adopt/handover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
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

#define PAGE_VERSION 4 /* of struct page; other supervisors are not recognized */
#define NAME_LENGTH_MAX 64
#define PATIENCE 2000      /* milliseconds */
#define TURN_PATIENCE 5000 /* milliseconds */
#define FOUND_MAX 8        /* a pair, and those that take its place */

/* Processes that claim to supervise a program, by the names of their pages. */
static struct {
    bool is_made;
    size_t count;
    struct claim {
        char page[NAME_LENGTH_MAX];
        pid_t pid;
    } * claims;
} listed;

struct found {
    pid_t pid;
    int pidfd;
};

/* With the time at which it started, a pid names a process for good. */
static void name_page(pid_t program, char name[NAME_LENGTH_MAX])
{
    snprintf(name, NAME_LENGTH_MAX, HANDOVER_NAME "-%d:%d:%llu", PAGE_VERSION, (int)program,
             target_stat(program, STAT_STARTTIME));
}

/*
 * The name of the page that it maps. A descriptor may be inherited, even by a setuid program; what
 * a process maps is its own.
 */
static bool read_page_name(pid_t pid, char name[NAME_LENGTH_MAX])
{
    static const char begin[] = HANDOVER_NAME "-";
    char line[512];
    bool found = false;
    FILE *maps = fopen(target_path(pid, "maps"), "re");

    while (maps && !found && fgets(line, sizeof(line), maps))
        found = sscanf(line, "%*s %*s %*s %*s %*s /memfd:%63s", name) == 1 &&
                strncmp(name, begin, strlen(begin)) == 0;
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

static int compare(const void *a, const void *b)
{
    const struct claim *x = a, *y = b;

    return strcmp(x->page, y->page);
}

void handover_forget(void)
{
    free(listed.claims);
    memset(&listed, 0, sizeof(listed));
}

static void list_claims(void)
{
    DIR *proc = opendir("/proc");
    pid_t pid;

    handover_forget();
    while ((pid = target_next(proc))) {
        struct claim claim = {.pid = pid};
        if (!is_named(pid) || !read_page_name(pid, claim.page))
            continue;
        struct claim *more = cli_grow(listed.claims, listed.count, sizeof(claim));
        if (!more)
            break;
        listed.claims = more;
        listed.claims[listed.count++] = claim;
    }
    if (proc)
        closedir(proc);
    if (listed.count > 0)
        qsort(listed.claims, listed.count, sizeof(struct claim), compare);
    listed.is_made = true;
}

/* Does the process claim so still? Then with a pidfd of it. Not this process, nor its successor. */
static bool is_supervisor(struct found *found, const char *page, bool anybody)
{
    char name[NAME_LENGTH_MAX];

    if (found->pid == getpid() || target_status(found->pid, "PPid") == getpid())
        return false;
    found->pidfd = (int)syscall(SYS_pidfd_open, found->pid, 0);
    if (found->pidfd >= 0 && is_named(found->pid) && read_page_name(found->pid, name) &&
        strcmp(name, page) == 0 && (anybody || is_as_mighty(found->pid)))
        return true;
    close(found->pidfd);
    return false;
}

/* Those of the list that still are; false if it names some, and none is. */
static bool take_listed(const char *page, bool anybody, struct found found[FOUND_MAX], int *count)
{
    struct claim key = {.pid = 0};
    const struct claim *end = listed.claims + listed.count;
    const struct claim *one = NULL;
    bool is_named_there = false;

    snprintf(key.page, sizeof(key.page), "%s", page);
    if (listed.count > 0)
        one = bsearch(&key, listed.claims, listed.count, sizeof(key), compare);
    while (one && one > listed.claims && strcmp(one[-1].page, page) == 0)
        one--;
    for (*count = 0; one && one < end && strcmp(one->page, page) == 0 && *count < FOUND_MAX;
         one++) {
        found[*count].pid = one->pid;
        *count += is_supervisor(&found[*count], page, anybody);
        is_named_there = true;
    }
    return !is_named_there || *count > 0;
}

/*
 * The processes that supervise the program, or with `anybody` claim to. All of /proc is read for
 * them once, and again where those that were listed have ended.
 */
static int find(pid_t program, bool anybody, struct found found[FOUND_MAX])
{
    char page[NAME_LENGTH_MAX];
    bool was_made = listed.is_made;
    int count;

    if (target_status(program, "Seccomp") != SECCOMP_MODE_FILTER)
        return 0;
    name_page(program, page);
    if (!was_made)
        list_claims();
    if (!take_listed(page, anybody, found, &count) && was_made) {
        list_claims();
        (void)take_listed(page, anybody, found, &count);
    }
    return count;
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
        handover_forget();
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
    struct found found[FOUND_MAX];
    int count = find(program, anybody, found);

    for (int i = 0; i < count; i++)
        close(found[i].pidfd);
    return count > 0 ? found[0].pid : 0;
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
    struct found found[FOUND_MAX];
    struct page *page = NULL;
    int error = 0;
    int count = find(program, false, found);

    for (int i = 0; i < count; i++) {
        if (!page && place(target_duplicate(found[i].pidfd, HANDOVER_PAGE), HANDOVER_PAGE) &&
            place(target_duplicate(found[i].pidfd, HANDOVER_LISTENER), HANDOVER_LISTENER))
            page = map();
        error = errno;
        close(found[i].pidfd);
    }
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

/*
 * Waits until they have ended. A pair is a process group, as each has called setsid(2), and ends as
 * one: of two signals the first would let the other one start a third process.
 */
static void end_others(pid_t program)
{
    struct found found[FOUND_MAX];
    int count = find(program, false, found);

    for (int i = 0; i < count; i++) {
        pid_t group = getpgid(found[i].pid);
        if (group > 0 && syscall(SYS_pidfd_send_signal, found[i].pidfd, 0, NULL, 0) == 0)
            kill(-group, SIGKILL);
    }
    for (int i = 0; i < count; i++) {
        struct pollfd end = {.fd = found[i].pidfd, .events = POLLIN};
        (void)poll(&end, 1, PATIENCE);
        close(found[i].pidfd);
    }
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
