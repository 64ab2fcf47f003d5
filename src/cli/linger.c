/* SPDX-License-Identifier: MIT */
/* linger: the dispatch. Each subcommand is one file; this one knows their names. */
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "cli/cli.h"

static const struct cli_command *const commands[] = {
    &cli_run,    &cli_check, &cli_states,    &cli_watch, &cli_stats,
    &cli_attach, &cli_keep,  &cli_supervise, &cli_close, &cli_ab};

#define COMMAND_COUNT ((int)(sizeof(commands) / sizeof(commands[0])))

static int help(void)
{
    puts("linger: decides how the TCP connections of existing programs end.\n"
         "\n"
         "usage: linger COMMAND [OPTION...] [ARGUMENT...]\n");
    for (int i = 0; i < COMMAND_COUNT; i++)
        printf("  %-10s %s\n", commands[i]->name, commands[i]->summary);
    puts("\n"
         "  linger COMMAND --help    the options of a command, and an example; also\n"
         "                           linger help COMMAND\n"
         "  linger --version         the version; also linger version\n"
         "\n"
         "example:\n"
         "  linger run -m rst -- ./someserver");
    return cli_flush(NULL, CLI_OK);
}

static int unknown(const char *name)
{
    const char *names[COMMAND_COUNT + 2] = {"help", "version"};
    const char *near;

    for (int i = 0; i < COMMAND_COUNT; i++)
        names[i + 2] = commands[i]->name;
    near = nearest(name, strlen(name), names, COMMAND_COUNT + 2);
    if (name[0] == '-')
        return cli_usage(NULL,
                         "unknown option '%s'; a command's options follow its name, as in linger "
                         "run -m rst",
                         name);
    if (near)
        return cli_usage(NULL, "unknown command '%s'; did you mean '%s'?", name, near);
    return cli_usage(NULL, "unknown command '%s'", name);
}

static const struct cli_command *find(const char *name)
{
    for (int i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(name, commands[i]->name) == 0)
            return commands[i];
    }
    return NULL;
}

static bool is_word(const char *given, const char *letter, const char *word)
{
    return strcmp(given, letter) == 0 || strcmp(given, word) == 0 ||
           (strncmp(given, "--", 2) == 0 && strcmp(given + 2, word) == 0);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return cli_usage(NULL, "a command is missing");
    const struct cli_command *command = find(argv[1]);
    if (command)
        return command->run(command, argc - 1, argv + 1);
    if (is_word(argv[1], "-V", "version")) {
        puts("linger " LINGER_VERSION);
        return cli_flush(NULL, CLI_OK);
    }
    if (!is_word(argv[1], "-h", "help"))
        return unknown(argv[1]);
    if (argc == 2)
        return help();
    command = find(argv[2]);
    if (!command)
        return unknown(argv[2]);
    return command->run(command, 2, (char *[]){argv[2], (char[]){"--help"}, NULL});
}
