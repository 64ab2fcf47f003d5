/* SPDX-License-Identifier: MIT */
/* A socket that is gone is not a failure: connections do end. */
#include "cli/attach/restore.h"

#include <string.h>
#include <unistd.h>

#include "cli/attach/savefile.h"

static const char *result_text(const struct restore_request *r, const struct saved_socket *s)
{
    static char buffer[128];

    if (s->result == SAVED_GONE)
        return geteuid() == 0 ? "gone" : "gone, or out of reach without root";
    if (s->result == SAVED_REFUSED) {
        snprintf(buffer, sizeof(buffer), "failed: %s: %s", s->refused, strerror(s->error));
        return buffer;
    }
    return r->dry_run ? "would be put back" : "put back";
}

static void print(const struct restore_request *r, const struct saved_socket *s, bool is_first)
{
    bool has_peer = strcmp(s->peer, "-") != 0;
    const char *kind = s->is_listener ? "listener" : "connection";

    if (r->json) {
        printf("%s{\"kind\":\"%s\",\"local\":", is_first ? "" : ",", kind);
        cli_print_json(stdout, s->local);
        fputs(",\"peer\":", stdout);
        cli_print_json(stdout, has_peer ? s->peer : "");
        printf(",\"linger\":[%d,%d],\"linger2\":", s->linger.on, s->linger.seconds);
        printf(s->linger.has_linger2 ? "%d" : "null", s->linger.linger2);
        fputs(",\"result\":", stdout);
        cli_print_json(stdout, result_text(r, s));
        putchar('}');
        return;
    }
    printf("%-10s  %s%s%s  SO_LINGER {%d, %d}", kind, s->local, has_peer ? " " : "",
           has_peer ? s->peer : "", s->linger.on, s->linger.seconds);
    if (s->linger.has_linger2)
        printf(" TCP_LINGER2 %d", s->linger.linger2);
    printf("  %s\n", result_text(r, s));
}

static void print_all(const struct restore_request *r, const struct saved *saved)
{
    size_t of[SAVED_REFUSED + 1] = {0};

    if (r->json)
        fputs("{\"sockets\":[", stdout);
    for (size_t i = 0; i < saved->count; i++) {
        of[saved->sockets[i].result]++;
        print(r, &saved->sockets[i], i == 0);
    }
    if (r->json)
        printf("],\"put_back\":%zu,\"accepted_since\":%zu,\"gone\":%zu,\"failed\":%zu}\n",
               of[SAVED_PUT_BACK], saved->inherited, of[SAVED_GONE], of[SAVED_REFUSED]);
    else
        printf("%s%zu put back, and %zu accepted since; %zu gone, %zu failed\n",
               r->dry_run ? "nothing was changed: " : "", of[SAVED_PUT_BACK], saved->inherited,
               of[SAVED_GONE], of[SAVED_REFUSED]);
}

int restore(const struct cli_command *self, const struct restore_request *request)
{
    struct saved saved = {0};
    char why[SAVEFILE_WHY_MAX];
    int status = CLI_OK;

    if (savefile_read(request->path, &saved, why) != 0) {
        cli_error(self, "%s: %s", request->path, why);
        saved_free(&saved);
        return CLI_FAILED;
    }
    if (saved_put_back(&saved, request->dry_run, why) != 0) {
        cli_error(self, "%s", why);
        status = CLI_FAILED;
    }
    for (size_t i = 0; i < saved.count; i++) {
        if (saved.sockets[i].result == SAVED_REFUSED)
            status = CLI_FAILED;
    }
    if (!request->quiet)
        print_all(request, &saved);
    saved_free(&saved);
    return cli_flush(self, status);
}
