/* SPDX-License-Identifier: MIT */
/*
 * The log's file. A worker that has dropped its privileges, or is in a chroot(2), could not open it
 * again, and a descriptor opened for each line is copied by a fork() in another thread. So one is
 * kept from load on: away from the numbers that the program gets, closed by exec, and only for a
 * regular file, since a FIFO that is held open never ends for its reader.
 *
 * The program may close it, and get the number back as a connection: before each line its device
 * and inode are compared. If the name by now leads to another file, or to none, the file is opened
 * anew, as after a log rotation; if that fails, the kept one is written to. A link is not followed
 * then: whoever may write the directory would choose which file root writes to. Never opened under
 * another root than at load: no file is made inside a jail.
 */
#include "report/logfile.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/kernel.h"
#include "base/text.h"
#include "report/fileid.h"
#include "report/log.h"
#include "report/write.h"

#define HIGHEST_NUMBER 1024 /* a descriptor table grows to its highest number */
#define FEWEST_NUMBERS 64   /* a program limited to fewer keeps them all */

static char file[LOG_PATH_MAX]; /* absolute: the program may change its directory */
static int kept = -1;           /* set once to a number: vfork() shares this memory */
static struct fileid last;      /* of the file that was put there */
static struct fileid root;      /* the directory "/" at load */
static bool is_exposed;         /* another user may replace the file */

/* The log's name with %p and %% replaced. */
static void expand(char path[LOG_PATH_MAX], uint64_t pid)
{
    struct text out;

    text_begin(&out, path, LOG_PATH_MAX);
    for (const char *c = file; *c; c++) {
        if (c[0] == '%' && c[1] == 'p')
            text_put_number(&out, pid);
        else
            text_put_char(&out, *c);
        c += c[0] == '%';
    }
}

/* NULL without memory. A mapping is not heap, and a signal handler's stack may be too small. */
static const char *take_path(uint64_t pid)
{
    void *path = file;

    if (!strchr(file, '%'))
        return file;
    path = mmap(NULL, LOG_PATH_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (path == MAP_FAILED)
        return NULL;
    expand(path, pid);
    return path;
}

static void release_path(const char *path)
{
    if (path && path != file)
        munmap((void *)path, LOG_PATH_MAX);
}

/* O_NONBLOCK: a FIFO without a reader fails at once, and a full one loses the line. */
static int open_file(const char *path, int flags)
{
    return kernel_open(
        path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | flags, 0644);
}

static int duplicate_from(int fd, int lowest)
{
    return (int)kernel_call(SYS_fcntl, fd, F_DUPFD_CLOEXEC, lowest);
}

/* Puts `fd` where the kept one is (`is_ours`) or was, and closes it; false where that is taken. */
static bool keep(int fd, bool is_ours)
{
    int number;

    if (kept < 0 || !fileid_of_descriptor(fd, &last))
        return false;
    number = is_ours ? (int)kernel_call(SYS_dup3, fd, kept, O_CLOEXEC) : duplicate_from(fd, kept);
    if (number >= 0 && number != kept)
        kernel_close(number);
    if (number != kept)
        return false;
    kernel_close(fd);
    return true;
}

static bool is_jailed(void)
{
    struct fileid now;

    return !fileid_of_path("/", &now) || !fileid_is(&now, &root);
}

/* The descriptor to write to, or -1; `is_temporary`: to be closed afterwards. */
static int descriptor_of(const char *path, bool *is_temporary)
{
    struct fileid now;
    struct fileid named;
    bool is_ours = fileid_of_descriptor(kept, &now) && now.is_file;
    int fd;

    if (is_ours && fileid_of_path(path, &named) && fileid_is(&now, &named))
        return kept;
    is_ours = is_ours && fileid_is(&now, &last);
    fd = is_jailed() ? -1 : open_file(path, O_NOFOLLOW);
    if (fd < 0)
        return is_ours ? kept : -1;
    if (keep(fd, is_ours))
        return kept;
    *is_temporary = true;
    return fd;
}

enum logfile_status logfile_write(uint64_t pid, const char *line, size_t length)
{
    const char *path = take_path(pid);
    bool is_temporary = false;
    int fd = path ? descriptor_of(path, &is_temporary) : -1;
    bool written = fd >= 0 && write_or_drop(fd, line, length);

    if (is_temporary)
        kernel_close(fd);
    release_path(path);
    if (fd < 0)
        return LOGFILE_CLOSED;
    return written ? LOGFILE_WRITTEN : LOGFILE_LOST;
}

static void make_absolute(const char *path)
{
    struct text out;

    text_begin(&out, file, sizeof(file));
    if (path[0] != '/' && getcwd(file, sizeof(file))) {
        out.length = strlen(file);
        text_put_char(&out, '/');
    }
    text_put(&out, path);
}

/* Just below the limit, which the program's own numbers reach last. */
static void keep_first(int fd)
{
    struct {
        uint64_t now, most;
    } limit = {0, 0};
    struct fileid id;

    if (!fileid_of_path("/", &root) || !fileid_of_descriptor(fd, &id) || !id.is_file ||
        kernel_call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)&limit) != 0 ||
        limit.now < FEWEST_NUMBERS)
        return;
    int count = limit.now < HIGHEST_NUMBER ? (int)limit.now : HIGHEST_NUMBER;
    kept = duplicate_from(fd, count - count / 32);
    last = id;
}

const char *logfile_open(const char *name, uint64_t pid)
{
    const char *path;
    int fd;

    make_absolute(name);
    path = take_path(pid);
    fd = path ? open_file(path, fileid_may_be_put(path) ? O_NOFOLLOW : 0) : -1;
    is_exposed = path && fileid_may_be_replaced(path);
    release_path(path);
    if (fd < 0)
        return errno == EISDIR ? "is a directory, so nothing is written there"
                               : "cannot be written, so nothing is written there";
    keep_first(fd);
    kernel_close(fd);
    return NULL;
}

bool logfile_is_exposed(void)
{
    return is_exposed;
}
