/*
 * The log's file. It is opened for each line and closed again: a descriptor that stayed open could
 * be closed by the program and come back as somebody's connection. Descriptor 2 is the program's,
 * so before each line its device and inode are compared with what they were at load.
 *
 * Must never block, raise a signal in the program, or write into anything but the log.
 */
#include "log.h"

#include <errno.h>
#include <linux/stat.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "keep.h"
#include "kernel.h"
#include "quiet.h"
#include "settings.h"
#include "sock.h"

/* A FIFO without a reader is an error at once; a full one, or a full terminal, loses the line. */
#define OPEN_QUIETLY (O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

static enum { LOG_OFF, LOG_STDERR, LOG_FILE } kind;
static char file[SETTINGS_PATH_MAX]; /* absolute: the program may change its directory */
static struct identity {
    uint64_t device;
    uint64_t inode;
} first;                 /* of descriptor 2 at load */
static bool is_terminal; /* descriptor 2 */
static pid_t subject;    /* 0: this process */

static bool identify(int fd, struct identity *id)
{
    struct kernel_status status = {0};

    if (kernel_statx(fd, KERNEL_STATUS_INO, &status) != 0)
        return false;
    id->device = (uint64_t)status.dev_major << 32 | status.dev_minor;
    id->inode = status.ino;
    return true;
}

void log_subject(pid_t pid)
{
    subject = pid;
}

uint64_t log_pid(void)
{
    return (uint64_t)(subject ? subject : getpid());
}

void log_stderr(const char *message, size_t length)
{
    struct facts facts = {0};
    KEEP_ERRNO;

    if (!sock_facts(STDERR_FILENO, 0, &facts))
        quiet_write(STDERR_FILENO, message, length);
}

/* The log's name with %p and %% replaced. */
static void expand(char path[SETTINGS_PATH_MAX])
{
    struct text out;

    text_begin(&out, path, SETTINGS_PATH_MAX);
    for (const char *c = file; *c; c++) {
        if (c[0] == '%' && c[1] == 'p')
            text_put_number(&out, log_pid());
        else
            text_put_char(&out, *c);
        c += c[0] == '%';
    }
}

static int open_log(void)
{
    char path[SETTINGS_PATH_MAX];

    expand(path);
    return kernel_open(path, O_WRONLY | O_APPEND | O_CREAT | OPEN_QUIETLY, 0644);
}

static bool write_to_file(const char *data, size_t length)
{
    int fd = open_log();
    bool written = fd >= 0 && quiet_write(fd, data, length);

    if (fd >= 0)
        kernel_close(fd);
    return written;
}

/*
 * poll(2) says that a terminal has room, not how much, and write(2) would wait for the rest, though
 * nobody reads. So it is written through a description of its own, which does not block. Where a
 * line was cut short the next one begins at the margin.
 */
static bool write_to_terminal(int fd, const char *data, size_t length)
{
    static bool is_cut;
    bool written;

    if (is_cut && !quiet_write(fd, "\n", 1))
        return false;
    written = quiet_write(fd, data, length);
    is_cut = !written && errno == ENOSPC;
    return written;
}

static bool is_as_found(void)
{
    struct identity now;

    return identify(STDERR_FILENO, &now) && now.device == first.device && now.inode == first.inode;
}

/* A process that may not open its terminal, having dropped its privileges, can only ask poll(2). */
static bool write_to_stderr(const char *data, size_t length)
{
    bool written;

    if (!is_as_found())
        return false;
    int fd = is_terminal ? kernel_open("/proc/self/fd/2", O_WRONLY | OPEN_QUIETLY, 0) : -1;
    if (fd < 0)
        return quiet_write(STDERR_FILENO, data, length);
    written = write_to_terminal(fd, data, length);
    kernel_close(fd);
    return written;
}

bool log_write(const char *line, size_t length)
{
    return kind == LOG_FILE ? write_to_file(line, length) : write_to_stderr(line, length);
}

bool log_is_on(void)
{
    return kind != LOG_OFF;
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

const char *log_open(const char *name)
{
    struct facts facts = {0};
    struct winsize size;
    int fd;

    if (strcmp(name, SETTINGS_STDERR) == 0) {
        /* Descriptor 2 may be closed, or inetd's connection: then there is no log. */
        if (identify(STDERR_FILENO, &first) && !sock_facts(STDERR_FILENO, 0, &facts))
            kind = LOG_STDERR;
        is_terminal = kernel_call(SYS_ioctl, STDERR_FILENO, TIOCGWINSZ, (long)&size, 0, 0, 0) == 0;
        return NULL;
    }
    make_absolute(name);
    fd = open_log();
    if (fd < 0)
        return errno == EISDIR ? "is a directory" : "cannot be written";
    kernel_close(fd);
    kind = LOG_FILE;
    return NULL;
}
