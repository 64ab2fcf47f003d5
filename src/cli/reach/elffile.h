/* SPDX-License-Identifier: MIT */
/*
 * What an ELF file says about itself: enough to know whether a preload reaches it. Files may be
 * hostile: every offset and length is checked against the file.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define ELF_TEXT_MAX 256

struct elf {
    int bits; /* 32 or 64 */
    bool big_endian;
    uint16_t machine;               /* EM_X86_64, ... of <elf.h> */
    bool is_pie;                    /* ET_DYN: position-independent */
    bool is_go;                     /* Go's build information or build id */
    char interpreter[ELF_TEXT_MAX]; /* PT_INTERP, "" if it has none: statically linked */
    char version[ELF_TEXT_MAX];     /* the version in liblinger's own note, "" elsewhere */
};

enum elf_status {
    ELF_OK,
    ELF_NOT,    /* not an ELF file */
    ELF_BROKEN, /* begins like one; `reason` says what is wrong */
    ELF_FAILED, /* could not be read: errno */
};

/* Reads the file `fd`, whose offset stays. Fills `reason` for ELF_BROKEN. */
enum elf_status elf_read(int fd, struct elf *elf, const char **reason);

/* "x86-64", "aarch64", ... or "machine N" in an array of the block that asks for it. */
#define elf_machine(elf) elf_put_machine((char[ELF_MACHINE_SIZE]){0}, elf)
#define ELF_MACHINE_SIZE 24
const char *elf_put_machine(char buffer[ELF_MACHINE_SIZE], const struct elf *elf);
