/* SPDX-License-Identifier: MIT */
/* A program that runs as a child of a front that should not be noticed; front.c explains how. */
#ifndef LINGER_CLI_LAUNCH_LAUNCH_H
#define LINGER_CLI_LAUNCH_LAUNCH_H

#include <stdbool.h>
#include <sys/types.h>

#include "cli/cli.h"

/* The wait status of an exit(CLI_FAILED), wait(2); W_EXITCODE() is glibc's alone. */
enum { LAUNCH_FAILED = CLI_FAILED << 8 };

/* What is run, and what its keeper does until it ends. */
struct launch {
    const struct cli_command *self; /* whose name is in messages */
    const char *file;
    char **argv; /* the program's, at the end of what main() got */

    /*
     * Starts the program, by launch_fork() and then launch_release(). Returns its pid; or 0 after
     * an error message, with a wait status.
     */
    pid_t (*start)(struct launch *launch, int *status);

    int listener; /* -1: none. Else `answer` is called while it can be read */
    void (*answer)(struct launch *launch);

    /* Called when the last descendant has ended; may be NULL. */
    void (*finish)(const struct launch *launch);
    bool speaks; /* to the end: keeps standard error when the prompt returns */
};

/*
 * Runs it, and returns the program's wait status, wait(2), when it has ended; the processes that it
 * left behind stay supervised. If it could not be started, or if the keeper died, the status is
 * that of an exit with CLI_FAILED, after an error message.
 */
int launch_run(struct launch *launch);

/* The exit status for that wait status; if a signal ended the program, the same one ends us. */
int launch_exit(int status);

/* Starts a program that needs nothing else. */
pid_t launch_start(struct launch *launch, int *status);

/*
 * pkill -f with linger's name means the front: a signal that reaches the keeper as well would not
 * be passed on. So the name of the keeper and of its guard is the program's, in
 * brackets.
 */
void launch_take_name(const struct launch *launch);

/* fork(2). In the child signals are as launch_run() found them, and variables name its own pid. */
pid_t launch_fork(void);

/*
 * Closes every descriptor except standard error and `kept` (-1 for none): a connection that a
 * parent holds open does not end when its child closes it. Standard input and output become
 * /dev/null, and so does standard error if it is a TCP socket.
 */
void launch_release(int kept);

#endif
