/* SPDX-License-Identifier: MIT */
/*
 * Which of the calls that the library hooks are cancellation points, pthreads(7): each is made by a
 * thread of its own that a cancellation waits for, many times. Prints "socket went on" or "close
 * ended" for each, and in the end how many sockets are open: "12 sockets".
 */
#include <dirent.h>
#include <pthread.h>

#include "common.h"

#define ROUNDS 50

static int listener;
static struct sockaddr_storage address;
static socklen_t length;

struct call {
    const char *name;
    void (*make)(int fd, int peer);
};

struct thread {
    const struct call *call;
    int fd;
    int peer;
    bool went_on;
};

static void make_socket(int fd, int peer)
{
    (void)fd;
    (void)peer;
    close(socket(AF_INET, SOCK_STREAM, 0));
}

static void only_socket(int fd, int peer)
{
    (void)peer;
    dup2(socket(AF_INET, SOCK_STREAM, 0), fd);
}

static void make_bind(int fd, int peer)
{
    (void)fd;
    bind(peer, (struct sockaddr *)&address, length);
}

static void make_listen(int fd, int peer)
{
    (void)fd;
    (void)peer;
    listen(listener, 4096);
}

static void make_setsockopt(int fd, int peer)
{
    struct linger linger = {1, 0};

    (void)peer;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

static void make_shutdown(int fd, int peer)
{
    (void)peer;
    shutdown(fd, SHUT_RDWR);
}

static void make_dup2(int fd, int peer)
{
    dup2(peer, fd);
}

static void make_close(int fd, int peer)
{
    (void)peer;
    close(fd);
}

static void make_recvmsg(int fd, int peer)
{
    struct msghdr message = {0};

    (void)peer;
    recvmsg(fd, &message, MSG_DONTWAIT);
}

static void make_connect(int fd, int peer)
{
    (void)fd;
    connect(peer, (struct sockaddr *)&address, length);
}

static void make_accept(int fd, int peer)
{
    (void)fd;
    (void)peer;
    accept(listener, NULL, NULL);
}

static const struct call calls[] = {
    {"socket", only_socket},
    {"bind", make_bind},
    {"listen", make_listen},
    {"setsockopt", make_setsockopt},
    {"shutdown", make_shutdown},
    {"dup2", make_dup2},
    {"close", make_close},
    {"recvmsg", make_recvmsg},
    {"connect", make_connect},
    {"accept", make_accept},
    {"socket and close", make_socket},
};

static void *run(void *argument)
{
    struct thread *thread = argument;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    pthread_cancel(pthread_self());
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    thread->call->make(thread->fd, thread->peer);
    thread->went_on = true;
    return NULL;
}

static bool goes_on(const struct call *call)
{
    struct thread thread = {.call = call, .fd = socket(AF_INET, SOCK_STREAM, 0)};
    pthread_t id;

    thread.peer = socket(AF_INET, SOCK_STREAM, 0);
    check(thread.fd >= 0 && thread.peer >= 0, "socket");
    check(connect(thread.fd, (struct sockaddr *)&address, length) == 0, "connect");
    check(pthread_create(&id, NULL, run, &thread) == 0, "pthread_create");
    pthread_join(id, NULL);
    close(thread.fd);
    close(thread.peer);
    return thread.went_on;
}

static int sockets(void)
{
    DIR *directory = opendir("/proc/self/fd");
    const struct dirent *entry;
    int count = 0;

    check(directory != NULL, "/proc/self/fd");
    while ((entry = readdir(directory))) {
        char target[64] = "";
        (void)!readlinkat(dirfd(directory), entry->d_name, target, sizeof(target) - 1);
        count += strncmp(target, "socket:", 7) == 0;
    }
    closedir(directory);
    return count;
}

int main(void)
{
    length = test_address(AF_INET, 0, &address);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    check(bind(listener, (struct sockaddr *)&address, length) == 0, "bind");
    check(listen(listener, 4096) == 0, "listen");
    length = test_address(AF_INET, port_of(listener), &address);
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        int count = 0;
        for (int round = 0; round < ROUNDS; round++)
            count += goes_on(&calls[i]);
        printf("%s %s\n", calls[i].name,
               count == ROUNDS ? "went on"
               : count == 0    ? "ended"
                               : "differs");
    }
    printf("%d sockets\n", sockets());
    return 0;
}
