/* SPDX-License-Identifier: MIT */
/* Who holds a port that bind() did not get, or the ports that connect() did not get. */
#ifndef LINGER_SOCKET_PORTHOLDERS_H
#define LINGER_SOCKET_PORTHOLDERS_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/policy.h"

struct portholders {
    /* The caller fills in what is asked for, and zeroes the rest. */
    uint16_t port;      /* ours; 0: any */
    uint16_t peer_port; /* 0: any, at any address */
    struct policy_ip peer;
    unsigned listeners;
    unsigned time_wait;
    unsigned others;
    uint32_t last; /* ms until the last TIME_WAIT ends */
};

/* Counts those sockets, in this network namespace; false where the kernel does not say.
 */
bool portholders_find(struct portholders *use);

/* In words: "a listener holds the port". */
const char *portholders_say(const struct portholders *use);

#endif
