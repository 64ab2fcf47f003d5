/* The second backend of linger run: for programs whose system calls are raw (static, Go). */
#ifndef LINGER_SUPERVISE_SUPERVISE_H
#define LINGER_SUPERVISE_SUPERVISE_H

#include "cli.h"
#include "settings.h"

/*
 * Runs `file` under the settings. Returns the program's wait status (wait(2)) as soon as it has
 * ended; what it started and left is served on. Where it could not be started, or where the
 * supervisor died, that of an exit with CLI_FAILED, after an error message.
 */
int supervise(const struct cli_command *self, struct settings *settings, const char *file,
              char **argv);

#endif
