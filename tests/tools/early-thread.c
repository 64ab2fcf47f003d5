/* SPDX-License-Identifier: MIT */
/*
 * A library whose thread calls socket(), listen() and connect() while another thread loads the
 * library before it. EARLY is where that one is held: dl_iterate_phdr, or getauxval, which comes
 * later. LATE is the call that returns only when that library is loaded.
 */
#include <dlfcn.h>
#include <link.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static sem_t made;
static sem_t loaded;
static pthread_t thread;
static bool is_held;

static int call(const char *name, long number, long a, long b, long c)
{
    int result = (int)syscall(number, a, b, c);

    if (strcmp(getenv("LATE"), name) == 0) {
        sem_post(&made);
        sem_wait(&loaded);
    }
    return result;
}

int socket(int domain, int type, int protocol)
{
    return call("socket", SYS_socket, domain, type, protocol);
}

int listen(int fd, int backlog)
{
    return call("listen", SYS_listen, fd, backlog, 0);
}

int connect(int fd, const struct sockaddr *peer, socklen_t length)
{
    return call("connect", SYS_connect, fd, (long)peer, length);
}

static void say(const char *who, int fd)
{
    struct linger linger = {0, 0};
    socklen_t length = sizeof(linger);

    getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length);
    dprintf(1, "%s %d,%d\n", who, linger.l_onoff, linger.l_linger);
}

static void *make_sockets(void *none)
{
    struct sockaddr_in local = {.sin_family = AF_INET};
    socklen_t length = sizeof(local);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    int client = socket(AF_INET, SOCK_STREAM, 0);

    listen(listener, 1);
    getsockname(listener, (struct sockaddr *)&local, &length);
    connect(client, (struct sockaddr *)&local, length);
    say("listener", listener);
    say("client", client);
    return none;
}

static void hold(const char *at)
{
    if (is_held || strcmp(getenv("EARLY"), at) != 0)
        return;
    is_held = true;
    pthread_create(&thread, NULL, make_sockets, NULL);
    sem_wait(&made);
}

int dl_iterate_phdr(int (*visit)(struct dl_phdr_info *, size_t, void *), void *context)
{
    hold("dl_iterate_phdr");
    return ((__typeof__(&dl_iterate_phdr))dlsym(RTLD_NEXT, "dl_iterate_phdr"))(visit, context);
}

unsigned long getauxval(unsigned long type)
{
    if (type == AT_SECURE)
        hold("getauxval");
    return ((__typeof__(&getauxval))dlsym(RTLD_NEXT, "getauxval"))(type);
}

static void __attribute__((constructor)) early(void)
{
    alarm(100);
    close(-1);
    if (!is_held)
        _exit(3);
    for (int i = 0; i < 2; i++)
        sem_post(&loaded); /* socket() is called twice */
    pthread_join(thread, NULL);
}
