/* SPDX-License-Identifier: MIT */
/* Writing in the program's process, which must neither block nor get a signal. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * write(2) that neither blocks nor raises SIGPIPE (a closed pipe), SIGXFSZ (setrlimit(2),
 * RLIMIT_FSIZE) or SIGTTOU (a terminal with tostop). False, and errno, if not all bytes were
 * written.
 */
bool write_or_drop(int fd, const void *data, size_t length);
