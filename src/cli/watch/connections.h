/* SPDX-License-Identifier: MIT */
/* What the events say of a connection: who closed it first, how, and what that left here. */
#pragma once

#include "cli/trace/scope.h"
#include "socket/diag.h"

enum connection_end { END_UNSEEN, END_SERVER, END_CLIENT };

enum connection_first { FIRST_NOBODY, FIRST_HERE, FIRST_PEER, FIRST_BOTH };

enum connection_how {
    HOW_FIN,
    HOW_RST,
    HOW_TIMEOUT,    /* the peer no longer answered */
    HOW_REFUSED,    /* from here on it did not come into being: connect() was answered with RST */
    HOW_UNANSWERED, /* connect() was not answered, or by ICMP */
    HOW_GIVEN_UP,   /* the program closed while it connected */
    HOW_NO_PORT,    /* connect() found no free local port */
};

/* What came after the first FIN, other than the second. */
enum connection_then { THEN_NOTHING, THEN_SENT_RST, THEN_GOT_RST, THEN_TIMEOUT };

enum connection_left { LEFT_NOTHING, LEFT_TIME_WAIT, LEFT_FIN_WAIT2 };

struct connection {
    uint64_t socket;
    struct policy_ip local;
    struct policy_ip peer;
    uint16_t local_port;
    uint16_t peer_port;
    enum connection_end role;
    enum connection_first first;
    enum connection_how how;
    enum connection_then then;
    enum record_reason reason; /* of the RST that we sent */
    enum connection_left left;
    pid_t pid;                     /* who closed here, or else who connected; 0: unseen */
    char program[RECORD_NAME_MAX]; /* its name at that moment */
    bool is_closer;                /* `pid` closed it */
    enum scope_whose whose;
    uint64_t began; /* ns; 0: before we looked */
    uint64_t ended;
    uint64_t since[DIAG_STATES]; /* when it entered each state; 0: not seen */
    /* While it lives. */
    uint8_t state;
    bool got_reset, sent_reset, sent_in_call, sent_unasked, sent_held_off;
    struct connection *next, *next_ended;
};

struct connections;

struct connections *connections_new(void);
void connections_free(struct connections *c);

/* Takes an event in. Returns false if memory ran out. */
bool connections_see(struct connections *c, const struct record *record, struct scope_actor actor);

/*
 * The next connection that ended before that time, classified; the caller frees it. NULL: none. It
 * may hold FIN_WAIT2 still, of which there is no event: `left` is TIME_WAIT then.
 */
struct connection *connections_next_ended(struct connections *c, uint64_t before);

/* Did a connection with these ends end recently? Then what comes for it is late. */
bool connections_is_former(const struct connections *c, const struct record *record);

/* How many are in CLOSE_WAIT since before that time. */
size_t connections_unclosed(const struct connections *c, uint64_t since);
