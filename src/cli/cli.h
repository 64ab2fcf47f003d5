/* SPDX-License-Identifier: MIT */
/* What the subcommands share: messages, options, exit status. */
#pragma once

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>

#include "policy/policy.h"

/* Exit status, as env(1) and nohup(1) have it. */
enum cli_status {
    CLI_OK = 0,
    CLI_FAILED = 125,         /* linger itself failed, or its arguments are wrong */
    CLI_NOT_EXECUTABLE = 126, /* the program was found and cannot be executed */
    CLI_NOT_FOUND = 127,      /* it was not found */
};

struct cli_command {
    const char *name;
    const char *summary; /* for `linger --help` */
    const char
        *help; /* for `linger NAME --help`, 80 columns; with a POLICY, the language follows */
    int (*run)(const struct cli_command *self, int argc, char **argv);
};

extern const struct cli_command cli_run, cli_check, cli_states, cli_stats, cli_attach, cli_keep,
    cli_supervise, cli_close, cli_ab, cli_watch;

struct stats;

/* The table of `linger stats`, for the summary of `linger run -s`. */
void cli_print_counters(FILE *out, const struct stats *stats);

/* "linger run: ..." on standard error, with a newline; returns -1. */
int cli_error(const struct cli_command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same, and how to get help; its value is CLI_FAILED. */
#define cli_usage(command, ...) (cli_error(command, __VA_ARGS__), cli_refer(command))
int cli_refer(const struct cli_command *command);

/* A shell's exit status for a program that execve(2) refused with that errno. */
enum cli_status cli_exec_status(int error);

/* The same, after "PROGRAM: ..." with errno. */
enum cli_status cli_exec_failed(const struct cli_command *command, const char *program);

/* Entries that several tables of options have, and the end of each. */
/* clang-format off */
#define CLI_OPTION_MODE {"mode", required_argument, NULL, 'm'}
#define CLI_OPTION_PORT {"port", required_argument, NULL, 'p'}
#define CLI_OPTION_WATCH {"watch", optional_argument, NULL, 'w'}
#define CLI_OPTION_JSON {"json", no_argument, NULL, 'j'}
#define CLI_OPTION_DRY_RUN {"dry-run", no_argument, NULL, 'n'}
#define CLI_OPTION_QUIET {"quiet", no_argument, NULL, 'q'}
#define CLI_OPTION_HELP {"help", no_argument, NULL, 'h'}
#define CLI_OPTIONS_END {NULL, 0, NULL, 0}
/* clang-format on */

/*
 * getopt_long() with one more answer: 0 if the command has ended, with *status to return: --help
 * was printed, or an option is unknown (the nearest one is suggested) or lacks its argument. The
 * letters are those of the table. `has_program`: the first word that is not an option ends the
 * options.
 */
int cli_option(const struct cli_command *command, int argc, char **argv,
               const struct option *options, bool has_program, int *status);

/*
 * The value of an option whose argument may be missing: -r, -r=off, --reuseaddr=off. getopt leaves
 * the '=' of the short form where it is.
 */
const char *cli_optional(const char *argument, const char *otherwise);

/*
 * An array with place for one more than `count` items, which doubles each time that it is full.
 * NULL without memory; then `items` is as it was.
 */
void *cli_grow(void *items, size_t count, size_t size);

/* From then on SIGINT and SIGTERM do not end this process, but its waits, and are noticed. */
void cli_catch_signals(void);
bool cli_is_interrupted(void);

/* Seconds since an arbitrary point in the past, for differences. */
double cli_now(void);

/*
 * Makes a directory PREFIX.* in $TMPDIR, or in /tmp, that no other user can replace. False after a
 * message.
 */
bool cli_make_temporary(const struct cli_command *command, const char *prefix, char *name,
                        size_t size);

/* Warns if another user can replace the file that the option names. */
void cli_warn_exposed(const struct cli_command *command, const char *option, const char *path);

/* Flushes standard output. Returns `status`, or CLI_FAILED if something was not written. */
int cli_flush(const struct cli_command *command, int status);

/* May `stream` be coloured and redrawn? No: a file, NO_COLOR, a dumb terminal. */
bool cli_is_terminal(FILE *stream);

/* "192.0.2.1:80", without a port if that is 0, in an array of the block that asks for it. */
#define cli_endpoint(ip, port) cli_put_endpoint((char[CLI_ENDPOINT_SIZE]){0}, ip, port)
#define CLI_ENDPOINT_SIZE 64
const char *cli_put_endpoint(char buffer[CLI_ENDPOINT_SIZE], struct policy_ip ip, uint16_t port);

/*
 * A line with names that come from outside (of a process, a file, a unit), printed as ps(1) prints
 * them: '?' stands for each byte that is not of a printable character, the newline included.
 */
void cli_print_line(FILE *stream, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A word as a shell reads it back: quoted if necessary. */
void cli_print_word(FILE *stream, const char *word);

/* A whole number from `low` to `high`; false for anything else. */
bool cli_number(const char *text, long low, long high, long *number);

/* The same for the value of the option `name`; false after a message. */
bool cli_take_number(const struct cli_command *command, const char *name, const char *text,
                     long low, long high, long *number);

/* The same for a time: "90", "90s", "5m", "2h", "1d". */
bool cli_take_seconds(const struct cli_command *command, const char *name, const char *text,
                      long low, long high, long *seconds);

/* The value of -m: reads the policy, and warns of dead rules; false after a message. */
bool cli_take_policy(const struct cli_command *command, const char *text, struct policy *policy);

/* The values of -p and of -w (NULL: a second); false after a message. */
bool cli_take_port(const struct cli_command *command, const char *text, long *port);
bool cli_take_interval(const struct cli_command *command, const char *text, long *seconds);
