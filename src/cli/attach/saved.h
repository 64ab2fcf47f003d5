/* What the sockets of a running process had before it was attached to, to be put back. */
#ifndef LINGER_ATTACH_SAVED_H
#define LINGER_ATTACH_SAVED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "decide.h"
#include "system/target.h"

#define SAVED_MAX 4096 /* sockets; what a process has beyond them is not noted */

struct saved_socket {
    uint64_t cookie;
    bool is_listener;
    uint16_t port;
    struct verdict verdict;
};

struct saved {
    struct saved_socket sockets[SAVED_MAX];
    size_t count;
};

/* Notes what each socket of the process has. Returns 0, or -1 and `why`. */
int saved_take(struct saved *saved, const struct target *target, char why[TARGET_WHY_MAX]);

/* Puts it back: connections that were accepted since get what their listener had. */
int saved_put_back(const struct saved *saved, const struct target *target,
                   char why[TARGET_WHY_MAX]);

bool saved_has_listener(const struct saved *saved, long port);

#endif
