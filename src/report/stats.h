/* SPDX-License-Identifier: MIT */
/*
 * Counters in a small mapped file, shared by all processes that name it. Exact under threads and
 * processes (each count is one atomic addition), they survive SIGKILL, and no descriptor is kept.
 * A file that is cut short, or whose file system is full, loses counts and harms no program.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "socket/sock.h"

enum stats_counter {
    /* Sockets armed, by mode from MODE_FIN on; connections that inherit are not counted. */
    STAT_ARMED = 0,
    /* close() of a connection, by the verdict on it: none, and then by mode */
    STAT_CLOSED_ACTIVE = STAT_ARMED + MODE_TEARDOWNS - MODE_FIN,
    STAT_CLOSED_PASSIVE = STAT_CLOSED_ACTIVE + 1 + MODE_TEARDOWNS,
    /* never connected, or already reset by the peer */
    STAT_CLOSED_UNCONNECTED = STAT_CLOSED_PASSIVE + 1 + MODE_TEARDOWNS,
    STAT_UNSENT_BYTES, /* in the send queue at close() under rst: discarded */
    STAT_UNREAD,       /* closed with unread data: the kernel resets whatever the mode */
    STAT_ABORTS,       /* shutdown(SHUT_RDWR) turned into an abort */
    STAT_REUSEADDR_SET,
    STAT_REUSEADDR_CLEARED,
    STAT_REUSEPORT_SET,
    STAT_REUSEPORT_CLEARED,
    STAT_BIND_NO_PORT_SET,
    STAT_BIND_NO_PORT_CLEARED,
    STAT_BIND_FAILED, /* with EADDRINUSE or EADDRNOTAVAIL */
    STAT_CONNECT_FAILED,
    STAT_OVERRIDDEN,  /* the program's own SO_LINGER or TCP_LINGER2 was overruled */
    STAT_FAILED,      /* an option could not be applied */
    STAT_INTERRUPTED, /* a signal interrupted a call before the supervisor read it */
    STAT_LOG_LOST,    /* a log line could not be written */
    STAT_COUNT
};

struct stats {
    char magic[8];       /* "linger\0" and the layout's version */
    uint32_t byte_order; /* 0x01020304 */
    uint32_t count;      /* STAT_COUNT */
    struct {
        uint32_t low;   /* of the sum */
        uint32_t units; /* about how many of 2^16 it has: stats.c */
    } sums[STAT_COUNT];
};

enum stats_status {
    STATS_OK,
    STATS_FAILED,  /* errno */
    STATS_FOREIGN, /* not a file of counters, or of another version: left as it is */
};

/* Maps the file to count in it, created if absent. */
enum stats_status stats_open(const char *path, struct stats **stats);

/* Copies what the file has now. */
enum stats_status stats_read(const char *path, struct stats *copy);

/* Adds `amount`. False, and errno, where the file cannot be written any more. */
bool stats_add(struct stats *stats, enum stats_counter counter, uint32_t amount);
uint64_t stats_get(const struct stats *stats, enum stats_counter counter);

/* The counter of a closed connection; `has_verdict` false where no rule matched. */
enum stats_counter stats_closed(bool passive, bool has_verdict, enum policy_mode mode);

/* The counter of a socket armed; `mode` is not MODE_OFF. */
enum stats_counter stats_armed(enum policy_mode mode);

/* The counter of an option that was set or cleared before bind(). */
enum stats_counter stats_switched(enum sock_switch option, bool on);
