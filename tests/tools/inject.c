/* SPDX-License-Identifier: MIT */
/*
 * Puts a running process under a filter, as `linger supervise` does, and answers its calls:
 * inject PID...    inject -n PID...    inject -r COUNT PID    inject -k PID
 *
 * The filter tells of one call only, number 2000, which no kernel has: it is answered with 42.
 * Prints "under PID" for each, and goes on until all have ended, or says what is in the way and
 * ends with status 1. With -n it says only whether it could: "no_new_privs 0" or "no_new_privs 1".
 * With -r it has any of the threads, at any moment, call getpid(), COUNT times or until the process
 * has ended, and there is no filter. With -k it kills the process while a thread of it, not the
 * first, works for us, and prints "gone" when nothing is left of that thread.
 */
#include <dirent.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <time.h>

#include "cli/adopt/inject.h"
#include "cli/process/tracee.h"
#include "common.h"

#define NUMBER 2000
#define PROGRAMS_MAX 16

static const struct filter filter = {
    .length = 4,
    .code =
        {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NUMBER, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        },
};

static void look(pid_t pid)
{
    struct error error;
    bool no_new_privs;

    if (inject_check(pid, &no_new_privs, &error) != 0) {
        printf("process %d: %s\n", (int)pid, error.text);
        exit(1);
    }
    printf("no_new_privs %d\n", no_new_privs);
}

static int take(pid_t pid)
{
    struct error error;
    int listener = inject_filter(pid, &filter, &error);

    if (listener < 0) {
        printf("process %d: %s\n", (int)pid, error.text);
        exit(1);
    }
    printf("under %d\n", (int)pid);
    fflush(stdout);
    return listener;
}

static void answer(int listener)
{
    struct seccomp_notif call = {0};
    struct seccomp_notif_resp response = {0};

    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) != 0)
        return; /* it is dead already */
    response.id = call.id;
    response.val = 42;
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

static pid_t any_thread(pid_t pid)
{
    char path[64];
    pid_t threads[1024];
    int count = 0;
    const struct dirent *entry;

    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *directory = opendir(path);
    while (directory && count < 1024 && (entry = readdir(directory))) {
        if (entry->d_name[0] != '.')
            threads[count++] = (pid_t)atoi(entry->d_name);
    }
    if (directory)
        closedir(directory);
    return count ? threads[rand() % count] : 0;
}

static void repeat(int count, pid_t pid)
{
    static const uint64_t nothing[TRACEE_ARGUMENTS];
    struct error why;
    struct tracee t;
    pid_t thread;
    int called = 0;

    /* A shell that waits in read(1) leaves a zombie until then. */
    while (called < count && target_state(pid) != 'Z' && (thread = any_thread(pid))) {
        nanosleep(&(struct timespec){.tv_nsec = rand() % 1000000}, NULL);
        if (tracee_begin(&t, thread, false, &why) != 0) {
            check(!strstr(why.text, "try again"), why.text);
            continue; /* a thread that has ended by now */
        }
        long result = tracee_call(&t, SYS_getpid, nothing);
        tracee_end(&t);
        check(result == pid || t.is_gone, "getpid");
        called += result == pid;
    }
    printf("called %d\n", called);
}

static void kill_at_work(pid_t pid)
{
    static const uint64_t nothing[TRACEE_ARGUMENTS];
    char path[64];
    struct error why;
    struct tracee t;
    pid_t thread;

    while ((thread = any_thread(pid)) == pid || tracee_begin(&t, thread, false, &why) != 0)
        check(thread, "a second thread");
    kill(pid, SIGKILL);
    check(tracee_call(&t, SYS_getpid, nothing) < 0 && t.is_gone, "gone");
    tracee_end(&t);
    snprintf(path, sizeof(path), "/proc/%d/task/%d", (int)pid, (int)thread);
    while (access(path, F_OK) == 0)
        sched_yield();
    printf("gone\n");
}

int main(int argc, char **argv)
{
    struct pollfd listeners[PROGRAMS_MAX];
    int looks = argc > 1 && strcmp(argv[1], "-n") == 0;
    int count = argc - 1 - looks;
    int left = count;

    if (argc == 4 && strcmp(argv[1], "-r") == 0) {
        repeat(atoi(argv[2]), (pid_t)atoi(argv[3]));
        return 0;
    }
    if (argc == 3 && strcmp(argv[1], "-k") == 0) {
        kill_at_work((pid_t)atoi(argv[2]));
        return 0;
    }
    check(count > 0 && count <= PROGRAMS_MAX, "usage");
    for (int i = 0; i < count; i++) {
        pid_t pid = (pid_t)atoi(argv[i + 1 + looks]);
        if (looks)
            look(pid);
        else
            listeners[i] = (struct pollfd){take(pid), POLLIN, 0};
    }
    while (!looks && left > 0) {
        check(poll(listeners, (nfds_t)count, -1) > 0, "poll");
        for (int i = 0; i < count; i++) {
            if (listeners[i].revents & POLLHUP) {
                listeners[i].fd = -1;
                left--;
            } else if (listeners[i].revents & POLLIN) {
                answer(listeners[i].fd);
            }
        }
    }
    return 0;
}
