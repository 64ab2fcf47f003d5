/* SPDX-License-Identifier: MIT */
/*
 * Every exported symbol, and the constructor. A hook asks wanted() whether its moment matters,
 * hands over to core/moments.c, and calls the real function: nothing else. It must never change
 * what the real function returns, its errno, or whether it is a cancellation point.
 */
#include <elf.h>
#include <limits.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "base/errno.h"
#include "base/kernel.h"
#include "base/text.h"
#include "core/moments.h"
#include "preload/real.h"
#include "report/log.h"
#include "socket/descriptors.h"

#define EXPORT __attribute__((visibility("default")))
#define STATUS_BAD_SETTING 125
#define GO_BUILD_ID 4 /* the note's type, cmd/internal/buildid/note.go */
#define ALIGNED(size) (((size) + 3u) & ~3u)
#define NOT_REACHED                                                                                \
    "liblinger: a Go program makes system calls without libc, so the library does not reach it; "  \
    "start it with: linger run\n"

#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE (1U << 1)
#endif

/* Missing in the headers of some libcs. */
int close_range(unsigned first, unsigned last, int flags);
void closefrom(int first);
FILE *freopen64(const char *path, const char *mode, FILE *stream);

extern char **environ;

/* An ELF note, elf(5), with the version: by it the launcher recognises the library. */
static const struct {
    uint32_t name_size;
    uint32_t text_size;
    uint32_t type;
    char name[12]; /* padded to a multiple of 4 */
    char text[sizeof(LINGER_VERSION)];
} note __attribute__((used, aligned(4), section(".note.liblinger"))) = {
    .name_size = sizeof("liblinger"),
    .text_size = sizeof(LINGER_VERSION),
    .type = 1,
    .name = "liblinger",
    .text = LINGER_VERSION,
};

/* The file name that the program was started by: a script's own, not its interpreter's. */
static const char *program_name(void)
{
    const char *path = (const char *)getauxval(AT_EXECFN);

    return path ? text_file_name(path) : "";
}

static bool has_build_id(const unsigned char *notes, size_t size)
{
    while (size >= sizeof(ElfW(Nhdr))) {
        const ElfW(Nhdr) *head = (const void *)notes;
        const char *owner = (const char *)(head + 1);
        size_t length = sizeof(*head) + ALIGNED(head->n_namesz) + ALIGNED(head->n_descsz);
        if (length > size)
            return false;
        if (head->n_type == GO_BUILD_ID && head->n_namesz == 4 && memcmp(owner, "Go\0", 4) == 0)
            return true;
        notes += length;
        size -= length;
    }
    return false;
}

/* Is the program written in Go? Its net package makes system calls itself, so no hook sees them. */
static bool is_go_program(void)
{
    const ElfW(Phdr) *headers = (const void *)getauxval(AT_PHDR);
    size_t count = getauxval(AT_PHNUM);
    bool is_placed = false;
    uintptr_t base = 0; /* where the program was loaded */

    for (size_t i = 0; headers && i < count; i++) {
        if (headers[i].p_type == PT_PHDR) { /* ahead of every segment in memory, elf(5) */
            base = (uintptr_t)headers - headers[i].p_vaddr;
            is_placed = true;
        }
        if (is_placed && headers[i].p_type == PT_NOTE &&
            has_build_id((const void *)(base + headers[i].p_vaddr), headers[i].p_filesz))
            return true;
    }
    return false;
}

static struct settings settings;
static const struct settings_mark mark
    __attribute__((used)) = {SETTINGS_MARK, sizeof(settings), &settings};

static void load(void)
{
    char buffer[SETTINGS_COMPLAINT_MAX];
    struct text complaint;

    settings.who = "liblinger";
    if (getauxval(AT_SECURE)) { /* setuid: whoever ran it chose the environment */
        moments_wanted = 0;
        return;
    }
    text_begin(&complaint, buffer, sizeof(buffer));
    int status = settings_take_environment(&settings, environ, &complaint);
    if (complaint.length > 0)
        log_stderr(complaint.data, complaint.length);
    if (status != 0)
        _exit(STATUS_BAD_SETTING);
    settings_keep_program(&settings, program_name());
    moments_start(&settings, program_name());
    if (moments_wanted && is_go_program())
        log_stderr(NOT_REACHED, sizeof(NOT_REACHED) - 1);
}

/*
 * Runs before main, or earlier where another library's constructor, or a thread that it started,
 * calls one of the hooks. One thread loads. Until it has published the moments the calls of others
 * pass through, so each needs the real functions first: whoever resolves them finds the same.
 */
static void __attribute__((constructor)) construct(void)
{
    unsigned not_begun = MOMENT_LOAD;

    if (!(__atomic_load_n(&moments_wanted, __ATOMIC_ACQUIRE) & MOMENT_LOAD))
        return;
    real_resolve();
    if (__atomic_compare_exchange_n(&moments_wanted, &not_begun, MOMENT_LOAD | MOMENT_LOADING,
                                    false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        load();
}

/*
 * The one branch of a hook whose moment does not matter. A hook that acts after its call asks after
 * it: the moments may be published during the call.
 */
static inline bool wanted(enum moment moment)
{
    unsigned moments = __atomic_load_n(&moments_wanted, __ATOMIC_ACQUIRE);

    if (__builtin_expect(!(moments & (moment | MOMENT_LOAD)), 1))
        return false;
    if (moments & MOMENT_LOAD)
        construct();
    return __atomic_load_n(&moments_wanted, __ATOMIC_ACQUIRE) & moment;
}

/* For a hook that acts after its call: before that. */
static inline void load_first(void)
{
    (void)wanted(MOMENT_LOAD);
}

EXPORT int socket(int domain, int type, int protocol)
{
    load_first();
    int fd = real.socket(domain, type, protocol);

    if (fd >= 0 && wanted(MOMENT_SOCKET))
        moments_socket(fd, domain, type, protocol);
    return fd;
}

EXPORT int connect(int fd, const struct sockaddr *peer, socklen_t length)
{
    bool asked = wanted(MOMENT_CONNECT);
    bool ask_again = asked && moments_connect(fd, peer, length) == MOMENTS_OPEN;
    int status = real.connect(fd, peer, length);

    if (ask_again || (!asked && wanted(MOMENT_CONNECT)))
        moments_connected(fd);
    if (status != 0 && wanted(MOMENT_CONNECT_FAILED))
        moments_connect_failed(fd, peer, length, errno);
    return status;
}

EXPORT int listen(int fd, int backlog)
{
    bool settled = wanted(MOMENT_LISTEN) && moments_listen(fd);
    int status = real.listen(fd, backlog);

    if (status == 0 && !settled && wanted(MOMENT_LISTEN))
        moments_listening(fd);
    return status;
}

EXPORT int accept(int fd, struct sockaddr *peer, socklen_t *length)
{
    load_first();
    int connection = real.accept(fd, peer, length);

    if (connection >= 0 && wanted(MOMENT_ACCEPT))
        moments_accept(connection, NULL, 0);
    return connection;
}

EXPORT int accept4(int fd, struct sockaddr *peer, socklen_t *length, int flags)
{
    load_first();
    int connection = real.accept4(fd, peer, length, flags);

    if (connection >= 0 && wanted(MOMENT_ACCEPT))
        moments_accept(connection, NULL, 0);
    return connection;
}

/* `next` is a place in `real`, which load_first() may fill only now. */
static ssize_t receive(ssize_t (**next)(int, struct msghdr *, int), int fd, struct msghdr *message,
                       int flags)
{
    load_first();
    ssize_t length = (*next)(fd, message, flags);

    if (length >= 0 && wanted(MOMENT_RECEIVE))
        moments_receive(message);
    return length;
}

static int
receive_many(int (**next)(int, struct mmsghdr *, unsigned, real_flags, struct timespec *), int fd,
             struct mmsghdr *messages, unsigned count, real_flags flags, struct timespec *timeout)
{
    load_first();
    int received = (*next)(fd, messages, count, flags, timeout);

    for (int i = 0; i < received && wanted(MOMENT_RECEIVE); i++)
        moments_receive(&messages[i].msg_hdr);
    return received;
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    return receive(&real.recvmsg, fd, message, flags);
}

EXPORT int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, real_flags flags,
                    struct timespec *timeout)
{
    return receive_many(&real.recvmmsg, fd, messages, count, flags, timeout);
}

EXPORT int bind(int fd, const struct sockaddr *local, socklen_t length)
{
    if (wanted(MOMENT_BIND))
        moments_bind(fd, local, length);
    int status = real.bind(fd, local, length);
    if (status != 0 && wanted(MOMENT_BIND))
        moments_bind_fails(fd, local, length, errno);
    return status;
}

static int set(int (**next)(int, int, int, const void *, socklen_t), int fd, int level, int option,
               const void *value, socklen_t length)
{
    load_first();
    int status = (*next)(fd, level, option, value, length);

    if (status == 0 && wanted(MOMENT_SETSOCKOPT))
        moments_setsockopt(fd, level, option);
    return status;
}

EXPORT int setsockopt(int fd, int level, int option, const void *value, socklen_t length)
{
    return set(&real.setsockopt, fd, level, option, value, length);
}

EXPORT int shutdown(int fd, int how)
{
    if (wanted(MOMENT_SHUTDOWN) && moments_shutdown(fd, how))
        return 0;
    return real.shutdown(fd, how);
}

EXPORT int close(int fd)
{
    if (wanted(MOMENT_CLOSE))
        moments_close(fd);
    return real.close(fd);
}

/* Before a call that closes the stream's descriptor. */
static void close_stream(FILE *stream)
{
    KEEP_ERRNO;

    moments_close(fileno(stream)); /* -1 and EBADF if the stream has none */
}

EXPORT int fclose(FILE *stream)
{
    if (wanted(MOMENT_CLOSE))
        close_stream(stream);
    return real.fclose(stream);
}

EXPORT FILE *freopen(const char *path, const char *mode, FILE *stream)
{
    if (wanted(MOMENT_CLOSE))
        close_stream(stream);
    return real.freopen(path, mode, stream);
}

/* What <stdio.h> makes of freopen() under -D_FILE_OFFSET_BITS=64. */
EXPORT FILE *freopen64(const char *path, const char *mode, FILE *stream)
{
    if (wanted(MOMENT_CLOSE))
        close_stream(stream);
    return (real.freopen64 ? real.freopen64 : real.freopen)(path, mode, stream);
}

static void each_between(unsigned first, unsigned last, void (*visit)(int fd))
{
    uint64_t buffer[24] = {0};
    KEEP_ERRNO;

    descriptors_each(first, last, visit, buffer, sizeof(buffer));
}

/* close_range(2), Linux 5.9, answers EINVAL if the first number is above the last. */
static bool closes_ranges(void)
{
    return kernel_raw(SYS_close_range, 1, 0, 0) == -EINVAL;
}

/* If libc has none, the program found this one by dlsym(), and the kernel answers. */
EXPORT int close_range(unsigned first, unsigned last, int flags)
{
    if (wanted(MOMENT_CLOSE) && !(flags & ~CLOSE_RANGE_UNSHARE) && closes_ranges())
        each_between(first, last, moments_close);
    if (real.close_range)
        return real.close_range(first, last, flags);
    return (int)kernel_call(SYS_close_range, first, last, flags);
}

EXPORT void closefrom(int first)
{
    unsigned low = first > 0 ? (unsigned)first : 0;

    if (wanted(MOMENT_CLOSE))
        each_between(low, UINT_MAX, moments_close);
    if (real.closefrom)
        real.closefrom(first);
    else if (kernel_raw(SYS_close_range, low, UINT_MAX, 0) != 0)
        each_between(low, UINT_MAX, kernel_close);
}

EXPORT int dup2(int from, int target)
{
    if (wanted(MOMENT_CLOSE))
        moments_replace(from, target);
    return real.dup2(from, target);
}

EXPORT int dup3(int from, int target, int flags)
{
    if (wanted(MOMENT_CLOSE) && !(flags & ~O_CLOEXEC))
        moments_replace(from, target);
    return real.dup3(from, target, flags);
}

#if __SIZEOF_POINTER__ == 4
/* The names that glibc's headers substitute for the plain ones under -D_TIME_BITS=64. */
ssize_t __recvmsg64(int fd, struct msghdr *message, int flags);
int __recvmmsg64(int fd, struct mmsghdr *messages, unsigned count, real_flags flags,
                 struct timespec *timeout);
int __setsockopt64(int fd, int level, int option, const void *value, socklen_t length);

EXPORT ssize_t __recvmsg64(int fd, struct msghdr *message, int flags)
{
    return receive(&real.recvmsg64, fd, message, flags);
}

EXPORT int __recvmmsg64(int fd, struct mmsghdr *messages, unsigned count, real_flags flags,
                        struct timespec *timeout)
{
    return receive_many(&real.recvmmsg64, fd, messages, count, flags, timeout);
}

EXPORT int __setsockopt64(int fd, int level, int option, const void *value, socklen_t length)
{
    return set(&real.setsockopt64, fd, level, option, value, length);
}
#endif
