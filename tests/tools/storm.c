/* SPDX-License-Identifier: MIT */
/*
 * Makes connections under bad conditions: storm threads|calm|children PORT COUNT. Every connect()
 * has to succeed; prints "connected N", and waits for a signal.
 *
 * threads: 200 threads, while SIGURG and SIGCHLD rain on them.
 * calm: 200 threads, and no signals.
 * children: short-lived children, 50 at a time, each of which leaves the connection to a child of
 * its own and ends.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "common.h"

#define TIME_LIMIT 120 /* seconds */
#define THREADS 200
#define AT_ONCE 50

static struct sockaddr_storage address;
static socklen_t length;
static long count;
static atomic_long made;
static atomic_int running;

static void connect_once(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    check(fd >= 0, "socket");
    check(connect(fd, (struct sockaddr *)&address, length) == 0, "connect");
    check(send(fd, "x", 1, MSG_NOSIGNAL) == 1, "send");
    check(close(fd) == 0, "close");
}

static void ignore(int number)
{
    (void)number;
}

static void *connect_many(void *unused)
{
    while (atomic_fetch_add(&made, 1) < count)
        connect_once();
    atomic_fetch_sub(&running, 1);
    return unused;
}

static void with_threads(bool rains)
{
    struct sigaction action = {.sa_handler = ignore, .sa_flags = SA_RESTART};
    pthread_t threads[THREADS];

    sigaction(SIGURG, &action, NULL);
    sigaction(SIGCHLD, &action, NULL);
    atomic_store(&running, THREADS);
    for (int i = 0; i < THREADS; i++)
        check(pthread_create(&threads[i], NULL, connect_many, NULL) == 0, "pthread_create");
    for (int i = 0; rains && atomic_load(&running) > 0; i = (i + 1) % THREADS) {
        pthread_kill(threads[i], SIGURG);
        kill(getpid(), SIGCHLD);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void with_children(void)
{
    int status;

    for (long i = 0; i < count; i++) {
        if (i >= AT_ONCE)
            check(wait(&status) > 0 && status == 0, "a child");
        pid_t child = fork();
        check(child >= 0, "fork");
        if (child > 0)
            continue;
        if (fork() == 0)
            connect_once();
        _exit(0);
    }
    while (wait(&status) > 0)
        check(status == 0, "a child");
}

int main(int argc, char **argv)
{
    alarm(TIME_LIMIT);
    check(argc == 4, "usage");
    length = test_address(AF_INET, atoi(argv[2]), &address);
    count = atol(argv[3]);
    if (strcmp(argv[1], "children") != 0)
        with_threads(strcmp(argv[1], "threads") == 0);
    else
        with_children();
    printf("connected %ld\n", count);
    fflush(stdout);
    pause();
    return 0;
}
