/* Which file it is: by device and inode, which stay when names and descriptors change hands. */
#ifndef LINGER_IDENTITY_H
#define LINGER_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

struct identity {
    uint64_t device;
    uint64_t inode;
    bool is_file; /* a regular one that still has a name */
};

/* Of what the descriptor refers to, or the path leads to. False where that cannot be told; errno.
 */
bool identity_of_descriptor(int fd, struct identity *id);
bool identity_of_path(const char *path, struct identity *id);

bool identity_is(const struct identity *a, const struct identity *b);

#endif
