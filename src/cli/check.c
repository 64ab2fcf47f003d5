/* SPDX-License-Identifier: MIT */
/* linger check: can a program be reached, by which backend, and if not why. */
#include "cli/check/running.h"
#include "cli/cli.h"
#include "cli/launchers/launchers.h"
#include "cli/pids.h"
#include "cli/reach/reach.h"

static const char help[] =
    "usage: linger check PROGRAM...\n"
    "       linger check --pid PID|UNIT...\n"
    "\n"
    "Says for each program how linger run reaches it: by preloading liblinger.so, by\n"
    "a supervisor of its system calls (static and Go programs), or not at all.\n"
    "\n"
    "  -p, --pid     what running processes are under: the library and its policy, a\n"
    "                supervisor, or what attach left on their listeners\n"
    "  -h, --help    this text\n"
    "\n"
    "exit status: 0 all by preload (or attach); 1 some by a supervisor; 2 some not at\n"
    "             all, or not found; 125 wrong arguments, or it may not be looked at\n"
    "\n"
    "example:\n"
    "  linger check nginx /usr/local/bin/caddy\n";

static int weight(enum reach_how how)
{
    return how == REACH_PRELOAD ? 0 : how == REACH_SUPERVISE ? 1 : 2;
}

static void print_row(const char *label, const char *text)
{
    cli_print_line(stdout, "  %-11s %s", label, text);
}

static void print_elf(const struct elf *elf)
{
    printf("  %-11s %d-bit %s%s%s\n", "ELF", elf->bits, elf_machine(elf),
           elf->is_pie ? ", position-independent" : "", elf->is_go ? ", Go" : "");
    if (elf->interpreter[0])
        print_row("loader", elf->interpreter);
}

static void print(const char *program, const struct reach *reach)
{
    struct error loses;

    cli_print_line(stdout, "%s", program);
    print_row("reached by", reach_name(reach->how));
    print_row("why", reach->why.text);
    if (reach->how == REACH_ERROR && pids_is_name(program))
        cli_print_line(stdout, "  %-11s of a running process: linger check --pid %s", "but",
                       program);
    if (launchers_lose(reach, program, NULL, &loses))
        print_row("but", loses.text);
    for (int i = 0; i < reach->depth; i++)
        print_row(i == 0 ? "file" : "through", reach->file[i]);
    if (reach->has_elf)
        print_elf(&reach->elf);
    if (reach->how == REACH_PRELOAD)
        print_row("library", reach->preload);
}

struct round {
    const struct cli_command *self;
    int worst;
};

static int show(const char *name, pid_t pid, void *context)
{
    struct round *round = context;
    struct error why;
    int how = running_show(pid, &why);

    (void)name;
    if (how < 0)
        return cli_error(round->self, "pid %d: %s", (int)pid, why.text);
    if (how > round->worst)
        round->worst = how;
    return 0;
}

static int check_running(const struct cli_command *self, char *const *names)
{
    struct round round = {self, 0};

    if (!names[0])
        return cli_usage(self, "a pid or the name of a unit is missing");
    if (pids_each(self, names, show, &round) != 0)
        return CLI_FAILED;
    return cli_flush(self, round.worst);
}

static int check_main(const struct cli_command *self, int argc, char **argv)
{
    static const struct option options[] = {
        {"pid", no_argument, NULL, 'p'}, CLI_OPTION_HELP, CLI_OPTIONS_END};
    static struct reach reach;
    int worst = 0;
    bool is_running = false;
    int option;
    int status;

    while ((option = cli_option(self, argc, argv, options, false, &status)) > 0)
        is_running = true;
    if (option == 0)
        return status;
    if (is_running)
        return check_running(self, argv + optind);
    if (optind == argc)
        return cli_usage(self, "a program is missing");
    for (int i = optind; i < argc; i++) {
        reach_judge(argv[i], false, &reach);
        print(argv[i], &reach);
        if (weight(reach.how) > worst)
            worst = weight(reach.how);
    }
    return cli_flush(self, worst);
}

const struct cli_command cli_check = {"check", "can a program be reached, and if not why", help,
                                      check_main};
