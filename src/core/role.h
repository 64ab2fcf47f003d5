/*
 * Server or client, of a connection that was met in the middle of its life. The kernel does not
 * remember who connected; the local port tells: one that is (or was) listened on, or that lies
 * outside of the ephemeral range, is a server's.
 */
#ifndef LINGER_ROLE_H
#define LINGER_ROLE_H

#include "decide.h"

/* Reads ip_local_port_range, ip(7), of this network namespace; else the kernel's default counts. */
void role_read_range(void);

/* Notes a port as listened on. Async-signal-safe; never taken back. */
void role_note_served(uint16_t port);

/*
 * Completes the facts of a socket whose state and, where `wanted` has FACT_ROLE, local port are
 * known: its role, if it has one, and no cookie where the share is not to be drawn by it.
 */
void role_complete(struct facts *facts, unsigned wanted);

#endif
