/* SPDX-License-Identifier: MIT */
/* Where liblinger.so is. Must never find it by a relative name: the directory may change. */
#include "cli/reach/library.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LIBRARY "liblinger.so"

/* What $LIB stands for, by distribution and class; two side by side are one installation. */
static const char *const directories[] = {
    "lib/x86_64-linux-gnu",
    "lib/i386-linux-gnu",
    "lib/aarch64-linux-gnu",
    "lib/arm-linux-gnueabihf",
    "lib64",
    "lib32",
    "lib",
};

#define DIRECTORY_COUNT (sizeof(directories) / sizeof(directories[0]))

static bool is_there(const char *path)
{
    return access(path, R_OK) == 0;
}

/* Fills `directory` with that of this executable; false if /proc does not say. */
static bool own_directory(char directory[PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", directory, PATH_MAX - 1);

    directory[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(directory, '/');
    if (slash)
        *slash = '\0';
    return slash != NULL;
}

/* PREFIX/lib beside PREFIX/bin: an installed tree may have been moved since it was built. */
static bool find_beside(const char *own, char path[LIBRARY_PATH_MAX])
{
    const char *slash = strrchr(own, '/');

    for (size_t i = 0; slash && i < DIRECTORY_COUNT; i++) {
        snprintf(path, LIBRARY_PATH_MAX, "%.*s/%s/" LIBRARY, (int)(slash - own), own,
                 directories[i]);
        if (is_there(path))
            return true;
    }
    return false;
}

bool library_find(char path[LIBRARY_PATH_MAX])
{
    char own[PATH_MAX];
    bool has_own = own_directory(own);

    if (has_own) {
        snprintf(path, LIBRARY_PATH_MAX, "%s/" LIBRARY, own);
        if (is_there(path) || find_beside(own, path))
            return true;
    }
    snprintf(path, LIBRARY_PATH_MAX, LINGER_LIBDIR "/" LIBRARY);
    if (is_there(path))
        return true;
    snprintf(path, LIBRARY_PATH_MAX, "%s, nor in ../lib from there, nor in " LINGER_LIBDIR,
             has_own ? own : "the launcher's directory (unknown without /proc)");
    return false;
}

bool library_read(const char *path, struct elf *library)
{
    const char *reason;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool good = fd >= 0 && elf_read(fd, library, &reason) == ELF_OK;

    if (fd >= 0)
        close(fd);
    return good;
}

bool library_is_for(const struct elf *library, const struct elf *program)
{
    return library->bits == program->bits && library->machine == program->machine &&
           library->big_endian == program->big_endian;
}

/* The length of PREFIX/ if `path` is PREFIX/DIRECTORY/liblinger.so, by the table; else 0. */
static size_t prefix_length(const char *path)
{
    size_t length = strlen(path) - strlen("/" LIBRARY);

    for (size_t i = 0; i < DIRECTORY_COUNT; i++) {
        size_t own = strlen(directories[i]);
        if (length > own && path[length - own - 1] == '/' &&
            memcmp(path + length - own, directories[i], own) == 0)
            return length - own;
    }
    return 0;
}

void library_fit(const struct elf *program, char path[LIBRARY_PATH_MAX],
                 char preload[LIBRARY_PATH_MAX])
{
    size_t prefix = prefix_length(path);
    char fitting[LIBRARY_PATH_MAX];
    char other[LIBRARY_PATH_MAX];
    struct elf elf;
    int count = 0;

    snprintf(fitting, sizeof(fitting), "%s", path);
    for (size_t i = 0; prefix > 0 && i < DIRECTORY_COUNT; i++) {
        int length =
            snprintf(other, sizeof(other), "%.*s%s/" LIBRARY, (int)prefix, path, directories[i]);
        if (length >= (int)sizeof(other) || !is_there(other))
            continue;
        count++;
        if (library_read(other, &elf) && library_is_for(&elf, program))
            memcpy(fitting, other, (size_t)length + 1);
    }
    memcpy(path, fitting, sizeof(fitting));
    if (count > 1 && elf_is_glibc(program))
        snprintf(preload, LIBRARY_PATH_MAX, "%.*s$LIB/" LIBRARY, (int)prefix, path);
    else
        memcpy(preload, path, LIBRARY_PATH_MAX);
}
