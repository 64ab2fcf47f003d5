/* SPDX-License-Identifier: MIT */
/*
 * Can a program be reached, and by which backend? The one judgement that `check` prints and `run`
 * obeys: PATH, #! lines, the ELF file, setuid and file capabilities, the library's architecture.
 */
#pragma once

#include <limits.h>
#include <stddef.h>

#include "cli/error.h"
#include "cli/reach/elffile.h"

enum reach_how {
    REACH_PRELOAD,   /* the dynamic loader will load the library */
    REACH_SUPERVISE, /* its system calls are raw (static, Go), or LD_PRELOAD gets lost */
    REACH_NONE,      /* the kernel or the loader excludes us, or it is not a program */
    REACH_ERROR,     /* not found, not readable, broken */
};

#define LIBRARY_PATH_MAX (2 * (size_t)PATH_MAX) /* a directory and a name in it */
#define REACH_CHAIN_MAX 6 /* a program and the interpreters of #! lines, and `env` */

struct reach {
    enum reach_how how;
    struct error why;                     /* one sentence; for an error, what is wrong */
    char file[REACH_CHAIN_MAX][PATH_MAX]; /* the program, then what interprets it */
    int depth;                            /* how many of them */
    bool by_supervisor;                   /* as asked for */
    bool drops_preload;                   /* by `env` in a #! line */
    bool has_elf;                         /* `elf` was filled, from the last of the chain */
    struct elf elf;
    char library[LIBRARY_PATH_MAX]; /* REACH_PRELOAD: liblinger.so for this program */
    char preload[LIBRARY_PATH_MAX]; /* and how LD_PRELOAD names it */
    struct elf library_elf;         /* and what it says of itself */
    int status;                     /* REACH_ERROR: enum cli_status, as a shell's; else 0 */
};

/*
 * Judges `program` as execvp() would find it, and finds the library for it. By preload if that
 * reaches it, unless `by_supervisor`.
 */
void reach_judge(const char *program, bool by_supervisor, struct reach *reach);
