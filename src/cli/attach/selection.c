/* SPDX-License-Identifier: MIT */
/* Must never act on a socket by its number alone: numbers are reused, so examine each duplicate. */
#include "cli/attach/selection.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/pids.h"
#include "cli/process/holders.h"
#include "cli/sockets/sockets.h"
#include "policy/mode.h"
#include "socket/role.h"
#include "socket/sock.h"

void selection_print(struct json *json, const char *key, const char *before, const char *value)
{
    if (json->out)
        json_string(json, key, value);
    else
        printf("%s%s", before, value);
}

void selection_print_ends(struct json *json, bool is_listener, const char *local, const char *peer)
{
    selection_print(json, "kind", "", is_listener ? "listener" : "connection");
    selection_print(json, "local", is_listener ? "    " : "  ", local);
    selection_print(json, "peer", peer[0] ? " " : "", peer);
}

void selection_end_line(struct json *json)
{
    if (json->out)
        json_close(json, '}');
    else
        putchar('\n');
}

const char *selection_put_rule(char buffer[SELECTION_RULE_SIZE], const struct policy *policy,
                               unsigned number)
{
    struct text out;

    text_begin(&out, buffer, SELECTION_RULE_SIZE);
    policy_print_rule(policy, policy_rule(policy, number), &out);
    return buffer;
}

const char *selection_put_mode(char buffer[SELECTION_MODE_SIZE], enum decision decision,
                               const struct verdict *verdict)
{
    struct text out;

    if (decision != DECIDE_VERDICT)
        return "none";
    text_begin(&out, buffer, SELECTION_MODE_SIZE);
    mode_print(&out, verdict->mode, verdict->seconds);
    return buffer;
}

const char *selection_left_text(enum decision decision, const struct verdict *verdict)
{
    if (decision == DECIDE_NO_RULE)
        return "left alone: no rule matches";
    if (decision == DECIDE_NOT_YET)
        return "left alone: a rule cannot be decided here";
    return verdict->mode == MODE_OFF ? "left alone: off" : NULL;
}

bool selection_take_option(struct selection *s, int option)
{
    if (option == 'm')
        s->mode = optarg;
    else if (option == 'j')
        s->json.out = stdout;
    s->dry_run = s->dry_run || option == 'n';
    s->quiet = s->quiet || option == 'q';
    return option != 'p' || cli_take_port(s->self, optarg, &s->port);
}

int selection_take_mode(struct selection *s)
{
    if (!cli_take_policy(s->self, s->mode, &s->rules))
        return -1;
    return s->rules.rule_count > 0 ? 0 : (cli_usage(s->self, "-m: the policy has no rules"), -1);
}

bool selection_has(const struct selection *s, pid_t pid)
{
    for (int i = 0; i < s->target_count; i++) {
        if (s->targets[i].pid == pid)
            return true;
    }
    return false;
}

int selection_add(struct selection *s, pid_t pid)
{
    if (selection_has(s, pid))
        return 0;
    if (s->target_count == SELECTION_TARGETS_MAX)
        return cli_error(s->self, "more than %d processes", SELECTION_TARGETS_MAX);
    if (target_open(&s->targets[s->target_count], pid, &s->why) != 0) {
        char state = target_state(pid);
        if (s->may_end && (state == '\0' || state == 'Z'))
            return 0;
        return cli_error(s->self, "pid %d: %s", (int)pid, s->why.text);
    }
    s->target_count++;
    s->met++;
    return 1;
}

bool selection_is_gone(const struct selection *s, int at)
{
    return at >= s->named && target_has_ended(&s->targets[at]);
}

/* How many of them still exist and are held only by processes that we may not inspect. */
static size_t count_unseen(const struct selection *s, uint32_t *inodes, size_t count,
                           struct holder *holders, size_t found)
{
    uint32_t *now = NULL;
    ssize_t still =
        holders_unseen(inodes, count, holders, found) > 0 ? sockets_at(s->port, false, &now) : 0;

    if (still > 0)
        count = holders_keep(inodes, count, now, (size_t)still);
    free(now);
    return still > 0 ? holders_unseen(inodes, count, holders, found) : 0;
}

/* Those that hold a listener of the port, or any socket of it. */
static int add_each(struct selection *s, struct holder *holders, size_t found)
{
    uint32_t *listeners = NULL;

    if (s->of_listeners) {
        ssize_t count = sockets_at(s->port, true, &listeners);
        found = count > 0 ? holders_select(listeners, (size_t)count, holders, found) : 0;
    }
    free(listeners);
    holders_sort(holders, found);
    for (size_t i = 0; holders && i < found; i = holders_next(holders, found, i)) {
        if (selection_add(s, holders[i].pid) < 0)
            return -1;
    }
    return 0;
}

/* Adds every process that holds a listener, or any socket, of the port. */
static int add_holders(struct selection *s)
{
    struct holder *holders = NULL;
    uint32_t *inodes = NULL;
    ssize_t count = sockets_at(s->port, false, &inodes);
    ssize_t found = count > 0 ? holders_find(inodes, (size_t)count, &holders) : 0;
    int status = -1;

    s->network = sockets_own_network();
    if (count < 0 || found < 0) {
        cli_error(s->self, "the kernel does not list its sockets: %s", strerror(errno));
    } else {
        status = add_each(s, holders, (size_t)found);
        if (!s->is_renewed)
            s->unseen = count_unseen(s, inodes, (size_t)count, holders, (size_t)found);
    }
    free(inodes);
    free(holders);
    if (status != 0 || s->is_renewed)
        return status;
    if (s->unseen > 0) {
        char why[HOLDERS_WHY_MAX];
        holders_explain_unseen(why);
        cli_error(s->self, "%zu socket%s at port %ld held by processes that %s", s->unseen,
                  s->unseen == 1 ? "" : "s", s->port, why);
    } else if (s->target_count == 0 && !s->may_be_none)
        cli_error(s->self,
                  "nobody %s port %ld in this network namespace; nsenter -t PID -n enters another",
                  s->of_listeners ? "listens on" : "has a connection at", s->port);
    return s->target_count > 0 || (s->may_be_none && s->unseen == 0) ? 0 : -1;
}

static int add_named(const char *name, pid_t pid, void *selection)
{
    struct selection *s = selection;

    s->may_end = s->may_end || strchr(name, '.'); /* a unit's name has one */
    return selection_add(s, pid) < 0 ? -1 : 0;
}

int selection_open(struct selection *s, char **pids)
{
    s->may_end = s->port;
    int status = s->port ? add_holders(s) : pids_each(s->self, pids, add_named, s);

    s->named = s->may_end ? 0 : s->target_count;
    s->may_end = true;
    return status;
}

int selection_renew(struct selection *s)
{
    int count = 0;

    s->named = 0;
    s->is_renewed = true;
    for (int i = 0; i < s->target_count; i++) {
        if (target_has_ended(&s->targets[i]))
            target_close(&s->targets[i]);
        else
            s->targets[count++] = s->targets[i];
    }
    s->target_count = count;
    return s->port && add_holders(s) != 0 ? -1 : s->target_count;
}

void selection_close(struct selection *s)
{
    for (int i = 0; i < s->target_count; i++)
        target_close(&s->targets[i]);
    seen_forget(&s->seen);
}

/* A process may hold sockets of several network namespaces. */
static bool is_of_port(const struct selection *s, int fd, const struct facts *facts)
{
    return facts->local_port == s->port && sockets_network(fd) == s->network;
}

/* Skips what does not count: not TCP, not connected, of another port. */
static bool is_passed_over(struct selection *s, int fd, struct facts *facts)
{
    if (!sock_facts(fd, s->port ? FACT_LOCAL_PORT : 0, facts) || facts->state == TCP_CLOSE ||
        (s->port && !is_of_port(s, fd, facts)))
        return true;
    s->is_empty = false;
    return s->only_listeners && facts->state != TCP_LISTEN;
}

/* The facts that a rule, the output or a message needs. */
static unsigned wanted_of(const struct selection *s, const struct facts *facts)
{
    unsigned wanted = s->wanted | decide_needs(&s->rules) | FACT_COOKIE;

    if (facts->state == TCP_LISTEN)
        wanted |= FACT_LOCAL_IP;
    return wanted;
}

/* Visits each socket only once. */
static bool visit_socket(int fd, int number, void *context)
{
    struct selection *s = context;
    struct facts facts = {0};

    (void)number;
    if (!s->visit || is_passed_over(s, fd, &facts) ||
        !sock_facts(fd, wanted_of(s, &facts), &facts) || facts.state == TCP_CLOSE)
        return true;
    int is_new = seen_note(&s->seen, facts.cookie);
    if (is_new < 0)
        error_set(&s->why, "out of memory");
    if (is_new <= 0)
        return is_new == 0;
    sock_withhold_share(&facts);
    role_add(fd, &facts, FACT_ROLE);
    return s->visit(s, fd, &facts, s->context);
}

/* prog= must match the target's name: a rule for another program is a mistake. */
static int take_policy(struct selection *s, const struct target *target)
{
    s->policy = s->rules;
    policy_keep_program(&s->policy, target->name);
    for (unsigned i = 0; i < s->rules.rule_count && !s->takes_others; i++) {
        const struct policy_rule *rule = &s->rules.rules[i];
        if (!policy_rule(&s->policy, rule->number))
            return cli_error(s->self, "rule %u (%s) is not for %s (pid %d)", rule->number,
                             selection_rule_text(&s->rules, rule->number), target->name,
                             (int)target->pid);
    }
    return 0;
}

int selection_each(struct selection *s, selection_visit *visit, void *context)
{
    s->visit = visit;
    s->context = context;
    seen_forget(&s->seen);
    s->is_empty = true;
    for (int i = 0; i < s->target_count; i++) {
        s->target = &s->targets[i];
        s->why.text[0] = '\0';
        if (take_policy(s, s->target) != 0)
            return -1;
        if (target_each_socket(s->target, visit_socket, s, &s->why) != 0 &&
            !selection_is_gone(s, i))
            return cli_error(s->self, "pid %d: %s", (int)s->target->pid, s->why.text);
    }
    return 0;
}
