/* SPDX-License-Identifier: MIT */
/* The ELF reader. The input is the file. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/reach/elffile.h"
#include "fuzz.h"

static bool is_bounded(const char *text, size_t size)
{
    return memchr(text, '\0', size) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    const char *reason = NULL;
    struct elf elf;

    /* One file for all inputs: to make one for each costs more than to read it. */
    if (fd < 0)
        fd = memfd_create("elf", MFD_CLOEXEC);
    fuzz_check(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size, "a file");
    memset(&elf, 0xa5, sizeof(elf));
    enum elf_status status = elf_read(fd, &elf, &reason);
    fuzz_check(status != ELF_FAILED, "the file can be read");
    fuzz_check(lseek(fd, 0, SEEK_CUR) == 0, "the offset stays");
    if (status == ELF_BROKEN)
        fuzz_check(reason && reason[0], "there is a reason");
    if (status != ELF_OK)
        return 0;
    fuzz_check(elf.bits == 32 || elf.bits == 64, "a class");
    fuzz_check(is_bounded(elf.interpreter, sizeof(elf.interpreter)), "an interpreter ends");
    fuzz_check(is_bounded(elf.version, sizeof(elf.version)), "a version ends");
    fuzz_check(elf_machine(&elf)[0] != '\0', "a machine has a name");
    return 0;
}
