/* SPDX-License-Identifier: MIT */
/* The ELF reader on this test program itself, on every truncation of it, and on 10,000 mutations.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/reach/elffile.h"

#define MUTATIONS 10000
#define HEAD 4096 /* headers, interpreter and notes stand here; sections at the end */

static int copy;
static size_t length;
static uint8_t *original;

static enum elf_status look(struct elf *elf)
{
    const char *reason = NULL;
    enum elf_status status = elf_read(copy, elf, &reason);

    if (status == ELF_BROKEN)
        assert_non_null(reason);
    if (status == ELF_OK) {
        assert_non_null(memchr(elf->interpreter, '\0', sizeof(elf->interpreter)));
        assert_non_null(memchr(elf->version, '\0', sizeof(elf->version)));
        assert_true(strlen(elf_machine(elf)) > 0);
    }
    return status;
}

static int set_up(void **state)
{
    struct stat status;
    int self = open("/proc/self/exe", O_RDONLY);

    (void)state;
    assert_int_equal(fstat(self, &status), 0);
    length = (size_t)status.st_size;
    original = malloc(length);
    assert_int_equal(read(self, original, length), length);
    close(self);
    copy = memfd_create("copy", 0);
    assert_int_equal(pwrite(copy, original, length, 0), length);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(original);
    close(copy);
    return 0;
}

static void test_this_program(void **state)
{
    struct elf elf;

    (void)state;
    assert_int_equal(look(&elf), ELF_OK);
    assert_int_equal(elf.bits, sizeof(void *) * 8);
    assert_true(elf.interpreter[0] == '/');
    assert_false(elf.is_go);
    assert_string_equal(elf.version, "");
}

static void test_truncated(void **state)
{
    struct elf elf;

    (void)state;
    for (size_t size = sizeof(Elf64_Ehdr) + 2 * sizeof(Elf64_Phdr); size-- > 0;) {
        assert_int_equal(ftruncate(copy, (off_t)size), 0);
        assert_int_equal(look(&elf), size < SELFMAG ? ELF_NOT : ELF_BROKEN);
    }
    assert_int_equal(pwrite(copy, original, length, 0), length);
}

static void test_mutations(void **state)
{
    unsigned seen[ELF_FAILED + 1] = {0};
    struct elf elf;

    (void)state;
    srand(20261121);
    for (int i = 0; i < MUTATIONS; i++) {
        size_t at[8];
        int count = 1 + rand() % 8;
        for (int j = 0; j < count; j++) {
            /* Mostly the headers, and often the section headers at the end. */
            size_t area = (size_t)rand() % 3;
            at[j] = area == 0   ? (size_t)rand() % sizeof(Elf64_Ehdr)
                    : area == 1 ? (size_t)rand() % HEAD
                                : length - 1 - (size_t)rand() % HEAD;
            uint8_t byte = (uint8_t)(rand() % 4 ? rand() : -(rand() % 2));
            assert_int_equal(pwrite(copy, &byte, 1, (off_t)at[j]), 1);
        }
        seen[look(&elf)]++;
        for (int j = 0; j < count; j++)
            assert_int_equal(pwrite(copy, original + at[j], 1, (off_t)at[j]), 1);
    }
    /* The mutations reach all of the reader: some are harmless, some break it, none crashes it. */
    assert_true(seen[ELF_OK] > MUTATIONS / 20);
    assert_true(seen[ELF_BROKEN] > MUTATIONS / 20);
    assert_true(seen[ELF_NOT] > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_this_program),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_mutations),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
