/* Which file it is: by device and inode, which outlast names and descriptors. */
#ifndef LINGER_IDENTITY_H
#define LINGER_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

struct identity {
    uint64_t device;
    uint64_t inode;
    bool is_file; /* a regular one that still has a name */
};

/* Of the file that the descriptor or the path refers to. False where that is unknown; errno.
 */
bool identity_of_descriptor(int fd, struct identity *id);
bool identity_of_path(const char *path, struct identity *id);

bool identity_is(const struct identity *a, const struct identity *b);

#endif
