/* Who holds a port that bind() did not get. */
#ifndef LINGER_PORTUSE_H
#define LINGER_PORTUSE_H

#include <stdbool.h>
#include <stdint.h>

struct portuse {
    uint16_t port; /* the caller fills this one, and zeroes the rest */
    unsigned listeners;
    unsigned time_wait;
    unsigned others;
    uint32_t last; /* ms until the last TIME_WAIT ends */
};

/* Counts the sockets on the port, in this network namespace; false where the kernel does not say.
 */
bool portuse_find(struct portuse *use);

/* In words: "a listener holds the port". */
const char *portuse_say(const struct portuse *use);

#endif
