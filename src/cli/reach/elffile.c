/* SPDX-License-Identifier: MIT */
/*
 * ELF files, elf(5), of either class and byte order. Must never trust a number in the file: tables
 * are read up to a limit, and every offset is checked by a read that fails where the file ends.
 */
#include "cli/reach/elffile.h"

#include <elf.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifndef EM_LOONGARCH
#define EM_LOONGARCH 258 /* glibc 2.36 */
#endif

#define TABLE_MAX 4096      /* program headers, section headers */
#define NAMES_MAX (1 << 20) /* bytes of section names */
#define NOTE_MAX 4096       /* bytes of notes examined in a segment */

struct reader {
    int fd;
    bool is_64;
    bool big_endian;
    int error; /* errno of a failed read, else 0 */
};

/* All of `size` bytes at `offset`; false if the file ends before that. */
static bool read_at(struct reader *r, uint64_t offset, void *data, size_t size)
{
    /* It would be EINVAL, though the file merely ends (rw_verify_area). */
    if (offset > (uint64_t)INT64_MAX - size)
        return false;
    ssize_t got = pread(r->fd, data, size, (off_t)offset);
    if (got < 0)
        r->error = errno;
    return got == (ssize_t)size;
}

static uint64_t number(const struct reader *r, const uint8_t *at, size_t size)
{
    uint64_t value = 0;

    for (size_t i = 0; i < size; i++)
        value = value << 8 | at[r->big_endian ? i : size - 1 - i];
    return value;
}

/* A field of a header in `raw`, by its place and size in either class. */
#define FIELD(r, raw, type, member)                                                                \
    ((r)->is_64                                                                                    \
         ? number(r, (raw) + offsetof(Elf64_##type, member), sizeof(((Elf64_##type *)0)->member))  \
         : number(r, (raw) + offsetof(Elf32_##type, member), sizeof(((Elf32_##type *)0)->member)))

struct segment {
    uint64_t type;
    uint64_t offset;
    uint64_t size;
};

static bool read_text(struct reader *r, struct segment s, char text[ELF_TEXT_MAX])
{
    size_t size = s.size < ELF_TEXT_MAX ? (size_t)s.size : ELF_TEXT_MAX;

    if (size == 0 || !read_at(r, s.offset, text, size))
        return false;
    if (memchr(text, '\0', size) && text[0])
        return true;
    text[0] = '\0';
    return false;
}

/* Notes, elf(5): name size, description size, type, name, description, each padded to 4 bytes. */
static void read_notes(struct reader *r, struct segment s, struct elf *elf)
{
    uint8_t notes[NOTE_MAX];
    size_t size = s.size < NOTE_MAX ? (size_t)s.size : NOTE_MAX;
    size_t at = 0;

    if (!read_at(r, s.offset, notes, size))
        return;
    while (at + 12 <= size) {
        uint64_t name = number(r, notes + at, 4);
        uint64_t text = number(r, notes + at + 4, 4);
        uint64_t name_end = at + 12 + ((name + 3) & ~3ull);
        uint64_t text_end = name_end + ((text + 3) & ~3ull);
        if (text_end > size)
            return;
        const char *owner = (const char *)notes + at + 12;
        if (name == 4 && memcmp(owner, "Go\0", 4) == 0)
            elf->is_go = true;
        if (name == 10 && memcmp(owner, "liblinger", 10) == 0 && text > 0 && text < ELF_TEXT_MAX) {
            memcpy(elf->version, notes + (size_t)name_end, (size_t)text);
            elf->version[text] = '\0';
        }
        at = (size_t)text_end;
    }
}

/* NULL, or what is wrong with the program headers. */
static const char *read_segments(struct reader *r, const uint8_t *header, struct elf *elf)
{
    uint8_t raw[sizeof(Elf64_Phdr)];
    uint64_t offset = FIELD(r, header, Ehdr, e_phoff);
    uint64_t count = FIELD(r, header, Ehdr, e_phnum);
    uint64_t size = FIELD(r, header, Ehdr, e_phentsize);
    size_t want = r->is_64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);

    if (count == 0 || count > TABLE_MAX || size != want)
        return "its program headers make no sense";
    for (uint64_t i = 0; i < count; i++) {
        if (!read_at(r, offset + i * size, raw, want))
            return "it ends within its program headers";
        struct segment s = {FIELD(r, raw, Phdr, p_type), FIELD(r, raw, Phdr, p_offset),
                            FIELD(r, raw, Phdr, p_filesz)};
        if (s.type == PT_NOTE)
            read_notes(r, s, elf);
        if (s.type == PT_INTERP && !read_text(r, s, elf->interpreter))
            return "the name of its interpreter cannot be read";
    }
    return NULL;
}

/* Is there a section of that name? A file without sections, or with broken ones, has none. */
static bool has_section(struct reader *r, const uint8_t *header, const char *name)
{
    uint8_t raw[sizeof(Elf64_Shdr)];
    char text[32];
    uint64_t offset = FIELD(r, header, Ehdr, e_shoff);
    uint64_t count = FIELD(r, header, Ehdr, e_shnum);
    uint64_t size = FIELD(r, header, Ehdr, e_shentsize);
    uint64_t names = FIELD(r, header, Ehdr, e_shstrndx);
    size_t want = r->is_64 ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr);
    size_t length = strlen(name) + 1;

    if (offset == 0 || count > TABLE_MAX || size != want || names >= count ||
        !read_at(r, offset + names * size, raw, want))
        return false;
    uint64_t strings = FIELD(r, raw, Shdr, sh_offset);
    for (uint64_t i = 0; i < count; i++) {
        if (!read_at(r, offset + i * size, raw, want))
            return false;
        uint64_t at = FIELD(r, raw, Shdr, sh_name);
        if (at < NAMES_MAX && read_at(r, strings + at, text, length) &&
            memcmp(text, name, length) == 0)
            return true;
    }
    return false;
}

static bool is_sane(const uint8_t *header)
{
    return (header[EI_CLASS] == ELFCLASS32 || header[EI_CLASS] == ELFCLASS64) &&
           (header[EI_DATA] == ELFDATA2LSB || header[EI_DATA] == ELFDATA2MSB) &&
           header[EI_VERSION] == EV_CURRENT;
}

/* Of a file that begins like one: NULL, or what is wrong with it. */
static const char *read_elf(struct reader *r, struct elf *elf)
{
    uint8_t header[sizeof(Elf64_Ehdr)];

    if (!read_at(r, 0, header, sizeof(Elf32_Ehdr)))
        return "it ends within its header";
    if (!is_sane(header))
        return "its class, byte order or version is unknown";
    r->is_64 = header[EI_CLASS] == ELFCLASS64;
    r->big_endian = header[EI_DATA] == ELFDATA2MSB;
    if (r->is_64 && !read_at(r, 0, header, sizeof(Elf64_Ehdr)))
        return "it ends within its header";
    uint64_t type = FIELD(r, header, Ehdr, e_type);
    elf->bits = r->is_64 ? 64 : 32;
    elf->big_endian = r->big_endian;
    elf->machine = (uint16_t)FIELD(r, header, Ehdr, e_machine);
    elf->is_pie = type == ET_DYN;
    if (type != ET_EXEC && type != ET_DYN)
        return "it is an object file or a core dump, not a program";
    const char *wrong = read_segments(r, header, elf);
    elf->is_go = !wrong && (elf->is_go || has_section(r, header, ".go.buildinfo"));
    return wrong;
}

enum elf_status elf_read(int fd, struct elf *elf, const char **reason)
{
    struct reader r = {.fd = fd};
    char magic[SELFMAG];

    memset(elf, 0, sizeof(*elf));
    bool begins = read_at(&r, 0, magic, SELFMAG) && memcmp(magic, ELFMAG, SELFMAG) == 0;
    *reason = begins ? read_elf(&r, elf) : NULL;
    errno = r.error;
    return r.error ? ELF_FAILED : !begins ? ELF_NOT : *reason ? ELF_BROKEN : ELF_OK;
}

const char *elf_put_machine(char buffer[ELF_MACHINE_SIZE], const struct elf *elf)
{
    static const struct {
        uint16_t machine;
        const char *name;
    } names[] = {
        {EM_X86_64, "x86-64"},   {EM_386, "i386"},
        {EM_AARCH64, "aarch64"}, {EM_ARM, "arm"},
        {EM_RISCV, "riscv"},     {EM_S390, "s390x"},
        {EM_PPC64, "ppc64"},     {EM_PPC, "ppc"},
        {EM_MIPS, "mips"},       {EM_LOONGARCH, "loongarch"},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].machine == elf->machine)
            return names[i].name;
    }
    snprintf(buffer, ELF_MACHINE_SIZE, "machine %u", elf->machine);
    return buffer;
}
