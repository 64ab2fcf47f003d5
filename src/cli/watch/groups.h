/* SPDX-License-Identifier: MIT */
/* Connections that ended alike, counted. */
#pragma once

#include "cli/watch/connections.h"

#define GROUPS_MAX 4096  /* what has no place of its own is in `others` */
#define GROUPS_PORTS 256 /* with RST that belong to no connection */

/* What the connections of a group have in common, of which a server's port or a client's peer. */
struct group_key {
    uint64_t ending; /* role, first, how, then, reason, left, port */
    uint64_t high, low;
    char program[RECORD_NAME_MAX];
};

struct group {
    struct group_key key;
    struct connection like; /* the first of them */
    bool is_one_process;    /* all were of like.pid */
    bool is_one_peer;       /* all were with like.peer */
    unsigned long count;
    unsigned long brief; /* that lived less than GROUPS_BRIEF */
};

#define GROUPS_BRIEF 20000000u /* ns */

/* RST for packets of no connection. */
struct group_port {
    uint16_t port;
    unsigned long nobody;    /* listens there */
    unsigned long late;      /* for connections that are gone */
    unsigned long time_wait; /* for data that came in TIME_WAIT */
};

struct groups {
    struct group items[GROUPS_MAX];
    size_t count;
    unsigned long ended;  /* connections, `others` among them */
    unsigned long failed; /* connect() that led to none */
    unsigned long others;
    struct group_port ports[GROUPS_PORTS];
    size_t port_count;
    uint64_t lost; /* events */
    size_t places[2 * GROUPS_MAX];
    const struct group *order[GROUPS_MAX]; /* of groups_sort() */
};

/* Zeroed first. */
void groups_add(struct groups *g, const struct connection *c);

/* `is_late`: it answers what came for a connection that is gone. */
void groups_add_reset(struct groups *g, const struct record *record, bool is_late);

/* Puts them in order, the most first. */
void groups_sort(struct groups *g);

/* Did the connection come into being? */
bool groups_is_connection(const struct connection *c);
