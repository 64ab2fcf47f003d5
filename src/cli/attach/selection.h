/* SPDX-License-Identifier: MIT */
/*
 * Sockets of running processes, chosen by a policy and by pids or a port: what `linger attach` and
 * `linger close` have in common.
 */
#pragma once

#include <stdio.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/process/target.h"
#include "cli/sockets/seen.h"
#include "core/settings.h"
#include "policy/decide.h"

#define SELECTION_TARGETS_MAX 1024

/* The options that selection_take_option() takes, and --help. */
#define SELECTION_OPTIONS                                                                          \
    CLI_OPTION_MODE, CLI_OPTION_PORT, CLI_OPTION_DRY_RUN, CLI_OPTION_JSON, CLI_OPTION_QUIET,       \
        CLI_OPTION_HELP

/* Their help, and the exit status. */
#define SELECTION_HELP                                                                             \
    "  -n, --dry-run       show what would be done\n"                                              \
    "  -j, --json          as JSON, in one line\n"                                                 \
    "  -q, --quiet         only errors\n"                                                          \
    "  -h, --help          this text\n"                                                            \
    "\n"                                                                                           \
    "exit status: 0 all done; 125 refused, or something was not done\n"                            \
    "\n"

struct selection;

/* Examines a duplicate of a socket. False: stop, for the reason in `why`. */
typedef bool selection_visit(struct selection *s, int fd, const struct facts *facts, void *context);

struct selection {
    const struct cli_command *self;
    const char *mode; /* the text of -m */
    long port;        /* of -p; 0: pids */
    bool dry_run;
    bool quiet;
    struct json json;  /* on no stream without --json */
    size_t unseen;     /* with -p: sockets there that no process holds which we may inspect */
    uint64_t network;  /* with -p: the namespace that the port is of, sockets_network() */
    bool of_listeners; /* -p means processes that listen there, not all with a socket there */
    bool may_be_none;  /* with -p: processes that have a socket there */
    bool takes_others; /* rules for programs of other names: a supervisor meets those too */
    unsigned wanted; /* facts for each socket, enum fact or-ed, besides those that the rules need */
    bool only_listeners; /* the pass visits these alone */
    struct policy rules; /* every rule */
    struct target targets[SELECTION_TARGETS_MAX];
    int target_count;
    int met;   /* processes, those that have ended since among them */
    int named; /* of these, by pid; the others are passed over when they end */
    bool is_renewed;
    bool may_end; /* what is added is passed over if it has ended */

    /* Of the current pass. */
    selection_visit *visit;
    void *context;
    const struct target *target;
    struct policy policy; /* the target's: prog= is decided */
    struct seen seen;
    bool is_empty; /* nothing was met that listens or is connected */
    struct error why;
};

/* False after a message. */
bool selection_take_option(struct selection *s, int option);

/* Reads `mode`. Returns 0, or -1 after a message. */
int selection_take_mode(struct selection *s);

/* Opens the processes of `pids`, or of `port`. Returns 0, or -1 after a message. */
int selection_open(struct selection *s, char **pids);
void selection_close(struct selection *s);

/*
 * Forgets the processes that have ended and, with a port, adds those that came; from then on a
 * process may end. Returns how many there are, or -1 after a message.
 */
int selection_renew(struct selection *s);

bool selection_has(const struct selection *s, pid_t pid);

/* Adds a process, unless it is there. Returns how many were added, or -1 after a message. */
int selection_add(struct selection *s, pid_t pid);

/* Has that target ended, if the user did not name it? */
bool selection_is_gone(const struct selection *s, int at);

/*
 * A pass over all sockets that are connected or listen, each once, however many processes have it.
 * Without `visit` it finds the processes that may not be inspected, before any change. Returns 0,
 * or -1 after a message.
 */
int selection_each(struct selection *s, selection_visit *visit, void *context);

/* A member of an object; where no JSON is asked for, the value after `before`. */
void selection_print(struct json *json, const char *key, const char *before, const char *value);

/* The members that say which socket it is. `peer` is "" of a listener. */
void selection_print_ends(struct json *json, bool is_listener, const char *local, const char *peer);

/* Ends an object, or the line. */
void selection_end_line(struct json *json);

/* The rule of that number in the language, as far as a message shows it. */
#define selection_rule_text(policy, number)                                                        \
    selection_put_rule((char[SELECTION_RULE_SIZE]){0}, policy, number)
#define SELECTION_RULE_SIZE 61
const char *selection_put_rule(char buffer[SELECTION_RULE_SIZE], const struct policy *policy,
                               unsigned number);

/* The other end of a connection; "" of a listener. */
#define selection_peer_text(facts)                                                                 \
    ((facts)->known & FACT_PEER ? cli_endpoint((facts)->peer_ip, (facts)->peer_port) : "")

/* A verdict's mode; "none" without a verdict. */
#define selection_mode_text(decision, verdict)                                                     \
    selection_put_mode((char[SELECTION_MODE_SIZE]){0}, decision, verdict)
#define SELECTION_MODE_SIZE 16
const char *selection_put_mode(char buffer[SELECTION_MODE_SIZE], enum decision decision,
                               const struct verdict *verdict);

/* Why a socket was left alone: no rule, or an undecided one; NULL if it was not. */
const char *selection_left_text(enum decision decision, const struct verdict *verdict);
