/* SPDX-License-Identifier: MIT */
/* What the table of `linger watch` calls for: a line for each finding. */
#pragma once

#include "cli/states/advice.h"
#include "cli/watch/groups.h"

/* What the groups do not say. */
struct findings {
    unsigned long unclosed;  /* connections that have been in CLOSE_WAIT for long */
    uint64_t overflows;      /* SYN and ACK that a full queue of a listener dropped */
    uint64_t unread;         /* TCPAbortOnClose and TCPAbortOnData, where the kernel gives no */
    uint64_t aborted;        /* reasons */
    unsigned unclosed_after; /* seconds: what long is */
};

/* Groups that are sorted. */
void findings_print(struct advice *advice, const struct groups *g, const struct findings *f);
