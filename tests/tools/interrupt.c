/* SPDX-License-Identifier: MIT */
/*
 * Closes in a signal handler: interrupt close | interrupt tick PORT COUNT
 *
 * close: a server of one connection. It closes another one, which it made itself and whose peer
 * does not read, so that close() lingers if it is told to. Meanwhile a handler closes the first.
 * Prints "port N", then "in close 1" if the handler ran inside that close().
 *
 * tick: a signal comes 1,000 times a second, and its handler connects to PORT, says hello and
 * closes, COUNT times, while the program itself opens and closes sockets all the time.
 *
 * It has no alarm(): its timer takes the place of that.
 */
#include <signal.h>
#include <sys/time.h>

#include "common.h"

static volatile sig_atomic_t in_close;
static volatile sig_atomic_t was_in_close;
static volatile sig_atomic_t left = 1;
static struct sockaddr_storage address;
static socklen_t length;
static int connection;

/* As often as that until the handler has no more to do. */
static void every(int microseconds, void (*handler)(int))
{
    struct itimerval timer = {{0, microseconds}, {0, microseconds}};
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};

    check(sigaction(SIGALRM, &action, NULL) == 0, "sigaction");
    check(setitimer(ITIMER_REAL, &timer, NULL) == 0, "setitimer");
}

static void close_the_other(int number)
{
    (void)number;
    if (!in_close || !left)
        return;
    was_in_close = in_close;
    left = 0;
    close(connection);
}

static int make_listener(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    length = test_address(AF_INET, 0, &address);
    check(bind(fd, (struct sockaddr *)&address, length) == 0, "bind");
    check(listen(fd, 5) == 0, "listen");
    length = test_address(AF_INET, port_of(fd), &address);
    return fd;
}

static void close_in_close(void)
{
    static char block[65536];
    char knock;
    int listener = make_listener();

    printf("port %d\n", port_of(listener));
    fflush(stdout);
    connection = accept(listener, NULL, NULL);
    check(connection >= 0 && recv(connection, &knock, 1, 0) == 1, "recv");
    check(send(connection, "hello", 5, MSG_NOSIGNAL) == 5, "send");
    (void)make_listener();
    int own = socket(AF_INET, SOCK_STREAM, 0);
    check(connect(own, (struct sockaddr *)&address, length) == 0, "connect");
    while (send(own, block, sizeof(block), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        ;
    every(20000, close_the_other);
    in_close = 1;
    check(close(own) == 0, "close");
    in_close = 0;
    printf("in close %d\n", was_in_close);
}

static void connect_and_close(int number)
{
    int saved = errno;

    (void)number;
    if (left == 0)
        return;
    left = left - 1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    check(fd >= 0, "socket");
    check(connect(fd, (struct sockaddr *)&address, length) == 0, "connect");
    check(send(fd, "hello", 5, MSG_NOSIGNAL) == 5, "send");
    check(close(fd) == 0, "close");
    errno = saved;
}

static void tick(int port, int count)
{
    length = test_address(AF_INET, port, &address);
    left = count;
    every(1000, connect_and_close);
    while (left > 0) {
        errno = 7;
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        check(fd >= 0 && close(fd) == 0, "close");
        check(errno == 7, "errno of a success");
    }
}

int main(int argc, char **argv)
{
    struct itimerval none = {0};

    check(argc == 2 || argc == 4, "usage");
    if (argc == 4)
        tick(atoi(argv[2]), atoi(argv[3]));
    else
        close_in_close();
    setitimer(ITIMER_REAL, &none, NULL);
    return 0;
}
