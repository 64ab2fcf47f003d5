/* SPDX-License-Identifier: MIT */
/* Counting. Does not know how the sums are printed. */
#include "cli/states/summary.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "policy/address.h"

const char *const summary_sysctls[SYSCTLS] = {
    [SYSCTL_TW_REUSE] = "ipv4/tcp_tw_reuse",
    [SYSCTL_TW_REUSE_DELAY] = "ipv4/tcp_tw_reuse_delay",
    [SYSCTL_TIMESTAMPS] = "ipv4/tcp_timestamps",
    [SYSCTL_MAX_TW_BUCKETS] = "ipv4/tcp_max_tw_buckets",
    [SYSCTL_FIN_TIMEOUT] = "ipv4/tcp_fin_timeout",
    [SYSCTL_SOMAXCONN] = "core/somaxconn",
};

static int read_sysctl(const char *name)
{
    char path[128];
    int value = -1;

    snprintf(path, sizeof(path), "/proc/sys/net/%s", name);
    FILE *file = fopen(path, "re");
    if (!file)
        return -1;
    if (fscanf(file, "%d", &value) != 1)
        value = -1;
    fclose(file);
    return value;
}

unsigned summary_range(const struct summary *sum)
{
    return sum->range.high - sum->range.low + 1u;
}

bool summary_is_reused(const struct summary *sum, const struct summary_peer *p)
{
    int reuse = sum->sysctls[SYSCTL_TW_REUSE];

    return sum->sysctls[SYSCTL_TIMESTAMPS] != 0 &&
           (reuse == 1 ||
            (reuse == 2 && (address_is_loopback(p->peer) || address_is_loopback(p->local))));
}

double summary_seconds(const struct summary *sum, const struct summary_peer *p)
{
    int delay = sum->sysctls[SYSCTL_TW_REUSE_DELAY];

    if (!summary_is_reused(sum, p))
        return TIME_WAIT_SECONDS;
    return delay > 0 ? delay / 1000.0 : 1;
}

unsigned summary_held(const struct summary *sum, const struct summary_peer *p)
{
    return summary_is_reused(sum, p) ? p->used - p->time_wait : p->used;
}

unsigned summary_rate(const struct summary *sum, const struct summary_peer *p)
{
    unsigned range = summary_range(sum);
    unsigned open = p->used - p->time_wait;

    return open < range ? (unsigned)((range - open) / summary_seconds(sum, p)) : 0;
}

/* Sorts entries of one peer together. */
static int by_peer(const void *a, const void *b)
{
    const struct summary_peer *x = a;
    const struct summary_peer *y = b;
    const uint64_t key_x[] = {x->peer.high, x->peer.low,  x->local.high,
                              x->local.low, x->peer_port, x->local_port};
    const uint64_t key_y[] = {y->peer.high, y->peer.low,  y->local.high,
                              y->local.low, y->peer_port, y->local_port};

    return memcmp(key_x, key_y, sizeof(key_x));
}

/* Ports of this host. */
struct ports {
    bool listened[UINT16_MAX + 1];
    bool given[UINT16_MAX + 1]; /* by the kernel, to clients */
};

static bool is_here(const struct diag_socket *s)
{
    return address_is_loopback(s->peer) || address_is_same(s->peer, s->local);
}

/* Who connected is not in the list: where nobody listens, the ports of both ends tell. */
static struct summary_peer peer_of(const struct diag_socket *s, const struct ports *ports)
{
    bool is_given = ports->given[s->local_port];
    bool is_client =
        !ports->listened[s->local_port] && (is_given || s->peer_port < ROLE_SERVERS_ONLY ||
                                            (is_here(s) && ports->listened[s->peer_port]));
    struct summary_peer p = {.peer = s->peer, .time_wait = s->state == TCP_TIME_WAIT};

    if (is_client) {
        p.local = s->local;
        p.peer_port = s->peer_port;
        p.used = is_given;
    }
    if (!is_client || !is_given)
        p.local_port = s->local_port;
    return p;
}

static int more_time_wait(const void *a, const void *b)
{
    const struct summary_peer *x = a;
    const struct summary_peer *y = b;

    if (x->time_wait != y->time_wait)
        return x->time_wait < y->time_wait ? 1 : -1;
    return x->used < y->used ? 1 : x->used > y->used ? -1 : 0;
}

/* Adds up the entries of each peer, and finds the busiest destination. */
static void merge_peers(struct summary *sum)
{
    struct summary_peer *last = sum->peers;

    qsort(sum->peers, sum->peer_count, sizeof(*sum->peers), by_peer);
    for (size_t i = 1; i < sum->peer_count; i++) {
        const struct summary_peer *p = &sum->peers[i];
        if (by_peer(last, p) == 0) {
            last->time_wait += p->time_wait;
            last->used += p->used;
        } else {
            *++last = *p;
        }
    }
    if (sum->peer_count > 0)
        sum->peer_count = (size_t)(last - sum->peers) + 1;
    for (size_t i = 0; i < sum->peer_count; i++) {
        const struct summary_peer *p = &sum->peers[i];
        unsigned held = p->used > 0 ? summary_held(sum, p) : 0;
        unsigned most = summary_held(sum, &sum->busiest);
        if (held > most || (held == most && p->used > sum->busiest.used))
            sum->busiest = *p;
    }
    qsort(sum->peers, sum->peer_count, sizeof(*sum->peers), more_time_wait);
}

/* The served port with the most TIME_WAIT. */
static void find_served(struct summary *sum, const struct ports *ports)
{
    static unsigned at_port[UINT16_MAX + 1];
    struct summary_served *served = &sum->served;

    memset(at_port, 0, sizeof(at_port));
    for (size_t i = 0; i < sum->peer_count; i++) {
        if (sum->peers[i].peer_port == 0)
            at_port[sum->peers[i].local_port] += sum->peers[i].time_wait;
    }
    for (unsigned port = 1; port <= UINT16_MAX; port++) {
        if (at_port[port] > served->time_wait)
            *served = (struct summary_served){.port = (uint16_t)port, .time_wait = at_port[port]};
    }
    served->is_listening = ports->listened[served->port];
}

static int count_peers(struct summary *sum, const struct sockets *sockets,
                       const struct ports *ports)
{
    sum->peers = calloc(sockets->count + 1, sizeof(*sum->peers));
    if (!sum->peers)
        return -1;
    for (size_t i = 0; i < sockets->count; i++) {
        const struct diag_socket *s = &sockets->items[i];
        if (s->state != TCP_LISTEN && s->peer_port != 0)
            sum->peers[sum->peer_count++] = peer_of(s, ports);
    }
    merge_peers(sum);
    find_served(sum, ports);
    return 0;
}

int summary_find_holders(struct summary_holders *h, const struct sockets *sockets, uint32_t states,
                         long port)
{
    size_t count;
    uint32_t *inodes = sockets_inodes(sockets, states, port, &count);

    if (!inodes)
        return -1;
    ssize_t found = count > 0 ? holders_find(inodes, count, &h->holders) : 0;
    h->count = found > 0 ? (size_t)found : 0;
    h->unseen = holders_unseen(inodes, count, h->holders, h->count);
    holders_sort(h->holders, h->count);
    free(inodes);
    return 0;
}

/* The kernel lists some sockets as closed, too, depending on its version. */
static int find_closed(struct summary_holders *closed, const struct sockets *sockets)
{
    size_t count;
    uint32_t *inodes = sockets_inodes(sockets, ~(1u << TCP_CLOSE), 0, &count);

    if (!inodes)
        return -1;
    ssize_t found = holders_find_closed(inodes, count, &closed->holders);
    closed->count = found > 0 ? (size_t)found : 0;
    free(inodes);
    holders_sort(closed->holders, closed->count);
    return 0;
}

static void read_ports(struct ports *ports, struct summary *sum, const struct sockets *sockets)
{
    static bool reserved[UINT16_MAX + 1];

    memset(ports, 0, sizeof(*ports));
    memset(reserved, 0, sizeof(reserved));
    role_read_range(&sum->range);
    role_read_reserved(sum->range, reserved);
    for (unsigned port = sum->range.low; port <= sum->range.high; port++)
        ports->given[port] = !reserved[port - sum->range.low];
    for (size_t i = 0; i < sockets->count; i++) {
        if (sockets->items[i].state == TCP_LISTEN)
            ports->listened[sockets->items[i].local_port] = true;
    }
    for (unsigned port = 1; port <= UINT16_MAX; port++) {
        sum->is_exposed[port] = ports->listened[port] && ports->given[port];
        sum->exposed_count += sum->is_exposed[port];
    }
}

int summary_make(struct summary *sum, const struct sockets *sockets)
{
    static struct ports ports;
    struct summary_holders *unclosed = sum->unclosed;

    memset(sum, 0, sizeof(*sum));
    for (enum summary_sysctl i = 0; i < SYSCTLS; i++)
        sum->sysctls[i] = read_sysctl(summary_sysctls[i]);
    read_ports(&ports, sum, sockets);
    for (size_t i = 0; i < sockets->count; i++) {
        const struct diag_socket *s = &sockets->items[i];
        bystate_add(&sum->states, s);
        unclosed[UNCLOSED_CLOSE_WAIT].orphans += s->state == TCP_CLOSE_WAIT && s->inode == 0;
        unclosed[UNCLOSED_FIN_WAIT2].orphans += s->state == TCP_FIN_WAIT2 && s->inode == 0;
        if (s->state == TCP_LISTEN && s->backlog > 0 && s->waiting >= s->backlog)
            sum->full = *s;
    }
    if (count_peers(sum, sockets, &ports) == 0 &&
        summary_find_holders(&unclosed[UNCLOSED_CLOSE_WAIT], sockets, 1u << TCP_CLOSE_WAIT, 0) ==
            0 &&
        summary_find_holders(&unclosed[UNCLOSED_FIN_WAIT2], sockets, 1u << TCP_FIN_WAIT2, 0) == 0 &&
        find_closed(&unclosed[UNCLOSED_CLOSED], sockets) == 0)
        return 0;
    summary_free(sum);
    return -1;
}

void summary_free(struct summary *sum)
{
    free(sum->peers);
    for (enum summary_unclosed i = 0; i < UNCLOSED_KINDS; i++)
        free(sum->unclosed[i].holders);
}
