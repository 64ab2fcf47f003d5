/* A program that runs as a child, beneath a front that is not to be noticed: front.c tells how. */
#ifndef LINGER_LAUNCH_LAUNCH_H
#define LINGER_LAUNCH_LAUNCH_H

#include <stdbool.h>
#include <sys/types.h>

#include "cli.h"

/* The wait status of an exit(CLI_FAILED), wait(2); W_EXITCODE() is glibc's alone. */
enum { LAUNCH_FAILED = CLI_FAILED << 8 };

/* What is run, and what its keeper does meanwhile. */
struct launch {
    const struct cli_command *self; /* who complains */
    const char *file;
    char **argv; /* as main() got it: the end of its own */

    /*
     * Starts the program, by launch_fork() and then launch_release(). Its pid, or 0 after an error
     * message, with the wait status of what has ended.
     */
    pid_t (*start)(struct launch *launch, int *status);

    int served; /* -1: nothing. Else `serve` is called while it can be read */
    void (*serve)(struct launch *launch);

    /* The last process of all has ended; may be NULL. */
    void (*finish)(const struct launch *launch);
    bool speaks; /* to the end: standard error is not given up with the prompt */
};

/*
 * Runs it, and returns the program's wait status, wait(2), when it has ended; what it started and
 * left is kept on. Where it could not be started, or where the keeper died, that of an exit with
 * CLI_FAILED, after an error message.
 */
int launch_run(struct launch *launch);

/* The exit status that says the same; where a signal ended the program, the same one ends us. */
int launch_exit(int status);

/* The start of a program that needs nothing else. */
pid_t launch_start(struct launch *launch, int *status);

/* fork(2). In the child signals are as launch_run() found them, and variables name its own pid. */
pid_t launch_fork(void);

/*
 * Closes every descriptor but standard error and `kept` (-1 for none): a connection that a parent
 * holds open does not end when its child closes it. Standard input and output become /dev/null,
 * and so does standard error where it is a TCP socket.
 */
void launch_release(int kept);

#endif
