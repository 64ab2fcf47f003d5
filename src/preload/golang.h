/* SPDX-License-Identifier: MIT */
/* Is the program one that loads the library but is out of its reach? */
#pragma once

#include <stdbool.h>

/* Looks for the note with Go's build ID, elf(5), in the segments of the running program. */
bool golang_is_program(void);
