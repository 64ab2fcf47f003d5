/* SPDX-License-Identifier: MIT */
/*
 * Which of the events belong to what was asked for. The tracepoints see all of the host; asked for
 * are a network namespace or some processes with their descendants, and ports.
 */
#pragma once

#include "cli/cli.h"
#include "cli/trace/programs.h"
#include "cli/trace/tracepoints.h"

#define SCOPE_ADDRESSES 256

enum scope_whose { WHOSE_UNKNOWN, WHOSE_WANTED, WHOSE_OTHERS };

/* The process of an event, as it was then. */
struct scope_actor {
    const char *name;
    enum scope_whose whose;
};

/* Zeroed first, but for `self` and the ports. */
struct scope {
    const struct cli_command *self;
    uint16_t ports[TRACEPOINTS_PORTS];
    unsigned port_count;
    struct programs *programs;
    bool has_pids;
    uint64_t namespace;
    struct policy_ip addresses[SCOPE_ADDRESSES]; /* of this namespace */
    unsigned address_count;
    uint16_t listeners[UINT16_MAX + 1]; /* how many listen at each port now */
    bool was_listener[UINT16_MAX + 1];  /* of those who are wanted, now or earlier */
};

/*
 * Selects the processes, or else this network namespace; moves to that of the processes, where
 * alone its sockets are listed. Returns 0, or -1 after a message.
 */
int scope_begin(struct scope *s, char *const *pids);
void scope_end(struct scope *s);

struct scope_actor scope_actor(const struct scope *s, const struct record *record);

/* Takes in a listener's begin or end. */
void scope_see_listener(struct scope *s, const struct record *record, struct scope_actor actor);

/* Is a connection one that was asked for? `whose` is unknown where no event had its process. */
bool scope_has(const struct scope *s, enum scope_whose whose, struct policy_ip local,
               uint16_t local_port, uint16_t peer_port, bool is_server);

/* Of a RST that belongs to no connection. */
bool scope_has_stray(const struct scope *s, const struct record *record, struct scope_actor actor);
