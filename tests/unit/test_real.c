/* SPDX-License-Identifier: MIT */
/* The symbols of objects as linkers, and whoever writes a file by hand, may make them. */
#include "preload/real.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define CODE 0x40                       /* where the object's close() is, from its beginning */
#define CHOSEN 0x1234000                /* what its IFUNC chooses */
#define ABOVE ((ElfW(Addr)) - 0x800000) /* the vDSO of Linux 3.10 is linked to such an address */
#define FUNCTION (STB_GLOBAL << 4 | STT_FUNC)

enum table { GNU_HASH = 1, HASH = 2, VERSIONS = 4, NONE = 8 };

#if defined(__s390x__)
typedef uint64_t hash_word;
#else
typedef uint32_t hash_word;
#endif

/* Loaded from its first byte to its last. */
struct image {
    char code[CODE + 16];
    ElfW(Sym) symbols[2];
    char strings[8];
    ElfW(Half) versions[2];
    struct {
        hash_word sizes[2], buckets[1], chain[2];
    } hash;
    struct {
        uint32_t head[4];
        ElfW(Addr) filter[1];
        uint32_t buckets[1], chain[1];
    } gnu_hash;
};

/* What is 0 is as in a library of glibc's. */
struct row {
    const char *what;
    ElfW(Addr) found;
    unsigned tables;
    ElfW(Addr) link;  /* the address of its first byte in the file */
    bool has_offsets; /* the dynamic section has addresses of the file, as on musl */
    bool is_elsewhere, has_no_buckets, has_no_filter, is_undefined, has_no_value;
    unsigned char info, other;
    ElfW(Half) version;
};

static ElfW(Addr) choose(void)
{
    return CHOSEN;
}

static uint32_t gnu_hash_of(const char *name)
{
    uint32_t hash = 5381;

    for (; *name; name++)
        hash = hash * 33 + (unsigned char)*name;
    return hash;
}

static void craft(struct image *image, const struct row *row, ElfW(Addr) base)
{
    ElfW(Addr) at = (ElfW(Addr))image + CODE;

    *image = (struct image){.strings = "\0close", .versions = {0, row->version}};
    unsigned char info = row->info ? row->info : FUNCTION;

    if ((info & 0xf) == STT_GNU_IFUNC)
        at = (ElfW(Addr))choose;
    image->symbols[1] = (ElfW(Sym)){.st_name = 1,
                                    .st_info = info,
                                    .st_other = row->other,
                                    .st_shndx = row->is_undefined ? SHN_UNDEF : 1,
                                    .st_value = row->has_no_value ? 0 : at - base};
    image->hash.sizes[0] = !row->has_no_buckets;
    image->hash.sizes[1] = 2;
    image->hash.buckets[0] = 1;
    memcpy(image->gnu_hash.head, (uint32_t[]){!row->has_no_buckets, 1, !row->has_no_filter, 5}, 16);
    image->gnu_hash.filter[0] = (ElfW(Addr)) - 1;
    image->gnu_hash.buckets[0] = 1;
    image->gnu_hash.chain[0] = gnu_hash_of("close") | 1;
}

static void fill(const struct row *row)
{
    static struct image image;
    ElfW(Addr) base = (ElfW(Addr)) & image - row->link;
    ElfW(Addr) shift = row->is_elsewhere ? 0x10000000 : row->has_offsets ? -base : 0;
    const ElfW(Phdr) segment = {.p_type = PT_LOAD, .p_vaddr = row->link, .p_memsz = sizeof(image)};
    const struct dl_phdr_info loaded = {base, "crafted", &segment, 1, 0, 0, 0, NULL};
    ElfW(Dyn) dynamic[6] = {{DT_SYMTAB, {(ElfW(Addr))image.symbols + shift}},
                            {DT_STRTAB, {(ElfW(Addr))image.strings + shift}}};
    unsigned last = 2;

    craft(&image, row, base);
    if (row->tables == 0 || row->tables & GNU_HASH)
        dynamic[last++] = (ElfW(Dyn)){DT_GNU_HASH, {(ElfW(Addr)) & image.gnu_hash + shift}};
    if (row->tables & HASH)
        dynamic[last++] = (ElfW(Dyn)){DT_HASH, {(ElfW(Addr)) & image.hash + shift}};
    if (row->tables & VERSIONS)
        dynamic[last++] = (ElfW(Dyn)){DT_VERSYM, {(ElfW(Addr))image.versions + shift}};
    real = (struct real){0};
    real_fill(&loaded, dynamic);
    ElfW(Addr) expected = row->found == CODE ? (ElfW(Addr)) & image + CODE : row->found;
    if ((ElfW(Addr))real.close != expected)
        fail_msg("%s: found %#lx, not %#lx", row->what, (long)real.close, (long)expected);
    assert_null(real.socket);
}

static void crafted_objects(void **state)
{
    static const struct row rows[] = {
        {.what = "glibc's", .found = CODE},
        {.what = "musl's", .found = CODE, .has_offsets = true},
        {.what = "DT_HASH", .found = CODE, .tables = HASH},
        {.what = "both tables", .found = CODE, .tables = HASH | GNU_HASH},
        {.what = "no table", .tables = NONE},
        {.what = "linked low", .found = CODE, .link = 0x1000, .has_offsets = true},
        {.what = "linked above", .found = CODE, .tables = HASH, .link = ABOVE, .has_offsets = true},
        {.what = "linked above, glibc", .found = CODE, .tables = HASH, .link = ABOVE},
        {.what = "tables outside", .is_elsewhere = true},
        {.what = "no buckets", .has_no_buckets = true},
        {.what = "no buckets in DT_HASH", .tables = HASH, .has_no_buckets = true},
        {.what = "no filter", .has_no_filter = true},
        {.what = "weak", .found = CODE, .info = STB_WEAK << 4 | STT_FUNC},
        {.what = "local", .info = STB_LOCAL << 4 | STT_FUNC},
        {.what = "untyped", .found = CODE, .info = STB_GLOBAL << 4 | STT_NOTYPE},
        {.what = "an object", .found = CODE, .info = STB_GLOBAL << 4 | STT_OBJECT},
        {.what = "IFUNC", .found = CHOSEN, .info = STB_GLOBAL << 4 | STT_GNU_IFUNC},
        {.what = "thread-local", .info = STB_GLOBAL << 4 | STT_TLS},
        {.what = "hidden", .other = STV_HIDDEN},
        {.what = "internal", .other = STV_INTERNAL},
        {.what = "protected", .found = CODE, .other = STV_PROTECTED},
        {.what = "only called", .is_undefined = true},
        {.what = "without a value", .has_no_value = true},
        {.what = "version", .found = CODE, .tables = GNU_HASH | VERSIONS, .version = 2},
        {.what = "old version", .tables = GNU_HASH | VERSIONS, .version = 0x8002},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        fill(&rows[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(crafted_objects)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
