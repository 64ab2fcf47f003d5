/* SPDX-License-Identifier: MIT */
/* One port: its sockets by state, who holds them, and when the last TIME_WAIT ends. */
#include "cli/states/port.h"

#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/keep/status.h"
#include "cli/states/summary.h"
#include "socket/portholders.h"

/* The part of a dump that concerns one port. */
struct port {
    struct bystate states;
    struct portholders use;
    struct summary_holders by;
    size_t total;
    size_t towards; /* of other ports: connections whose peer has the port */
    size_t towards_time_wait;
    struct status_kept *kept;
    size_t kept_count;
    pid_t keeper;
};

static bool is_listened_on(const struct sockets *sockets, uint16_t port)
{
    for (size_t i = 0; i < sockets->count; i++) {
        if (sockets->items[i].state == TCP_LISTEN && sockets->items[i].local_port == port)
            return true;
    }
    return false;
}

/* Of the listeners that are kept on this host, those of the port; listeners are few. */
static void find_kept(struct port *p, const struct sockets *sockets, long port)
{
    size_t count = status_read(&p->kept, &p->keeper);

    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < sockets->count; j++) {
            const struct diag_socket *s = &sockets->items[j];
            if (s->local_port == port && s->inode == p->kept[i].inode && s->state == TCP_LISTEN)
                p->kept[p->kept_count++] = p->kept[i];
        }
    }
}

static int look_at(struct port *p, const struct sockets *sockets, long port)
{
    memset(p, 0, sizeof(*p));
    p->use.port = (uint16_t)port;
    for (size_t i = 0; i < sockets->count; i++) {
        const struct diag_socket *s = &sockets->items[i];
        if (s->local_port != port) {
            p->towards += s->peer_port == port;
            p->towards_time_wait += s->peer_port == port && s->state == TCP_TIME_WAIT;
            continue;
        }
        bystate_add(&p->states, s);
        p->total++;
        (void)portholders_add(s, &p->use);
    }
    portholders_judge(&p->use, is_listened_on(sockets, p->use.first_port));
    find_kept(p, sockets, port);
    return summary_find_holders(&p->by, sockets, DIAG_EVERY_STATE, port);
}

static unsigned seconds_left(const struct port *p)
{
    return (p->use.last + 999) / 1000;
}

static void print_json(FILE *out, const struct port *p, long port)
{
    struct json json = {.out = out};

    json_open(&json, NULL, '{');
    json_number(&json, "port", port);
    bystate_print_json(&json, &p->states);
    json_number(&json, "time_wait_seconds", seconds_left(p));
    json_open(&json, "holders", '[');
    for (size_t i = 0; i < p->by.count; i = holders_next(p->by.holders, p->by.count, i)) {
        json_open(&json, NULL, '{');
        json_number(&json, "pid", p->by.holders[i].pid);
        json_string(&json, "program", p->by.holders[i].program);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_open(&json, "kept", '[');
    for (size_t i = 0; i < p->kept_count; i++) {
        json_open(&json, NULL, '{');
        json_string(&json, "local", p->kept[i].local);
        json_number(&json, "rule", p->kept[i].rule);
        json_string(&json, "text", p->kept[i].text);
        json_number(&json, "pid", p->keeper);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_number(&json, "towards", (long long)p->towards);
    json_number(&json, "towards_time_wait", (long long)p->towards_time_wait);
    json_number(&json, "unseen", (long long)p->by.unseen);
    json_bool(&json, "in_range", p->use.is_in_range);
    if (p->use.is_clients)
        json_string(&json, "client_of", cli_endpoint(p->use.first, p->use.first_port));
    json_close(&json, '}');
    fputc('\n', out);
}

static void print(FILE *out, const struct port *p, long port)
{
    char buffer[256];
    struct text why;

    snprintf(buffer, sizeof(buffer), "port %ld", port);
    if (p->total == 0)
        fprintf(out, "%s\n  nobody holds it in this network namespace\n", buffer);
    else
        bystate_print_head(out, buffer, BYSTATE_PLAIN);
    for (unsigned i = 1; i < DIAG_STATES; i++) {
        if (p->states.count[i] == 0)
            continue;
        bystate_print(out, &p->states, i, BYSTATE_PLAIN);
        fputc('\n', out);
    }
    if (p->towards > 0)
        fprintf(out, "  connections from here to port %ld: %zu, of them in TIME_WAIT: %zu\n", port,
                p->towards, p->towards_time_wait);
    for (size_t i = 0; i < p->by.count; i = holders_next(p->by.holders, p->by.count, i))
        cli_print_line(out, "  held by %s (pid %d)", p->by.holders[i].program,
                       (int)p->by.holders[i].pid);
    for (size_t i = 0; i < p->kept_count; i++)
        cli_print_line(out, "  %s has what rule %u of linger keep (pid %d) says: %s",
                       p->kept[i].local, p->kept[i].rule, (int)p->keeper, p->kept[i].text);
    if (p->by.unseen > 0)
        fprintf(out, "  %zu socket%s held by processes that this user may not inspect\n",
                p->by.unseen, p->by.unseen == 1 ? "" : "s");
    if (p->use.is_clients) {
        text_begin(&why, buffer, sizeof(buffer));
        portholders_say(&p->use, &why);
        fprintf(out, "  %s\n", buffer);
    } else if (p->use.listeners > 0 && p->use.is_in_range) {
        fprintf(out, "  it lies in net.ipv4.ip_local_port_range: a client may get it while nobody "
                     "listens; add it to net.ipv4.ip_local_reserved_ports\n");
    }
    if (p->use.time_wait > 0)
        fprintf(
            out, "  the last TIME_WAIT ends in %u s%s\n", seconds_left(p),
            p->use.listeners > 0 || p->use.is_clients
                ? ""
                : "; until then bind() may fail, unless both runs of the server set SO_REUSEADDR");
}

int port_show(FILE *out, const struct sockets *sockets, long port, bool json)
{
    struct port p;

    int status = look_at(&p, sockets, port);

    if (status == 0 && json)
        print_json(out, &p, port);
    else if (status == 0)
        print(out, &p, port);
    free(p.by.holders);
    free(p.kept);
    return status;
}
