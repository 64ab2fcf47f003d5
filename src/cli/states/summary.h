/* SPDX-License-Identifier: MIT */
/* What a dump of TCP sockets adds up to: counted once, printed by states.c in its three forms. */
#pragma once

#include <sys/types.h>

#include "cli/process/holders.h"
#include "cli/sockets/bystate.h"
#include "cli/sockets/sockets.h"
#include "socket/role.h"

#define TIME_WAIT_SECONDS 60 /* TCP_TIMEWAIT_LEN, include/net/tcp.h: fixed in the kernel */

/*
 * A destination that this machine connects to (address and port), or a peer (address alone) of a
 * port that this machine serves.
 */
struct summary_peer {
    struct policy_ip local; /* of a destination: ports are used up for each local address */
    struct policy_ip peer;
    uint16_t peer_port;  /* of a destination, else 0 */
    uint16_t local_port; /* of a served port, or one that a client chose; else 0 */
    unsigned time_wait;
    unsigned used; /* of a destination: ephemeral ports towards it, TIME_WAIT among them */
};

/* Settings, sysctl(8), each a number. */
enum summary_sysctl {
    SYSCTL_TW_REUSE,       /* 0 no, 1 yes, 2 on loopback */
    SYSCTL_TW_REUSE_DELAY, /* milliseconds; Linux 6.14 */
    SYSCTL_TIMESTAMPS,     /* without which no port is reused */
    SYSCTL_MAX_TW_BUCKETS,
    SYSCTL_FIN_TIMEOUT, /* seconds */
    SYSCTL_SOMAXCONN,
    SYSCTLS,
};

/* Below /proc/sys/net. */
extern const char *const summary_sysctls[SYSCTLS];

/* A port that this host serves. */
struct summary_served {
    uint16_t port;
    bool is_listening;
    unsigned time_wait;
};

/* Who holds some of the sockets. */
struct summary_holders {
    struct holder *holders; /* one entry a socket, by pid */
    size_t count;
    size_t unseen;  /* sockets whose process we may not inspect */
    size_t orphans; /* closed already: no process holds them */
};

/* States that last until the program calls close(). */
enum summary_unclosed {
    UNCLOSED_CLOSE_WAIT,
    UNCLOSED_FIN_WAIT2,
    UNCLOSED_CLOSED, /* not in the kernel's list */
    UNCLOSED_KINDS,
};

struct summary {
    struct bystate states;
    struct summary_peer *peers; /* the most TIME_WAIT first */
    size_t peer_count;
    struct summary_peer busiest;     /* the destination with the most held ports; none: used is 0 */
    struct summary_served served;    /* the port with the most TIME_WAIT; none: time_wait is 0 */
    bool is_exposed[UINT16_MAX + 1]; /* ports listened on that clients may get while nobody does */
    size_t exposed_count;
    struct diag_socket full; /* a listener with a full accept queue; none: state is 0 */
    struct summary_holders unclosed[UNCLOSED_KINDS];
    struct role_range range;
    int sysctls[SYSCTLS]; /* -1 where it cannot be read */
};

/* Sums up. Returns 0, or -1 and errno. summary_free() frees what it allocated. */
int summary_make(struct summary *sum, const struct sockets *sockets);
void summary_free(struct summary *sum);

/*
 * Finds who holds the sockets in some states, with that local port unless it is 0. Without /proc
 * nobody is found. Returns 0, or -1 if memory ran out.
 */
int summary_find_holders(struct summary_holders *h, const struct sockets *sockets, uint32_t states,
                         long port);

/* Ephemeral ports in the range. */
unsigned summary_range(const struct summary *sum);

/* Does the kernel reuse ports in TIME_WAIT towards that destination (tcp_twsk_unique())? */
bool summary_is_reused(const struct summary *sum, const struct summary_peer *peer);

/* Seconds for which TIME_WAIT holds a port of that destination. */
double summary_seconds(const struct summary *sum, const struct summary_peer *peer);

/* Ports of that destination that a new connection cannot have. */
unsigned summary_held(const struct summary *sum, const struct summary_peer *peer);

/* New connections a second that it can sustain. */
unsigned summary_rate(const struct summary *sum, const struct summary_peer *peer);
