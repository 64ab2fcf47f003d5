/* SPDX-License-Identifier: MIT */
/*
 * The advice under the table. Each finding is one function, which names the largest group that
 * shows it, whether it hurts, and the way out. Must never name a remedy that does not cure it.
 */
#include "cli/watch/findings.h"

#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "cli/cli.h"

#define CHECKS 3 /* as many resets of one peer, each at once, are a habit */
#define TIME_WAIT_SHARE                                                                            \
    100 /* one in so many is left by ends that close at once, under fin-rst too */

struct name {
    char text[4 * RECORD_NAME_MAX];
};

static struct name name_of(const struct connection *c)
{
    struct name name = {""};
    struct text out;

    text_begin(&out, name.text, sizeof(name.text));
    if (c->program[0] == '\0')
        text_put(&out, "the program");
    text_put_printable(&out, c->program, strlen(c->program));
    return name;
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

typedef bool is_finding(const struct connection *c);

/* The largest group that shows it; NULL: none. */
static const struct group *largest(const struct groups *g, is_finding *is_it)
{
    for (size_t i = 0; i < g->count; i++) {
        if (is_it(&g->order[i]->like))
            return g->order[i];
    }
    return NULL;
}

static bool is_time_wait(const struct connection *c)
{
    return c->left == LEFT_TIME_WAIT;
}

static void say_time_wait(struct advice *a, const struct groups *g)
{
    const struct group *group = largest(g, is_time_wait);

    if (!group || group->count < g->ended / TIME_WAIT_SHARE)
        return;
    const struct connection *c = &group->like;
    if (c->role == END_CLIENT)
        advice_say(a,
                   "%s closes first: each connection to %s holds a port for 60 s; at some hundred "
                   "a second ports run out (`linger states`); no TIME_WAIT is left under fin-rst: "
                   "%s",
                   name_of(c).text, cli_endpoint(c->peer, c->peer_port),
                   way_to(group, "'fin-rst role=client'").text);
    else
        advice_say(a,
                   "%s closes first at port %u: its TIME_WAIT does no harm while it runs; for a "
                   "restart both runs need SO_REUSEADDR (linger run -r); `linger attach -m fin-rst "
                   "-p %u` leaves none",
                   name_of(c).text, c->local_port, c->local_port);
}

static bool is_held(const struct connection *c)
{
    return c->left == LEFT_FIN_WAIT2;
}

static void say_held(struct advice *a, const struct groups *g)
{
    const struct group *group = largest(g, is_held);

    if (group)
        advice_say(a,
                   "FIN_WAIT2: the peer of %s has not closed its end; the kernel forgets it after "
                   "tcp_fin_timeout, fin-rst at once",
                   name_of(&group->like).text);
}

static bool is_unread(const struct connection *c)
{
    return c->why == WHY_UNREAD;
}

static void say_unread(struct advice *a, const struct groups *g)
{
    const struct group *group = largest(g, is_unread);

    if (group)
        advice_say(
            a,
            "unread data: %s closes before it has read what came, so the kernel sends RST and "
            "the peer may lose the reply; no mode cures it: %s has to read until EOF before "
            "close() (liblinger(7), CAVEATS)",
            name_of(&group->like).text, name_of(&group->like).text);
}

/* Connects and resets at once, again and again. */
static bool is_check(const struct group *group)
{
    return group->brief == group->count && group->count >= CHECKS && group->is_one_peer;
}

static bool is_aborted(const struct connection *c)
{
    return c->why == WHY_ABORTED;
}

static void say_aborted(struct advice *a, const struct groups *g)
{
    const struct group *group = largest(g, is_aborted);

    if (group && group->like.role == END_CLIENT && is_check(group))
        advice_say(a,
                   "SO_LINGER 0: %s connects to %s and resets at once, as a health check does, and "
                   "it does no harm",
                   name_of(&group->like).text,
                   cli_endpoint(group->like.peer, group->like.peer_port));
    else if (group)
        advice_say(a,
                   "SO_LINGER 0: %s aborts its connections itself, or linger does it with rst; "
                   "fin overrules the program: %s",
                   name_of(&group->like).text, way_to(group, "fin").text);
}

static bool is_late(const struct connection *c)
{
    return c->why == WHY_ORPHAN;
}

static void say_late(struct advice *a, const struct groups *g)
{
    const struct group *group = largest(g, is_late);

    if (!group)
        return;
    if (group->like.how == HOW_FIN && group->like.first == FIRST_HERE)
        advice_say(a, "RST after close() is normal under fin-rst: it answers the ACK of the FIN, "
                      "and no TIME_WAIT is left");
    advice_say(a,
               "RST after close() without fin-rst: data came that %s no longer waited for; it has "
               "to read until EOF before close()",
               name_of(&group->like).text);
}

static bool is_unaccepted(const struct connection *c)
{
    return c->why == WHY_UNACCEPTED;
}

static void say_unaccepted(struct advice *a, const struct groups *g)
{
    const struct group *group = largest(g, is_unaccepted);

    if (group)
        advice_say(a, "not accepted: %s closed its listener while connections waited for accept()",
                   name_of(&group->like).text);
}

/* Where both ends are here, the table has the reason at the other one. */
static bool is_peers_reset(const struct connection *c)
{
    bool is_here = c->local.high == c->peer.high && c->local.low == c->peer.low;

    return c->how == HOW_RST && c->first == FIRST_PEER && !is_here;
}

static void say_peers_reset(struct advice *a, const struct groups *g)
{
    const struct group *group = largest(g, is_peers_reset);

    if (!group)
        return;
    if (group->like.role == END_SERVER && is_check(group))
        advice_say(a,
                   "%s connects to port %u and resets at once, as a health check does; it does no "
                   "harm, and if it is none, the reason is at its end",
                   cli_endpoint(group->like.peer, 0), group->like.local_port);
    else
        advice_say(a,
                   "the peer resets: the reason is at its end, where `linger watch` shows it; here "
                   "reads fail with ECONNRESET, and nothing here prevents it");
}

static bool is_timeout(const struct connection *c)
{
    return c->how == HOW_TIMEOUT || c->then == THEN_TIMEOUT;
}

static void say_timeout(struct advice *a, const struct groups *g)
{
    const struct group *group = largest(g, is_timeout);

    if (group)
        advice_say(a,
                   "timeout: %s no longer answers: it is down, or a firewall or NAT between has "
                   "forgotten the connection",
                   cli_endpoint(group->like.peer, 0));
}

static bool is_portless(const struct connection *c)
{
    return c->how == HOW_NO_PORT;
}

static void say_portless(struct advice *a, const struct groups *g)
{
    const struct group *group = largest(g, is_portless);

    if (group)
        advice_say(a,
                   "no local port: connect() to %s failed (EADDRNOTAVAIL), as other connections "
                   "and TIME_WAIT hold all ports; `linger states` shows which, and what helps",
                   cli_endpoint(group->like.peer, group->like.peer_port));
}

static void say_sums(struct advice *a, const struct findings *f)
{
    if (f->unread + f->aborted > 0)
        advice_say(a,
                   "this kernel gives no reasons for its RST (Linux 6.10 does); by the counters of "
                   "this namespace %" PRIu64 " closed with unread data, %" PRIu64
                   " by SO_LINGER 0 or after close()",
                   f->unread, f->aborted);
    if (f->unclosed > 0)
        advice_say(a,
                   "%lu in CLOSE_WAIT for more than %u s: the peer has closed and the program has "
                   "not; `linger states` names it, `linger close -m fin --state close-wait PID` "
                   "ends them",
                   f->unclosed, f->unclosed_after);
    if (f->overflows > 0)
        advice_say(a,
                   "%" PRIu64 " SYN or ACK were dropped as the queue of a listener was full: raise "
                   "its backlog (up to somaxconn), or accept faster",
                   f->overflows);
}

void findings_print(struct advice *advice, const struct groups *g, const struct findings *f)
{
    say_unread(advice, g);
    say_aborted(advice, g);
    say_unaccepted(advice, g);
    say_late(advice, g);
    say_peers_reset(advice, g);
    say_timeout(advice, g);
    say_portless(advice, g);
    say_time_wait(advice, g);
    say_held(advice, g);
    say_sums(advice, f);
}
