/* SPDX-License-Identifier: MIT */
/*
 * The next definition of each hooked function, in the program, in another preload or in libc: what
 * dlsym(RTLD_NEXT) answers, read from the symbol tables of what is loaded. dlsym() itself is in
 * libdl before glibc 2.34, a second file to map into every process, and allocates where a name is
 * absent. Must never do either.
 */
#include "preload/real.h"

#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ADDRESS_BITS (8 * sizeof(ElfW(Addr)))
#define HIDDEN_VERSION 0x8000 /* in DT_VERSYM: what only older programs are bound to */

struct real real;

/* In the order of the slots; one text, because each pointer would be a relocation. */
#define NAME(type, name, arguments) #name "\0"
#define NAME_TIME64(type, name, arguments) "__" #name "\0"
static const char names[] = REAL_FUNCTIONS(NAME, NAME_TIME64);

/* What elf(5) calls it: this library's own. */
extern ElfW(Dyn) _DYNAMIC[] __attribute__((visibility("hidden")));

/* A loaded object's symbols, and the hash tables that lead to them: either may be missing. */
struct object {
    const ElfW(Sym) * symbols;
    const char *strings;
    const ElfW(Half) * versions;
    const uint32_t *hash;
    const uint32_t *gnu_hash;
};

/* glibc has made addresses of them where the section can be written, musl has not. */
static const void *table_at(ElfW(Addr) base, const ElfW(Dyn) * entry)
{
    ElfW(Addr) at = entry->d_un.d_ptr;

    return (const void *)(at < base ? base + at : at); /* NOLINT: where the linker put it */
}

static void read_object(struct object *o, ElfW(Addr) base, const ElfW(Dyn) * entry)
{
    *o = (struct object){0};
    for (; entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag == DT_SYMTAB)
            o->symbols = table_at(base, entry);
        else if (entry->d_tag == DT_STRTAB)
            o->strings = table_at(base, entry);
        else if (entry->d_tag == DT_VERSYM)
            o->versions = table_at(base, entry);
        else if (entry->d_tag == DT_HASH)
            o->hash = table_at(base, entry);
        else if (entry->d_tag == DT_GNU_HASH)
            o->gnu_hash = table_at(base, entry);
    }
}

/* Does the object define the function in the version that a program linked today is bound to? */
static bool is_definition(const struct object *o, uint32_t index, const char *name)
{
    const ElfW(Sym) *symbol = &o->symbols[index];

    return symbol->st_shndx != SHN_UNDEF && (symbol->st_info & 0xf) == STT_FUNC &&
           !(o->versions && o->versions[index] & HIDDEN_VERSION) &&
           strcmp(o->strings + symbol->st_name, name) == 0;
}

/* The index of the symbol, or 0, which is none's. */
static uint32_t find_by_gnu_hash(const struct object *o, const char *name)
{
    const uint32_t *head = o->gnu_hash; /* buckets, first symbol, words of the filter, its shift */
    const ElfW(Addr) *filter = (const void *)(head + 4);
    const uint32_t *buckets = (const void *)(filter + head[2]);
    const uint32_t *chain = buckets + head[0];
    uint32_t hash = 5381;

    for (const char *c = name; *c; c++)
        hash = hash * 33 + (unsigned char)*c;
    ElfW(Addr) word = filter[hash / ADDRESS_BITS % head[2]];
    if (!(word >> hash % ADDRESS_BITS & word >> (hash >> head[3]) % ADDRESS_BITS & 1))
        return 0;
    for (uint32_t i = buckets[hash % head[0]]; i >= head[1]; i++) {
        uint32_t other = chain[i - head[1]];
        if ((other | 1) == (hash | 1) && is_definition(o, i, name))
            return i;
        if (other & 1) /* the last one of its bucket */
            break;
    }
    return 0;
}

static uint32_t find_by_hash(const struct object *o, const char *name)
{
    const uint32_t *buckets = o->hash + 2;
    const uint32_t *chain = buckets + o->hash[0];
    uint32_t hash = 0;
    uint32_t i;

    for (const char *c = name; *c; c++) {
        hash = (hash << 4) + (unsigned char)*c;
        hash = (hash ^ (hash >> 24 & 0xf0)) & 0x0fffffff;
    }
    i = buckets[hash % o->hash[0]];
    while (i != 0 && !is_definition(o, i, name))
        i = chain[i];
    return i;
}

/* Fills what no object before this one has. */
static void resolve_in(const struct object *o, ElfW(Addr) base)
{
    const char *name = names;
    ElfW(Addr) address;

    if (!o->symbols || !o->strings)
        return;
    for (char *slot = (char *)&real; *name; slot += sizeof(address), name += strlen(name) + 1) {
        memcpy(&address, slot, sizeof(address));
        uint32_t index = address       ? 0
                         : o->gnu_hash ? find_by_gnu_hash(o, name)
                         : o->hash     ? find_by_hash(o, name)
                                       : 0;
        if (index == 0)
            continue;
        address = base + o->symbols[index].st_value;
        memcpy(slot, &address, sizeof(address)); /* POSIX: as long as a pointer to a function */
    }
}

/* In the order in which symbols are searched for. */
static int visit(struct dl_phdr_info *loaded, size_t size, void *context)
{
    bool *is_next = context;
    struct object object;

    (void)size;
    for (size_t i = 0; i < loaded->dlpi_phnum; i++) {
        if (loaded->dlpi_phdr[i].p_type != PT_DYNAMIC)
            continue;
        const ElfW(Dyn) *dynamic =
            (const void *)(loaded->dlpi_addr + loaded->dlpi_phdr[i].p_vaddr); /* NOLINT */
        bool is_own = dynamic == _DYNAMIC;
        if (*is_next && !is_own) {
            read_object(&object, loaded->dlpi_addr, dynamic);
            resolve_in(&object, loaded->dlpi_addr);
        }
        *is_next = *is_next || is_own;
    }
    return 0;
}

void real_resolve(void)
{
    bool is_next = false;

    (void)dl_iterate_phdr(visit, &is_next);
    if (!real.close) /* not preloaded, but loaded by the program as it ran: libc came before */
        (void)dl_iterate_phdr(visit, &is_next);
}
