/* SPDX-License-Identifier: MIT */
/*
 * The advice under the table. Each finding is one function, which names the largest group that
 * shows it, whether it hurts, and the way out. Must never name a remedy that does not cure it.
 */
#include "cli/watch/findings.h"

#include <inttypes.h>

#include "cli/cli.h"
#include "policy/address.h"

#define CHECKS 3 /* as many resets of one peer, each at once, are a habit */
#define TIME_WAIT_SHARE                                                                            \
    100 /* one in so many is left by ends that close at once, under fin-rst too */

enum finding {
    UNREAD,
    ABORTED,
    UNACCEPTED,
    ACKED,
    LATE,
    PEERS_RESET,
    NO_ANSWER,
    NO_PORT,
    TIME_WAIT,
    HELD,
    FINDINGS,
};

/* Puts the largest group that shows a finding in its place. */
static void find(const struct groups *g, const struct group *largest[FINDINGS])
{
    for (size_t i = g->count; i-- > 0;) {
        const struct connection *c = &g->order[i]->like;
        bool is_here = address_is_same(c->local, c->peer); /* the other end has the reason */
        const bool shows[FINDINGS] = {
            [UNREAD] = c->reason == REASON_UNREAD,
            [ABORTED] = c->reason == REASON_ABORTED,
            [UNACCEPTED] = c->reason == REASON_UNACCEPTED,
            [ACKED] = c->reason == REASON_ORPHAN,
            [LATE] = c->reason == REASON_LATE,
            [PEERS_RESET] = c->how == HOW_RST && c->first == FIRST_PEER && !is_here,
            [NO_ANSWER] = c->how == HOW_TIMEOUT || c->then == THEN_TIMEOUT,
            [NO_PORT] = c->how == HOW_NO_PORT,
            [TIME_WAIT] = c->left == LEFT_TIME_WAIT,
            [HELD] = c->left == LEFT_FIN_WAIT2,
        };
        for (enum finding f = 0; f < FINDINGS; f++)
            largest[f] = shows[f] ? g->order[i] : largest[f];
    }
}

static const char *program_of(const struct group *group)
{
    return group->like.program[0] ? group->like.program : "the program";
}

struct way {
    char text[256];
};

/* How that policy gets there: into the process that runs, where it is one, and from its start. */
static struct way way_to(const struct group *group, const char *policy)
{
    struct way way;

    if (group->is_one_process && group->like.pid != 0)
        snprintf(way.text, sizeof(way.text),
                 "`linger supervise -m %s %d`, or start it by `linger run -m %s`", policy,
                 (int)group->like.pid, policy);
    else
        snprintf(way.text, sizeof(way.text), "start it by `linger run -m %s`", policy);
    return way;
}

/* Connects and resets at once, again and again. */
static bool is_check(const struct group *group)
{
    return group->brief == group->count && group->count >= CHECKS && group->is_one_peer;
}

static void say_resets(struct advice *a, const struct group *const largest[FINDINGS])
{
    const struct group *group;

    if ((group = largest[UNREAD]))
        advice_say(
            a,
            "unread data: %s closes before it has read what came, so the kernel sends RST and "
            "the peer may lose the reply; no mode cures it: %s has to read until EOF before "
            "close() (liblinger(7), CAVEATS)",
            program_of(group), program_of(group));
    if ((group = largest[ABORTED]) && group->like.role == END_CLIENT && is_check(group))
        advice_say(a,
                   "SO_LINGER 0: %s connects to %s and resets at once, as a health check does, and "
                   "it does no harm",
                   program_of(group), cli_endpoint(group->like.peer, group->like.peer_port));
    else if (group)
        advice_say(a,
                   "SO_LINGER 0: %s aborts its connections itself, or linger does it with rst; "
                   "fin overrules the program: %s",
                   program_of(group), way_to(group, "fin").text);
    if ((group = largest[UNACCEPTED]))
        advice_say(a, "not accepted: %s closed its listener while connections waited for accept()",
                   program_of(group));
    if ((group = largest[ACKED]))
        advice_say(a,
                   "RST after close() is normal under fin-rst: it answers the ACK of the FIN, and "
                   "no TIME_WAIT is left; without fin-rst data came with that ACK, and %s has to "
                   "read until EOF before close()",
                   program_of(group));
    if ((group = largest[LATE]))
        advice_say(a,
                   "data after close(): it came for a connection that %s had closed, so the kernel "
                   "sends RST; %s has to read until EOF before close()",
                   program_of(group), program_of(group));
}

static void say_peers(struct advice *a, const struct group *const largest[FINDINGS])
{
    const struct group *group;

    if ((group = largest[PEERS_RESET]) && group->like.role == END_SERVER && is_check(group))
        advice_say(a,
                   "%s connects to port %u and resets at once, as a health check does; it does no "
                   "harm, and if it is none, the reason is at its end",
                   cli_endpoint(group->like.peer, 0), group->like.local_port);
    else if (group)
        advice_say(a,
                   "the peer resets: the reason is at its end, where `linger watch` shows it; here "
                   "reads fail with ECONNRESET, and nothing here prevents it");
    if ((group = largest[NO_ANSWER]))
        advice_say(a,
                   "timeout: %s no longer answers: it is down, or a firewall or NAT between has "
                   "forgotten the connection",
                   cli_endpoint(group->like.peer, 0));
}

static void say_ports(struct advice *a, const struct groups *g,
                      const struct group *const largest[FINDINGS])
{
    const struct group *group;

    if ((group = largest[NO_PORT]))
        advice_say(a,
                   "no local port: connect() to %s failed (EADDRNOTAVAIL), as other connections "
                   "and TIME_WAIT hold all ports; `linger states` shows which, and what helps",
                   cli_endpoint(group->like.peer, group->like.peer_port));
    if ((group = largest[TIME_WAIT]) && group->count < g->ended / TIME_WAIT_SHARE)
        group = NULL;
    if (group && group->like.role == END_CLIENT)
        advice_say(a,
                   "%s closes first: each connection to %s holds a port for 60 s; at some hundred "
                   "a second ports run out (`linger states`); no TIME_WAIT is left under fin-rst: "
                   "%s",
                   program_of(group), cli_endpoint(group->like.peer, group->like.peer_port),
                   way_to(group, "'fin-rst role=client'").text);
    else if (group)
        advice_say(a,
                   "%s closes first at port %u: its TIME_WAIT does no harm while it runs; for a "
                   "restart both runs need SO_REUSEADDR (linger run -r); `linger attach -m fin-rst "
                   "-p %u` leaves none",
                   program_of(group), group->like.local_port, group->like.local_port);
    if ((group = largest[HELD]))
        advice_say(a,
                   "FIN_WAIT2: the peer of %s has not closed its end; the kernel forgets it after "
                   "tcp_fin_timeout, fin-rst at once",
                   program_of(group));
}

void findings_print(struct advice *advice, const struct groups *g, size_t unclosed,
                    const uint64_t growth[COUNTER_COUNT], bool has_reasons)
{
    const struct group *largest[FINDINGS] = {NULL};

    find(g, largest);
    say_resets(advice, largest);
    say_peers(advice, largest);
    say_ports(advice, g, largest);
    if (!has_reasons && growth[COUNTER_SENT_RESETS] > 0)
        advice_say(
            advice,
            "before Linux 6.10 no reason of a RST is known, and none is seen that belongs to "
            "no connection; by the counters of this namespace %" PRIu64 " RST were sent, %" PRIu64
            " for unread data, %" PRIu64 " by SO_LINGER 0 or after close()",
            growth[COUNTER_SENT_RESETS], growth[COUNTER_UNREAD], growth[COUNTER_ABORTED]);
    if (unclosed > 0)
        advice_say(advice,
                   "%zu in CLOSE_WAIT for more than %d s: the peer has closed and the program has "
                   "not; `linger states` names it, `linger close -m fin --state close-wait PID` "
                   "ends them",
                   unclosed, FINDINGS_UNCLOSED);
    if (growth[COUNTER_OVERFLOWS] > 0)
        advice_say(advice,
                   "%" PRIu64 " SYN or ACK were dropped as the queue of a listener was full: raise "
                   "its backlog (up to somaxconn), or accept faster",
                   growth[COUNTER_OVERFLOWS]);
}
