/* What the library says. Nothing here may block the program, change it or end it. */
#ifndef LINGER_REPORT_H
#define LINGER_REPORT_H

#include <stddef.h>

/*
 * Writes to descriptor 2, unless that is a TCP socket (inetd hands the connection over as 0, 1
 * and 2: not a byte of ours may go there). A broken pipe raises no SIGPIPE.
 */
void report_stderr(const char *message, size_t length);

#endif
