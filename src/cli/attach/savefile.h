/* SPDX-License-Identifier: MIT */
/*
 * The file of `linger attach --save`: a heading, a line for the boot, a line for each socket.
 * Cookies are unique within one boot, so a file is useless after the next.
 */
#pragma once

#include <stdio.h>

#include "cli/attach/saved.h"

/* Makes the file, which must not exist yet. NULL on failure; `why` follows the file's name. */
FILE *savefile_create(const char *path, struct error *why);

/* Writes a socket through to the file. Returns 0, or -1 and errno. */
int savefile_write(FILE *file, const struct saved_socket *socket);

/* Reads it all. Returns 0, or -1; `why` follows the file's name. */
int savefile_read(const char *path, struct saved *saved, struct error *why);
