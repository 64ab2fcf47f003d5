/*
 * Mostly without /proc: the first look into a process's directory there costs more than all else
 * that the library does as it is loaded. Must not use opendir(3), which allocates, or poll(2),
 * which is the file's own code: that of a FUSE file asks a daemon.
 */
#include "descriptors.h"

#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel.h"

#define SMALL_TABLE 64         /* NR_OPEN_DEFAULT, linux/fdtable.h: the least that one has */
#define SCAN_WITHOUT_PROC 1024 /* numbers that are tried where there is no /proc/self/fd */
#define BITS (CHAR_BIT * sizeof(long))

/* The entries of /proc/self/fd, from descriptor `dir`, as getdents64(2) lays them out. */
static void each_entry(int dir, unsigned first, unsigned last, void (*visit)(int fd))
{
    struct entry {
        uint64_t ino;
        int64_t off;
        unsigned short reclen;
        unsigned char type;
        char name[];
    };
    _Alignas(struct entry) char buffer[128] = {0}; /* five entries: a hook has 2 KiB of stack */
    long length;

    while ((length = kernel_call(SYS_getdents64, dir, (long)buffer, sizeof(buffer))) > 0) {
        for (long at = 0; at < length;) {
            const struct entry *e = (const struct entry *)(buffer + at);
            unsigned fd = 0;
            for (const char *c = e->name; *c >= '0' && *c <= '9'; c++)
                fd = fd * 10 + (unsigned)(*c - '0');
            if (e->name[0] != '.' && fd != (unsigned)dir && fd >= first && fd <= last)
                visit((int)fd);
            at += e->reclen;
        }
    }
}

/*
 * Has the process no descriptor beyond? select(2) passes over numbers for which its table of
 * descriptors has no place ("BUGS"), and says EBADF of one that has a place and is not open.
 */
static bool has_small_table(void)
{
    unsigned long numbers[SMALL_TABLE / BITS + 1] = {[SMALL_TABLE / BITS] = 1};
    long at_once[2] = {0, 0}; /* a struct timespec of this machine's own kind */

    return kernel_raw(SYS_fcntl, SMALL_TABLE, F_GETFD) == -EBADF &&
           kernel_raw(SYS_pselect6, SMALL_TABLE + 1, (long)numbers, 0, 0, (long)at_once, 0) == 0;
}

static void each_number(unsigned first, unsigned last, unsigned end, void (*visit)(int fd))
{
    for (unsigned fd = first; fd <= last && fd < end; fd++)
        visit((int)fd);
}

void descriptors_each(unsigned first, unsigned last, void (*visit)(int fd))
{
    if (has_small_table()) {
        each_number(first, last, SMALL_TABLE, visit);
        return;
    }
    int dir = kernel_open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (dir < 0) {
        each_number(first, last, SCAN_WITHOUT_PROC, visit);
        return;
    }
    each_entry(dir, first, last, visit);
    kernel_close(dir);
}
