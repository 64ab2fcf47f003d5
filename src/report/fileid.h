/* SPDX-License-Identifier: MIT */
/* Which file it is: by device and inode, which outlast names and descriptors; and whose. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct fileid {
    uint64_t device;
    uint64_t inode;
    bool is_file; /* a regular one that still has a name */
};

/* Identifies the file that the descriptor or the path refers to. False, and errno, if it cannot. */
bool fileid_of_descriptor(int fd, struct fileid *id);
bool fileid_of_path(const char *path, struct fileid *id);

bool fileid_is(const struct fileid *a, const struct fileid *b);

/*
 * Can other users put a link where that file is to be made, or replace the file? They can if they
 * own a directory on its path or may write to it; the sticky bit protects what is there already.
 */
bool fileid_may_be_put(const char *path);
bool fileid_may_be_replaced(const char *path);
#define FILEID_EXPOSED "lies in a directory of another user's, who can replace the file"
