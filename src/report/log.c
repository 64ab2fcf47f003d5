/* SPDX-License-Identifier: MIT */
/*
 * Where lines go. Descriptor 2 is the program's, so before each line its device and inode are
 * compared with what they were at load.
 *
 * Must never block, raise a signal in the program, or write into anything but the log.
 */
#include "report/log.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/errno.h"
#include "base/kernel.h"
#include "report/fileid.h"
#include "report/logfile.h"
#include "report/write.h"
#include "socket/sock.h"

const char *const event_names[] = {
    "load", "arm", "override", "interrupt", "reset", "close", "bind", "connect", "fail",
};

static enum { LOG_OFF, LOG_DESCRIPTOR_2, LOG_FILE } kind;
static struct fileid first;  /* descriptor 2 at load */
static bool is_found;        /* it is known, and not a TCP socket */
static bool is_terminal;     /* descriptor 2 */
static pid_t subject;        /* 0: this process */
static struct text farewell; /* reported once when the file is out of reach */

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
        write_or_drop(STDERR_FILENO, message, length);
}

/*
 * poll(2) says that a terminal has room, not how much, and write(2) would wait to write the rest,
 * even if nobody reads. So we write through our own open file description, which does not block.
 * After a line that was cut short the next begins with a newline.
 */
static bool write_to_terminal(int fd, const char *data, size_t length)
{
    static bool is_cut;
    bool written;

    if (is_cut && !write_or_drop(fd, "\n", 1))
        return false;
    written = write_or_drop(fd, data, length);
    is_cut = !written && errno == ENOSPC;
    return written;
}

static bool is_as_found(void)
{
    struct fileid now;

    return is_found && fileid_of_descriptor(STDERR_FILENO, &now) && fileid_is(&now, &first);
}

/* A process that may not open its terminal, having dropped its privileges, can only ask poll(2). */
bool log_say(const char *data, size_t length)
{
    bool written;

    if (!is_as_found())
        return false;
    int fd = is_terminal
                 ? kernel_open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0)
                 : -1;
    if (fd < 0)
        return write_or_drop(STDERR_FILENO, data, length);
    written = write_to_terminal(fd, data, length);
    kernel_close(fd);
    return written;
}

static bool write_to_file(const char *data, size_t length)
{
    static int is_said; /* an int: riscv64 cannot exchange a byte */
    enum logfile_status status = logfile_write(log_pid(), data, length);

    if (status == LOGFILE_CLOSED && !__atomic_exchange_n(&is_said, 1, __ATOMIC_RELAXED))
        log_say(farewell.data, farewell.length);
    return status == LOGFILE_WRITTEN;
}

bool log_write(const char *line, size_t length)
{
    return kind == LOG_FILE ? write_to_file(line, length) : log_say(line, length);
}

bool log_is_on(void)
{
    return kind != LOG_OFF;
}

/* Descriptor 2 may be closed, or inetd's connection: then nothing is written to it. */
static void look_at_stderr(void)
{
    struct facts facts = {0};
    struct winsize size;

    is_found = fileid_of_descriptor(STDERR_FILENO, &first) && !sock_facts(STDERR_FILENO, 0, &facts);
    is_terminal = kernel_call(SYS_ioctl, STDERR_FILENO, TIOCGWINSZ, (long)&size) == 0;
}

static void compose_farewell(const char *name)
{
    static char buffer[512];

    text_begin(&farewell, buffer, sizeof(buffer));
    text_put(&farewell, "liblinger: LINGER_LOG: '");
    text_put_printable(&farewell, name, strnlen(name, 400));
    text_put(&farewell, "' cannot be written any more, so lines are lost\n");
}

const char *log_open(const char *name)
{
    const char *why = NULL;

    look_at_stderr();
    if (!name)
        return NULL;
    if (strcmp(name, LOG_TO_STDERR) == 0) {
        kind = is_found ? LOG_DESCRIPTOR_2 : LOG_OFF;
        return NULL;
    }
    why = logfile_open(name, log_pid());
    if (why)
        return why;
    compose_farewell(name);
    kind = LOG_FILE;
    return logfile_is_exposed() ? FILEID_EXPOSED : NULL;
}
