/* SPDX-License-Identifier: MIT */
/* What the test programs share: an error is loud and ends the program with status 99. */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What glibc of Debian 11 has no name for; the numbers are the same on every architecture. */
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

static inline void check(bool good, const char *what)
{
    if (good)
        return;
    perror(what);
    exit(99);
}

/* Port `port` of the loopback address, or of IPv4 address $TEST_ADDRESS. Returns the length. */
static inline socklen_t test_address(int family, int port, struct sockaddr_storage *address)
{
    struct sockaddr_in *in = (struct sockaddr_in *)address;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;

    memset(address, 0, sizeof(*address));
    address->ss_family = (sa_family_t)family;
    if (family == AF_INET6) {
        in6->sin6_addr = in6addr_loopback;
        in6->sin6_port = htons((uint16_t)port);
        return sizeof(*in6);
    }
    const char *other = getenv("TEST_ADDRESS");
    check(inet_pton(AF_INET, other ? other : "127.0.0.1", &in->sin_addr) == 1, "TEST_ADDRESS");
    in->sin_port = htons((uint16_t)port);
    return sizeof(*in);
}

/* The port a socket is bound to; the field stands at one place in both families. */
static inline int port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);

    check(getsockname(fd, (struct sockaddr *)&address, &length) == 0, "getsockname");
    return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

/* Out of a control message, by recvmsg() or recvmmsg(); the message itself may be empty. */
static inline int receive_descriptor(int through, bool many)
{
    char data;
    int fd;
    struct iovec iov = {&data, 1};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    struct mmsghdr message = {.msg_hdr = {.msg_iov = &iov,
                                          .msg_iovlen = 1,
                                          .msg_control = control,
                                          .msg_controllen = sizeof(control)}};

    if (many)
        check(recvmmsg(through, &message, 1, 0, NULL) == 1, "recvmmsg");
    else
        check(recvmsg(through, &message.msg_hdr, 0) >= 0, "recvmsg");
    check(message.msg_hdr.msg_controllen >= CMSG_LEN(sizeof(int)), "no descriptor");
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message.msg_hdr)), sizeof(fd));
    return fd;
}
