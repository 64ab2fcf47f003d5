/* SPDX-License-Identifier: MIT */
/*
 * Random sequences of socket calls, each in a process and a network namespace of its own, and a
 * line for each: its number, and a hash of what its calls returned and what the kernel then held.
 * With and without the library the lines have to be the same; tests/fuzz/calls compares them.
 *
 *     calls [-v] [-m MODEL] [-S] [-s SEED] [-f FIRST] [-n COUNT] [-r REPEAT] [-l LENGTH]
 *           [-o STEP,STEP...]
 *
 * -m does by hand what a mode says, with -S as the supervisor does it, so that what is left to
 * compare is what no mode explains. What a step does follows from the seed, the sequence and its
 * own number, so that steps can be left out: -o runs only these. -v prints each call before the
 * hash. The port numbers are fixed, as the namespaces are nobody else's.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "model.h"

#define FIRST_FD 3
#define FDS 12
#define TEXT_MAX (1 << 20)
#define BIND_NO_PORT 24 /* IP_BIND_ADDRESS_NO_PORT */

static struct shared {
    uint64_t hash;
    size_t length;
    char text[TEXT_MAX];
} * shared;

static bool is_verbose;
static uint64_t seed = 1;
static uint64_t state; /* of the random numbers; a step begins with one of its own */
static char *page;     /* two pages; what follows is not mapped */
static size_t page_size;

static uint64_t next_random(void)
{
    uint64_t z = state += 0x9e3779b97f4a7c15; /* splitmix64 */

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static int below(int n)
{
    return (int)(next_random() % (unsigned)n);
}

static bool one_in(int n)
{
    return below(n) == 0;
}

#define PICK(array) ((array)[below(COUNT(array))])

static void __attribute__((format(printf, 1, 2))) note(const char *format, ...)
{
    char line[512];
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    if (length >= (int)sizeof(line))
        length = sizeof(line) - 1;
    for (int i = 0; i < length; i++)
        shared->hash = (shared->hash ^ (unsigned char)line[i]) * 0x100000001b3; /* FNV-1a */
    if (is_verbose && shared->length + (size_t)length < TEXT_MAX) {
        memcpy(shared->text + shared->length, line, (size_t)length);
        shared->length += (size_t)length;
    }
}

/* Calls `call`; its value and errno, which must not change where it succeeds, are noted. */
#define CALL(call) (errno = 77, result(#call, (long)(call)))

static long result(const char *call, long value)
{
    int error = errno;

    note(" %.*s=%ld/%d", (int)strcspn(call, "("), call, value, error);
    return value;
}

/* Arguments. */

static int any_fd(void)
{
    static const int odd[] = {-1, -100, LIMIT, 100000, INT32_MAX, INT32_MIN, 150};
    int from = below(FDS);

    if (one_in(40))
        return PICK(odd);
    for (int i = 0; i < FDS && !one_in(12); i++) {
        int fd = FIRST_FD + (from + i) % FDS;
        if (fcntl(fd, F_GETFD) >= 0)
            return fd;
    }
    return FIRST_FD + from;
}

/* Mostly where `size` bytes have room, else at the worst places. */
static void *place(size_t size)
{
    char *end = page + 2 * page_size;

    if (!one_in(8))
        return page + 64 * below(8);
    switch (below(7)) {
    case 0:
        return NULL;
    case 1:
        return end;
    case 2:
        return end - 1;
    case 3:
        return end - size; /* just fits */
    case 4:
        return end - size + 1;
    case 5:
        return page + page_size - size / 2; /* across two pages */
    default:
        return page + 1 + below(64);
    }
}

static void *placed(const void *value, size_t size)
{
    char *at = place(size);

    if (at >= page && at + size <= page + 2 * page_size)
        memcpy(at, value, size);
    else if (at >= page && at < page + 2 * page_size)
        memcpy(at, value, (size_t)(page + 2 * page_size - at));
    return at;
}

static socklen_t any_length(size_t exact)
{
    const size_t odd[] = {0,         1,         2,          exact - 1,
                          exact + 1, exact / 2, exact * 2,  sizeof(struct sockaddr_in),
                          128,       129,       0x7fffffff, 0x80000000,
                          0xffffffff};

    return (socklen_t)(one_in(10) ? PICK(odd) : exact);
}

static uint16_t any_port(void)
{
    return htons((uint16_t)(5001 + below(2)));
}

/* Returns the address's own length. */
static socklen_t make_ipv4(struct sockaddr_storage *address)
{
    static const in_addr_t hosts[] = {INADDR_LOOPBACK, INADDR_LOOPBACK,     INADDR_LOOPBACK,
                                      INADDR_ANY,      INADDR_LOOPBACK + 1, 0xc0000201,
                                      INADDR_BROADCAST};
    struct sockaddr_in *in = (struct sockaddr_in *)address;

    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(PICK(hosts));
    in->sin_port = one_in(8) ? 0 : any_port();
    return sizeof(*in);
}

static socklen_t make_ipv6(struct sockaddr_storage *address)
{
    static const struct in6_addr hosts[] = {IN6ADDR_LOOPBACK_INIT,
                                            IN6ADDR_LOOPBACK_INIT,
                                            IN6ADDR_ANY_INIT,
                                            {{{[10] = 255, [11] = 255, [12] = 127, [15] = 1}}}};
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;

    in6->sin6_family = AF_INET6;
    in6->sin6_addr = PICK(hosts);
    in6->sin6_port = one_in(8) ? 0 : any_port();
    return sizeof(*in6);
}

static socklen_t make_unix(struct sockaddr_storage *address)
{
    struct sockaddr_un *un = (struct sockaddr_un *)address;

    un->sun_family = AF_UNIX;
    un->sun_path[1] = (char)('a' + below(3));
    return one_in(4) ? sizeof(sa_family_t) : offsetof(struct sockaddr_un, sun_path) + 2;
}

/* An address somewhere, and its length; mostly one of the socket's own family. */
static void *any_address(int fd, socklen_t *length)
{
    struct sockaddr_storage address = {0};
    int family = AF_UNSPEC;
    socklen_t size = sizeof(family);
    int kind = below(16);

    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size);
    if (!one_in(4))
        kind = family == AF_INET ? 0 : family == AF_INET6 ? 8 : family == AF_UNIX ? 12 : kind;

    if (kind < 8) {
        *length = make_ipv4(&address);
    } else if (kind < 12) {
        *length = make_ipv6(&address);
    } else if (kind < 14) {
        *length = make_unix(&address);
    } else {
        *length = make_ipv4(&address);
        address.ss_family = (sa_family_t)(kind == 14 ? AF_UNSPEC : below(50));
    }
    void *at = placed(&address, *length);
    *length = any_length(*length);
    note(" at%+ld,%u,%d:%d", at ? (long)((char *)at - page) : -1, *length, address.ss_family,
         ntohs(((struct sockaddr_in *)&address)->sin_port));
    return at;
}

/* What the kernel holds. */

static void note_endpoint(const char *name, long status, const struct sockaddr_storage *address,
                          socklen_t length)
{
    int port = ntohs(((const struct sockaddr_in *)address)->sin_port);

    if (address->ss_family != AF_INET && address->ss_family != AF_INET6)
        port = 0;
    /* A port that the kernel chose differs from run to run. */
    note(" %s=%ld/%u/%d:%d", name, status, length, status ? 0 : address->ss_family,
         status         ? 0
         : port < 32768 ? port
                        : 1);
}

static void note_option(int fd, const char *name, int level, int option)
{
    int value[2] = {0, 0};
    socklen_t size = sizeof(value);
    int status = getsockopt(fd, level, option, value, &size);

    note(" %s=%d", name, status);
    if (status == 0)
        note("/%d", value[0]);
    if (status == 0 && size > sizeof(int))
        note(",%d", value[1]);
}

static void note_ends(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof(address);
    int status = getsockname(fd, (struct sockaddr *)&address, &length);

    note_endpoint("local", status, &address, length);
    memset(&address, 0, sizeof(address));
    length = sizeof(address);
    status = getpeername(fd, (struct sockaddr *)&address, &length);
    note_endpoint("peer", status, &address, length);
}

static void look(int fd)
{
    int flags = fcntl(fd, F_GETFD);
    int unread = 0;
    int unsent = 0;
    int tcp_state =
        state_of(fd) == TCP_FIN_WAIT1 ? TCP_FIN_WAIT2 : state_of(fd); /* ACKs may be late */
    struct pollfd ready = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP | POLLPRI};

    note("\n    %d: fd=%d", fd, flags);
    if (flags < 0)
        return;
    note(" fl=%x", fcntl(fd, F_GETFL));
    note_option(fd, "type", SOL_SOCKET, SO_TYPE);
    note_option(fd, "protocol", SOL_SOCKET, SO_PROTOCOL);
    note_option(fd, "linger", SOL_SOCKET, SO_LINGER);
    note_option(fd, "linger2", IPPROTO_TCP, TCP_LINGER2);
    note_option(fd, "reuseaddr", SOL_SOCKET, SO_REUSEADDR);
    note_option(fd, "reuseport", SOL_SOCKET, SO_REUSEPORT);
    note_option(fd, "noport", IPPROTO_IP, BIND_NO_PORT);
    note_option(fd, "listens", SOL_SOCKET, SO_ACCEPTCONN);
    note_ends(fd);
    poll(&ready, 1, 0);
    if (ioctl(fd, FIONREAD, &unread) != 0)
        unread = -1;
    if (tcp_state >= 0 || ioctl(fd, TIOCOUTQ, &unsent) != 0)
        unsent = -1;
    note(" state=%d poll=%x in=%d out=%d", tcp_state, ready.revents, unread, unsent);
}

/* Steps. */

/* No call may wait for long: most sockets do not block, and the others have a time limit, which
 * accept() of MPTCP does not keep. */
static int tamed(int fd)
{
    static const struct timeval limit = {0, 1000};

    if (fd >= 0) {
        set_raw(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
        set_raw(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    }
    return fd;
}

static int make_socket(int domain, int type, int protocol)
{
    int fd = -1;

    if (model_refuses(domain, protocol)) {
        errno = EPROTONOSUPPORT;
        result("socket", -1);
    } else {
        fd = (int)CALL(socket(domain, type, protocol));
    }
    note("(%d,%x,%d)", domain, type, protocol);
    if (fd >= 0)
        model_socket(fd, domain, type, protocol);
    return tamed(fd);
}

static void step_socket(void)
{
    static const int kinds[][3] = {
        {AF_INET, SOCK_STREAM, 0},         {AF_INET, SOCK_STREAM, 0},
        {AF_INET, SOCK_STREAM, 0},         {AF_INET, SOCK_STREAM, IPPROTO_TCP},
        {AF_INET6, SOCK_STREAM, 0},        {AF_INET6, SOCK_STREAM, IPPROTO_TCP},
        {AF_INET, SOCK_STREAM, MPTCP},     {AF_INET6, SOCK_STREAM, MPTCP},
        {AF_INET, SOCK_DGRAM, 0},          {AF_INET6, SOCK_DGRAM, 0},
        {AF_UNIX, SOCK_STREAM, 0},         {AF_UNIX, SOCK_DGRAM, 0},
        {AF_UNIX, SOCK_SEQPACKET, 0},      {AF_INET, SOCK_RAW, IPPROTO_TCP},
        {AF_INET, SOCK_RAW, IPPROTO_ICMP}, {AF_NETLINK, SOCK_RAW, 6},
        {AF_INET, SOCK_STREAM, 77},        {AF_INET, SOCK_SEQPACKET, 0},
        {AF_UNSPEC, SOCK_STREAM, 0},       {AF_INET, 0, IPPROTO_TCP},
        {AF_INET, SOCK_RDM, IPPROTO_TCP},  {-1, -1, -1}};
    const int *kind = PICK(kinds);
    int flags = (one_in(8) && kind[2] != MPTCP ? 0 : SOCK_NONBLOCK) |
                (one_in(2) ? 0 : SOCK_CLOEXEC) | (one_in(60) ? 1 << below(31) : 0);

    int fd = make_socket(kind[0], kind[1] | flags, kind[2]);
    look(fd);
}

static void step_listener(void)
{
    struct sockaddr_storage address = {0};
    int on = 1;
    bool is_ipv4 = !one_in(3);
    int fd = make_socket(is_ipv4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK,
                         one_in(8) ? MPTCP : 0);
    socklen_t length = is_ipv4 ? make_ipv4(&address) : make_ipv6(&address);

    int option = one_in(20) ? SO_REUSEPORT : SO_REUSEADDR;
    if (one_in(2))
        CALL(setsockopt(fd, SOL_SOCKET, option, &on, sizeof(on)));
    CALL(bind(fd, (struct sockaddr *)&address, length));
    errno = 77;
    result("listen", model_listen(fd, 1 + below(8)));
    look(fd);
}

/* A client, mostly of a listener of this process. */
static void step_client(void)
{
    struct sockaddr_storage address = {0};
    bool is_ipv4 = !one_in(3);
    socklen_t length = is_ipv4 ? make_ipv4(&address) : make_ipv6(&address);

    for (int fd = FIRST_FD; fd < FIRST_FD + FDS && !one_in(8); fd++) {
        if (state_of(fd) == TCP_LISTEN)
            getsockname(fd, (struct sockaddr *)&address, &length);
    }
    int fd = make_socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK, one_in(8) ? MPTCP : 0);
    model_connect(fd);
    CALL(connect(fd, (struct sockaddr *)&address, length));
    look(fd);
}

static void step_pair(void)
{
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    int fds[2] = {-1, -1};

    CALL(socketpair(AF_UNIX, PICK(types) | SOCK_NONBLOCK, 0, fds));
    note(" %d %d", tamed(fds[0]), tamed(fds[1]));
}

static void step_file(void)
{
    int fds[2];

    switch (below(4)) {
    case 0:
        CALL(open("/dev/null", O_RDWR | O_CLOEXEC));
        break;
    case 1:
        CALL(pipe2(fds, O_NONBLOCK));
        break;
    case 2:
        CALL(eventfd(0, EFD_NONBLOCK));
        break;
    default:
        CALL(epoll_create1(0));
    }
}

static void step_bind(void)
{
    int fd = any_fd();
    socklen_t length;
    void *address = any_address(fd, &length);

    CALL(bind(fd, address, length));
    look(fd);
}

static void step_connect(void)
{
    int fd = any_fd();
    socklen_t length;
    void *address = any_address(fd, &length);

    model_connect(fd);
    CALL(connect(fd, address, length));
    look(fd);
}

static void step_listen(void)
{
    static const int backlogs[] = {0, 1, 5, 4096, -1, INT32_MIN};
    int fd = any_fd();

    errno = 77;
    result("listen", model_listen(fd, PICK(backlogs)));
    look(fd);
}

/* Mostly a listener that has a connection waiting, if there is one. */
static int any_listener(void)
{
    int from = below(FDS);
    int any = any_fd();
    struct pollfd waiting = {.events = POLLIN};

    for (int i = 0; i < FDS && any & 7; i++) {
        waiting.fd = FIRST_FD + (from + i) % FDS;
        if (state_of(waiting.fd) == TCP_LISTEN && poll(&waiting, 1, 0) == 1)
            return waiting.fd;
    }
    return any;
}

static void step_accept(void)
{
    static const int all_flags[] = {0, SOCK_NONBLOCK, SOCK_CLOEXEC | SOCK_NONBLOCK, 1, -1};
    int fd = any_listener();
    socklen_t exact = any_length(sizeof(struct sockaddr_storage));
    struct sockaddr *address = one_in(2) ? NULL : place(sizeof(struct sockaddr_in));
    socklen_t *length = placed(&exact, sizeof(exact));
    long accepted;

    if (one_in(2)) {
        int flags = PICK(all_flags);
        accepted = CALL(accept4(fd, address, length, flags));
    } else {
        accepted = CALL(accept(fd, address, length));
    }
    note("(%d,%u)", fd, exact);
    if (accepted >= 0) {
        model_accept((int)accepted);
        look(tamed((int)accepted));
    }
    look(fd);
}

static void step_dup(void)
{
    int fd = any_fd();

    if (one_in(2))
        CALL(dup(fd));
    else
        CALL(fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FD));
    look(fd);
}

static void step_replace(void)
{
    static const int all_flags[] = {0, O_CLOEXEC, O_NONBLOCK, 1, -1, O_CLOEXEC | O_NONBLOCK};
    int from = any_fd();
    int to = any_fd();
    int flags = PICK(all_flags);

    note(" %d>%d,%x", from, to, flags);
    if (one_in(2)) {
        model_replace(from, to, 0);
        CALL(dup2(from, to));
    } else {
        model_replace(from, to, flags);
        CALL(dup3(from, to, flags));
    }
    look(from);
    look(to);
}

static void step_close(void)
{
    int fd = any_fd();

    note(" %d", fd);
    if (one_in(8)) {
        CALL(syscall(SYS_close, fd));
    } else {
        model_close(fd);
        CALL(close(fd));
    }
    look(fd);
}

static void step_close_range(void)
{
    static const int all_flags[] = {0, 0, 2, 4, 6, 1, 8, -1, INT32_MIN}; /* 2 UNSHARE, 4 CLOEXEC */
    unsigned first = (unsigned)(FIRST_FD + below(FDS));
    unsigned last = one_in(8) ? UINT32_MAX : first + (unsigned)below(5) - 1;
    int flags = PICK(all_flags);

    note(" %u-%u,%d", first, last, flags);
    model_close_range(first, last, (unsigned)flags);
    CALL(close_range(first, last, flags));
    look((int)first);
}

static void step_closefrom(void)
{
    int first = FIRST_FD + 4 + below(FDS);

    model_close_range((unsigned)first, UINT32_MAX, 0);
    closefrom(first);
    look(first);
}

static void step_stream(void)
{
    int fd = any_fd();
    FILE *stream = fdopen(fd, "r");

    note(" %d %d", fd, stream != NULL);
    if (!stream)
        return;
    model_close(fd);
    if (one_in(2)) {
        CALL(fclose(stream));
    } else {
        stream = freopen("/dev/null", "r", stream);
        note(" freopen=%d", stream ? fileno(stream) : -1);
    }
    look(fd);
}

static void step_shutdown(void)
{
    static const int all_hows[] = {SHUT_RD, SHUT_WR, SHUT_RDWR, SHUT_RDWR, 3, -1};
    int fd = any_fd();
    int how = PICK(all_hows);

    if (model_shutdown(fd, how))
        result("shutdown", 0);
    else
        CALL(shutdown(fd, how));
    note("(%d,%d)", fd, how);
    look(fd);
}

/* No option whose value differs from run to run, and none that lets a call wait for long. */
static const struct {
    int level;
    int option;
    int size;
} options[] = {{SOL_SOCKET, SO_LINGER, 8},
               {SOL_SOCKET, SO_LINGER, 8},
               {SOL_SOCKET, SO_LINGER, 8},
               {IPPROTO_TCP, TCP_LINGER2, 4},
               {IPPROTO_TCP, TCP_LINGER2, 4},
               {SOL_SOCKET, SO_REUSEADDR, 4},
               {SOL_SOCKET, SO_REUSEPORT, 4},
               {IPPROTO_IP, BIND_NO_PORT, 4},
               {SOL_SOCKET, SO_KEEPALIVE, 4},
               {SOL_SOCKET, SO_OOBINLINE, 4},
               {SOL_SOCKET, SO_ERROR, 4},
               {SOL_SOCKET, SO_TYPE, 4},
               {SOL_SOCKET, SO_PROTOCOL, 4},
               {SOL_SOCKET, SO_DOMAIN, 4},
               {SOL_SOCKET, SO_PASSCRED, 4},
               {IPPROTO_TCP, TCP_NODELAY, 4},
               {IPPROTO_TCP, TCP_CORK, 4},
               {IPPROTO_TCP, TCP_DEFER_ACCEPT, 4},
               {IPPROTO_TCP, TCP_FASTOPEN, 4},
               {IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 4},
               {IPPROTO_TCP, TCP_MAXSEG, 4},
               {IPPROTO_TCP, TCP_QUICKACK, 4},
               {IPPROTO_TCP, TCP_SYNCNT, 4},
               {IPPROTO_IPV6, IPV6_V6ONLY, 4},
               {IPPROTO_IP, IP_TOS, 4},
               {SOL_SOCKET, SO_DONTROUTE, 4},
               {-1, -1, 4},
               {SOL_SOCKET, 9999, 4},
               {IPPROTO_TCP, 9999, 4},
               {IPPROTO_UDP, 1, 4}};

static void step_setsockopt(void)
{
    static const int values[] = {0, 0, 1, 1, 1, -1, 2, 5, 60, 121, INT32_MAX, INT32_MIN};
    int fd = any_fd();
    int which = below(COUNT(options));
    int level = options[which].level;
    int option = options[which].option;
    int value[2] = {PICK(values), one_in(50)}; /* a close() may wait for a second */
    void *at = placed(value, (size_t)options[which].size);
    socklen_t length = any_length((size_t)options[which].size);

    long status = CALL(setsockopt(fd, level, option, at, length));
    if (status == 0)
        model_setsockopt(fd, level, option);
    note("(%d,%d,%d,%d,%d,%u)", fd, level, option, value[0], value[1], length);
    look(fd);
}

static void step_getsockopt(void)
{
    int fd = any_fd();
    int which = below(COUNT(options));
    socklen_t exact = any_length((size_t)options[which].size);
    int *at = place((size_t)options[which].size);
    socklen_t *length = placed(&exact, sizeof(exact));

    CALL(getsockopt(fd, options[which].level, options[which].option, at, length));
    note("(%d,%d,%d,%u)", fd, options[which].level, options[which].option, exact);
}

/* Up to three descriptors, at least one of which may not be open. */
static void step_send_rights(void)
{
    int fd = any_fd();
    int count = 1 + below(3);
    union {
        char bytes[CMSG_SPACE(3 * sizeof(int))];
        struct cmsghdr header;
    } control = {{0}};
    struct iovec iov = {"x", 1};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes};

    control.header =
        (struct cmsghdr){CMSG_LEN((size_t)count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    message.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
    for (int i = 0; i < count; i++) {
        int sent = FIRST_FD + below(FDS);
        memcpy(CMSG_DATA(&control.header) + (size_t)i * sizeof(int), &sent, sizeof(sent));
    }
    CALL(sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT));
    note("(%d,%d)", fd, count);
}

static void note_message(struct msghdr *message)
{
    note(" flags=%x control=%zu name=%u", message->msg_flags, message->msg_controllen,
         message->msg_namelen);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        note(" cmsg=%d,%d,%zu", c->cmsg_level, c->cmsg_type, (size_t)c->cmsg_len);
        for (size_t i = 0; c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
                           CMSG_LEN((i + 1) * sizeof(int)) <= c->cmsg_len;
             i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
            model_receive(fd);
            look(fd);
        }
    }
}

static void step_recvmsg(void)
{
    static const int all_flags[] = {0,         MSG_CMSG_CLOEXEC, MSG_PEEK,
                                    MSG_TRUNC, MSG_OOB,          MSG_ERRQUEUE};
    static const size_t sizes[] = {0, 8, CMSG_LEN(4), CMSG_SPACE(4), CMSG_SPACE(8), 200, 200, 200};
    int fd = any_fd();
    char data[4];
    struct iovec iov = {one_in(16) ? place(4) : data, sizeof(data)};
    int flags = PICK(all_flags) | MSG_DONTWAIT;
    struct mmsghdr m = {.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}};
    static _Alignas(struct cmsghdr) char control[200];
    long length;

    m.msg_hdr.msg_controllen = PICK(sizes);
    m.msg_hdr.msg_control = one_in(10) ? place(64) : control;
    if (one_in(2))
        length = CALL(recvmsg(fd, &m.msg_hdr, flags));
    else
        length = CALL(recvmmsg(fd, &m, 1, (unsigned)flags, NULL));
    note("(%d,%x)", fd, flags);
    if (length >= 0)
        note_message(&m.msg_hdr);
}

static void step_send(void)
{
    static const int all_flags[] = {0, 0, 0, MSG_OOB, MSG_MORE, MSG_FASTOPEN, MSG_EOR};
    int fd = any_fd();
    int flags = PICK(all_flags);
    socklen_t length = 0;
    void *address = flags == MSG_FASTOPEN || one_in(8) ? any_address(fd, &length) : NULL;

    CALL(sendto(fd, "hello, world", (size_t)below(13), flags | MSG_NOSIGNAL | MSG_DONTWAIT, address,
                length));
    note("(%d,%x)", fd, flags);
    look(fd);
}

static void step_recv(void)
{
    static const int all_flags[] = {0, 0, 0, MSG_OOB, MSG_PEEK, MSG_TRUNC, MSG_WAITALL};
    char data[32] = "";
    int fd = any_fd();
    int flags = PICK(all_flags);

    long length = CALL(recv(fd, data, sizeof(data), flags | (one_in(16) ? 0 : MSG_DONTWAIT)));
    note("(%d,%x)", fd, flags);
    if (length > 0 && length <= (long)sizeof(data) && state_of(fd) >= 0)
        note(" '%.*s'", (int)length, data);
    look(fd);
}

/* A child that closes some of its copies and ends with the others. */
static void step_fork(void)
{
    int first = FIRST_FD + below(FDS);
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        for (int fd = first; fd < first + 3; fd++) {
            model_close(fd);
            close(fd);
        }
        _exit(0);
    }
    waitpid(child, &status, 0);
    note(" %d status=%x", first, status);
    look(first);
}

static const struct {
    const char *name;
    int weight;
    void (*run)(void);
} steps[] = {{"socket", 12, step_socket},
             {"listener", 8, step_listener},
             {"client", 10, step_client},
             {"pair", 4, step_pair},
             {"accept", 14, step_accept},
             {"file", 2, step_file},
             {"bind", 8, step_bind},
             {"connect", 10, step_connect},
             {"listen", 6, step_listen},
             {"dup", 4, step_dup},
             {"replace", 8, step_replace},
             {"close", 12, step_close},
             {"close_range", 2, step_close_range},
             {"closefrom", 1, step_closefrom},
             {"stream", 2, step_stream},
             {"shutdown", 6, step_shutdown},
             {"setsockopt", 24, step_setsockopt},
             {"getsockopt", 6, step_getsockopt},
             {"send_rights", 6, step_send_rights},
             {"recvmsg", 8, step_recvmsg},
             {"send", 10, step_send},
             {"recv", 8, step_recv},
             {"fork", 1, step_fork}};

/* The first ones make what the others act on. */
static void run_step(int number)
{
    int kinds = number < FDS ? 5 : COUNT(steps);
    int all = 0;
    int i = 0;

    for (int s = 0; s < kinds; s++)
        all += steps[s].weight;
    int at = below(all);
    while (at >= steps[i].weight)
        at -= steps[i++].weight;
    note("%d %s", number, steps[i].name);
    steps[i].run();
    look(FIRST_FD + below(FDS));
    note("\n");
}

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);

    if (fd >= 0 && write(fd, text, strlen(text)) < 0)
        perror(path);
    close(fd);
}

static void enter_namespace(void)
{
    struct ifreq loopback = {.ifr_name = "lo", .ifr_flags = IFF_UP};

    if (unshare(CLONE_NEWNET) != 0) {
        perror("calls: no network namespace");
        _exit(99);
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    ioctl(fd, SIOCSIFFLAGS, &loopback);
    close(fd);
    write_file("/proc/sys/net/ipv4/tcp_fastopen", "3");
}

static bool is_selected(const char *only, int step)
{
    char name[16];
    size_t length = (size_t)snprintf(name, sizeof(name), "%d", step);

    for (const char *at = only; at && (at = strstr(at, name)); at += length) {
        if ((at == only || at[-1] == ',') && (!at[length] || at[length] == ','))
            return true;
    }
    return !only;
}

static void run_sequence(uint64_t sequence, int length, const char *only)
{
    struct rlimit files = {LIMIT, LIMIT};
    int standard = open("/dev/null", O_RDWR);

    enter_namespace();
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    for (int fd = 0; fd < 2; fd++) /* standard error shows what the library complains of */
        syscall(SYS_dup3, standard, fd, 0);
    syscall(SYS_close_range, FIRST_FD, FIRST_FD + FDS, 0);
    for (int step = 0; step < length; step++) {
        state = seed * 0x9e3779b97f4a7c15 ^ sequence << 20 ^ (uint64_t)step;
        (void)next_random();
        memset(page, 0, 2 * page_size);
        if (is_selected(only, step))
            run_step(step);
    }
    for (int fd = FIRST_FD; fd < FIRST_FD + FDS; fd++)
        look(fd);
    _exit(0);
}

/* A sequence that hangs is killed. */
static int wait_for(pid_t child)
{
    struct pollfd end = {.fd = (int)syscall(SYS_pidfd_open, child, 0), .events = POLLIN};
    int status = 0;

    if (poll(&end, 1, 20000) == 0)
        kill(child, SIGKILL);
    waitpid(child, &status, 0);
    close(end.fd);
    return status;
}

static void fork_sequence(uint64_t sequence, int length, const char *only)
{
    shared->hash = 0xcbf29ce484222325;
    shared->length = 0;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        run_sequence(sequence, length, only);
    note("\nstatus %x\n", (unsigned)wait_for(child));
    fwrite(shared->text, 1, shared->length, stdout);
    printf("%" PRIu64 " %016" PRIx64 "\n", sequence, shared->hash);
}

static void *map(size_t size, int flags)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED) {
        perror("calls: mmap");
        exit(99);
    }
    return at;
}

int main(int argc, char **argv)
{
    uint64_t first = 0;
    uint64_t count = 1;
    unsigned repeat = 1;
    int length = 60;
    const char *only = NULL;

    for (int c; (c = getopt(argc, argv, "vSm:s:f:n:r:l:o:")) != -1;) {
        switch (c) {
        case 'v':
            is_verbose = true;
            break;
        case 'S':
            is_outside = true;
            break;
        case 'm':
            model = model_of(optarg);
            break;
        case 's':
            seed = strtoull(optarg, NULL, 0);
            break;
        case 'f':
            first = strtoull(optarg, NULL, 0);
            break;
        case 'r':
            repeat = (unsigned)atoi(optarg);
            break;
        case 'n':
            count = strtoull(optarg, NULL, 0);
            break;
        case 'l':
            length = atoi(optarg);
            break;
        case 'o':
            only = optarg;
            break;
        default:
            return 2;
        }
    }
    page_size = (size_t)sysconf(_SC_PAGESIZE);
    page = map(3 * page_size, MAP_PRIVATE);
    mprotect(page + 2 * page_size, page_size, PROT_NONE);
    shared = map(sizeof(*shared), MAP_SHARED);
    for (uint64_t i = 0; i < count * repeat; i++)
        fork_sequence(first + i / repeat, length, only);
    return 0;
}
