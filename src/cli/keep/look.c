/* SPDX-License-Identifier: MIT */
/*
 * Listeners first: what they accept from then on inherits. Then the connections at their ports,
 * which came before. Must never stop at a process that cannot be examined: others wait.
 */
#include "cli/keep/look.h"

#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/process/holders.h"
#include "cli/sockets/sockets.h"
#include "policy/condition.h"
#include "socket/role.h"

#define ENOUGH 1024
#define PASSES 60 /* a second each: who does not accept() for that long is not waited for */

/* Has it been changed, so that it can be put back? */
static bool has_former(const struct listener *listener)
{
    return listener->saved.cookie != 0;
}

static bool is_alike(const struct verdict *a, const struct verdict *b)
{
    return a->mode == b->mode && a->seconds == b->seconds;
}

/* Notes what it had before the first policy that it was given, and gives it this one. */
static void change(struct look *l, struct listener *listener, int fd, struct apply_outcome *o)
{
    if (l->apply.selection.dry_run)
        return;
    if (!has_former(listener))
        (void)saved_look(fd, &listener->saved);
    apply_set(fd, o);
    int waiting = sock_waiting(fd);
    listener->waiting = waiting > 0 ? (uint32_t)waiting : 0;
    listener->passes = PASSES;
}

/* By its rule, which may be of another policy than it has been kept by. */
static void settle(struct look *l, struct listener *listener, int fd, const struct facts *f)
{
    const struct policy *policy = &l->apply.selection.policy;
    struct apply_outcome o = apply_decide(policy, fd, f);
    bool is_done = has_former(listener) && o.has_options &&
                   is_alike(&o.verdict, &listener->verdict) &&
                   o.verdict.gives_way == listener->verdict.gives_way;

    if (!is_done && o.has_options && has_former(listener)) {
        (void)sock_put_back(fd, &listener->saved.linger); /* what the program had set counts */
        o = apply_decide(policy, fd, f);
    }
    listener->state = LISTENER_LEFT;
    if (o.decision == DECIDE_NO_RULE || (o.decision == DECIDE_VERDICT && !o.has_options))
        return;
    listener->verdict = o.verdict;
    listener->state = LISTENER_KEPT;
    if (is_done)
        return;
    if (o.has_options)
        change(l, listener, fd, &o);
    if (!o.has_options || o.refused || o.is_beyond)
        listener->state = LISTENER_REFUSED;
    l->listeners.counts.refused += listener->state == LISTENER_REFUSED;
    l->listeners.counts.applied += listener->state == LISTENER_KEPT && !o.gives_way;
    apply_print(&l->apply, f, &o);
}

static bool see_listener(int fd, int number, void *context)
{
    struct look *l = context;
    struct facts facts = {0};
    struct stat status;

    (void)number;
    if (!sock_facts(fd, FACT_LOCAL_IP | FACT_LOCAL_PORT, &facts) || facts.state != TCP_LISTEN ||
        !(facts.known & FACT_LOCAL_PORT) || fstat(fd, &status) != 0)
        return true;
    struct listener *listener = listeners_get(&l->listeners, (uint32_t)status.st_ino);
    if (!listener)
        return false;
    if (listener->state == LISTENER_KEPT || listener->state == LISTENER_REFUSED)
        return true;
    role_add(fd, &facts, FACT_ROLE);
    settle(l, listener, fd, &facts);
    return true;
}

static bool has_passes(const struct listener *listener)
{
    return listener->state == LISTENER_KEPT && listener->passes > 0;
}

/* Of a listener that it may have come to before that was changed? */
static bool is_to_be_changed(const struct look *l, int fd, uint16_t port)
{
    uint64_t network = 0;

    for (size_t i = 0; i < l->listeners.count; i++) {
        const struct listener *one = &l->listeners.items[i];
        if (!has_passes(one) || one->saved.port != port)
            continue;
        network = network ? network : sockets_network(fd);
        if (one->saved.network == network)
            return true;
    }
    return false;
}

static void note_connection(struct look *l, int fd)
{
    struct saved_socket socket;

    if (l->connections.count >= l->enough) {
        saved_drop_gone(&l->connections);
        l->enough = 2 * l->connections.count + ENOUGH;
    }
    if (saved_look(fd, &socket))
        (void)saved_add(&l->connections, &socket);
}

static bool see_connection(int fd, int number, void *context)
{
    struct look *l = context;
    struct facts facts = {0};
    const struct policy *policy = &l->apply.selection.policy;

    (void)number;
    if (!sock_facts(fd, FACT_LOCAL_PORT, &facts) || facts.state == TCP_LISTEN ||
        facts.state == TCP_CLOSE || !is_to_be_changed(l, fd, facts.local_port) ||
        !sock_facts(fd, decide_needs(policy) | FACT_COOKIE, &facts) ||
        seen_note(&l->apply.selection.seen, facts.cookie) == 0)
        return true;
    role_add(fd, &facts, FACT_ROLE);
    struct apply_outcome o = apply_decide(policy, fd, &facts);
    bool is_changed = !o.gives_way && !is_alike(&o.before, &o.verdict);
    if (!o.has_options)
        return true;
    if (is_changed && l->restores && seen_note(&l->noted, facts.cookie) != 0)
        note_connection(l, fd);
    apply_set(fd, &o);
    l->listeners.counts.connections += is_changed && !o.refused;
    return true;
}

/* Has a rule prog= for that program, or for any if that is NULL? */
static bool has_names(const struct policy *policy, const char *program)
{
    for (unsigned i = 0; i < policy->rule_count; i++) {
        const struct policy_rule *rule = &policy->rules[i];
        if (rule->conditions & CONDITION_PROG &&
            (!program || condition_is_for(policy, rule, program)))
            return true;
    }
    return false;
}

/* Calls `visit` for each socket of the process, under its policy. False: it has ended. */
static bool each_socket(struct look *l, pid_t pid, bool by_name, target_visit *visit)
{
    struct selection *s = &l->apply.selection;
    struct target target;

    if (target_open(&target, pid, &s->why) != 0)
        return false;
    s->target = &target;
    s->policy = s->rules;
    policy_keep_program(&s->policy, target.name);
    error_set(&s->why, "out of memory"); /* the reason why a visit stops */
    bool is_done = (by_name && !has_names(&s->rules, target.name)) ||
                   target_each_socket(&target, visit, l, &s->why) == 0;
    bool has_ended = !is_done && target_has_ended(&target);
    if (!is_done && !has_ended)
        cli_error(s->self, "pid %d: %s", (int)pid, s->why.text);
    target_close(&target);
    s->target = NULL;
    return !has_ended;
}

bool look_at_process(struct look *l, pid_t pid)
{
    return each_socket(l, pid, false, see_listener);
}

/* The same of the processes that have such a listener, to be passed at least so often. */
static void each_holder(struct look *l, unsigned states, unsigned passes, bool by_name,
                        target_visit *visit)
{
    const struct listeners *all = &l->listeners;
    uint32_t *inodes = calloc(all->count + 1, sizeof(*inodes));
    struct holder *holders = NULL;
    size_t wanted = 0;

    for (size_t i = 0; inodes && i < all->count; i++) {
        if (all->items[i].state & states && all->items[i].passes >= passes)
            inodes[wanted++] = all->items[i].inode;
    }
    ssize_t found = wanted > 0 ? holders_find(inodes, wanted, &holders) : 0;
    size_t count = found > 0 ? (size_t)found : 0;
    holders_sort(holders, count);
    for (size_t i = 0; i < count; i = holders_next(holders, count, i))
        (void)each_socket(l, holders[i].pid, by_name, visit);
    free(inodes);
    free(holders);
}

void look_at_holders(struct look *l, unsigned states, bool by_name)
{
    if (!by_name || has_names(&l->apply.selection.rules, NULL))
        each_holder(l, states, 0, by_name, see_listener);
    for (size_t i = 0; i < l->listeners.count; i++) {
        if (l->listeners.items[i].state == LISTENER_NEW)
            l->listeners.items[i].state = LISTENER_TRIED;
    }
}

bool look_at_connections(struct look *l)
{
    bool has_more = false;

    each_holder(l, LISTENER_KEPT, 1, false, see_connection);
    seen_forget(&l->apply.selection.seen);
    for (size_t i = 0; i < l->listeners.count; i++) {
        struct listener *one = &l->listeners.items[i];
        if (has_passes(one))
            one->passes = one->waiting > 0 ? one->passes - 1 : 0;
        has_more |= has_passes(one);
    }
    return has_more;
}

void look_put_back(struct look *l, unsigned states, bool is_end)
{
    struct apply *a = &l->apply;
    struct saved saved = {0};

    for (size_t i = 0; i < l->listeners.count; i++) {
        struct listener *one = &l->listeners.items[i];
        if (has_former(one) && one->state & states && saved_add(&saved, &one->saved))
            one->saved.cookie = 0;
    }
    for (size_t i = 0; is_end && i < l->connections.count; i++)
        (void)saved_add(&saved, &l->connections.sockets[i]);
    if (saved.count > 0) {
        if (saved_put_back(&saved, false, &a->selection.why) != 0)
            cli_error(a->selection.self, "%s", a->selection.why.text);
        (void)saved_report(&saved, &a->selection);
    }
    saved_free(&saved);
}
