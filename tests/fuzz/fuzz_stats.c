/* SPDX-License-Identifier: MIT */
/*
 * A file of counters that is something else. The input is its content: a file that is not ours
 * must be refused and left as it is, byte for byte; one that is must count.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "report/stats.h"

static bool is_untouched(int fd, const uint8_t *data, size_t size)
{
    static uint8_t now[65536];
    struct stat status;

    if (fstat(fd, &status) != 0 || status.st_size != (off_t)size || size > sizeof(now))
        return false;
    return pread(fd, now, sizeof(now), 0) == (ssize_t)size && memcmp(now, data, size) == 0;
}

/* A file that was damaged may have words that no counting gives: far apart, their sum is any. */
static bool is_plausible(const struct stats *stats, enum stats_counter counter)
{
    uint32_t about = stats->sums[counter].units << 16;
    int64_t off = (int32_t)(stats->sums[counter].low - about);

    return off < 1 << 30 && off > -(1 << 30) && stats->sums[counter].units < UINT32_MAX;
}

/* Adds to one counter, and puts it back: the others, and the rest of the file, must stay. */
static void count(struct stats *stats, enum stats_counter counter)
{
    struct stats before = *stats;

    fuzz_check(stats_add(stats, counter, 41), "a counter can be added to");
    fuzz_check(!is_plausible(&before, counter) ||
                   stats_get(stats, counter) == stats_get(&before, counter) + 41,
               "a counter counts");
    stats->sums[counter] = before.sums[counter];
}

static void try(const uint8_t *data, size_t size, bool is_ours)
{
    static int fd = -1;
    struct stats *stats = NULL;
    struct stats copy;
    char path[64];

    if (fd < 0)
        fd = memfd_create("stats", MFD_CLOEXEC);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    fuzz_check(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size, "a file");
    enum stats_status status = stats_open(path, &stats);
    fuzz_check(stats_read(path, &copy) == status, "read as it is mapped");
    fuzz_check(status == STATS_OK || status == STATS_FOREIGN, "the file is ours or foreign");
    fuzz_check((status == STATS_OK) == (stats != NULL), "mapped where it is ours");
    fuzz_check(status == STATS_FOREIGN || size == sizeof(*stats), "ours has its length");
    fuzz_check(status == STATS_OK || !is_ours, "what stats_open() made is ours");
    for (int i = 0; stats && i < STAT_COUNT; i++)
        count(stats, i);
    if (stats)
        munmap(stats, sizeof(*stats));
    fuzz_check(is_untouched(fd, data, size), "the file is as it was");
}

/* A file as stats_open() itself makes it. */
static void make(struct stats *fresh)
{
    char directory[] = "/tmp/fuzz-stats-XXXXXX";
    char path[sizeof(directory) + 8];
    struct stats *stats;

    fuzz_check(mkdtemp(directory) != NULL, "a directory");
    snprintf(path, sizeof(path), "%s/stats", directory);
    fuzz_check(stats_open(path, &stats) == STATS_OK, "a file is made");
    *fresh = *stats;
    fuzz_check(unlink(path) == 0 && rmdir(directory) == 0, "nothing else is left behind");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct stats ours;
    size_t values = size < sizeof(ours.sums) ? size : sizeof(ours.sums);

    if (ours.count == 0)
        make(&ours);
    try(data, size, false);
    /* Once more as the counters of a file whose head is right. */
    memcpy(ours.sums, data, values);
    try((const uint8_t *)&ours, sizeof(ours), true);
    return 0;
}
