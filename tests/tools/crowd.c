/* SPDX-License-Identifier: MIT */
/*
 * 64 threads that accept and close connections at full speed, while others open and close files, so
 * that every descriptor number is reused all the time: crowd [-s STACK] COUNT PORT [PORT]
 *
 * Half of the threads serve each port (0 is any), COUNT connections each. Prints "ports N N".
 */
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>

#include "common.h"

#define TIME_LIMIT 60 /* seconds */
#define SERVERS 64
#define CHURNERS 4

static sem_t served;

static int listen_on(int port)
{
    struct sockaddr_storage address;
    socklen_t length = test_address(AF_INET, port, &address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    check(bind(fd, (struct sockaddr *)&address, length) == 0, "bind");
    check(listen(fd, 1024) == 0, "listen");
    return fd;
}

static void *serve(void *listener)
{
    char knock;

    for (;;) {
        int fd = accept(*(int *)listener, NULL, NULL);
        check(fd >= 0, "accept");
        check(recv(fd, &knock, 1, 0) == 1, "recv");
        check(send(fd, "hello", 5, MSG_NOSIGNAL) == 5, "send");
        check(close(fd) == 0, "close");
        sem_post(&served);
    }
    return NULL;
}

static void *churn(void *unused)
{
    for (;;) {
        int files[4];
        for (int i = 0; i < 4; i++)
            files[i] = open("/dev/null", O_RDONLY);
        for (int i = 0; i < 4; i++)
            check(files[i] >= 0 && close(files[i]) == 0, "close of a file");
    }
    return unused;
}

int main(int argc, char **argv)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int listeners[2];
    int option;

    alarm(TIME_LIMIT);
    pthread_attr_init(&attributes);
    while ((option = getopt(argc, argv, "s:")) == 's')
        check(pthread_attr_setstacksize(&attributes, (size_t)atol(optarg)) == 0, "stack size");
    check(argc - optind == 2 || argc - optind == 3, "usage");
    int ports = argc - optind - 1;
    long left = atol(argv[optind]) * ports;
    for (int i = 0; i < 2; i++)
        listeners[i] = i < ports ? listen_on(atoi(argv[optind + 1 + i])) : listeners[0];
    sem_init(&served, 0, 0);
    for (int i = 0; i < SERVERS; i++)
        check(pthread_create(&thread, &attributes, serve, &listeners[i % 2]) == 0, "a thread");
    for (int i = 0; i < CHURNERS; i++)
        check(pthread_create(&thread, &attributes, churn, NULL) == 0, "a thread");
    printf("ports %d %d\n", port_of(listeners[0]), port_of(listeners[1]));
    fflush(stdout);
    for (; left > 0; left--)
        sem_wait(&served);
    _exit(0); /* the threads never end; exit() would take the streams from under them */
}
