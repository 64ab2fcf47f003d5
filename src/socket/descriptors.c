/* SPDX-License-Identifier: MIT */
/*
 * Which descriptors are open. The kernel lists them, and says of one at a time whether it is TCP.
 * Must not use opendir(3), which allocates, or poll(2), which runs the file's own code: of a FUSE
 * file it asks a daemon, of /proc/self/mounts it consumes the change that the program waits for.
 */
#include "socket/descriptors.h"

#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>

#include "base/kernel.h"

#define SCAN_WITHOUT_PROC 1024 /* numbers that are tried where there is no /proc/self/fd */

/* The entries of /proc/self/fd, from descriptor `dir`, as getdents64(2) lays them out. */
static void each_entry(int dir, unsigned first, unsigned last, void (*visit)(int fd),
                       uint64_t *buffer, size_t size)
{
    struct entry {
        uint64_t ino;
        int64_t off;
        unsigned short reclen;
        unsigned char type;
        char name[];
    };
    long length;

    while ((length = kernel_call(SYS_getdents64, dir, (long)buffer, (long)size)) > 0) {
        for (long at = 0; at < length;) {
            const struct entry *e = (const struct entry *)((const char *)buffer + at);
            unsigned fd = 0;
            for (const char *c = e->name; *c >= '0' && *c <= '9'; c++)
                fd = fd * 10 + (unsigned)(*c - '0');
            if (e->name[0] != '.' && fd != (unsigned)dir && fd >= first && fd <= last)
                visit((int)fd);
            at += e->reclen;
        }
    }
}

void descriptors_each(unsigned first, unsigned last, void (*visit)(int fd), uint64_t *buffer,
                      size_t size)
{
    int dir = kernel_open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);

    for (unsigned fd = first; dir < 0 && fd <= last && fd < SCAN_WITHOUT_PROC; fd++)
        visit((int)fd);
    if (dir < 0)
        return;
    each_entry(dir, first, last, visit, buffer, size);
    kernel_close(dir);
}

bool descriptors_is_permitted(pid_t process, int fd)
{
    uint64_t limit[2] = {UINT64_MAX}; /* a struct rlimit64 */

    (void)kernel_raw(SYS_prlimit64, process, RLIMIT_NOFILE, 0, (long)limit);
    return fd >= 0 && (uint64_t)fd < limit[0];
}

void descriptors_received(const struct msghdr *message, void (*visit)(int fd))
{
    const char *at = message->msg_control;
    size_t left = at ? message->msg_controllen : 0;

    /* By hand: CMSG_NXTHDR is a function of glibc that musl does not have. */
    while (left >= sizeof(struct cmsghdr)) {
        struct cmsghdr header;
        memcpy(&header, at, sizeof(header));
        if (header.cmsg_len < sizeof(header) || header.cmsg_len > left)
            break;
        bool has_descriptors = header.cmsg_level == SOL_SOCKET && header.cmsg_type == SCM_RIGHTS;
        for (size_t i = CMSG_LEN(0); has_descriptors && i + sizeof(int) <= header.cmsg_len;
             i += sizeof(int)) {
            int fd;
            memcpy(&fd, at + i, sizeof(fd));
            visit(fd);
        }
        size_t step = CMSG_ALIGN(header.cmsg_len);
        left -= step < left ? step : left;
        at += step;
    }
}
