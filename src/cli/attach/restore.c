/* SPDX-License-Identifier: MIT */
/* A socket that is gone is not a failure: connections do end. */
#include "cli/attach/restore.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "cli/attach/savefile.h"
#include "cli/json.h"

#define RESULT_SIZE 128
#define result_text(r, s) put_result((char[RESULT_SIZE]){0}, r, s)
static const char *put_result(char buffer[RESULT_SIZE], const struct restore_request *r,
                              const struct saved_socket *s)
{
    if (s->result == SAVED_GONE)
        return geteuid() == 0 ? "gone" : "gone, or out of reach without root";
    if (s->result == SAVED_REFUSED) {
        snprintf(buffer, RESULT_SIZE, "failed: %s: %s", s->refused, strerror(s->error));
        return buffer;
    }
    return r->dry_run ? "would be put back" : "put back";
}

static const char *kind_of(const struct saved_socket *s)
{
    return s->is_listener ? "listener" : "connection";
}

static bool has_peer(const struct saved_socket *s)
{
    return strcmp(s->peer, "-") != 0;
}

static void print_json(const struct restore_request *r, const struct saved *saved, const size_t *of)
{
    struct json json = {.out = stdout};

    json_open(&json, NULL, '{');
    json_open(&json, "sockets", '[');
    for (size_t i = 0; i < saved->count; i++) {
        const struct saved_socket *s = &saved->sockets[i];
        json_open(&json, NULL, '{');
        json_string(&json, "kind", kind_of(s));
        json_string(&json, "local", s->local);
        json_string(&json, "peer", has_peer(s) ? s->peer : "");
        json_open(&json, "linger", '[');
        json_number(&json, NULL, s->linger.on);
        json_number(&json, NULL, s->linger.seconds);
        json_close(&json, ']');
        json_real(&json, "linger2", s->linger.has_linger2 ? (double)s->linger.linger2 : (double)NAN,
                  10);
        json_string(&json, "result", result_text(r, s));
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_number(&json, "put_back", (long long)of[SAVED_PUT_BACK]);
    json_number(&json, "accepted_since", (long long)saved->inherited);
    json_number(&json, "gone", (long long)of[SAVED_GONE]);
    json_number(&json, "failed", (long long)of[SAVED_REFUSED]);
    json_close(&json, '}');
    putchar('\n');
}

static void print(const struct restore_request *r, const struct saved *saved, const size_t *of)
{
    for (size_t i = 0; i < saved->count; i++) {
        const struct saved_socket *s = &saved->sockets[i];
        printf("%-10s  %s%s%s  SO_LINGER {%d, %d}", kind_of(s), s->local, has_peer(s) ? " " : "",
               has_peer(s) ? s->peer : "", s->linger.on, s->linger.seconds);
        if (s->linger.has_linger2)
            printf(" TCP_LINGER2 %d", s->linger.linger2);
        printf("  %s\n", result_text(r, s));
    }
    printf("%s%zu put back, and %zu accepted since; %zu gone, %zu failed\n",
           r->dry_run ? "nothing was changed: " : "", of[SAVED_PUT_BACK], saved->inherited,
           of[SAVED_GONE], of[SAVED_REFUSED]);
}

bool restore_report(const struct restore_request *request, const struct saved *saved)
{
    size_t of[SAVED_REFUSED + 1] = {0}; /* how many have each result */

    for (size_t i = 0; i < saved->count; i++)
        of[saved->sockets[i].result]++;
    if (!request->quiet)
        (request->json ? print_json : print)(request, saved, of);
    return of[SAVED_REFUSED] == 0;
}

int restore(const struct cli_command *self, const struct restore_request *request)
{
    struct saved saved = {0};
    struct error why;
    int status = CLI_OK;

    if (savefile_read(request->path, &saved, &why) != 0) {
        cli_error(self, "%s: %s", request->path, why.text);
        saved_free(&saved);
        return CLI_FAILED;
    }
    if (saved_put_back(&saved, request->dry_run, &why) != 0) {
        cli_error(self, "%s", why.text);
        status = CLI_FAILED;
    }
    if (!restore_report(request, &saved))
        status = CLI_FAILED;
    saved_free(&saved);
    return cli_flush(self, status);
}
