/* SPDX-License-Identifier: MIT */
/*
 * Connections by the address of their struct sock, from the first event of each to the last. Pure:
 * knows neither the tracepoints nor /proc. What each transition means stands here and nowhere else.
 */
#include "cli/watch/connections.h"

#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#define PLACES 65536
#define FORMER 4096 /* the last ones that ended, by a hash of their ends */

struct connections {
    struct connection *places[PLACES]; /* chains, by a hash of the socket's address */
    struct connection *ended, **ended_end;
    uint64_t former[FORMER];
};

static uint64_t mix(uint64_t value)
{
    value *= 0x9e3779b97f4a7c15u;
    return value ^ value >> 29;
}

struct connections *connections_new(void)
{
    struct connections *c = calloc(1, sizeof(*c));

    if (c)
        c->ended_end = &c->ended;
    return c;
}

static struct connection **place_of(struct connections *c, uint64_t socket)
{
    struct connection **place = &c->places[mix(socket) % PLACES];

    while (*place && (*place)->socket != socket)
        place = &(*place)->next;
    return place;
}

static struct connection *add(struct connections *c, const struct record *record)
{
    struct connection **place = place_of(c, record->socket);

    *place = calloc(1, sizeof(**place));
    if (*place)
        (*place)->socket = record->socket;
    return *place;
}

static void unlink_one(struct connections *c, struct connection *one)
{
    struct connection **place = place_of(c, one->socket);

    if (*place == one)
        *place = one->next;
}

/* The address of a struct sock is used again. */
static void forget(struct connections *c, struct connection *one)
{
    unlink_one(c, one);
    if (one->ended == 0) /* what was there before has ended unseen */
        free(one);
}

static uint64_t ends_of(struct policy_ip local, uint16_t local_port, struct policy_ip peer,
                        uint16_t peer_port)
{
    uint64_t ports = (uint64_t)local_port << 16 | peer_port;

    return mix(local.high ^ mix(local.low ^ mix(peer.high ^ mix(peer.low ^ mix(ports))))) | 1;
}

bool connections_is_former(const struct connections *c, const struct record *record)
{
    uint64_t ends = ends_of(record->local, record->local_port, record->peer, record->peer_port);

    return c->former[mix(ends) % FORMER] == ends;
}

static void note_who(struct connection *one, const struct record *record, struct scope_actor actor)
{
    one->pid = record->pid;
    memset(one->program, 0, sizeof(one->program));
    strncpy(one->program, actor.name, sizeof(one->program) - 1);
}

/* It waits: the RST that closes it is sent a moment later. */
static void end(struct connections *c, struct connection *one, const struct record *record,
                struct scope_actor actor)
{
    uint64_t ends = ends_of(one->local, one->local_port, one->peer, one->peer_port);

    c->former[mix(ends) % FORMER] = ends;
    one->state = record->from;
    one->ended = record->time;
    one->next_ended = NULL;
    *c->ended_end = one;
    c->ended_end = &one->next_ended;
    if (record->is_call && !one->got_reset && !one->is_closer) {
        note_who(one, record, actor);
        one->is_closer = record->from == TCP_SYN_SENT;
    }
}

static void see_state(struct connection *one, const struct record *record, struct scope_actor actor)
{
    bool is_close = false;

    switch (record->to) {
    case TCP_SYN_SENT:
        one->role = END_CLIENT;
        note_who(one, record, actor);
        break;
    case TCP_ESTABLISHED:
        one->role = record->from == TCP_SYN_SENT ? END_CLIENT : END_SERVER;
        one->began = record->time;
        break;
    case TCP_FIN_WAIT1:
        one->first = FIRST_HERE;
        is_close = true;
        break;
    case TCP_FIN_WAIT2: /* tcp_close() sets it once more */
        is_close = record->from == TCP_FIN_WAIT2;
        break;
    case TCP_CLOSE_WAIT:
        one->first = FIRST_PEER;
        break;
    case TCP_LAST_ACK:
        is_close = true;
        break;
    case TCP_CLOSING:
        one->first = FIRST_BOTH;
        break;
    default:
        break;
    }
    if (is_close && record->is_call) {
        note_who(one, record, actor);
        one->is_closer = true;
    }
}

static void see_sent_reset(struct connection *one, const struct record *record)
{
    one->sent_reset = true;
    one->sent_in_call = record->is_call;
    one->sent_held_off = record->no_softirq;
    one->sent_unasked = one->ended == 0;
    one->reason = record->reason;
}

static bool see_change(struct connections *c, const struct record *record, struct scope_actor actor)
{
    if (record->from == TCP_LISTEN || record->to == TCP_LISTEN)
        return true;
    struct connection *one = *place_of(c, record->socket);
    if (one && (one->ended != 0 || record->from == TCP_CLOSE)) {
        forget(c, one);
        one = NULL;
    }
    if (!one && record->from == TCP_CLOSE && record->to == TCP_CLOSE)
        return true;
    if (!one && !(one = add(c, record)))
        return false;
    if (record->peer_port != 0) {
        one->local = record->local;
        one->peer = record->peer;
        one->local_port = record->local_port;
        one->peer_port = record->peer_port;
    }
    if (record->from == TCP_CLOSE_WAIT || record->from == TCP_LAST_ACK)
        one->first = FIRST_PEER;
    else if (one->first == FIRST_NOBODY &&
             (record->from == TCP_FIN_WAIT1 || record->from == TCP_FIN_WAIT2))
        one->first = FIRST_HERE;
    if (record->is_call && one->whose != WHOSE_WANTED && actor.whose != WHOSE_UNKNOWN)
        one->whose = actor.whose;
    one->state = record->to;
    one->since[record->to < DIAG_STATES ? record->to : 0] = record->time;
    if (record->to == TCP_CLOSE)
        end(c, one, record, actor);
    else
        see_state(one, record, actor);
    return true;
}

bool connections_see(struct connections *c, const struct record *record, struct scope_actor actor)
{
    struct connection *one;

    if (record->socket == 0)
        return true;
    if (record->kind == RECORD_STATE)
        return see_change(c, record, actor);
    one = *place_of(c, record->socket);
    /* Ports too: at this address there may be another socket now, whose begin was filtered out. */
    if (record->kind == RECORD_SENT_RESET && one && one->local_port == record->local_port &&
        one->peer_port == record->peer_port) {
        see_sent_reset(one, record);
    } else if (record->kind == RECORD_GOT_RESET && (!one || one->ended == 0)) {
        /* One that was not seen before: the next event is its end. */
        if (!one && !(one = add(c, record)))
            return false;
        one->got_reset = true;
    }
    return true;
}

/* The kernel's reason, or what more the events show. */
static enum record_reason why(const struct connection *one)
{
    enum record_reason reason = one->reason;

    /* tcp_abort() and the keepalive timer send it first, and then close. */
    if (one->sent_unasked && one->sent_in_call &&
        (reason == REASON_ABORTED || reason == REASON_UNKNOWN))
        return REASON_DESTROYED;
    if (one->sent_unasked && reason == REASON_UNREAD) /* mptcp_do_fastclose() names that reason */
        return REASON_MPTCP;
    if (one->sent_unasked && reason == REASON_UNKNOWN)
        return REASON_KEEPALIVE;
    if (reason == REASON_ABORTED && !one->sent_in_call)
        return REASON_OTHER;
    /* inet_csk_listen_stop() holds softirqs off, close() does not. */
    if (reason == REASON_ABORTED && one->sent_held_off)
        return REASON_UNACCEPTED;
    /* Without a reason: tcp_rcv_state_process() answers for an orphan, in a softirq. */
    if (reason == REASON_UNKNOWN && !one->sent_in_call)
        reason = REASON_ORPHAN;
    /* To data it calls tcp_reset() first, which says that a RST was received. */
    return reason == REASON_ORPHAN && one->got_reset ? REASON_LATE : reason;
}

static void classify_connect(struct connection *one)
{
    if (one->local_port == 0) /* it goes to SYN_SENT first, and then chooses one */
        one->how = HOW_NO_PORT;
    else
        one->how = one->got_reset ? HOW_REFUSED : one->is_closer ? HOW_GIVEN_UP : HOW_UNANSWERED;
}

/* No FIN of either end came first. */
static void classify_abort(struct connection *one)
{
    bool is_kept_alive = one->sent_reset && one->reason == REASON_KEEPALIVE;
    bool is_reset = !is_kept_alive && (one->sent_reset || one->got_reset);

    one->how = is_reset ? HOW_RST : HOW_TIMEOUT; /* tcp_write_err() */
    if (is_reset)
        one->first = one->sent_reset ? FIRST_HERE : FIRST_PEER;
    if (is_reset && one->sent_reset)
        one->is_closer = true;
}

static void classify(struct connection *one)
{
    if (one->sent_reset)
        one->reason = why(one);
    if (one->state == TCP_SYN_SENT) {
        classify_connect(one);
        return;
    }
    if (one->began == 0) /* TRACEPOINTS_ENDS */
        one->began = one->since[TCP_SYN_SENT];
    if (one->first == FIRST_NOBODY) {
        classify_abort(one);
        return;
    }
    one->how = HOW_FIN;
    /* Data for an orphan makes the kernel call tcp_reset() without a RST received: it is ours. */
    if (one->sent_reset) {
        one->then = THEN_SENT_RST;
        one->is_closer |= one->sent_in_call;
    } else if (one->got_reset) {
        one->then = THEN_GOT_RST;
    } else if (one->state == TCP_FIN_WAIT1 || one->state == TCP_CLOSE_WAIT) {
        one->then = THEN_TIMEOUT;
    } else if (one->state == TCP_FIN_WAIT2 || one->state == TCP_CLOSING) {
        one->left = LEFT_TIME_WAIT;
    }
}

struct connection *connections_next_ended(struct connections *c, uint64_t before)
{
    struct connection *one = c->ended;

    if (!one || one->ended >= before)
        return NULL;
    c->ended = one->next_ended;
    if (!c->ended)
        c->ended_end = &c->ended;
    unlink_one(c, one);
    classify(one);
    return one;
}

size_t connections_unclosed(const struct connections *c, uint64_t since)
{
    size_t count = 0;

    for (size_t i = 0; i < PLACES; i++) {
        for (const struct connection *one = c->places[i]; one; one = one->next)
            count += one->ended == 0 && one->state == TCP_CLOSE_WAIT &&
                     one->since[TCP_CLOSE_WAIT] < since;
    }
    return count;
}

void connections_free(struct connections *c)
{
    for (struct connection *one; (one = connections_next_ended(c, UINT64_MAX));)
        free(one);
    for (size_t i = 0; i < PLACES; i++) {
        for (struct connection *one = c->places[i], *next; one; one = next) {
            next = one->next;
            free(one);
        }
    }
    free(c);
}
