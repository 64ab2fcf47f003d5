/* SPDX-License-Identifier: MIT */
/* Device, inode, and who may write the directories, by statx(2). Opens nothing. */
#include "report/fileid.h"

#include <sys/auxv.h>
#include <sys/stat.h>

#include "base/kernel.h"
#include "base/text.h"

#define PATH_SIZE 4096

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

/* Root and this user may; so may the owner of "/", who is root as a user namespace sees it. */
static bool others_may_write(const struct kernel_status *directory, bool sticky_protects)
{
    struct kernel_status root = {0};

    (void)kernel_statx(AT_FDCWD, "/", KERNEL_STATUS_OWNER, &root);
    if (directory->uid != 0 && directory->uid != getauxval(AT_EUID) && directory->uid != root.uid)
        return true;
    if (sticky_protects && directory->mode & S_ISVTX)
        return false;
    return directory->mode & S_IWOTH ||
           (directory->mode & S_IWGRP && directory->gid != 0 &&
            directory->gid != getauxval(AT_EGID) && directory->gid != root.gid);
}

/* Examines each directory on the path; a relative one begins with the working directory. */
static bool leads_through_others(const char *path, bool sticky_protects)
{
    char buffer[PATH_SIZE];
    struct text prefix;
    bool found = false;

    text_begin(&prefix, buffer, sizeof(buffer));
    text_put(&prefix, path[0] == '/' ? "" : "./");
    for (const char *c = path; *c && !found; c++) {
        struct kernel_status directory = {0};
        text_put_char(&prefix, *c);
        found = (*c == '/' || c == path) &&
                kernel_statx(AT_FDCWD, *c == '/' ? buffer : ".",
                             KERNEL_STATUS_MODE | KERNEL_STATUS_OWNER, &directory) == 0 &&
                others_may_write(&directory, sticky_protects);
    }
    return found;
}

bool fileid_may_be_put(const char *path)
{
    return leads_through_others(path, false);
}

bool fileid_may_be_replaced(const char *path)
{
    return leads_through_others(path, true);
}
