/* SPDX-License-Identifier: MIT */
/* A listener's queues hold connections, and a TIME_WAIT has none: only the others' are added up. */
#include "cli/sockets/bystate.h"

#include <inttypes.h>
#include <netinet/tcp.h>

static bool has_queues(unsigned state)
{
    return state != TCP_LISTEN && state != TCP_TIME_WAIT && state != TCP_CLOSE;
}

void bystate_add(struct bystate *sums, const struct diag_socket *socket)
{
    unsigned state = socket->state < DIAG_STATES ? socket->state : 0;

    sums->count[state]++;
    if (has_queues(state)) {
        sums->received[state] += socket->waiting;
        sums->sent[state] += socket->backlog;
    }
}

void bystate_print_head(FILE *out, const char *title, enum bystate_form form)
{
    fprintf(out, "%-14s %8s", title, "sockets");
    if (form != BYSTATE_NARROW)
        fprintf(out, " %10s %10s", "Recv-Q", "Send-Q");
    fputc('\n', out);
}

void bystate_print(FILE *out, const struct bystate *sums, unsigned state, enum bystate_form form)
{
    fprintf(out, "  %-12s %8u", diag_state_name(state), sums->count[state]);
    if (form == BYSTATE_NARROW)
        return;
    if (has_queues(state))
        fprintf(out, " %10" PRIu64 " %10" PRIu64, sums->received[state], sums->sent[state]);
    else if (form == BYSTATE_PADDED)
        fprintf(out, "%22s", "");
}

static void print_queues(struct json *json, const char *key, const uint64_t bytes[])
{
    json_open(json, key, '{');
    for (unsigned i = 1; i < DIAG_STATES; i++) {
        if (has_queues(i))
            json_number(json, diag_state_name(i), (long long)bytes[i]);
    }
    json_close(json, '}');
}

void bystate_print_json(struct json *json, const struct bystate *sums)
{
    json_open(json, "states", '{');
    for (unsigned i = 1; i < DIAG_STATES; i++)
        json_number(json, diag_state_name(i), sums->count[i]);
    json_close(json, '}');
    print_queues(json, "recv_q", sums->received);
    print_queues(json, "send_q", sums->sent);
}
