/* Writing inside somebody else's process: without blocking it and without a signal. */
#ifndef LINGER_QUIET_H
#define LINGER_QUIET_H

#include <stdbool.h>
#include <stddef.h>

/*
 * write(2) of all bytes or nothing that can be helped: neither blocks nor raises SIGPIPE (a closed
 * pipe), SIGXFSZ (setrlimit(2), RLIMIT_FSIZE) or SIGTTOU (a terminal with tostop). False where they
 * were not written; errno.
 */
bool quiet_write(int fd, const void *data, size_t length);

#endif
