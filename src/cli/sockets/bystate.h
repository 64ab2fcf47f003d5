/* SPDX-License-Identifier: MIT */
/* Sockets by state: how many, and the bytes that wait in their queues. */
#pragma once

#include <stdio.h>

#include "cli/json.h"
#include "socket/diag.h"

struct bystate {
    unsigned count[DIAG_STATES];
    uint64_t received[DIAG_STATES]; /* and not read: Recv-Q of ss(8) */
    uint64_t sent[DIAG_STATES];     /* and not acknowledged: Send-Q */
};

/* Must be zeroed at first. */
void bystate_add(struct bystate *sums, const struct diag_socket *socket);

/* Padded: each line is as wide as any other; narrow: without queues. */
enum bystate_form { BYSTATE_PLAIN, BYSTATE_PADDED, BYSTATE_NARROW };

/* The heading of the columns, after `title`. */
void bystate_print_head(FILE *out, const char *title, enum bystate_form form);

/* The line of a state, without a newline. */
void bystate_print(FILE *out, const struct bystate *sums, unsigned state, enum bystate_form form);

/* The members "states", "recv_q" and "send_q". */
void bystate_print_json(struct json *json, const struct bystate *sums);
