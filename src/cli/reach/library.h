/* SPDX-License-Identifier: MIT */
/* Where liblinger.so is, and how LD_PRELOAD names it. */
#pragma once

#include <limits.h>
#include <stddef.h>

#include "cli/reach/elffile.h"

#define LIBRARY_PATH_MAX (2 * (size_t)PATH_MAX) /* a directory and a name in it */

/*
 * Finds the library beside this executable, else in the lib directories beside its bin directory,
 * else in the libdir it was built for; never in the current directory by name. If it is in none of
 * them, returns false, with the places in `path` for a message.
 */
bool library_find(char path[LIBRARY_PATH_MAX]);

/*
 * Finds the library that fits the program: `path` itself or, where several are installed side by
 * side (lib/x86_64-linux-gnu and lib/i386-linux-gnu, lib64 and lib), the one of its class and
 * machine. Then `preload` is how LD_PRELOAD names it; if there are several and the program's libc
 * takes it, with $LIB (ld.so(8)), so that children of either class find theirs.
 */
void library_fit(const struct elf *program, char path[LIBRARY_PATH_MAX],
                 char preload[LIBRARY_PATH_MAX]);

/* Reads the library's own ELF header and note; false if it cannot be read or is not ELF. */
bool library_read(const char *path, struct elf *library);

/* Are both of one class, byte order and machine? */
bool library_is_for(const struct elf *library, const struct elf *program);
