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

static void conclude(struct reach *reach, enum reach_how how, int status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void conclude(struct reach *reach, enum reach_how how, int status, const char *format, ...)
{
    va_list arguments;

    reach->how = how;
    reach->status = status;
    va_start(arguments, format);
    vsnprintf(reach->why.text, sizeof(reach->why.text), format, arguments);
    va_end(arguments);
}

const char *reach_name(enum reach_how how)
{
    static const char *const names[] = {[REACH_PRELOAD] = "preload",
                                        [REACH_SUPERVISE] = "supervisor",
                                        [REACH_NONE] = "not at all",
                                        [REACH_ERROR] = "error"};

    return names[how];
}

/* Puts "directory/name" into `path`, the directory being `length` bytes; false if too long. */
static bool join(char path[PATH_MAX], const char *directory, size_t length, const char *name)
{
    int written = length == 0 ? snprintf(path, PATH_MAX, "./%s", name)
                              : snprintf(path, PATH_MAX, "%.*s/%s", (int)length, directory, name);

    return written < PATH_MAX;
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
        const char *end = strchrnul(at, ':');
        struct stat status;
        if (join(path, at, (size_t)(end - at), name) && stat(path, &status) == 0 &&
            !S_ISDIR(status.st_mode)) {
            if (access(path, X_OK) == 0)
                return true;
            error = errno;
        }
        at = *end ? end + 1 : NULL;
    }
    errno = error;
    return false;
}

/* The next program of the chain; false if that ends the judgement. */
static bool enter(struct reach *reach, const char *name)
{
    if (reach->depth == REACH_CHAIN_MAX) {
        conclude(reach, REACH_ERROR, CLI_NOT_EXECUTABLE, "its chain of #! lines is too long");
        return false;
    }
    if (find_program(name, reach->file[reach->depth])) {
        reach->depth++;
        return true;
    }
    if (cli_exec_status(errno) == CLI_NOT_FOUND)
        conclude(reach, REACH_ERROR, CLI_NOT_FOUND, "%s%s", reach->depth ? name : "",
                 reach->depth ? ", which its #! line names, does not exist" : "no such program");
    else
        conclude(reach, REACH_ERROR, CLI_NOT_EXECUTABLE, "%s%scannot be executed: %s",
                 reach->depth ? name : "", reach->depth ? ", which its #! line names, " : "",
                 strerror(errno));
    return false;
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

/* A program whose loader takes a preload: is there a library for it? */
static void judge_library(struct reach *reach)
{
    const struct elf *elf = &reach->elf;
    bool is_musl = elf_is_musl(elf);

    if (!library_find(reach->library)) {
        conclude(reach, REACH_ERROR, CLI_FAILED, "liblinger.so is not in %s", reach->library);
        return;
    }
    library_fit(elf, reach->library, reach->preload);
    if (!library_read(reach->library, &reach->library_elf) ||
        !library_is_for(&reach->library_elf, elf))
        conclude(reach, REACH_NONE, 0, "a %d-bit %s program: %s is of another architecture",
                 elf->bits, elf_machine(elf), reach->library);
    else if (is_musl || elf_is_glibc(elf))
        conclude(reach, REACH_PRELOAD, 0, "dynamically linked, %s", is_musl ? "musl" : "glibc");
    else
        conclude(reach, REACH_PRELOAD, 0,
                 "dynamically linked, though by a loader that linger does not know: %s",
                 elf->interpreter);
}

/* A program that needs the supervisor, for that reason. */
static void judge_supervised(struct reach *reach, const char *why, const char *more)
{
    struct elf ours = {.bits = 64, .machine = filter_machine()};
    struct error lacks;

    if (ours.machine == 0)
        conclude(reach, REACH_NONE, 0, "%s; on this architecture linger has no supervisor", why);
    else if (reach->elf.machine != ours.machine || reach->elf.bits != ours.bits)
        conclude(reach, REACH_NONE, 0,
                 "a %d-bit %s program, %s: the supervisor is for 64-bit %s programs only",
                 reach->elf.bits, elf_machine(&reach->elf), why, elf_machine(&ours));
    else if (!needs_explain(NEED_SUPERVISOR, &lacks))
        conclude(reach, REACH_NONE, 0, "%s: %s", why, lacks.text);
    else
        conclude(reach, REACH_SUPERVISE, 0, "%s%s", why, more);
}

static void judge_elf(struct reach *reach)
{
    const struct elf *elf = &reach->elf;

    if (elf->is_go)
        judge_supervised(
            reach, elf->interpreter[0] ? "a Go program, though dynamically linked" : "a Go program",
            ": it makes raw system calls, bypassing libc");
    else if (!elf->interpreter[0])
        judge_supervised(reach,
                         elf->is_pie ? "statically linked (static-pie)" : "statically linked",
                         ": no loader, so nothing is preloaded");
    else if (reach->by_supervisor)
        judge_supervised(reach, "dynamically linked", ", and the supervisor was asked for");
    else if (reach->drops_preload)
        judge_supervised(reach, "env in its #! line removes LD_PRELOAD or a LINGER_ variable", "");
    else
        judge_library(reach);
}

/* Cuts the next word off `*text`; NULL at the end. */
static char *next_word(char **text)
{
    char *word = *text + strspn(*text, " \t");
    size_t length = strcspn(word, " \t");

    if (length == 0)
        return NULL;
    *text = word + length + (word[length] != '\0');
    word[length] = '\0';
    return word;
}

/* What `env` will run; NULL and a judgement if it runs nothing. */
static const char *after_env(struct reach *reach, char *argument)
{
    struct envline line;

    if (!envline_read(argument, &line))
        conclude(reach, REACH_ERROR, CLI_NOT_EXECUTABLE,
                 "its #! line has options that env refuses");
    else if (!line.program)
        conclude(reach, REACH_ERROR, CLI_NOT_EXECUTABLE, "its #! line has env without a program");
    else
        reach->drops_preload = reach->drops_preload || line.drops;
    return line.program;
}

/* The interpreter of a #! line, or what `env` in it names; false if that ends the judgement. */
static bool enter_interpreter(struct reach *reach, char *line)
{
    char *rest = line;
    const char *interpreter = next_word(&rest);

    if (!interpreter) {
        conclude(reach, REACH_ERROR, CLI_NOT_EXECUTABLE, "its #! line names no interpreter");
        return false;
    }
    const char *slash = strrchr(interpreter, '/');
    if (!slash) { /* the kernel does not search PATH */
        conclude(reach, REACH_ERROR, CLI_NOT_FOUND, "its #! line names %s without a path",
                 interpreter);
        return false;
    }
    bool is_env = strcmp(slash, "/env") == 0;
    if (!enter(reach, interpreter))
        return false;
    if (!is_env)
        return true;
    rest += strspn(rest, " \t");
    for (size_t end = strlen(rest); end > 0 && (rest[end - 1] == ' ' || rest[end - 1] == '\t');
         end--)
        rest[end - 1] = '\0';
    const char *program = after_env(reach, rest);
    return program && enter(reach, program);
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

    if (length < 0) {
        conclude(reach, REACH_ERROR, CLI_NOT_EXECUTABLE, "cannot be read: %s", strerror(errno));
        return false;
    }
    line[length] = '\0';
    line[strcspn(line, "\n")] = '\0';
    if (length >= 2 && line[0] == '#' && line[1] == '!')
        return enter_interpreter(reach, line + 2);
    conclude(reach, REACH_ERROR, CLI_NOT_EXECUTABLE, "%s",
             length == 0 ? "an empty file" : "neither an ELF file nor a script with a #! line");
    return false;
}

/* Judges one file of the chain. True: it led to another. */
static bool judge_file(struct reach *reach)
{
    const char *path = reach->file[reach->depth - 1];
    const char *reason = NULL;
    struct stat status;
    bool leads_on = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || fstat(fd, &status) != 0) {
        conclude(reach, REACH_ERROR, CLI_NOT_EXECUTABLE,
                 "cannot be read, so it cannot be judged: %s", strerror(errno));
    } else if (!S_ISREG(status.st_mode)) {
        conclude(reach, REACH_ERROR, CLI_NOT_EXECUTABLE, "%s",
                 S_ISDIR(status.st_mode) ? "a directory" : "not a regular file");
    } else {
        const char *gain = privilege_gain(fd, &status);
        enum elf_status elf = elf_read(fd, &reach->elf, &reason);
        bool is_for_i386 = reach->elf.machine == EM_386 && filter_machine() == EM_X86_64;
        reach->has_elf = elf == ELF_OK;
        if (elf == ELF_BROKEN)
            conclude(reach, REACH_ERROR, CLI_NOT_EXECUTABLE, "a broken ELF file: %s", reason);
        else if (elf == ELF_FAILED)
            conclude(reach, REACH_ERROR, CLI_NOT_EXECUTABLE, "cannot be read: %s", strerror(errno));
        else if (elf == ELF_OK && is_for_i386 && kernel_refuses_i386())
            conclude(reach, REACH_ERROR, CLI_NOT_EXECUTABLE,
                     "a 32-bit i386 program: this kernel runs no 32-bit programs");
        else if (elf == ELF_OK && gain)
            conclude(reach, REACH_NONE, 0,
                     "%s: the loader ignores LD_PRELOAD, and seccomp would "
                     "take its privileges away",
                     gain);
        else if (elf == ELF_OK)
            judge_elf(reach);
        else
            leads_on = judge_text(reach, fd);
    }
    if (fd >= 0)
        close(fd);
    return leads_on;
}

void reach_judge(const char *program, bool by_supervisor, struct reach *reach)
{
    reach->by_supervisor = by_supervisor;
    reach->drops_preload = false;
    reach->depth = 0;
    reach->library[0] = '\0';
    reach->preload[0] = '\0';
    reach->has_elf = false;
    if (!enter(reach, program))
        return;
    while (judge_file(reach))
        ;
}
