/* SPDX-License-Identifier: MIT */
/*
 * The next definition of each hooked function, in the program, in another preload or in libc: what
 * dlsym(RTLD_NEXT) answers, read from the symbol tables of what is loaded. dlsym() itself is in
 * libdl before glibc 2.34, a second file to map into every process (9 system calls, 4 page faults),
 * and allocates where a name is absent (5 and 4 more). Must never do either.
 */
#include "preload/real.h"

#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>

#define ADDRESS_BITS (8 * sizeof(ElfW(Addr)))
#define HIDDEN_VERSION 0x8000 /* in DT_VERSYM: what only older programs are bound to */

struct real real;

/* In the order of the slots; one text, because each pointer would be a relocation. */
#define NAME(type, name, arguments) #name "\0"
#define NAME_TIME64(type, name, arguments) "__" #name "\0"
static const char names[] = REAL_FUNCTIONS(NAME, NAME_TIME64);

/* What elf(5) calls it: this library's own. */
extern ElfW(Dyn) _DYNAMIC[] __attribute__((visibility("hidden")));

/* A word of DT_HASH. Only the psABIs of s390x and alpha depart from elf(5). */
#if defined(__s390x__) || defined(__alpha__)
typedef uint64_t hash_word;
#else
typedef uint32_t hash_word;
#endif

/* POSIX: a pointer to a function is as long as any. */
typedef ElfW(Addr) __attribute__((may_alias)) real_slot;

/* A loaded object's symbols, and the hash tables that lead to them: either may be missing. */
struct object {
    const ElfW(Sym) * symbols;
    const char *strings;
    const ElfW(Half) * versions;
    const hash_word *hash;
    const uint32_t *gnu_hash;
};

static bool is_mapped(const struct dl_phdr_info *loaded, ElfW(Addr) at)
{
    bool is = false;

    for (size_t i = 0; i < loaded->dlpi_phnum && !is; i++) {
        const ElfW(Phdr) *segment = &loaded->dlpi_phdr[i];
        is = segment->p_type == PT_LOAD &&
             at - (loaded->dlpi_addr + segment->p_vaddr) < segment->p_memsz;
    }
    return is;
}

/*
 * The entry is an address if glibc could write to the section, else, and in musl, an offset. What
 * lies in no segment of the object is an offset: its base may be above or below the file's own.
 */
static const void *table_at(const struct dl_phdr_info *loaded, const ElfW(Dyn) * entry)
{
    ElfW(Addr) at = entry->d_un.d_ptr;

    at = is_mapped(loaded, at) ? at : loaded->dlpi_addr + at;
    return is_mapped(loaded, at) ? (const void *)at : NULL; /* NOLINT: where the linker put it */
}

static void read_object(struct object *o, const struct dl_phdr_info *loaded,
                        const ElfW(Dyn) * entry)
{
    *o = (struct object){0};
    for (; entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag == DT_SYMTAB)
            o->symbols = table_at(loaded, entry);
        else if (entry->d_tag == DT_STRTAB)
            o->strings = table_at(loaded, entry);
        else if (entry->d_tag == DT_VERSYM)
            o->versions = table_at(loaded, entry);
        else if (entry->d_tag == DT_HASH)
            o->hash = table_at(loaded, entry);
        else if (entry->d_tag == DT_GNU_HASH)
            o->gnu_hash = table_at(loaded, entry);
    }
}

/*
 * Does the object define the function, for others, in the version that a program linked today is
 * bound to? Assembly may have left out the type, and data may be code.
 */
static bool is_definition(const struct object *o, hash_word index, const char *name)
{
    const unsigned types = 1 << STT_NOTYPE | 1 << STT_OBJECT | 1 << STT_FUNC | 1 << STT_GNU_IFUNC;
    const ElfW(Sym) *symbol = &o->symbols[index];
    unsigned visibility = symbol->st_other & 3u;

    return symbol->st_shndx != SHN_UNDEF && symbol->st_value != 0 &&
           types >> (symbol->st_info & 0xf) & 1 && symbol->st_info >> 4 != STB_LOCAL &&
           (visibility == STV_DEFAULT || visibility == STV_PROTECTED) &&
           !(o->versions && o->versions[index] & HIDDEN_VERSION) &&
           strcmp(o->strings + symbol->st_name, name) == 0;
}

/* The index of the symbol; 0 is that of none. */
static hash_word find_by_gnu_hash(const struct object *o, const char *name)
{
    const uint32_t *head = o->gnu_hash; /* buckets, first symbol, words of the filter, its shift */
    const ElfW(Addr) *filter = (const void *)(head + 4);
    const uint32_t *buckets = (const void *)(filter + head[2]);
    const uint32_t *chain = buckets + head[0];
    uint32_t hash = 5381;

    if (head[0] == 0 || head[2] == 0)
        return 0;
    for (const char *c = name; *c; c++)
        hash = hash * 33 + (unsigned char)*c;
    ElfW(Addr) word = filter[hash / ADDRESS_BITS % head[2]];
    if (!(word >> hash % ADDRESS_BITS & word >> (hash >> head[3]) % ADDRESS_BITS & 1))
        return 0;
    for (uint32_t i = buckets[hash % head[0]]; i != 0 && i >= head[1]; i++) {
        uint32_t other = chain[i - head[1]];
        if ((other | 1) == (hash | 1) && is_definition(o, i, name))
            return i;
        if (other & 1) /* the last one of its bucket */
            break;
    }
    return 0;
}

static hash_word find_by_hash(const struct object *o, const char *name)
{
    const hash_word *buckets = o->hash + 2;
    const hash_word *chain = buckets + o->hash[0];
    uint32_t hash = 0;

    if (o->hash[0] == 0)
        return 0;
    for (const char *c = name; *c; c++) {
        hash = (hash << 4) + (unsigned char)*c;
        hash = (hash ^ (hash >> 24 & 0xf0)) & 0x0fffffff;
    }
    hash_word i = buckets[hash % o->hash[0]];
    while (i != 0 && !is_definition(o, i, name))
        i = chain[i];
    return i;
}

/* An IFUNC is a function that returns the address; on some machines it takes the CPU's features. */
static ElfW(Addr) address_of(ElfW(Addr) base, const ElfW(Sym) * symbol)
{
    ElfW(Addr) (*choose)(unsigned long, const void *, const void *);
    ElfW(Addr) at = base + symbol->st_value;

    if ((symbol->st_info & 0xf) != STT_GNU_IFUNC)
        return at;
    memcpy(&choose, &at, sizeof(choose));
    return choose(getauxval(AT_HWCAP), NULL, NULL);
}

void real_fill(const struct dl_phdr_info *loaded, const ElfW(Dyn) * dynamic)
{
    real_slot *slot = (real_slot *)&real;
    struct object o;

    read_object(&o, loaded, dynamic);
    if (!o.symbols || !o.strings)
        return;
    for (const char *name = names; *name; slot++, name += strlen(name) + 1) {
        hash_word index = __atomic_load_n(slot, __ATOMIC_RELAXED) ? 0
                          : o.gnu_hash                            ? find_by_gnu_hash(&o, name)
                          : o.hash                                ? find_by_hash(&o, name)
                                                                  : 0;
        if (index != 0)
            __atomic_store_n(slot, address_of(loaded->dlpi_addr, &o.symbols[index]),
                             __ATOMIC_RELAXED);
    }
}

/* In the order in which symbols are searched for. */
static int visit(struct dl_phdr_info *loaded, size_t size, void *context)
{
    bool *is_next = context;

    (void)size;
    for (size_t i = 0; i < loaded->dlpi_phnum; i++) {
        if (loaded->dlpi_phdr[i].p_type != PT_DYNAMIC)
            continue;
        const ElfW(Dyn) *dynamic =
            (const void *)(loaded->dlpi_addr + loaded->dlpi_phdr[i].p_vaddr); /* NOLINT */
        bool is_own = dynamic == _DYNAMIC;
        if (*is_next && !is_own)
            real_fill(loaded, dynamic);
        *is_next = *is_next || is_own;
    }
    return 0;
}

void real_resolve(void)
{
    bool is_next = false;

    (void)dl_iterate_phdr(visit, &is_next);
    if (!real.close) /* loaded by dlopen(3), not preloaded: libc came before */
        (void)dl_iterate_phdr(visit, &is_next);
}
