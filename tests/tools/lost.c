/* SPDX-License-Identifier: MIT */
/*
 * How many calls does a signal interrupt? lost CALL COUNT MICROSECONDS
 *
 * Makes COUNT calls of CALL (connect, close, listen, bind, setsockopt or accept) while a timer
 * fires at that interval, whose handler has no SA_RESTART. Prints "lost N": N calls failed with
 * EINTR and the kernel has not run them. No kernel does that by itself: an interrupted connect()
 * continues in the background, and the others are never interrupted.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/time.h>

#include "common.h"

static struct sockaddr_storage address;
static socklen_t length;
static int listener;

static void ring(int number)
{
    (void)number;
}

static void start_timer(int microseconds)
{
    struct itimerval timer = {{0, microseconds}, {0, microseconds}};
    struct sigaction action = {.sa_handler = ring};

    check(sigaction(SIGALRM, &action, NULL) == 0, "sigaction");
    check(setitimer(ITIMER_REAL, &timer, NULL) == 0, "setitimer");
}

static int make_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    check(fd >= 0, "socket");
    return fd;
}

static void make_listener(void)
{
    listener = make_socket();
    length = test_address(AF_INET, 0, &address);
    check(bind(listener, (struct sockaddr *)&address, length) == 0, "bind");
    check(listen(listener, 100) == 0, "listen");
    length = test_address(AF_INET, port_of(listener), &address);
}

/* After EINTR the connection is there as soon as the socket is writable, or never was tried. */
static bool is_connected(int fd)
{
    struct pollfd writable = {fd, POLLOUT, 0};
    struct sockaddr_storage peer;
    socklen_t size = sizeof(peer);

    while (poll(&writable, 1, -1) < 0)
        check(errno == EINTR, "poll");
    return getpeername(fd, (struct sockaddr *)&peer, &size) == 0;
}

static bool lose_connect(void)
{
    int fd = make_socket();
    int status = connect(fd, (struct sockaddr *)&address, length);
    int accepted = -1;

    check(status == 0 || errno == EINTR, "connect");
    bool is_lost = status != 0 && !is_connected(fd);
    while (!is_lost && (accepted = accept(listener, NULL, NULL)) < 0)
        check(errno == EINTR, "accept");
    close(fd);
    close(accepted);
    return is_lost;
}

static bool is_lost(int status, const char *what)
{
    check(status == 0 || errno == EINTR, what);
    return status != 0;
}

static bool lose_close(void)
{
    int file = open("/dev/null", O_RDONLY);
    bool lost = false;

    check(file >= 0, "open");
    while (is_lost(close(file), "close"))
        lost = true;
    return lost;
}

static bool lose_listen(void)
{
    return is_lost(listen(listener, 100), "listen");
}

static bool lose_bind(void)
{
    struct sockaddr_storage any;
    socklen_t size = test_address(AF_INET, 0, &any);
    int fd = make_socket();
    bool lost = is_lost(bind(fd, (struct sockaddr *)&any, size), "bind");

    close(fd);
    return lost;
}

static bool lose_setsockopt(void)
{
    struct linger off = {0, 0};

    return is_lost(setsockopt(listener, SOL_SOCKET, SO_LINGER, &off, sizeof(off)), "setsockopt");
}

/* However often a signal takes that away. */
static int connect_surely(void)
{
    for (;;) {
        int fd = make_socket();
        int status = connect(fd, (struct sockaddr *)&address, length);
        check(status == 0 || errno == EINTR, "connect");
        if (status == 0 || is_connected(fd))
            return fd;
        close(fd);
    }
}

/* Called again, it gives the connection that waited, and none is passed over. */
static bool lose_accept(void)
{
    static int number;
    int sent = ++number;
    int received = 0;
    int client = connect_surely();
    bool lost = false;
    int fd;

    check(send(client, &sent, sizeof(sent), 0) == sizeof(sent), "send");
    while ((fd = accept(listener, NULL, NULL)) < 0)
        lost = is_lost(fd, "accept");
    check(recv(fd, &received, sizeof(received), MSG_WAITALL) == sizeof(received), "recv");
    check(received == sent, "another connection");
    close(fd);
    close(client);
    return lost;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        bool (*lose)(void);
    } calls[] = {{"connect", lose_connect},       {"close", lose_close},
                 {"listen", lose_listen},         {"bind", lose_bind},
                 {"setsockopt", lose_setsockopt}, {"accept", lose_accept}};
    int lost = 0;

    check(argc == 4, "usage");
    make_listener();
    start_timer(atoi(argv[3]));
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        for (int left = atoi(argv[2]); left > 0 && strcmp(argv[1], calls[i].name) == 0; left--)
            lost += calls[i].lose();
    }
    printf("lost %d\n", lost);
    return 0;
}
