/* SPDX-License-Identifier: MIT */
/* Writing inside somebody else's process: without blocking it and without a signal. */
#ifndef LINGER_REPORT_QUIET_H
#define LINGER_REPORT_QUIET_H

#include <stdbool.h>
#include <stddef.h>

/*
 * write(2) that neither blocks nor raises SIGPIPE (a closed pipe), SIGXFSZ (setrlimit(2),
 * RLIMIT_FSIZE) or SIGTTOU (a terminal with tostop). False, and errno, if not all bytes were
 * written.
 */
bool quiet_write(int fd, const void *data, size_t length);

#endif
