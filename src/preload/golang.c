/* SPDX-License-Identifier: MIT */
/* Is the program written in Go? Its net package makes system calls itself, so no hook sees them. */
#include "preload/golang.h"

#include <elf.h>
#include <link.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>

#define GO_BUILD_ID 4 /* the note's type, cmd/internal/buildid/note.go */
#define ALIGNED(size) (((size) + 3u) & ~3u)

static bool has_build_id(const unsigned char *notes, size_t size)
{
    while (size >= sizeof(ElfW(Nhdr))) {
        const ElfW(Nhdr) *note = (const void *)notes;
        const char *owner = (const char *)(note + 1);
        size_t length = sizeof(*note) + ALIGNED(note->n_namesz) + ALIGNED(note->n_descsz);
        if (length > size)
            return false;
        if (note->n_type == GO_BUILD_ID && note->n_namesz == 4 && memcmp(owner, "Go\0", 4) == 0)
            return true;
        notes += length;
        size -= length;
    }
    return false;
}

bool golang_is_program(void)
{
    const ElfW(Phdr) *headers = (const void *)getauxval(AT_PHDR);
    size_t count = getauxval(AT_PHNUM);
    bool is_placed = false;
    uintptr_t base = 0; /* where the program was loaded */

    for (size_t i = 0; headers && i < count; i++) {
        if (headers[i].p_type == PT_PHDR) { /* ahead of every segment in memory, elf(5) */
            base = (uintptr_t)headers - headers[i].p_vaddr;
            is_placed = true;
        }
        if (is_placed && headers[i].p_type == PT_NOTE &&
            has_build_id((const void *)(base + headers[i].p_vaddr), headers[i].p_filesz))
            return true;
    }
    return false;
}
