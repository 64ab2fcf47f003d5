/* SPDX-License-Identifier: MIT */
/* linger check: can a program be reached, by which backend, and if not why. */
#include "cli/cli.h"
#include "cli/launchers/launchers.h"
#include "cli/reach/reach.h"

static const char help[] =
    "usage: linger check PROGRAM...\n"
    "\n"
    "Says for each program how linger run reaches it: by preloading liblinger.so, by\n"
    "a supervisor of its system calls (static and Go programs), or not at all.\n"
    "\n"
    "  -h, --help    this text\n"
    "\n"
    "exit status: 0 all by preload; 1 some by a supervisor; 2 some not at all, or not\n"
    "             found; 125 wrong arguments\n"
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
    if (launchers_lose(reach, program, NULL, &loses))
        print_row("but", loses.text);
    for (int i = 0; i < reach->depth; i++)
        print_row(i == 0 ? "file" : "through", reach->file[i]);
    if (reach->has_elf)
        print_elf(&reach->elf);
    if (reach->how == REACH_PRELOAD)
        print_row("library", reach->preload);
}

static int check_main(const struct cli_command *self, int argc, char **argv)
{
    static const struct option options[] = {CLI_OPTION_HELP, CLI_OPTIONS_END};
    static struct reach reach;
    int worst = 0;
    int status;

    if (cli_option(self, argc, argv, options, false, &status) == 0)
        return status;
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
