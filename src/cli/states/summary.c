/* SPDX-License-Identifier: MIT */
/* Counting. Does not know how the sums are printed. */
#include "cli/states/summary.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "socket/role.h"

/* The (first) number; -1 where it cannot be read. */
static int sysctl_number(const char *name)
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

static void read_sysctls(struct summary_sysctls *s)
{
    struct role_range range;

    role_read_range(&range);
    s->port_low = range.low;
    s->port_high = range.high;
    s->tw_reuse = sysctl_number("ipv4/tcp_tw_reuse");
    s->tw_reuse_delay = sysctl_number("ipv4/tcp_tw_reuse_delay");
    s->timestamps = sysctl_number("ipv4/tcp_timestamps");
    s->max_tw_buckets = sysctl_number("ipv4/tcp_max_tw_buckets");
    s->fin_timeout = sysctl_number("ipv4/tcp_fin_timeout");
    s->somaxconn = sysctl_number("core/somaxconn");
}

unsigned summary_range(const struct summary *sum)
{
    return sum->sysctls.port_high - sum->sysctls.port_low + 1;
}

static bool is_loopback(struct policy_ip ip)
{
    return ip.high == 0 && (ip.is_ipv4 ? (ip.low >> 24 & 0xff) == 127 : ip.low == 1);
}

bool summary_is_reused(const struct summary *sum, const struct summary_peer *p)
{
    const struct summary_sysctls *set = &sum->sysctls;

    return set->timestamps != 0 &&
           (set->tw_reuse == 1 ||
            (set->tw_reuse == 2 && (is_loopback(p->peer) || is_loopback(p->local))));
}

double summary_seconds(const struct summary *sum, const struct summary_peer *p)
{
    if (!summary_is_reused(sum, p))
        return TIME_WAIT_SECONDS;
    return sum->sysctls.tw_reuse_delay > 0 ? sum->sysctls.tw_reuse_delay / 1000.0 : 1;
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
    return is_loopback(s->peer) || (s->peer.high == s->local.high && s->peer.low == s->local.low);
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
static void find_served(struct summary *sum, const struct sockets *sockets)
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
    for (size_t i = 0; i < sockets->count; i++)
        served->is_listening =
            served->is_listening ||
            (sockets->items[i].state == TCP_LISTEN && sockets->items[i].local_port == served->port);
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
    find_served(sum, sockets);
    return 0;
}

/* Fills in the sockets in that state, and moves their holders to the front. Returns how many. */
static size_t take_unclosed(struct summary_unclosed *unclosed, const struct sockets *sockets,
                            uint8_t state, uint32_t *inodes, struct holder *holders, size_t held)
{
    size_t count = 0;

    for (size_t i = 0; i < sockets->count; i++) {
        const struct diag_socket *s = &sockets->items[i];
        if (s->state == state && s->inode != 0)
            inodes[count++] = s->inode;
        unclosed->orphans += s->state == state && s->inode == 0;
    }
    unclosed->holders = holders;
    unclosed->count = holders_select(inodes, count, holders, held);
    unclosed->unseen = holders_unseen(inodes, count, holders, unclosed->count);
    holders_sort(holders, unclosed->count);
    return unclosed->count;
}

/* One pass over /proc finds the processes that hold them; without /proc none is found. */
static int find_unclosed(struct summary *sum, const struct sockets *sockets)
{
    uint32_t *inodes = calloc(sockets->count + 1, sizeof(*inodes));
    size_t count = 0;

    if (!inodes)
        return -1;
    for (size_t i = 0; i < sockets->count; i++) {
        const struct diag_socket *s = &sockets->items[i];
        if ((s->state == TCP_CLOSE_WAIT || s->state == TCP_FIN_WAIT2) && s->inode != 0)
            inodes[count++] = s->inode;
    }
    ssize_t found = count > 0 ? holders_find(inodes, count, &sum->holders) : 0;
    size_t held = found > 0 ? (size_t)found : 0;
    size_t first =
        take_unclosed(&sum->close_wait, sockets, TCP_CLOSE_WAIT, inodes, sum->holders, held);
    take_unclosed(&sum->fin_wait2, sockets, TCP_FIN_WAIT2, inodes,
                  first > 0 ? sum->holders + first : sum->holders, held - first);
    free(inodes);
    return 0;
}

/* What the kernel lists as closed has had a connection if it has a peer. */
static int find_closed(struct summary_unclosed *closed, const struct sockets *sockets)
{
    uint32_t *inodes = calloc(sockets->count + 1, sizeof(*inodes));
    size_t count = 0;

    if (!inodes)
        return -1;
    for (size_t i = 0; i < sockets->count; i++) {
        const struct diag_socket *s = &sockets->items[i];
        if (s->inode != 0 && (s->state != TCP_CLOSE || s->peer_port == 0))
            inodes[count++] = s->inode;
    }
    ssize_t found = holders_find_closed(inodes, count, &closed->holders);
    closed->count = found > 0 ? (size_t)found : 0;
    free(inodes);
    holders_sort(closed->holders, closed->count);
    return 0;
}

static void read_ports(struct ports *ports, const struct sockets *sockets)
{
    static bool reserved[UINT16_MAX + 1];
    struct role_range range;

    memset(ports, 0, sizeof(*ports));
    memset(reserved, 0, sizeof(reserved));
    role_read_range(&range);
    role_read_reserved(range, reserved);
    for (unsigned port = range.low; port <= range.high; port++)
        ports->given[port] = !reserved[port - range.low];
    for (size_t i = 0; i < sockets->count; i++) {
        if (sockets->items[i].state == TCP_LISTEN)
            ports->listened[sockets->items[i].local_port] = true;
    }
}

static int find_exposed(struct summary *sum, const struct ports *ports)
{
    for (unsigned port = 1; port <= UINT16_MAX; port++) {
        if (!ports->listened[port] || !ports->given[port])
            continue;
        uint16_t *exposed = cli_grow(sum->exposed, sum->exposed_count, sizeof(*exposed));
        if (!exposed)
            return -1;
        sum->exposed = exposed;
        sum->exposed[sum->exposed_count++] = (uint16_t)port;
    }
    return 0;
}

int summary_make(struct summary *sum, const struct sockets *sockets)
{
    static struct ports ports;

    memset(sum, 0, sizeof(*sum));
    read_sysctls(&sum->sysctls);
    read_ports(&ports, sockets);
    for (size_t i = 0; i < sockets->count; i++) {
        const struct diag_socket *s = &sockets->items[i];
        bystate_add(&sum->states, s);
        if (s->state == TCP_LISTEN && s->backlog > 0 && s->waiting >= s->backlog)
            sum->full = *s;
    }
    if (count_peers(sum, sockets, &ports) != 0 || find_exposed(sum, &ports) != 0 ||
        find_unclosed(sum, sockets) != 0 || find_closed(&sum->closed, sockets) != 0) {
        summary_free(sum);
        return -1;
    }
    return 0;
}

void summary_free(struct summary *sum)
{
    free(sum->peers);
    free(sum->exposed);
    free(sum->holders);
    free(sum->closed.holders);
    memset(sum, 0, sizeof(*sum));
}
