/* SPDX-License-Identifier: MIT */
/* Counters of this network namespace, by nstat's names: /proc/net/snmp, netstat. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum counter {
    COUNTER_CONNECTED,     /* ActiveOpens */
    COUNTER_ACCEPTED,      /* PassiveOpens */
    COUNTER_CONNECT_FAILS, /* AttemptFails */
    COUNTER_RESETS,        /* EstabResets: ended by RST, from either end */
    COUNTER_SENT_RESETS,   /* OutRsts */
    COUNTER_UNREAD,        /* TCPAbortOnClose */
    COUNTER_ABORTED,       /* TCPAbortOnData: SO_LINGER {1, 0}, and data or an ACK for an orphan */
    COUNTER_LINGER2,       /* TCPAbortOnLinger */
    COUNTER_TIMEOUTS,      /* TCPAbortOnTimeout */
    COUNTER_MEMORY,        /* TCPAbortOnMemory */
    COUNTER_OVERFLOWS,     /* ListenOverflows */
    COUNTER_TIME_WAIT,     /* TW and TWKilled; missing before Linux 5.18, which counts at the end */
    COUNTER_COUNT,
};

#define COUNTER_MISSING UINT64_MAX

/* Reads them; one that this kernel lacks is COUNTER_MISSING. Returns 0, or -1 and errno. */
int counters_read(uint64_t values[COUNTER_COUNT]);

/* The same, of how much they have grown since they were `before`: of one that is missing, 0. */
int counters_since(const uint64_t before[COUNTER_COUNT], uint64_t growth[COUNTER_COUNT]);
