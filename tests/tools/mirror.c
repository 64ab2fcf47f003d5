/* SPDX-License-Identifier: MIT */
/*
 * What a program sees of calls that have nothing to do with a TCP teardown: every result and every
 * errno, a line each. With the library and without it the lines have to be the same.
 */
#include <fcntl.h>
#include <sys/un.h>

#include "common.h"

static void line(const char *what, long result)
{
    printf("%s: %ld errno %d\n", what, result, errno);
    errno = 7; /* a success must leave it */
}

static void each_close(const char *what, int fd)
{
    char label[64];
    int copy = dup(fd);

    errno = 7;
    snprintf(label, sizeof(label), "%s dup2 over it", what);
    line(label, dup2(0, copy) - copy);
    snprintf(label, sizeof(label), "%s dup3 onto itself", what);
    line(label, dup3(copy, copy, 0));
    snprintf(label, sizeof(label), "%s close", what);
    line(label, close(copy));
    snprintf(label, sizeof(label), "%s close again", what);
    line(label, close(copy));
    snprintf(label, sizeof(label), "%s shutdown", what);
    line(label, shutdown(fd, SHUT_RDWR));
    snprintf(label, sizeof(label), "%s SO_LINGER", what);
    struct linger linger = {1, 3};
    line(label, setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
    socklen_t length = sizeof(linger);
    memset(&linger, 0, sizeof(linger));
    line("getsockopt", getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length));
    printf("SO_LINGER {%d, %d}\n", linger.l_onoff, linger.l_linger);
    snprintf(label, sizeof(label), "%s listen", what);
    line(label, listen(fd, 5));
    snprintf(label, sizeof(label), "%s accept", what);
    line(label, accept4(fd, NULL, NULL, SOCK_NONBLOCK));
    line("close", close(fd));
}

int main(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0nobody is here"};
    struct sockaddr_in nowhere = {.sin_family = AF_INET, .sin_port = htons(9)};
    struct sockaddr_storage address;
    struct msghdr empty = {0};
    int pair[2];
    int ends[2];

    alarm(100);
    errno = 7;
    line("close -1", close(-1));
    line("close high", close(1 << 20));
    line("dup2 from nothing", dup2(-1, 0));
    line("dup2 to nowhere", dup2(0, -1));
    line("dup3 bad flags", dup3(0, 5, 12345));
    line("socket bad domain", socket(12345, SOCK_STREAM, 0));
    line("socket bad type", socket(AF_INET, 0, 0));
    line("bind a bad descriptor", bind(-1, (struct sockaddr *)&nowhere, sizeof(nowhere)));
    line("connect a bad descriptor", connect(-1, (struct sockaddr *)&nowhere, sizeof(nowhere)));
    line("listen on a bad descriptor", listen(-1, 5));
    line("shutdown a file", shutdown(0, SHUT_RDWR));
    line("setsockopt a file", setsockopt(0, SOL_SOCKET, SO_LINGER, &empty, 8));
    line("recvmsg on a file", recvmsg(0, &empty, 0));
    line("recvmmsg on a file", recvmmsg(0, NULL, 1, 0, NULL));
    line("accept on a file", accept(0, NULL, NULL));
    line("pipe", pipe(ends));
    each_close("pipe", ends[0]);
    each_close("other end", ends[1]);
    each_close("file", open("/dev/null", O_RDWR));
    line("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    line("recvmsg would block", recvmsg(pair[0], &empty, MSG_DONTWAIT));
    each_close("AF_UNIX", pair[0]);
    each_close("AF_UNIX dgram", socket(AF_UNIX, SOCK_DGRAM, 0));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    line("connect to nobody", connect(fd, (struct sockaddr *)&name, sizeof(name)));
    each_close("AF_UNIX unconnected", fd);
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    line("UDP bind", bind(fd, (struct sockaddr *)&address, test_address(AF_INET, 0, &address)));
    int client = socket(AF_INET, SOCK_DGRAM, 0);
    line("UDP connect", connect(client, (struct sockaddr *)&address,
                                test_address(AF_INET, port_of(fd), &address)));
    line("UDP send", send(client, "hello", 5, 0));
    each_close("UDP client", client);
    each_close("UDP", fd);
    each_close("netlink", socket(AF_NETLINK, SOCK_RAW, 6));
    fd = socket(AF_INET, SOCK_STREAM, 0);
    line("TCP refused",
         connect(fd, (struct sockaddr *)&address, test_address(AF_INET, 1, &address)));
    line("TCP close", close(fd));
    FILE *stream = fopen("/dev/null", "r");
    errno = 7;
    line("fclose", fclose(stream));
    char memory[8] = "";
    stream = fmemopen(memory, sizeof(memory), "r");
    errno = 7;
    line("fclose without a descriptor", fclose(stream));
    return 0;
}
