/* SPDX-License-Identifier: MIT */
/* Counting. Does not know how the sums are printed. */
#include "cli/states/summary.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* Open addressing; `peers` has a power of two of slots, at most half of them used. */
struct table {
    struct summary_peer *peers;
    size_t places;
    size_t count;
};

static bool same(const struct summary_peer *a, const struct summary_peer *b)
{
    return a->peer.high == b->peer.high && a->peer.low == b->peer.low &&
           a->local.high == b->local.high && a->local.low == b->local.low &&
           a->peer_port == b->peer_port && a->local_port == b->local_port;
}

static struct summary_peer *place(const struct table *table, const struct summary_peer *key)
{
    uint64_t hash = (key->peer.high ^ key->peer.low * 31 ^ key->local.low * 7 ^
                     (uint64_t)key->peer_port << 20 ^ key->local_port) *
                    0x9e3779b97f4a7c15u;
    size_t at = (size_t)(hash >> 20) & (table->places - 1);

    while (table->peers[at].local_port + table->peers[at].peer_port != 0 &&
           !same(&table->peers[at], key))
        at = (at + 1) & (table->places - 1);
    return &table->peers[at];
}

static void count_peer(struct table *table, struct summary_peer key, bool is_time_wait)
{
    struct summary_peer *entry = place(table, &key);

    if (entry->local_port + entry->peer_port == 0) {
        *entry = key;
        table->count++;
    }
    entry->time_wait += is_time_wait;
    entry->used += key.peer_port != 0;
}

/* Who connected is not in the list: at an ephemeral port without a listener, we did. */
static void count_socket(struct table *table, const struct diag_socket *s,
                         const struct summary_sysctls *set, const bool listened[])
{
    struct summary_peer key = {.peer = s->peer};

    if (s->state == TCP_LISTEN || s->peer_port == 0)
        return;
    if (listened[s->local_port] || s->local_port < set->port_low ||
        s->local_port > set->port_high) {
        key.local_port = s->local_port;
    } else {
        key.local = s->local;
        key.peer_port = s->peer_port;
    }
    count_peer(table, key, s->state == TCP_TIME_WAIT);
}

static int more_time_wait(const void *a, const void *b)
{
    const struct summary_peer *x = a;
    const struct summary_peer *y = b;

    if (x->time_wait != y->time_wait)
        return x->time_wait < y->time_wait ? 1 : -1;
    return x->used < y->used ? 1 : x->used > y->used ? -1 : 0;
}

/* Packs the table's entries to the front, sorts them, and finds the busiest destination. */
static void finish_peers(struct summary *sum, const struct table *table)
{
    size_t count = 0;

    for (size_t i = 0; i < table->places; i++) {
        const struct summary_peer *p = &table->peers[i];
        if (p->local_port + p->peer_port == 0)
            continue;
        unsigned held = p->used > 0 ? summary_held(sum, p) : 0;
        unsigned most = summary_held(sum, &sum->busiest);
        if (held > most || (held == most && p->used > sum->busiest.used))
            sum->busiest = *p;
        table->peers[count++] = *p;
    }
    qsort(table->peers, count, sizeof(*table->peers), more_time_wait);
    sum->peers = table->peers;
    sum->peer_count = count;
}

/* The served port with the most TIME_WAIT. */
static void find_served(struct summary *sum, const struct sockets *sockets)
{
    static unsigned at_port[UINT16_MAX + 1];
    struct summary_served *served = &sum->served;

    memset(at_port, 0, sizeof(at_port));
    for (size_t i = 0; i < sum->peer_count; i++)
        at_port[sum->peers[i].local_port] += sum->peers[i].time_wait;
    for (unsigned port = 1; port <= UINT16_MAX; port++) { /* 0: of destinations */
        if (at_port[port] > served->time_wait)
            *served = (struct summary_served){.port = (uint16_t)port, .time_wait = at_port[port]};
    }
    for (size_t i = 0; i < sockets->count; i++)
        served->is_listening =
            served->is_listening ||
            (sockets->items[i].state == TCP_LISTEN && sockets->items[i].local_port == served->port);
}

static int count_peers(struct summary *sum, const struct sockets *sockets, const bool listened[])
{
    struct table table = {NULL, 16, 0};

    while (table.places < sockets->count * 2)
        table.places *= 2;
    table.peers = calloc(table.places, sizeof(*table.peers));
    if (!table.peers)
        return -1;
    for (size_t i = 0; i < sockets->count; i++)
        count_socket(&table, &sockets->items[i], &sum->sysctls, listened);
    finish_peers(sum, &table);
    find_served(sum, sockets);
    return 0;
}

/* The processes that hold the sockets in that state; without /proc none is found. */
static int find_unclosed(struct summary_unclosed *unclosed, const struct sockets *sockets,
                         uint8_t state)
{
    uint32_t *inodes = calloc(sockets->count + 1, sizeof(*inodes));
    size_t count = 0;
    ssize_t found;

    if (!inodes)
        return -1;
    for (size_t i = 0; i < sockets->count; i++) {
        const struct diag_socket *s = &sockets->items[i];
        if (s->state == state && s->inode != 0)
            inodes[count++] = s->inode;
        unclosed->orphans += s->state == state && s->inode == 0;
    }
    found = count > 0 ? holders_find(inodes, count, &unclosed->holders) : 0;
    unclosed->count = found > 0 ? (size_t)found : 0;
    unclosed->unseen = holders_unseen(inodes, count, unclosed->holders, unclosed->count);
    free(inodes);
    holders_sort(unclosed->holders, unclosed->count);
    return 0;
}

int summary_make(struct summary *sum, const struct sockets *sockets)
{
    bool listened[65536] = {false}; /* for each port */

    memset(sum, 0, sizeof(*sum));
    read_sysctls(&sum->sysctls);
    for (size_t i = 0; i < sockets->count; i++) {
        const struct diag_socket *s = &sockets->items[i];
        sum->states[s->state < DIAG_STATES ? s->state : 0]++;
        listened[s->local_port] = listened[s->local_port] || s->state == TCP_LISTEN;
        if (s->state == TCP_LISTEN && s->backlog > 0 && s->waiting >= s->backlog)
            sum->full = *s;
    }
    if (count_peers(sum, sockets, listened) != 0 ||
        find_unclosed(&sum->close_wait, sockets, TCP_CLOSE_WAIT) != 0 ||
        find_unclosed(&sum->fin_wait2, sockets, TCP_FIN_WAIT2) != 0) {
        summary_free(sum);
        return -1;
    }
    return 0;
}

void summary_free(struct summary *sum)
{
    free(sum->peers);
    free(sum->close_wait.holders);
    free(sum->fin_wait2.holders);
    memset(sum, 0, sizeof(*sum));
}
