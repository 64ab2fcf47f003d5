/* SPDX-License-Identifier: MIT */
/* Who holds a port that bind() did not get, or the ports that connect() did not get. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "policy/policy.h"
#include "socket/diag.h"

struct portholders {
    /* The caller fills in the question, and zeroes the rest. */
    uint16_t port;      /* ours; 0: any */
    uint16_t peer_port; /* 0: any, at any address */
    struct policy_ip peer;
    unsigned listeners;
    unsigned time_wait;
    unsigned others;
    uint32_t last;          /* ms until the last TIME_WAIT ends */
    struct policy_ip first; /* the peer of one of the connections; port 0: there is none */
    uint16_t first_port;
    bool is_clients;  /* that connection was made from here, as far as one can tell */
    bool is_in_range; /* of net.ipv4.ip_local_port_range, and not reserved: clients get that port */
};

/* Counts a socket of a dump; always true. `holders` is a struct portholders. */
bool portholders_add(const struct diag_socket *socket, void *holders);

/* Whose connection it is, when all are counted: `peer_listens` on this host, at its other end. */
void portholders_judge(struct portholders *h, bool peer_listens);

/* Counts those sockets, in this network namespace; false where the kernel does not list them. */
bool portholders_find(struct portholders *h);

/* In words: "a listener holds the port". */
void portholders_say(const struct portholders *h, struct text *out);
