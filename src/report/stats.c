/* SPDX-License-Identifier: MIT */
/*
 * The counters. A file is completed under another name and then linked to its own, so that nobody
 * ever maps half a file.
 *
 * A page of a mapped file can fail at any time: the file is truncated, or a file system that copies
 * on write (btrfs, xfs after a reflink) is full. An instruction that touches it then raises SIGBUS;
 * a system call fails with EFAULT. So the kernel adds, by FUTEX_WAKE_OP of futex(2), and nobody
 * else touches the mapping. It adds to 32 bits, so a sum is kept in two words: its low 32 bits, and
 * about how many units of 2^16 it has. Each process counts from a random number on, and adds a unit
 * when it passes a multiple of 2^16. So the units are off by less than 2^31 in all, and the low
 * word says which of the numbers nearby is meant.
 */
#include "report/stats.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/errno.h"
#include "base/kernel.h"
#include "base/text.h"
#include "report/fileid.h"
#include "report/write.h"

#define BYTE_ORDER_MARK 0x01020304u
#define LAYOUT 2
#define NAME_MAX_LENGTH 4200 /* a path, ".new." and a time */
#define TRIES 8
#define UNIT_BITS 16
#define LOW_BITS 11 /* FUTEX_OP takes a signed number of 12 bits, or a power of two */

enum {
    WAKE_OP = 5 | 128, /* FUTEX_WAKE_OP_PRIVATE, linux/futex.h */
    ADD = 1,           /* FUTEX_OP_ADD */
    ADD_POWER = 9,     /* and FUTEX_OP_OPARG_SHIFT */
};

static uint64_t own[STAT_COUNT]; /* what this process added, from a random number on */

static const char magic[8] = {'l', 'i', 'n', 'g', 'e', 'r', '\0', LAYOUT};

static_assert(sizeof(struct stats) < 4096, "the counters fit in one page");
static_assert(STAT_BIND_NO_PORT_SET == STAT_REUSEADDR_SET + 2 * SOCK_BIND_NO_PORT,
              "two counters for each option");
static_assert(MODE_OFF == 0 && MODE_FIN == 1, "every mode but off arms");

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

/* True also if another process was faster. */
static bool create(const char *path)
{
    struct stats fresh = {.byte_order = BYTE_ORDER_MARK, .count = STAT_COUNT};
    char name[NAME_MAX_LENGTH];
    int fd = open_new(path, name);

    if (fd < 0)
        return false;
    memcpy(fresh.magic, magic, sizeof(magic));
    bool made =
        write_or_drop(fd, &fresh, sizeof(fresh)) && (link(name, path) == 0 || errno == EEXIST);
    kernel_close(fd);
    KEEP_ERRNO;
    unlink(name);
    return made;
}

static bool is_ours(const struct stats *s)
{
    return memcmp(s->magic, magic, sizeof(magic)) == 0 && s->byte_order == BYTE_ORDER_MARK &&
           s->count == STAT_COUNT;
}

/* A file of another length is not ours. */
static enum stats_status read_whole(int fd, struct stats *copy)
{
    struct {
        struct stats stats;
        char more;
    } file = {0}; /* written by the kernel, which an analyser does not see */
    ssize_t length = kernel_read_start(fd, &file, sizeof(file));

    *copy = file.stats;
    if (length < 0)
        return errno == ESPIPE ? STATS_FOREIGN : STATS_FAILED;
    return length == (ssize_t)sizeof(*copy) && is_ours(copy) ? STATS_OK : STATS_FOREIGN;
}

static int open_file(const char *path, int flags)
{
    int follow = fileid_may_be_put(path) ? O_NOFOLLOW : 0;

    return kernel_open(path, flags | follow | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
}

enum stats_status stats_read(const char *path, struct stats *copy)
{
    int fd = open_file(path, O_RDONLY);
    enum stats_status status = fd < 0 ? STATS_FAILED : read_whole(fd, copy);

    kernel_close(fd);
    return status;
}

/*
 * At random: many processes that each add little then pass a multiple of 2^16 as often as one that
 * adds it all.
 */
static void begin_at_random(void)
{
    struct timespec now = {0, 0};

    clock_gettime(CLOCK_MONOTONIC, &now);
    for (int i = 0; i < STAT_COUNT; i++)
        own[i] = (uint64_t)now.tv_nsec & ((1u << UNIT_BITS) - 1);
}

enum stats_status stats_open(const char *path, struct stats **stats)
{
    int fd = open_file(path, O_RDWR);
    struct stats copy;

    *stats = NULL;
    if (fd < 0 && errno == ENOENT && create(path))
        fd = open_file(path, O_RDWR);
    if (fd < 0)
        return STATS_FAILED;
    begin_at_random();
    enum stats_status status = read_whole(fd, &copy);
    void *at = MAP_FAILED;
    if (status == STATS_OK)
        at = mmap(NULL, sizeof(copy), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at != MAP_FAILED)
        *stats = at;
    kernel_close(fd);
    return status == STATS_OK && !*stats ? STATS_FAILED : status;
}

/* Nobody waits at these words, so none is woken. */
static bool add_once(uint32_t *to, unsigned operation, unsigned argument)
{
    return kernel_call(SYS_futex, (long)to, WAKE_OP, 0, 0, (long)to,
                       (long)(operation << 28 | argument << 12)) >= 0;
}

static bool add(uint32_t *to, uint32_t amount)
{
    bool added = add_once(to, ADD, amount & ((1u << LOW_BITS) - 1));

    for (unsigned bit = LOW_BITS; added && bit < 32; bit++)
        added = !(amount >> bit & 1) || add_once(to, ADD_POWER, bit);
    return added;
}

bool stats_add(struct stats *stats, enum stats_counter counter, uint32_t amount)
{
    uint64_t before = __atomic_fetch_add(&own[counter], amount, __ATOMIC_RELAXED);
    uint32_t units = (uint32_t)((before + amount) >> UNIT_BITS) - (uint32_t)(before >> UNIT_BITS);

    return add(&stats->sums[counter].low, amount) &&
           (units == 0 || add(&stats->sums[counter].units, units));
}

uint64_t stats_get(const struct stats *stats, enum stats_counter counter)
{
    uint64_t about = (uint64_t)stats->sums[counter].units << UNIT_BITS;
    int32_t off = (int32_t)(stats->sums[counter].low - (uint32_t)about);

    return about + (uint64_t)(int64_t)off;
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
