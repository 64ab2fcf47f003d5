/* linger: the dispatch. Each subcommand is one file; this one knows their names. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const struct cli_command *const commands[] = {&cli_run,   &cli_check,  &cli_states,
                                                     &cli_stats, &cli_attach, &cli_ab};

#define COMMAND_COUNT ((int)(sizeof(commands) / sizeof(commands[0])))

static int help(void)
{
    puts("linger: decides how the TCP connections of existing programs end.\n"
         "\n"
         "usage: linger COMMAND [OPTION...] [ARGUMENT...]\n");
    for (int i = 0; i < COMMAND_COUNT; i++)
        printf("  %-8s %s\n", commands[i]->name, commands[i]->summary);
    puts("\n"
         "  linger COMMAND --help    the options of a command, and an example\n"
         "  linger --version         the version\n"
         "\n"
         "example:\n"
         "  linger run -m rst -- ./someserver");
    return cli_flush(NULL, CLI_OK);
}

static int unknown(const char *name)
{
    const char *names[COMMAND_COUNT];
    const char *near;

    for (int i = 0; i < COMMAND_COUNT; i++)
        names[i] = commands[i]->name;
    near = cli_suggestion(name, names, COMMAND_COUNT);
    if (name[0] == '-')
        return cli_usage(NULL, "unknown option '%s'", name);
    if (near)
        return cli_usage(NULL, "unknown command '%s'; did you mean '%s'?", name, near);
    return cli_usage(NULL, "unknown command '%s'", name);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return cli_usage(NULL, "a command is missing");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0)
        return help();
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        puts("linger " LINGER_VERSION);
        return cli_flush(NULL, CLI_OK);
    }
    for (int i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(argv[1], commands[i]->name) == 0)
            return commands[i]->run(commands[i], argc - 1, argv + 1);
    }
    return unknown(argv[1]);
}
