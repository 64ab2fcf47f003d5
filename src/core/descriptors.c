/* By /proc/self/fd, without opendir(3), which allocates. */
#include "descriptors.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel.h"

#define SCAN_WITHOUT_PROC 1024 /* numbers that are tried where there is no /proc/self/fd */

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

    while ((length = kernel_call(SYS_getdents64, dir, (long)buffer, sizeof(buffer), 0, 0, 0)) > 0) {
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

void descriptors_each(unsigned first, unsigned last, void (*visit)(int fd))
{
    int dir = kernel_open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);

    if (dir < 0) {
        for (unsigned fd = first; fd <= last && fd < SCAN_WITHOUT_PROC; fd++)
            visit((int)fd);
        return;
    }
    each_entry(dir, first, last, visit);
    kernel_close(dir);
}
