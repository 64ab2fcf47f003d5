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
#include <time.h>

#include "cli/process/holders.h"
#include "cli/sockets/seen.h"
#include "cli/sockets/sockets.h"
#include "policy/condition.h"
#include "socket/role.h"

#define ENOUGH 1024
#define PASSES 60 /* a second each: who does not accept() for that long is not waited for */

static void print_line(struct look *l, const struct facts *f, const struct apply_outcome *o)
{
    struct apply *a = &l->apply;
    const struct target *target = a->selection.target;
    struct json json = {.out = a->selection.json.out};

    if (a->selection.quiet)
        return;
    if (json.out) {
        json_open(&json, NULL, '{');
        json_number(&json, "time", (long long)time(NULL));
        apply_add_json(a, &json, f, o);
        json_string(&json, "program", target->name);
        json_number(&json, "rule", o->verdict.rule);
        json_close(&json, '}');
    } else {
        apply_print(a, f, o);
        printf("  rule %u, ", o->verdict.rule);
        cli_print_word(stdout, target->name);
        printf(" (pid %d)", (int)target->pid);
    }
    putchar('\n');
}

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
    bool has_options = apply_has_options(&o);
    bool is_done = has_former(listener) && has_options &&
                   is_alike(&o.verdict, &listener->verdict) &&
                   o.verdict.gives_way == listener->verdict.gives_way;

    if (!is_done && has_options && has_former(listener)) {
        (void)sock_put_back(fd, &listener->saved.linger); /* what the program had set counts */
        o = apply_decide(policy, fd, f);
    }
    listener->state = LISTENER_LEFT;
    if (o.decision == DECIDE_NO_RULE || (o.decision == DECIDE_VERDICT && !has_options))
        return;
    listener->verdict = o.verdict;
    listener->state = LISTENER_KEPT;
    if (is_done)
        return;
    if (has_options)
        change(l, listener, fd, &o);
    if (!has_options || o.refused || o.is_beyond)
        listener->state = LISTENER_REFUSED;
    l->counts.refused += listener->state == LISTENER_REFUSED;
    l->counts.applied += listener->state == LISTENER_KEPT && !apply_gives_way(&o);
    print_line(l, f, &o);
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
    struct listener *listener = listeners_find(&l->listeners, (uint32_t)status.st_ino);
    if (!listener && !(listener = listeners_add(&l->listeners, (uint32_t)status.st_ino)))
        return false;
    if (listener->state == LISTENER_KEPT || listener->state == LISTENER_REFUSED)
        return true;
    role_add(fd, &facts, FACT_ROLE);
    settle(l, listener, fd, &facts);
    return true;
}

/* A listener that connections may be of which came before it was changed. */
struct place {
    uint64_t network;
    uint16_t port;
};

struct places {
    struct look *look;
    struct place *items;
    size_t count;
    struct seen seen;
};

static bool is_of_place(const struct places *p, int fd, uint16_t port)
{
    uint64_t network = 0;

    for (size_t i = 0; i < p->count; i++) {
        if (p->items[i].port != port)
            continue;
        network = network ? network : sockets_network(fd);
        if (p->items[i].network == network)
            return true;
    }
    return false;
}

/* Drops what no process has any longer. */
static void drop_gone(struct look *l)
{
    struct saved *saved = &l->connections;
    uint32_t *inodes = calloc(saved->count + 1, sizeof(*inodes));
    struct seen held = {NULL, 0, 0};
    struct holder *holders = NULL;
    size_t left = 0;

    for (size_t i = 0; inodes && i < saved->count; i++)
        inodes[i] = saved->sockets[i].inode;
    ssize_t found = inodes ? holders_find(inodes, saved->count, &holders) : -1;
    for (ssize_t i = 0; i < found; i++)
        (void)seen_note(&held, holders[i].inode);
    for (size_t i = 0; found >= 0 && i < saved->count; i++) {
        if (seen_has(&held, saved->sockets[i].inode))
            saved->sockets[left++] = saved->sockets[i];
    }
    saved->count = found >= 0 ? left : saved->count;
    l->enough = 2 * saved->count + ENOUGH;
    seen_forget(&held);
    free(holders);
    free(inodes);
}

static void note_connection(struct look *l, int fd)
{
    struct saved_socket socket;

    if (l->connections.count >= l->enough)
        drop_gone(l);
    if (saved_look(fd, &socket))
        (void)saved_add(&l->connections, &socket);
}

static bool see_connection(int fd, int number, void *context)
{
    struct places *p = context;
    struct look *l = p->look;
    struct facts facts = {0};
    const struct policy *policy = &l->apply.selection.policy;

    (void)number;
    if (!sock_facts(fd, FACT_LOCAL_PORT, &facts) || facts.state == TCP_LISTEN ||
        facts.state == TCP_CLOSE || !is_of_place(p, fd, facts.local_port) ||
        !sock_facts(fd, decide_needs(policy) | FACT_COOKIE, &facts) ||
        seen_note(&p->seen, facts.cookie) == 0)
        return true;
    role_add(fd, &facts, FACT_ROLE);
    struct apply_outcome o = apply_decide(policy, fd, &facts);
    bool is_changed = !apply_gives_way(&o) && !is_alike(&o.before, &o.verdict);
    if (!apply_has_options(&o) || l->apply.selection.dry_run)
        return true;
    if (is_changed && l->restores)
        note_connection(l, fd);
    apply_set(fd, &o);
    l->counts.connections += is_changed && !o.refused;
    return true;
}

bool look_has_names(const struct policy *policy, const char *program)
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
static bool each_socket(struct look *l, pid_t pid, bool by_name, target_visit *visit, void *context)
{
    struct selection *s = &l->apply.selection;
    struct target target;

    if (target_open(&target, pid, &s->why) != 0)
        return false;
    s->target = &target;
    s->policy = s->rules;
    policy_keep_program(&s->policy, target.name);
    error_set(&s->why, "out of memory"); /* the reason why a visit stops */
    bool is_done = (by_name && !look_has_names(&s->rules, target.name)) ||
                   target_each_socket(&target, visit, context, &s->why) == 0;
    bool has_ended = !is_done && target_has_ended(&target);
    if (!is_done && !has_ended)
        cli_error(s->self, "pid %d: %s", (int)pid, s->why.text);
    target_close(&target);
    s->target = NULL;
    return !has_ended;
}

bool look_at_processes(struct look *l, const pid_t *pids, size_t count)
{
    bool are_there = true;

    for (size_t i = 0; i < count; i++)
        are_there &= each_socket(l, pids[i], false, see_listener, l);
    return are_there;
}

/* Who has a listener that is_wanted(), sorted by pid; for free(3). */
static struct holder *find_holders(const struct look *l,
                                   bool is_wanted(const struct listener *listener), size_t *count)
{
    const struct listeners *all = &l->listeners;
    uint32_t *inodes = calloc(all->count + 1, sizeof(*inodes));
    struct holder *holders = NULL;
    size_t wanted = 0;

    for (size_t i = 0; inodes && i < all->count; i++) {
        if (is_wanted(&all->items[i]))
            inodes[wanted++] = all->items[i].inode;
    }
    ssize_t found = wanted > 0 ? holders_find(inodes, wanted, &holders) : 0;
    *count = found > 0 ? (size_t)found : 0;
    holders_sort(holders, *count);
    free(inodes);
    return holders;
}

void look_at_holders(struct look *l, bool is_wanted(const struct listener *listener), bool by_name)
{
    size_t count;
    struct holder *holders = find_holders(l, is_wanted, &count);

    for (size_t i = 0; i < l->listeners.count; i++)
        l->listeners.items[i].is_tried = true;
    for (size_t i = 0; holders && i < count; i = holders_next(holders, count, i))
        (void)each_socket(l, holders[i].pid, by_name, see_listener, l);
    free(holders);
}

static bool has_passes(const struct listener *listener)
{
    return listener->state == LISTENER_KEPT && listener->passes > 0;
}

bool look_at_connections(struct look *l)
{
    struct places places = {.look = l};
    size_t count;
    struct holder *holders = find_holders(l, has_passes, &count);
    bool has_more = false;

    places.items = calloc(l->listeners.count + 1, sizeof(*places.items));
    for (size_t i = 0; places.items && i < l->listeners.count; i++) {
        struct listener *one = &l->listeners.items[i];
        if (!has_passes(one))
            continue;
        places.items[places.count++] = (struct place){one->saved.network, one->saved.port};
        one->passes = one->waiting > 0 ? one->passes - 1 : 0;
        has_more |= one->passes > 0;
    }
    for (size_t i = 0; holders && i < count; i = holders_next(holders, count, i))
        (void)each_socket(l, holders[i].pid, false, see_connection, &places);
    seen_forget(&places.seen);
    free(places.items);
    free(holders);
    return has_more;
}

void look_put_back(struct look *l, bool is_wanted(const struct listener *listener), bool is_end)
{
    struct apply *a = &l->apply;
    struct saved saved = {0};

    for (size_t i = 0; i < l->listeners.count; i++) {
        struct listener *one = &l->listeners.items[i];
        if (has_former(one) && is_wanted(one) && saved_add(&saved, &one->saved))
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
