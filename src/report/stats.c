/* SPDX-License-Identifier: MIT */
/*
 * The counters. A file is completed under another name and then linked to its own, so that nobody
 * ever maps half a file, and its blocks are allocated before it is mapped: a full disk is an error
 * here, and not SIGBUS later.
 */
#include "report/stats.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/errno.h"
#include "base/kernel.h"
#include "base/text.h"
#include "report/fileid.h"
#include "report/quiet.h"

#define BYTE_ORDER_MARK 0x01020304u
#define LAYOUT 1
#define NAME_MAX_LENGTH 4200 /* a path, ".new." and a time */
#define TRIES 8

static const char magic[8] = {'l', 'i', 'n', 'g', 'e', 'r', '\0', LAYOUT};

static_assert(sizeof(struct stats) < 4096, "the counters fit in one page");
static_assert(STAT_BIND_NO_PORT_SET == STAT_REUSEADDR_SET + 2 * SOCK_BIND_NO_PORT,
              "two counters for each option");
static_assert(MODE_OFF == 0 && MODE_FIN == 1, "every mode but off arms");

static int write_new(int fd)
{
    struct stats fresh = {.byte_order = BYTE_ORDER_MARK, .count = STAT_COUNT};

    memcpy(fresh.magic, magic, sizeof(magic));
    return quiet_write(fd, &fresh, sizeof(fresh)) ? 0 : -1;
}

/*
 * A file of our own beside `path`. Named by the time, not by a pid: every container has a PID 1,
 * and what one left behind in a crash would block all later ones.
 */
static int open_new(const char *path, char name[NAME_MAX_LENGTH])
{
    struct timespec now = {0, 0};
    struct text out;
    int tries = 0;
    int fd;

    do {
        clock_gettime(CLOCK_REALTIME, &now);
        text_begin(&out, name, NAME_MAX_LENGTH);
        text_put(&out, path);
        text_put(&out, ".new.");
        text_put_number(&out, (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec);
        fd = kernel_open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } while (fd < 0 && errno == EEXIST && ++tries < TRIES);
    return fd;
}

/* 0 also if another process was faster. */
static int create(const char *path)
{
    char name[NAME_MAX_LENGTH];
    int status;

    int fd = open_new(path, name);
    if (fd < 0)
        return -1;
    status = write_new(fd);
    if (status == 0 && link(name, path) != 0 && errno != EEXIST)
        status = -1;
    kernel_close(fd);
    KEEP_ERRNO;
    unlink(name);
    return status;
}

static bool is_ours(const struct stats *s)
{
    return memcmp(s->magic, magic, sizeof(magic)) == 0 && s->byte_order == BYTE_ORDER_MARK &&
           s->count == STAT_COUNT;
}

/* Reads before it maps: a shorter file would raise SIGBUS, and a longer one is not ours. */
static enum stats_status map(int fd, bool to_count, struct stats **stats)
{
    struct {
        struct stats stats;
        char more;
    } file = {0}; /* written by the kernel, which an analyser does not see */
    ssize_t length = kernel_read_start(fd, &file, sizeof(file));

    if (length < 0)
        return errno == ESPIPE ? STATS_FOREIGN : STATS_FAILED;
    if (length != (ssize_t)sizeof(struct stats) || !is_ours(&file.stats))
        return STATS_FOREIGN;
    void *at = mmap(NULL, sizeof(struct stats), to_count ? PROT_READ | PROT_WRITE : PROT_READ,
                    MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return STATS_FAILED;
    *stats = at;
    return STATS_OK;
}

enum stats_status stats_open(const char *path, bool to_count, struct stats **stats)
{
    int flags = (to_count ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY |
                (fileid_may_be_put(path) ? O_NOFOLLOW : 0);
    int fd = kernel_open(path, flags, 0);
    enum stats_status status;

    *stats = NULL;
    if (fd < 0 && errno == ENOENT && to_count && create(path) == 0)
        fd = kernel_open(path, flags, 0);
    if (fd < 0)
        return STATS_FAILED;
    status = map(fd, to_count, stats);
    kernel_close(fd);
    return status;
}

void stats_close(struct stats *stats)
{
    if (stats)
        munmap(stats, sizeof(*stats));
}

void stats_add(struct stats *stats, enum stats_counter counter, uint64_t amount)
{
    if (stats && amount > 0)
        __atomic_fetch_add(&stats->values[counter], amount, __ATOMIC_RELAXED);
}

uint64_t stats_get(const struct stats *stats, enum stats_counter counter)
{
    return __atomic_load_n(&stats->values[counter], __ATOMIC_RELAXED);
}

enum stats_counter stats_closed(bool passive, bool has_verdict, enum policy_mode mode)
{
    enum stats_counter first = passive ? STAT_CLOSED_PASSIVE : STAT_CLOSED_ACTIVE;

    return has_verdict ? first + 1 + (mode - MODE_OFF) : first;
}

enum stats_counter stats_armed(enum policy_mode mode)
{
    return STAT_ARMED + (mode - MODE_FIN);
}

enum stats_counter stats_switched(enum sock_switch option, bool on)
{
    return STAT_REUSEADDR_SET + 2 * (option - SOCK_REUSEADDR) + !on;
}
