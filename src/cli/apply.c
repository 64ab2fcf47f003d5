/* SPDX-License-Identifier: MIT */
/*
 * The options live in the kernel's socket, so a duplicate of the descriptor is enough to set them,
 * and connections accepted later inherit them from their listener.
 *
 * Two passes over the sockets. The first only decides, and refuses everything if a listener could
 * not carry the policy; the second decides again, by what each socket is by then, and applies.
 */
#include "cli/apply.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/attach/saved.h"
#include "socket/sock.h"

#define RESULT_SIZE 160
#define result_text(a, o) put_result((char[RESULT_SIZE]){0}, a, o)
static const char *put_result(char buffer[RESULT_SIZE], const struct apply *a,
                              const struct apply_outcome *o)
{
    const char *left = selection_left_text(o->decision, &o->verdict);

    if (a->is_supervised && o->decision == DECIDE_NOT_YET)
        return "left to the supervisor: it decides at accept() or close()";
    if (left)
        return left;
    if (o->is_beyond) {
        snprintf(buffer, RESULT_SIZE,
                 "%s: MPTCP has no TCP_LINGER2; use plain TCP, by GODEBUG=multipathtcp=0 (Go) or "
                 "`linger run`",
                 a->selection.dry_run ? "would fail" : "failed");
        return buffer;
    }
    if (o->refused) {
        snprintf(buffer, RESULT_SIZE, "failed: %s: %s", o->refused, strerror(o->error));
        return buffer;
    }
    if (o->gives_way)
        return "left alone: SO_LINGER is set already (overrule=no)";
    snprintf(buffer, RESULT_SIZE, "%s%s", a->selection.dry_run ? "would be applied" : "applied",
             o->is_lossy ? "; what TCP_CORK holds back at close() is lost" : "");
    return buffer;
}

/* Whose socket it is, and by which rule. */
static void print_rule(const struct apply *a, struct json *json, unsigned rule)
{
    const struct target *target = a->selection.target;

    if (json->out) {
        json_string(json, "program", target->name);
        json_number(json, "rule", rule);
    } else {
        printf("  rule %u, ", rule);
        cli_print_word(stdout, target->name);
        printf(" (pid %d)", (int)target->pid);
    }
}

void apply_print(struct apply *a, const struct facts *f, const struct apply_outcome *o)
{
    struct json *json = &a->selection.json;

    if (a->selection.quiet)
        return;
    json->follows = json->follows && !a->has_lines;
    if (json->out)
        json_open(json, NULL, '{');
    if (json->out && a->has_lines)
        json_number(json, "time", (long long)time(NULL));
    if (json->out)
        json_number(json, "pid", a->selection.target->pid);
    selection_print_ends(json, f->state == TCP_LISTEN, cli_endpoint(f->local_ip, f->local_port),
                         selection_peer_text(f));
    selection_print(json, "before", "  before ", selection_mode_text(DECIDE_VERDICT, &o->before));
    selection_print(json, "verdict", "  verdict ", selection_mode_text(o->decision, &o->verdict));
    selection_print(json, "result", "  ", result_text(a, o));
    if (a->has_lines)
        print_rule(a, json, o->verdict.rule);
    selection_end_line(json);
    if (json->out && a->has_lines)
        putchar('\n');
}

/* The first pass: a listener must be able to carry the policy, where no supervisor does. */
static bool plan(struct selection *s, int fd, const struct facts *f, void *context)
{
    const struct apply *a = context;
    struct verdict verdict;

    (void)fd;
    if (a->is_supervised || decide(&s->policy, f, &verdict) != DECIDE_NOT_YET)
        return true;
    error_set(&s->why,
              "rule %u (%s) cannot be carried by the listener %s: it depends on what only a later "
              "connection knows; `linger run` decides it for each",
              verdict.rule, selection_rule_text(&s->policy, verdict.rule),
              cli_endpoint(f->local_ip, f->local_port));
    return false;
}

/* Writes what a socket has to the file, before it is changed; false, and `why`, on failure. */
static bool save(struct apply *a, int fd)
{
    struct saved_socket socket;

    if (!a->save || (saved_look(fd, &socket) && saved_write(a->saved, &socket) == 0))
        return true;
    error_set(&a->selection.why, "%.100s: cannot be written: %s", a->save, strerror(errno));
    return false;
}

struct apply_outcome apply_decide(const struct policy *policy, int fd, const struct facts *f)
{
    struct apply_outcome o = {.decision = DECIDE_NO_RULE};
    struct sock_linger linger;
    bool is_known = sock_linger(fd, &linger);

    if (is_known)
        o.before = sock_linger_mode(&linger);
    o.decision = decide(policy, f, &o.verdict);
    o.has_options = o.decision == DECIDE_VERDICT && o.verdict.mode != MODE_OFF;
    o.gives_way = o.verdict.gives_way && (o.before.mode == MODE_RST || o.before.mode == MODE_WAIT);
    o.is_beyond =
        o.has_options && o.verdict.mode == MODE_FIN_RST && is_known && !linger.has_linger2;
    o.is_lossy = o.has_options && o.verdict.mode == MODE_RST && sock_holds_back(fd);
    return o;
}

void apply_set(int fd, struct apply_outcome *o)
{
    o->refused = sock_apply(fd, &o->verdict, false);
    o->error = errno;
}

/* The second pass. */
static bool change(struct selection *s, int fd, const struct facts *f, void *context)
{
    struct apply *a = context;
    struct apply_outcome o = apply_decide(&s->policy, fd, f);

    if (o.has_options && !a->selection.dry_run) {
        if (!save(a, fd))
            return false;
        apply_set(fd, &o);
    }
    if (f->state == TCP_LISTEN)
        a->listeners++;
    else
        a->connections++;
    a->failed += o.refused != NULL || (o.decision == DECIDE_NOT_YET && !a->is_supervised);
    apply_print(a, f, &o);
    return true;
}

static void print_summary(struct apply *a)
{
    if (a->selection.quiet)
        return;
    if (a->selection.json.out) {
        json_close(&a->selection.json, ']');
        json_number(&a->selection.json, "listeners", a->listeners);
        json_number(&a->selection.json, "connections", a->connections);
        json_number(&a->selection.json, "failed", a->failed);
    } else {
        printf("%s%u listener%s, %u connection%s in %d process%s, %u failed\n",
               a->selection.dry_run ? "nothing was changed: " : "", a->listeners,
               a->listeners == 1 ? "" : "s", a->connections, a->connections == 1 ? "" : "s",
               a->selection.target_count, a->selection.target_count == 1 ? "" : "es", a->failed);
    }
}

static void refuse_empty(const struct selection *s)
{
    const char *where = s->port ? " at that port" : "";

    if (s->target_count == 1)
        cli_error(s->self, "pid %d (%s) has no TCP listener and no connection%s",
                  (int)s->targets[0].pid, s->targets[0].name, where);
    else
        cli_error(s->self, "none of the %d processes has a TCP listener or a connection%s",
                  s->target_count, where);
}

bool apply(struct apply *a)
{
    struct selection *s = &a->selection;

    s->wanted = s->quiet ? 0 : FACT_LOCAL_IP | FACT_LOCAL_PORT | FACT_PEER;
    s->only_listeners = true;
    if (selection_each(s, plan, a) != 0)
        return false;
    s->only_listeners = false;
    if (s->is_empty && !a->is_supervised) {
        refuse_empty(s);
        return false;
    }
    if (a->save)
        cli_warn_exposed(s->self, "--save", a->save);
    if (a->save && (a->saved = saved_create(a->save, &s->why)) < 0) {
        cli_error(s->self, "%s: %s", a->save, s->why.text);
        return false;
    }
    if (s->json.out && !s->quiet) {
        json_open(&s->json, NULL, '{');
        json_open(&s->json, "sockets", '[');
    }
    int status = selection_each(s, change, a);
    print_summary(a);
    if (a->save)
        close(a->saved);
    return status == 0 && a->failed == 0 && s->unseen == 0;
}

/* Why the rule cannot be applied without a supervisor, or by a listener alone; NULL if it can. */
static const char *what_is_late(const struct policy_rule *rule, bool has_listener_alone)
{
    if (rule->conditions & CONDITION_WHEN)
        return "when= is known only when a connection closes";
    if (rule->conditions & CONDITION_ROLE && rule->role == ROLE_CLIENT)
        return "connections that the process will make do not exist yet";
    if (has_listener_alone && rule->conditions & CONDITION_PEER)
        return "peer= is known only when a connection has come";
    if (has_listener_alone && rule->conditions & CONDITION_SHARE)
        return "share= is drawn for each connection";
    return NULL;
}

int apply_take_mode(struct selection *s, bool has_listener_alone)
{
    if (selection_take_mode(s) != 0)
        return -1;
    for (unsigned i = 0; i < s->rules.rule_count; i++) {
        const struct policy_rule *rule = &s->rules.rules[i];
        const char *what = what_is_late(rule, has_listener_alone);
        if (what)
            return cli_error(s->self,
                             "rule %u (%s) cannot be applied: %s; `linger run` or `linger "
                             "supervise` decides it for each",
                             rule->number, selection_rule_text(&s->rules, rule->number), what);
    }
    return 0;
}

void apply_end_json(struct apply *a)
{
    if (!a->selection.json.out || a->selection.quiet)
        return;
    json_close(&a->selection.json, '}');
    putchar('\n');
}

const char *apply_find_mistake(const struct apply *a, bool has_pids)
{
    const struct selection *s = &a->selection;

    if (!s->mode)
        return "a policy is missing: -m";
    if (a->save && a->selection.dry_run)
        return "--save and --dry-run exclude each other";
    if (!s->port == !has_pids)
        return s->port ? "give either pids or --port, not both" : "a pid or --port is missing";
    return NULL;
}

bool apply_take_option(struct apply *a, int option)
{
    if (option == 's')
        a->save = optarg;
    return selection_take_option(&a->selection, option);
}
