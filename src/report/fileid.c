/* SPDX-License-Identifier: MIT */
/* Device and inode, by statx(2). Opens nothing. */
#include "report/fileid.h"

#include <sys/stat.h>

#include "base/kernel.h"

static bool identify(int fd, const char *path, struct fileid *id)
{
    struct kernel_status status = {0};

    if (kernel_statx(fd, path, KERNEL_STATUS_TYPE | KERNEL_STATUS_NLINK | KERNEL_STATUS_INO,
                     &status) != 0)
        return false;
    id->device = (uint64_t)status.dev_major << 32 | status.dev_minor;
    id->inode = status.ino;
    id->is_file = S_ISREG(status.mode) && status.nlink > 0;
    return true;
}

bool fileid_of_descriptor(int fd, struct fileid *id)
{
    return identify(fd, "", id);
}

bool fileid_of_path(const char *path, struct fileid *id)
{
    return identify(AT_FDCWD, path, id);
}

bool fileid_is(const struct fileid *a, const struct fileid *b)
{
    return a->device == b->device && a->inode == b->inode;
}
