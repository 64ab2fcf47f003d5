/* SPDX-License-Identifier: MIT */
/*
 * What a program sees of calls on TCP sockets: every result and every errno, a line each. A success
 * has to leave errno alone, and a call that a signal interrupts has to say so: with the library and
 * without it the lines have to be the same.
 */
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/time.h>

#include "common.h"

static void line(const char *what, long result)
{
    printf("%s: %ld errno %d\n", what, result, errno);
    errno = 7; /* a success must leave it */
}

/* A descriptor is a success like any other: its number is not the point. */
static int made(const char *what, int fd)
{
    line(what, fd >= 0);
    return fd;
}

static void nothing(int number)
{
    (void)number;
}

/* From here on a signal comes again and again, and calls are not restarted. */
static void rain(int microseconds)
{
    struct itimerval timer = {{0, microseconds}, {0, microseconds}};
    struct sigaction action = {.sa_handler = nothing};
    int saved = errno;

    check(sigaction(SIGALRM, &action, NULL) == 0, "sigaction");
    check(setitimer(ITIMER_REAL, &timer, NULL) == 0, "setitimer");
    errno = saved;
}

static int listen_here(struct sockaddr_storage *address, int backlog)
{
    socklen_t length = test_address(AF_INET, 0, address);
    int listener = made("socket", socket(AF_INET, SOCK_STREAM, 0));

    line("bind", bind(listener, (struct sockaddr *)address, length));
    line("listen", listen(listener, backlog));
    test_address(AF_INET, port_of(listener), address);
    return listener;
}

static int connect_to(const struct sockaddr_storage *address)
{
    int fd = made("socket", socket(AF_INET, SOCK_STREAM, 0));

    line("connect", connect(fd, (const struct sockaddr *)address, sizeof(struct sockaddr_in)));
    return fd;
}

static void successes(const struct sockaddr_storage *address, int listener)
{
    struct linger linger = {1, 3};
    int seconds = 30;

    for (int way = 0; way < 5; way++) {
        int own = connect_to(address);
        int fd = way % 2 ? made("accept", accept(listener, NULL, NULL))
                         : made("accept4", accept4(listener, NULL, NULL, SOCK_CLOEXEC));
        line("SO_LINGER", setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
        line("TCP_LINGER2", setsockopt(fd, IPPROTO_TCP, TCP_LINGER2, &seconds, sizeof(seconds)));
        line("connect again",
             connect(own, (const struct sockaddr *)address, sizeof(struct sockaddr_in)));
        if (way == 0)
            line("shutdown", shutdown(fd, SHUT_RDWR));
        if (way == 1)
            line("dup2 over it", dup2(0, fd) == fd);
        if (way == 2)
            line("dup3 over it", dup3(0, fd, O_CLOEXEC) == fd);
        if (way == 3) {
            FILE *stream = fdopen(fd, "r+");
            errno = 7;
            line("fclose", fclose(stream));
        } else {
            line("close", close(fd));
        }
        line("close again", close(fd));
        line("its peer", close(own));
    }
}

static void interrupted(const struct sockaddr_storage *address, int listener)
{
    static char block[65536];
    struct sockaddr_storage full;
    char byte;
    struct iovec iov = {&byte, 1};
    struct mmsghdr messages = {.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}};

    int crowded = listen_here(&full, 0);
    int first = connect_to(&full); /* now its queue is full, and a connect() waits */
    int second = made("socket", socket(AF_INET, SOCK_STREAM, 0));
    int own = connect_to(address);
    int fd = made("accept", accept(listener, NULL, NULL));
    rain(5000);
    line("accept interrupted", accept(listener, NULL, NULL));
    line("accept4 interrupted", accept4(listener, NULL, NULL, 0));
    line("recvmsg interrupted", recvmsg(fd, &messages.msg_hdr, 0));
    line("recvmmsg interrupted", recvmmsg(fd, &messages, 1, 0, NULL));
    line("connect interrupted",
         connect(second, (struct sockaddr *)&full, sizeof(struct sockaddr_in)));
    while (send(own, block, sizeof(block), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        ;
    errno = 7;
    line("close that may linger", close(own));
    line("close", close(fd));
    line("close", close(second));
    line("close", close(first));
    line("close", close(crowded));
    rain(0);
}

int main(void)
{
    struct sockaddr_storage address;

    errno = 7;
    int listener = listen_here(&address, 10);
    successes(&address, listener);
    interrupted(&address, listener);
    int idle = made("socket", socket(AF_INET6, SOCK_STREAM, 0));
    line("shutdown unconnected", shutdown(idle, SHUT_RDWR));
    line("dup2 onto itself", dup2(idle, idle) == idle);
    line("close", close(idle));
    line("close", close(listener));
    return 0;
}
