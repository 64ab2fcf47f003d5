/* SPDX-License-Identifier: MIT */
/*
 * Server or client, for a connection that is met in the middle of its life. The kernel does not
 * remember who connected, but the local port shows it: one that is (or was) listened on is a
 * server's, one that connect() was seen from is a client's, and any other is a server's if it lies
 * outside the ephemeral range.
 */
#ifndef LINGER_SOCKET_ROLE_H
#define LINGER_SOCKET_ROLE_H

#include "policy/decide.h"

#define ROLE_PORTS 65536

/* What decides. If all is zero, every port is a server's. */
struct role_ports {
    uint16_t low; /* the ephemeral range */
    uint16_t high;
    uint32_t served[ROLE_PORTS / 32];    /* a bit for each port that was listened on */
    uint32_t connected[ROLE_PORTS / 32]; /* and for each that was connected from */
};

/* Reads ip_local_port_range, ip(7), of this network namespace; else the kernel's default counts. */
void role_read_range(struct role_ports *ports);

/* Notes a port as listened on. Async-signal-safe; never taken back. */
void role_note_served(struct role_ports *ports, uint16_t port);

/* Notes the local port of a socket whose role connect() or accept() has just shown. */
void role_note(struct role_ports *ports, const struct facts *facts);

/* Is a connection with that local port a server's? */
bool role_is_served(const struct role_ports *ports, uint16_t port);

/*
 * Completes the facts of a socket whose state and, where `wanted` has FACT_ROLE, local port are
 * known: adds its role, if it has one, and drops the cookie if its share must not be drawn. Notes
 * the port of a listener.
 */
void role_complete(struct role_ports *ports, struct facts *facts, unsigned wanted);

#endif
