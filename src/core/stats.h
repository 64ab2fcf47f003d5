/*
 * Counters in a small mapped file, shared by all processes that name it. Exact under threads and
 * processes (each count is one atomic addition), they survive SIGKILL, and no descriptor is kept.
 */
#ifndef LINGER_STATS_H
#define LINGER_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include "policy.h"

enum stats_counter {
    STAT_ARMED_FIN, /* sockets armed; what a listener's connections inherit is not counted */
    STAT_ARMED_RST,
    STAT_ARMED_FIN_RST,
    STAT_ARMED_WAIT,
    STAT_CLOSED_ACTIVE_NONE, /* close() of a connection, by the verdict on it */
    STAT_CLOSED_ACTIVE_OFF,
    STAT_CLOSED_ACTIVE_FIN,
    STAT_CLOSED_ACTIVE_RST,
    STAT_CLOSED_ACTIVE_FIN_RST,
    STAT_CLOSED_ACTIVE_WAIT,
    STAT_CLOSED_PASSIVE_NONE,
    STAT_CLOSED_PASSIVE_OFF,
    STAT_CLOSED_PASSIVE_FIN,
    STAT_CLOSED_PASSIVE_RST,
    STAT_CLOSED_PASSIVE_FIN_RST,
    STAT_CLOSED_PASSIVE_WAIT,
    STAT_CLOSED_UNCONNECTED, /* never connected, or reset by the peer before */
    STAT_UNSENT_BYTES,       /* in the send queue at close() under rst: discarded */
    STAT_UNREAD,             /* closed with unread data: the kernel resets in any mode */
    STAT_ABORTS,             /* shutdown(SHUT_RDWR) made an abort */
    STAT_REUSEADDR_SET,
    STAT_REUSEADDR_CLEARED,
    STAT_REUSEPORT_SET,
    STAT_REUSEPORT_CLEARED,
    STAT_BIND_FAILED, /* with EADDRINUSE */
    STAT_OVERRIDDEN,  /* the program's own SO_LINGER or TCP_LINGER2 was overruled */
    STAT_FAILED,      /* an option could not be applied */
    STAT_LOG_LOST,    /* a log line could not be written */
    STAT_COUNT
};

struct stats {
    char magic[8];       /* "linger\0" and the layout's version */
    uint32_t byte_order; /* 0x01020304 */
    uint32_t count;      /* STAT_COUNT */
    uint64_t values[STAT_COUNT];
};

enum stats_status {
    STATS_OK,
    STATS_FAILED,  /* errno */
    STATS_FOREIGN, /* no file of counters of ours, or of another version: left as it is */
};

/* Maps the file: to count in it, created if absent, or to read it. */
enum stats_status stats_open(const char *path, bool to_count, struct stats **stats);
void stats_close(struct stats *stats);

/* Adds `amount`; nothing where `stats` is NULL. */
void stats_add(struct stats *stats, enum stats_counter counter, uint64_t amount);
uint64_t stats_get(const struct stats *stats, enum stats_counter counter);

/* The counter of a closed connection; `has_verdict` false where no rule matched. */
enum stats_counter stats_closed(bool passive, bool has_verdict, enum policy_mode mode);

/* The counter of a socket armed; `mode` is not MODE_OFF. */
enum stats_counter stats_armed(enum policy_mode mode);

#endif
