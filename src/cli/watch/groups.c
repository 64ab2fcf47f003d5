/* SPDX-License-Identifier: MIT */
/* The sums. A group's ends are a server's port, or the destination of a client. */
#include "cli/watch/groups.h"

#include <stdlib.h>
#include <string.h>

#include "policy/address.h"

bool groups_is_connection(const struct connection *c)
{
    return c->how < HOW_REFUSED;
}

static struct group_key key_of(const struct connection *c)
{
    bool is_client = c->role == END_CLIENT;
    struct group_key key = {(uint64_t)c->role << 56 | (uint64_t)c->first << 48 |
                                (uint64_t)c->how << 40 | (uint64_t)c->then << 32 |
                                (uint64_t)c->reason << 24 | (uint64_t)c->left << 16 |
                                (is_client ? c->peer_port : c->local_port),
                            is_client ? c->peer.high : 0, is_client ? c->peer.low : 0, ""};

    memcpy(key.program, c->program, sizeof(key.program));
    return key;
}

static size_t hash(const struct group_key *key) /* FNV-1a */
{
    uint64_t value = 0xcbf29ce484222325u;

    for (size_t i = 0; i < sizeof(*key); i++)
        value = (value ^ ((const unsigned char *)key)[i]) * 0x100000001b3u;
    return (size_t)value;
}

static struct group *find(struct groups *g, const struct connection *c)
{
    size_t size = sizeof(g->places) / sizeof(g->places[0]);
    const struct group_key key = key_of(c);
    size_t at = hash(&key) % size;

    /* A place holds an index counted from 1. */
    for (; g->places[at] != 0; at = (at + 1) % size) {
        struct group *group = &g->items[g->places[at] - 1];
        if (memcmp(&group->key, &key, sizeof(key)) == 0)
            return group;
    }
    if (g->count == GROUPS_MAX)
        return NULL;
    struct group *group = &g->items[g->count];
    g->places[at] = ++g->count;
    *group = (struct group){.key = key, .like = *c, .is_one_process = true, .is_one_peer = true};
    return group;
}

void groups_add(struct groups *g, const struct connection *c)
{
    struct group *group = find(g, c);

    if (groups_is_connection(c))
        g->ended++;
    else
        g->failed++;
    if (!group) {
        g->others++;
        return;
    }
    group->count++;
    group->brief += c->began != 0 && c->ended - c->began < GROUPS_BRIEF;
    group->is_one_process = group->is_one_process && group->like.pid == c->pid;
    group->is_one_peer = group->is_one_peer && address_is_same(group->like.peer, c->peer);
}

void groups_add_reset(struct groups *g, const struct record *record, bool is_late)
{
    size_t i = 0;

    while (i < g->port_count && g->ports[i].port != record->local_port)
        i++;
    if (i == GROUPS_PORTS)
        return;
    if (i == g->port_count)
        g->ports[g->port_count++].port = record->local_port;
    if (record->reason == REASON_TIME_WAIT)
        g->ports[i].time_wait++;
    else if (is_late)
        g->ports[i].late++;
    else
        g->ports[i].nobody++;
}

static int compare(const void *a, const void *b)
{
    const struct group *x = *(const struct group *const *)a;
    const struct group *y = *(const struct group *const *)b;

    return (x->count < y->count) - (x->count > y->count);
}

void groups_sort(struct groups *g)
{
    for (size_t i = 0; i < g->count; i++)
        g->order[i] = &g->items[i];
    qsort(g->order, g->count, sizeof(struct group *), compare);
}
