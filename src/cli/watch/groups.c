/* SPDX-License-Identifier: MIT */
/* The sums. A group's ends are a server's port, or the destination of a client. */
#include "cli/watch/groups.h"

#include <stdlib.h>
#include <string.h>

bool groups_is_connection(const struct connection *c)
{
    return c->how < HOW_REFUSED;
}

static bool is_same_ip(struct policy_ip a, struct policy_ip b)
{
    return a.high == b.high && a.low == b.low;
}

static bool is_same_place(const struct connection *a, const struct connection *b)
{
    if (a->role != b->role)
        return false;
    if (a->role == END_CLIENT)
        return a->peer_port == b->peer_port && is_same_ip(a->peer, b->peer);
    return a->local_port == b->local_port;
}

static bool is_alike(const struct connection *a, const struct connection *b)
{
    return is_same_place(a, b) && a->first == b->first && a->how == b->how && a->then == b->then &&
           a->why == b->why && a->left == b->left && strcmp(a->program, b->program) == 0;
}

static size_t hash(const struct connection *c)
{
    uint64_t value = (uint64_t)c->role << 24 | (uint64_t)c->first << 20 | (uint64_t)c->how << 16 |
                     (uint64_t)c->then << 12 | (uint64_t)c->why << 4 | (uint64_t)c->left;

    if (c->role == END_CLIENT)
        value ^= c->peer.low * 31 + c->peer.high + ((uint64_t)c->peer_port << 32);
    else
        value ^= (uint64_t)c->local_port << 32;
    for (const char *letter = c->program; *letter; letter++)
        value = value * 131 + (unsigned char)*letter;
    return (size_t)((value * 0x9e3779b97f4a7c15u) >> 32);
}

static struct group *find(struct groups *g, const struct connection *c)
{
    size_t size = sizeof(g->places) / sizeof(g->places[0]);
    size_t at = hash(c) % size;

    /* A place holds an index counted from 1. */
    for (; g->places[at] != 0; at = (at + 1) % size) {
        if (is_alike(&g->items[g->places[at] - 1].like, c))
            return &g->items[g->places[at] - 1];
    }
    if (g->count == GROUPS_MAX)
        return NULL;
    struct group *group = &g->items[g->count];
    g->places[at] = ++g->count;
    *group = (struct group){.like = *c, .is_one_process = true, .is_one_peer = true};
    return group;
}

bool groups_add(struct groups *g, const struct connection *c)
{
    if (!g->items && !(g->items = calloc(GROUPS_MAX, sizeof(*g->items))))
        return false;
    struct group *group = find(g, c);
    if (groups_is_connection(c))
        g->ended++;
    else
        g->failed++;
    if (!group) {
        g->others++;
        return true;
    }
    group->count++;
    group->brief += c->began != 0 && c->ended - c->began < GROUPS_BRIEF;
    group->is_one_process = group->is_one_process && group->like.pid == c->pid;
    group->is_one_peer = group->is_one_peer && is_same_ip(group->like.peer, c->peer);
    return true;
}

void groups_add_reset(struct groups *g, const struct record *record, bool is_listening,
                      bool is_former)
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
    else if (is_listening || is_former)
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
