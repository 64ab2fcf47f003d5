/* SPDX-License-Identifier: MIT */
/*
 * The judgement. Follows what execve(2) and ld.so(8) would do with a program, step by step, and
 * stops at the first step that excludes the library. Must never run the program.
 */
#include "cli/reach/reach.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/needs.h"
#include "cli/reach/envline.h"
#include "cli/supervise/filter.h"

#define SCRIPT_LINE_MAX 256 /* BINPRM_BUF_SIZE, linux/binfmts.h: the kernel reads no more of #! */

static bool conclude(struct reach *reach, enum reach_how how, int status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Returns false: the judgement ends. */
static bool conclude(struct reach *reach, enum reach_how how, int status, const char *format, ...)
{
    va_list arguments;

    reach->how = how;
    reach->status = status;
    va_start(arguments, format);
    vsnprintf(reach->why.text, sizeof(reach->why.text), format, arguments);
    va_end(arguments);
    return false;
}

/*
 * Finds `name` as execvp(3) does: with a slash it is a path, else the first directory of PATH that
 * has a file of that name which may be executed. On failure errno is that of the best candidate.
 */
static bool find_program(const char *name, char path[PATH_MAX])
{
    const char *directories = getenv("PATH");
    int error = ENOENT;

    if (strchr(name, '/') || !name[0]) {
        if (snprintf(path, PATH_MAX, "%s", name) >= PATH_MAX) {
            errno = ENAMETOOLONG;
            return false;
        }
        return access(path, X_OK) == 0;
    }
    for (const char *at = directories ? directories : "/bin:/usr/bin"; at;) {
        struct stat status;
        size_t length = strcspn(at, ":"); /* 0: the current directory */
        int written =
            snprintf(path, PATH_MAX, "%.*s/%s", length ? (int)length : 1, length ? at : ".", name);
        if (written < PATH_MAX && stat(path, &status) == 0 && !S_ISDIR(status.st_mode)) {
            if (access(path, X_OK) == 0)
                return true;
            error = errno;
        }
        at = at[length] ? at + length + 1 : NULL;
    }
    errno = error;
    return false;
}

/* The next program of the chain; false if that ends the judgement. */
static bool enter(struct reach *reach, const char *name)
{
    const char *by = reach->depth > 0 ? ", which its #! line names, " : "";

    if (reach->depth == REACH_CHAIN_MAX)
        return conclude(reach, REACH_ERROR, CLI_NOT_EXECUTABLE,
                        "its chain of #! lines is too long");
    if (find_program(name, reach->file[reach->depth])) {
        reach->depth++;
        return true;
    }
    enum cli_status status = cli_exec_status(errno);
    if (status == CLI_NOT_FOUND)
        return conclude(reach, REACH_ERROR, status, "%s%s%s", by[0] ? name : "", by,
                        by[0] ? "does not exist" : "no such program");
    return conclude(reach, REACH_ERROR, status, "%s%scannot be executed: %s", by[0] ? name : "", by,
                    strerror(errno));
}

/*
 * Does executing the file change privileges, so that ld.so ignores LD_PRELOAD (AT_SECURE)? Not for
 * root, who gains nothing by it, nor for the owner, nor on a nosuid mount (bprm_fill_uid()).
 */
static const char *privilege_gain(int fd, const struct stat *status)
{
    struct statvfs mount;

    if (fstatvfs(fd, &mount) == 0 && mount.f_flag & ST_NOSUID)
        return NULL;
    if (status->st_mode & S_ISUID && status->st_uid != getuid())
        return "setuid";
    if (status->st_mode & S_ISGID && status->st_mode & S_IXGRP && status->st_gid != getgid())
        return "setgid";
    if (getuid() != 0 && fgetxattr(fd, "security.capability", NULL, 0) > 0)
        return "it has file capabilities";
    return NULL;
}

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

/*
 * Finds the library beside this executable, else in the lib directories beside its bin directory
 * (an installed tree may have been moved since it was built), else in the libdir it was built for;
 * never by a relative name: the directory may change. If it is in none of them, returns false, with
 * the places in `path` for a message.
 */
static bool find_library(char path[LIBRARY_PATH_MAX])
{
    char own[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", own, sizeof(own) - 1);

    own[length > 0 ? length : 0] = '\0';
    char *name = strrchr(own, '/');
    if (name) {
        *name = '\0';
        snprintf(path, LIBRARY_PATH_MAX, "%s/" LIBRARY, own);
        if (is_there(path))
            return true;
    }
    const char *end = strrchr(own, '/');
    for (size_t i = 0; end && i < DIRECTORY_COUNT; i++) {
        snprintf(path, LIBRARY_PATH_MAX, "%.*s/%s/" LIBRARY, (int)(end - own), own, directories[i]);
        if (is_there(path))
            return true;
    }
    snprintf(path, LIBRARY_PATH_MAX, LINGER_LIBDIR "/" LIBRARY);
    if (is_there(path))
        return true;
    snprintf(path, LIBRARY_PATH_MAX, "%s, nor in ../lib from there, nor in " LINGER_LIBDIR,
             name ? own : "the launcher's directory (unknown without /proc)");
    return false;
}

/* Is it a library of the program's class, byte order and machine? */
static bool is_library_for(const char *path, const struct elf *program, struct elf *library)
{
    const char *reason;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is_read = fd >= 0 && elf_read(fd, library, &reason) == ELF_OK;

    if (fd >= 0)
        close(fd);
    return is_read && library->bits == program->bits && library->machine == program->machine &&
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

/* glibc's loader takes $LIB in LD_PRELOAD (ld.so(8)), musl's does not. */
static bool is_glibc(const char *loader)
{
    return strstr(loader, "/ld-linux") || strstr(loader, "/ld64.so") || strstr(loader, "/ld.so");
}

/*
 * Takes the library that fits the program where several are installed side by side
 * (lib/x86_64-linux-gnu and lib/i386-linux-gnu, lib64 and lib). Then LD_PRELOAD names it, if the
 * program's libc takes that, with $LIB, so that children of either class find theirs.
 */
static void choose_library(struct reach *reach)
{
    size_t prefix = prefix_length(reach->library);
    char other[LIBRARY_PATH_MAX];
    struct elf elf;
    int count = 0;

    for (size_t i = 0; prefix > 0 && i < DIRECTORY_COUNT; i++) {
        snprintf(other, sizeof(other), "%.*s%s/" LIBRARY, (int)prefix, reach->library,
                 directories[i]);
        if (!is_there(other))
            continue;
        count++;
        if (is_library_for(other, &reach->elf, &elf))
            memcpy(reach->library, other, sizeof(other));
    }
    if (count > 1 && is_glibc(reach->elf.interpreter))
        snprintf(reach->preload, LIBRARY_PATH_MAX, "%.*s$LIB/" LIBRARY, (int)prefix,
                 reach->library);
    else
        memcpy(reach->preload, reach->library, LIBRARY_PATH_MAX);
}

/* A program whose loader takes a preload: is there a library for it? */
static bool judge_library(struct reach *reach)
{
    const struct elf *elf = &reach->elf;
    bool is_musl = strstr(elf->interpreter, "/ld-musl");

    if (!find_library(reach->library))
        return conclude(reach, REACH_ERROR, CLI_FAILED, "liblinger.so is not in %s",
                        reach->library);
    choose_library(reach);
    if (!is_library_for(reach->library, elf, &reach->library_elf))
        return conclude(reach, REACH_NONE, 0, "a %d-bit %s program: %s is of another architecture",
                        elf->bits, elf_machine(elf), reach->library);
    if (is_musl || is_glibc(elf->interpreter))
        return conclude(reach, REACH_PRELOAD, 0, "dynamically linked, %s",
                        is_musl ? "musl" : "glibc");
    return conclude(reach, REACH_PRELOAD, 0,
                    "dynamically linked, though by a loader that linger does not know: %s",
                    elf->interpreter);
}

/* A program that needs the supervisor, for that reason. */
static bool judge_supervised(struct reach *reach, const char *why, const char *more)
{
    struct elf ours = {.bits = 64, .machine = filter_machine()};
    struct error lacks;

    if (ours.machine == 0)
        return conclude(reach, REACH_NONE, 0, "%s; on this architecture linger has no supervisor",
                        why);
    if (reach->elf.machine != ours.machine || reach->elf.bits != ours.bits)
        return conclude(reach, REACH_NONE, 0,
                        "a %d-bit %s program, %s: the supervisor is for 64-bit %s programs only",
                        reach->elf.bits, elf_machine(&reach->elf), why, elf_machine(&ours));
    if (!needs_explain(NEED_SUPERVISOR, &lacks))
        return conclude(reach, REACH_NONE, 0, "%s: %s", why, lacks.text);
    return conclude(reach, REACH_SUPERVISE, 0, "%s%s", why, more);
}

static bool judge_elf(struct reach *reach)
{
    const struct elf *elf = &reach->elf;

    if (elf->is_go)
        return judge_supervised(
            reach, elf->interpreter[0] ? "a Go program, though dynamically linked" : "a Go program",
            ": it makes raw system calls, bypassing libc");
    if (!elf->interpreter[0])
        return judge_supervised(
            reach, elf->is_pie ? "statically linked (static-pie)" : "statically linked",
            ": no loader, so nothing is preloaded");
    if (reach->by_supervisor)
        return judge_supervised(reach, "dynamically linked", ", and the supervisor was asked for");
    if (reach->drops_preload)
        return judge_supervised(reach,
                                "env in its #! line removes LD_PRELOAD or a LINGER_ variable", "");
    return judge_library(reach);
}

/* The interpreter of a #! line, or what `env` in it names; false if that ends the judgement. */
static bool enter_interpreter(struct reach *reach, char *line)
{
    struct envline env;

    for (size_t end = strlen(line); end > 0 && strchr(" \t", line[end - 1]); end--)
        line[end - 1] = '\0';
    char *rest = line + strspn(line, " \t");
    const char *interpreter = strsep(&rest, " \t");
    const char *slash = strrchr(interpreter, '/');
    if (!interpreter[0])
        return conclude(reach, REACH_ERROR, CLI_NOT_EXECUTABLE, "its #! line names no interpreter");
    if (!slash) /* the kernel does not search PATH */
        return conclude(reach, REACH_ERROR, CLI_NOT_FOUND, "its #! line names %s without a path",
                        interpreter);
    if (!enter(reach, interpreter))
        return false;
    if (strcmp(slash, "/env") != 0)
        return true;
    if (!envline_read(rest ? rest + strspn(rest, " \t") : NULL, &env))
        return conclude(reach, REACH_ERROR, CLI_NOT_EXECUTABLE,
                        "its #! line has options that env refuses");
    if (!env.program)
        return conclude(reach, REACH_ERROR, CLI_NOT_EXECUTABLE,
                        "its #! line has env without a program");
    reach->drops_preload = reach->drops_preload || env.drops;
    return enter(reach, env.program);
}

/* The smallest program for i386. */
struct program386 {
    Elf32_Ehdr header;
    Elf32_Phdr segments[2];
    uint8_t code[9];
};

#define BASE386 0x10000 /* vm.mmap_min_addr permits no less */

static const struct program386 ends_at_once = {
    .header = {.e_ident = ELFMAG "\1\1\1", /* 32 bits, little endian, this version */
               .e_type = ET_EXEC,
               .e_machine = EM_386,
               .e_version = EV_CURRENT,
               .e_entry = BASE386 + offsetof(struct program386, code),
               .e_phoff = offsetof(struct program386, segments),
               .e_ehsize = sizeof(Elf32_Ehdr),
               .e_phentsize = sizeof(Elf32_Phdr),
               .e_phnum = 2},
    .segments = {{.p_type = PT_LOAD,
                  .p_flags = PF_R | PF_X,
                  .p_vaddr = BASE386,
                  .p_filesz = sizeof(struct program386),
                  .p_memsz = sizeof(struct program386),
                  .p_align = 4096},
                 {.p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W}},
    .code = {0xb8, 1, 0, 0, 0, 0x31, 0xdb, 0xcd, 0x80}, /* exit(0) */
};

/*
 * Does the kernel refuse programs for i386? Its configuration does not say so (ia32_emulation=0 on
 * its command line), only execve(2) does. posix_spawn() hands the error of execve() on.
 */
static bool kernel_refuses_i386(void)
{
    static char name[] = "linger-i386";
    char *const arguments[] = {name, NULL};
    char *const environment[] = {NULL};
    char path[32];
    pid_t pid;
    int fd = memfd_create("linger-i386", MFD_CLOEXEC);
    bool is_whole = write(fd, &ends_at_once, sizeof(ends_at_once)) == sizeof(ends_at_once);

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int error = is_whole ? posix_spawn(&pid, path, NULL, NULL, arguments, environment) : EIO;
    if (error == 0)
        waitpid(pid, NULL, 0);
    if (fd >= 0)
        close(fd);
    return error == ENOEXEC;
}

/* A script leads to its interpreter; execve(2) refuses anything else that is not ELF. */
static bool judge_text(struct reach *reach, int fd)
{
    char line[SCRIPT_LINE_MAX];
    ssize_t length = pread(fd, line, sizeof(line) - 1, 0);

    if (length < 0)
        return conclude(reach, REACH_ERROR, CLI_NOT_EXECUTABLE, "cannot be read: %s",
                        strerror(errno));
    line[length] = '\0';
    line[strcspn(line, "\n")] = '\0';
    if (length >= 2 && line[0] == '#' && line[1] == '!')
        return enter_interpreter(reach, line + 2);
    return conclude(reach, REACH_ERROR, CLI_NOT_EXECUTABLE, "%s",
                    length == 0 ? "an empty file"
                                : "neither an ELF file nor a script with a #! line");
}

/* Judges one file of the chain. True: it led to another. */
static bool judge_file(struct reach *reach, int fd)
{
    const char *reason;
    struct stat status;

    if (fd < 0 || fstat(fd, &status) != 0)
        return conclude(reach, REACH_ERROR, CLI_NOT_EXECUTABLE,
                        "cannot be read, so it cannot be judged: %s", strerror(errno));
    if (!S_ISREG(status.st_mode))
        return conclude(reach, REACH_ERROR, CLI_NOT_EXECUTABLE, "%s",
                        S_ISDIR(status.st_mode) ? "a directory" : "not a regular file");
    enum elf_status elf = elf_read(fd, &reach->elf, &reason);
    reach->has_elf = elf == ELF_OK;
    if (elf == ELF_NOT)
        return judge_text(reach, fd);
    if (elf == ELF_BROKEN)
        return conclude(reach, REACH_ERROR, CLI_NOT_EXECUTABLE, "a broken ELF file: %s", reason);
    if (elf == ELF_FAILED)
        return conclude(reach, REACH_ERROR, CLI_NOT_EXECUTABLE, "cannot be read: %s",
                        strerror(errno));
    if (reach->elf.machine == EM_386 && filter_machine() == EM_X86_64 && kernel_refuses_i386())
        return conclude(reach, REACH_ERROR, CLI_NOT_EXECUTABLE,
                        "a 32-bit i386 program: this kernel runs no 32-bit programs");
    const char *gain = privilege_gain(fd, &status);
    if (gain)
        return conclude(reach, REACH_NONE, 0,
                        "%s: the loader ignores LD_PRELOAD, and seccomp would take its "
                        "privileges away",
                        gain);
    return judge_elf(reach);
}

void reach_judge(const char *program, bool by_supervisor, struct reach *reach)
{
    memset(reach, 0, sizeof(*reach));
    reach->by_supervisor = by_supervisor;
    bool leads_on = enter(reach, program);
    while (leads_on) {
        int fd = open(reach->file[reach->depth - 1], O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        leads_on = judge_file(reach, fd);
        if (fd >= 0)
            close(fd);
    }
}
