/* SPDX-License-Identifier: MIT */
/* Who holds a port that bind() did not get. */
#ifndef LINGER_SOCKET_PORTHOLDERS_H
#define LINGER_SOCKET_PORTHOLDERS_H

#include <stdbool.h>
#include <stdint.h>

struct portholders {
    uint16_t port; /* the caller fills this one, and zeroes the rest */
    unsigned listeners;
    unsigned time_wait;
    unsigned others;
    uint32_t last; /* ms until the last TIME_WAIT ends */
};

/* Counts the sockets on the port, in this network namespace; false where the kernel does not say.
 */
bool portholders_find(struct portholders *use);

/* In words: "a listener holds the port". */
const char *portholders_say(const struct portholders *use);

#endif
