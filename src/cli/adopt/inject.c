/* SPDX-License-Identifier: MIT */
/*
 * How a running process comes under a filter. A process can only be put under one by itself, so
 * one of its threads is made (process/tracee.c says how) to call
 *
 *     mmap           a page for the filter: below a goroutine's stack stands another one's
 *     prctl          no_new_privs, only where the kernel asks for it
 *     seccomp        the filter, for all threads at once (TSYNC); its result is the listener
 *     close_range    of the listener, once we have a duplicate: the filter may notify of close
 *     munmap
 *
 * and goes on with what it did; on a quiet machine that takes it less than a millisecond. Must find
 * all that can be in the way before the first of them. What cannot be helped: a fork() by another
 * thread between seccomp and close_range hands the child a descriptor of the listener, and an
 * execve() there closes the listener before we have it.
 */
#include "cli/adopt/inject.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/kernel.h"
#include "cli/adopt/cgroup.h"
#include "cli/process/target.h"
#include "cli/process/tracee.h"
#include "cli/reach/elffile.h"

#define LISTENER_LINK "anon_inode:seccomp" /* " notify" */

#ifdef TRACEE_SUPPORTED
static bool is_admin(pid_t thread)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, thread};
    struct __user_cap_data_struct data[2] = {{0}};

    return syscall(SYS_capget, &header, data) == 0 && data[0].effective & 1U << CAP_SYS_ADMIN;
}

/* A thread that can be stopped: at best one that sleeps. 0 where all stay in state D. */
static pid_t choose(pid_t pid)
{
    const struct dirent *entry;
    pid_t best = 0;

    for (int waited = 0; !best && waited < TRACEE_PATIENCE; waited++) {
        DIR *directory = opendir(target_path(pid, "task"));
        bool sleeps = false;
        while (directory && !sleeps && (entry = readdir(directory))) {
            char state = target_state((pid_t)atoi(entry->d_name));
            sleeps = state == 'S';
            if (sleeps || state == 'R' || state == 'T' || state == 't')
                best = (pid_t)atoi(entry->d_name);
        }
        if (directory)
            closedir(directory);
        if (!best)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return best;
}

static int check_program(pid_t pid, struct error *error)
{
    const char *reason;
    struct elf elf;
    int fd = open(target_path(pid, "exe"), O_RDONLY | O_CLOEXEC);

    enum elf_status status = fd < 0 ? ELF_FAILED : elf_read(fd, &elf, &reason);
    if (fd >= 0)
        close(fd);
    if (status != ELF_OK)
        return error_set(error, "its program cannot be read: %s", strerror(errno));
    if (elf.bits != 64 || elf.machine != filter_machine())
        return error_set(error, "a program for %s, %d bits, is not supervised", elf_machine(&elf),
                         elf.bits);
    return 0;
}

/* PTRACE_O_SUSPEND_SECCOMP keeps a filter of the program's from our calls; it is root's. */
static int check_thread(pid_t thread, struct error *error)
{
    long tracer = target_status(thread, "TracerPid");
    long mode = target_status(thread, "Seccomp");

    if (tracer < 0 || mode < 0 || target_status(thread, "NoNewPrivs") < 0)
        return error_set(error, "its status in /proc cannot be read");
    if (tracer > 0)
        return error_set(error, "process %ld traces it (a debugger, strace): end that first",
                         tracer);
    if (mode == SECCOMP_MODE_STRICT)
        return error_set(error, "it runs in seccomp's strict mode, which permits no filter");
    if (mode == SECCOMP_MODE_FILTER && (!is_admin(0) || target_status(getpid(), "Seccomp") != 0))
        return error_set(error,
                         "a seccomp filter of its own may end it for the calls that linger makes "
                         "in it: CAP_SYS_ADMIN, outside of a container, is needed");
    return 0;
}

/* For want of a descriptor of our own what follows would fail, and name another cause. */
static bool has_descriptors(void)
{
    int all[8];
    int count = 0;

    while (count < 8 && (all[count] = open("/proc/self", O_PATH | O_CLOEXEC)) >= 0)
        count++;
    int error = errno;
    for (int i = 0; i < count; i++)
        close(all[i]);
    errno = error;
    return count == 8;
}

/* Finds the thread that will make the calls. */
static pid_t check(pid_t pid, struct error *error)
{
    struct target target;

    if (target_open(&target, pid, error) != 0)
        return -1;
    target_close(&target);
    if (!has_descriptors())
        return error_set(error, "linger lacks descriptors for it: %s", strerror(errno));
    if (cgroup_is_frozen(pid))
        return error_set(error, "it is frozen by its cgroup, as by docker pause: thaw it first");
    if (!cgroup_may_enter(pid))
        return error_set(error, CGROUP_ENDS_US);
    pid_t thread = choose(pid);
    if (!thread)
        return error_set(error, TRACEE_STUCK);
    /* Whoever may take its descriptors may trace it. target_take() keeps the pidfd for later. */
    if (target_take(thread, INT_MAX) < 0 && errno != EBADF)
        return target_explain_refusal(pid, error);
    return check_program(pid, error) == 0 && check_thread(thread, error) == 0 ? thread : -1;
}

/* The kernel asks for no_new_privs. */
static bool needs_no_new_privs(pid_t thread)
{
    return target_status(thread, "NoNewPrivs") != 1 && !is_admin(thread);
}

int inject_check(pid_t pid, bool *no_new_privs, struct error *error)
{
    pid_t thread = check(pid, error);

    *no_new_privs = thread > 0 && needs_no_new_privs(thread);
    return thread > 0 ? 0 : -1;
}

static size_t size_of(const struct filter *filter)
{
    return filter->length * sizeof(filter->code[0]);
}

static long put_filter(struct tracee *t, const struct filter *filter, uint64_t page)
{
    const uint64_t flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_TSYNC |
                           SECCOMP_FILTER_FLAG_TSYNC_ESRCH;
    const uint64_t holds = filter->may_wait ? 0 : SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    const struct sock_fprog there = {filter->length, (struct sock_filter *)(page + sizeof(there))};
    struct iovec local[] = {{(void *)&there, sizeof(there)},
                            {(void *)filter->code, size_of(filter)}};
    struct iovec remote = {(void *)page, local[0].iov_len + local[1].iov_len};

    if (process_vm_writev(t->thread, local, 2, &remote, 1, 0) != (ssize_t)remote.iov_len)
        return -errno;
    uint64_t call[6] = {SECCOMP_SET_MODE_FILTER, flags | holds, page};
    long number = tracee_call(t, SYS_seccomp, call);
    call[1] = flags;
    return number == -EINVAL ? tracee_call(t, SYS_seccomp, call) : number; /* before Linux 5.19 */
}

static const char *explain(const struct tracee *t, int error)
{
    if (t->is_gone)
        return "it has ended";
    if (t->is_late)
        return "it does not run, frozen or without a processor: try again later";
    switch (error) {
    case EBUSY:
        return "it has a supervisor already (a container runtime's, or linger's own), and the "
               "kernel permits one";
    case EAGAIN:
        return "it has put itself under a filter just now: try again";
    case EBADF:
        return "what it returned is not the listener of the filter";
    case ESRCH:
        return "one of its threads has a seccomp filter that the others have not";
    case EMFILE:
        return "it has as many descriptors as its RLIMIT_NOFILE permits: raise that, prlimit(1)";
    default:
        return strerror(error);
    }
}

/*
 * Returns the listener, or a negative error. Its number comes from the program's registers, so it
 * may be anything.
 */
static int take_listener(const struct tracee *t, int number)
{
    char path[64];
    char link[32] = "";
    int listener = target_take(t->thread, number);

    if (listener < 0)
        return -errno;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", listener);
    if (readlink(path, link, sizeof(link) - 1) > 0 &&
        strncmp(link, LISTENER_LINK, strlen(LISTENER_LINK)) == 0)
        return listener;
    close(listener);
    return -EBADF;
}

/* Returns the listener, or a negative error. Closing `spare` makes room for it. */
static int install(struct tracee *t, const struct filter *filter, int *spare)
{
    uint64_t size = sizeof(struct sock_fprog) + size_of(filter);
    long page = tracee_call(
        t, SYS_mmap,
        (uint64_t[6]){0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, (uint64_t)-1});
    int listener;

    if (page < 0)
        return (int)page;
    if (needs_no_new_privs(t->thread))
        tracee_call(t, SYS_prctl, (uint64_t[6]){PR_SET_NO_NEW_PRIVS, 1});
    long number = put_filter(t, filter, (uint64_t)page);
    listener = (int)number;
    if (number >= 0) {
        close(*spare);
        *spare = -1;
        listener = take_listener(t, (int)number);
        tracee_call(t, SYS_close_range, (uint64_t[6]){(uint64_t)number, (uint64_t)number});
    }
    tracee_call(t, SYS_munmap, (uint64_t[6]){(uint64_t)page, size});
    return listener;
}

static int take_over(pid_t thread, const struct filter *filter, struct error *error)
{
    bool is_filtered = target_status(thread, "Seccomp") == SECCOMP_MODE_FILTER;
    int spare = (int)syscall(SYS_pidfd_open, getpid(), 0);
    struct tracee t;

    if (tracee_begin(&t, thread, is_filtered, error) != 0)
        return -1;
    int listener = -EAGAIN;
    if (is_filtered && tracee_is_supervised(&t))
        listener = -EBUSY;
    else if (is_filtered || target_status(thread, "Seccomp") == SECCOMP_MODE_DISABLED)
        listener = install(&t, filter, &spare);
    tracee_end(&t);
    if (spare >= 0)
        close(spare);
    if (listener >= 0)
        return listener;
    (void)error_set(error, "%s", explain(&t, -listener));
    error->cause = -listener;
    return -1;
}

int inject_filter(pid_t pid, const struct filter *filter, struct error *error)
{
    sigset_t all;
    sigset_t before;
    pid_t thread = check(pid, error);

    if (thread < 0)
        return -1;
    /* A signal that ended us now would end the program too. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int listener = take_over(thread, filter, error);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return listener;
}

/* Is it in another call? Of one that runs it is not known: it may be about to wait. */
static bool is_elsewhere(pid_t thread)
{
    char call[16];
    long number;

    target_read(thread, "syscall", call, sizeof(call));
    if (sscanf(call, "%ld", &number) != 1)
        return false;
#ifdef SYS_accept
    if (number == SYS_accept)
        return false;
#endif
    return number != SYS_accept4;
}

void inject_restart_accepts(pid_t pid)
{
    DIR *threads = opendir(target_path(pid, "task"));
    pid_t thread;

    while ((thread = target_next(threads))) {
        if (!is_elsewhere(thread))
            tracee_restart(thread);
    }
    if (threads)
        closedir(threads);
}
#else
int inject_check(pid_t pid, bool *no_new_privs, struct error *error)
{
    (void)pid;
    (void)no_new_privs;
    return error_set(error,
                     "linger supervise is for x86-64, aarch64 and riscv64; use `linger run`");
}

int inject_filter(pid_t pid, const struct filter *filter, struct error *error)
{
    (void)filter;
    return inject_check(pid, NULL, error);
}

void inject_restart_accepts(pid_t pid)
{
    (void)pid;
}
#endif
