/* SPDX-License-Identifier: MIT */
/* The process that becomes the program, and what its parent gives up. */
#pragma once

#include <sys/types.h>

#include "cli/cli.h"

/* The wait status of an exit(CLI_FAILED), wait(2); W_EXITCODE() is glibc's alone. */
enum { CHILD_FAILED = CLI_FAILED << 8 };

/* Before the first fork(2): blocks all signals, and makes children waitable. */
void child_prepare(void);

/* fork(2). The child has the signals that child_prepare() found, and its own pid in variables. */
pid_t child_fork(void);

/*
 * Closes every descriptor except standard error and `kept` (-1 for none): a connection that a
 * parent holds open does not end when its child closes it. Standard input and output become
 * /dev/null, and so does standard error if it is a TCP socket.
 */
void child_release(int kept);

/*
 * pkill -f with linger's name means the front: a signal that reaches the keeper as well would not
 * be passed on. So the keeper and its guard have the program's name, in brackets. `argv` is the
 * program's, at the end of what main() got.
 */
void child_lend_name(const char *file, char *const *argv);
