/* SPDX-License-Identifier: MIT */
/*
 * linger keep: one policy for a host, also for what starts later.
 */
#include "cli/keep/keep.h"

#include "cli/needs.h"

static const char help[] =
    "usage: linger keep -m POLICY [OPTION...]\n"
    "\n"
    "Keeps one policy for a host: attaches to each TCP listener that it matches, and\n"
    "to each that begins to listen, in all network namespaces, until it is ended.\n"
    "SIGHUP makes it read the policy again, SIGTERM ends it.\n"
    "\n"
    "  -m, --mode=POLICY     a mode, or rules for listeners; @FILE reads them\n"
    "  -f, --follow          read the file again whenever it changes\n"
    "  -P, --prometheus=FILE counters for Prometheus, in a file that is replaced\n"
    "  -r, --restore-at-end  put back at the end what was\n"
    "  -n, --dry-run         show what would be done now\n"
    "  -j, --json            as JSON, a line for each listener\n"
    "  -q, --quiet           only errors\n"
    "  -h, --help            this text\n"
    "\n"
    "exit status: 0 ended by SIGTERM or SIGINT; 125 refused\n"
    "\n"
    "examples:\n"
    "  linger keep -m 'fin-rst port=8080,9000-9100; fin prog=haproxy'\n"
    "  linger keep -m @/etc/linger/policy\n";

static const struct option options[] = {
    CLI_OPTION_MODE,
    {"follow", no_argument, NULL, 'f'},
    {"prometheus", required_argument, NULL, 'P'},
    {"restore-at-end", no_argument, NULL, 'r'},
    CLI_OPTION_DRY_RUN,
    CLI_OPTION_JSON,
    CLI_OPTION_QUIET,
    CLI_OPTION_HELP,
    CLI_OPTIONS_END,
};

static bool is_file(const struct selection *s)
{
    return s->mode[0] == '@';
}

static int keep_main(const struct cli_command *self, int argc, char **argv)
{
    static struct keep k;
    struct apply *a = &k.look.apply;
    int option;
    int status = CLI_FAILED;

    a->selection.self = self;
    while ((option = cli_option(self, argc, argv, options, false, &status)) > 0) {
        k.follows = k.follows || option == 'f';
        k.look.restores = k.look.restores || option == 'r';
        if (option == 'P')
            k.prometheus = optarg;
        else if (!selection_take_option(&a->selection, option))
            return CLI_FAILED;
    }
    if (option == 0)
        return status;
    if (optind < argc)
        return cli_usage(self, "unexpected argument '%s'", argv[optind]);
    if (!a->selection.mode)
        return cli_usage(self, "a policy is missing: -m");
    if (k.follows && !is_file(&a->selection))
        return cli_usage(self, "--follow needs a file: -m @FILE");
    if (!needs_are_met(NEED_KEEP, self) || selection_take_mode(&a->selection) != 0 ||
        apply_check_rules(&a->selection, true) != 0)
        return CLI_FAILED;
    return keep_run(&k);
}

const struct cli_command cli_keep = {"keep", "one policy for a host, also for what starts later",
                                     help, keep_main};
