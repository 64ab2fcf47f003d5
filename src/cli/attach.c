/* SPDX-License-Identifier: MIT */
/*
 * linger attach: changes a running daemon, with no preload, no restart, and no code in the process.
 */
#include <string.h>

#include "cli/apply.h"
#include "cli/attach/saved.h"
#include "cli/needs.h"

static const char help[] =
    "usage: linger attach -m POLICY [OPTION...] PID|UNIT...\n"
    "       linger attach -m POLICY [OPTION...] --port PORT\n"
    "       linger attach --restore FILE [-njq]\n"
    "\n"
    "Sets how the TCP connections of running processes end: those they have, and\n"
    "those their listeners will accept. Nothing is injected or restarted, so what\n"
    "the program sets itself after accept() wins, even over fin; to overrule it:\n"
    "linger supervise -m fin --port PORT\n"
    "\n"
    "  -m, --mode=POLICY   a mode, or rules; fin is the kernel's default\n"
    "  -p, --port=PORT     the processes that listen there; only sockets of that port\n"
    "  -s, --save=FILE     note what each socket had, in a new file\n"
    "  -r, --restore=FILE  put back what was noted, and report which are gone\n" SELECTION_HELP
    "examples:\n"
    "  linger attach -m fin-rst --port 8080\n";

static const struct option options[] = {
    SELECTION_OPTIONS,
    {"save", required_argument, NULL, 's'},
    {"restore", required_argument, NULL, 'r'},
    CLI_OPTIONS_END,
};

static const char *find_mistake(const struct apply *a, const char *restored, bool has_pids)
{
    if (!restored)
        return apply_find_mistake(a, has_pids);
    if (a->selection.mode || a->save || a->selection.port || has_pids)
        return "--restore takes no policy, port or pid: the file names the sockets";
    return NULL;
}

static int change(struct apply *a, char **pids)
{
    if (apply_take_mode(&a->selection, false) != 0 || selection_open(&a->selection, pids) != 0)
        return CLI_FAILED;
    bool is_done = apply(a);
    apply_end_json(a);
    selection_close(&a->selection);
    return cli_flush(a->selection.self, is_done ? CLI_OK : CLI_FAILED);
}

/* A socket that is gone is not a failure: connections do end. */
static int restore(const struct selection *s, const char *path)
{
    struct saved saved = {0};
    struct error why;
    bool is_done = false;

    if (saved_read(&saved, path, &why) != 0) {
        cli_error(s->self, "%s: %s", path, why.text);
    } else {
        is_done = saved_put_back(&saved, s->dry_run, &why) == 0;
        if (!is_done)
            cli_error(s->self, "%s", why.text);
        is_done &= saved_report(&saved, s);
    }
    saved_free(&saved);
    return cli_flush(s->self, is_done ? CLI_OK : CLI_FAILED);
}

static int attach_main(const struct cli_command *self, int argc, char **argv)
{
    static struct apply a;
    const char *restored = NULL;
    int option;
    int status = CLI_FAILED;

    a.selection.self = self;
    a.selection.of_listeners = true;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--stay") == 0)
            return cli_usage(self,
                             "--stay is a command of its own: linger supervise -m POLICY PID");
    }
    while ((option = cli_option(self, argc, argv, options, false, &status)) > 0) {
        if (option == 'r')
            restored = optarg;
        else if (!apply_take_option(&a, option))
            return CLI_FAILED;
    }
    if (option == 0)
        return status;
    const char *mistake = find_mistake(&a, restored, argv[optind]);
    if (mistake)
        return cli_usage(self, "%s", mistake);
    if (!needs_are_met(NEED_ATTACH, self))
        return CLI_FAILED;
    if (restored)
        return restore(&a.selection, restored);
    return change(&a, argv + optind);
}

const struct cli_command cli_attach = {"attach", "change a daemon that is running already", help,
                                       attach_main};
