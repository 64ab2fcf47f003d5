/* SPDX-License-Identifier: MIT */
/*
 * Server or client, of a connection that is met in the middle of its life: only a client's SYN is
 * among the bytes that its peer acknowledged. Where the kernel does not show that (before Linux
 * 4.19, for one), a local port within the ephemeral range is a client's.
 */
#pragma once

#include <stdbool.h>

#include "policy/decide.h"

struct role_range {
    uint16_t low;
    uint16_t high;
};

/* Reads ip_local_port_range, ip(7), of this network namespace, or takes the kernel's default. */
void role_read_range(struct role_range *range);

/*
 * Marks those ports of the range that the kernel gives to nobody, ip_local_reserved_ports: the
 * first of `reserved` is the range's first. Sets true, and nothing else.
 */
void role_read_reserved(struct role_range range, bool reserved[]);

/* No client is given such a port: rresvport(3) begins above it. */
#define ROLE_SERVERS_ONLY 512

/* Adds the role of a socket whose state is known, if it has one and `wanted` has FACT_ROLE. */
void role_add(int fd, struct facts *facts, unsigned wanted);
