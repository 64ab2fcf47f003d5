/* SPDX-License-Identifier: MIT */
/*
 * The kernel's side. Must not go through libc's socket functions: inside the library those names
 * are our own hooks, and then perhaps those of other preloads. Must not keep anything.
 */
#include "socket/sock.h"

#include <errno.h>
#include <linux/sockios.h> /* SIOCOUTQ, SIOCINQ */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/kernel.h"
#include "policy/address.h"
#include "policy/mode.h"

#define WAKE_TRIES 500 /* of some 60 microseconds */

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24 /* linux/in.h, Linux 4.2 */
#endif
#ifndef SO_COOKIE
#define SO_COOKIE 57 /* Linux 4.12 */
#endif

int sock_set(int fd, int level, int option, const void *value, socklen_t length)
{
    return (int)kernel_call(SYS_setsockopt, fd, level, option, (long)value, length);
}

int sock_get(int fd, int level, int option, void *value, socklen_t size)
{
    return (int)kernel_call(SYS_getsockopt, fd, level, option, (long)value, (long)&size);
}

bool sock_is_tcp_request(int domain, int type, int protocol)
{
    /* The type is a number, not a bit: SOCK_RAW is 3, SOCK_STREAM 1. The flags are bits. */
    return (domain == AF_INET || domain == AF_INET6) &&
           (type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) == SOCK_STREAM &&
           (protocol == 0 || protocol == IPPROTO_TCP || protocol == SOCK_IPPROTO_MPTCP);
}

/* `length` is that of a struct sockaddr_in at least, as of all that the kernel returns for TCP. */
static bool read_endpoint(const struct sockaddr *address, socklen_t length, struct policy_ip *ip,
                          uint16_t *port)
{
    uint8_t bytes[16] = {[10] = 0xff, [11] = 0xff};
    struct sockaddr_in6 in6;
    struct sockaddr_in in;

    memcpy(&in, address, offsetof(struct sockaddr_in, sin_zero)); /* which may be uninitialised */
    if (in.sin_family == AF_INET) {
        memcpy(bytes + 12, &in.sin_addr, 4);
        *port = ntohs(in.sin_port);
    } else if (in.sin_family == AF_INET6 && length >= sizeof(in6)) {
        memcpy(&in6, address, sizeof(in6));
        memcpy(bytes, &in6.sin6_addr, 16);
        *port = ntohs(in6.sin6_port);
    } else {
        return false;
    }
    *ip = address_ip(bytes);
    return true;
}

/*
 * Checking both ends is enough, as an address is shorter than a page. A probe is no longer than a
 * struct sockaddr_in.
 */
static bool is_readable(const struct sockaddr *address, socklen_t length)
{
    sa_family_t family;

    if (!kernel_is_readable(address))
        return false;
    memcpy(&family, address, sizeof(family));
    return family != AF_INET6 || length < sizeof(struct sockaddr_in6) ||
           kernel_is_readable((const char *)address + sizeof(struct sockaddr_in6) - KERNEL_PROBE);
}

bool sock_endpoint(const struct sockaddr *address, socklen_t length, bool is_copy,
                   struct policy_ip *ip, uint16_t *port)
{
    return length >= sizeof(struct sockaddr_in) && (is_copy || is_readable(address, length)) &&
           read_endpoint(address, length, ip, port);
}

/* `call` is SYS_getsockname or SYS_getpeername. */
static bool ask_endpoint(long call, int fd, struct policy_ip *ip, uint16_t *port)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);

    return kernel_call(call, fd, (long)&address, (long)&length) == 0 &&
           read_endpoint((struct sockaddr *)&address, length, ip, port);
}

static void local_facts(int fd, struct facts *f)
{
    if (!ask_endpoint(SYS_getsockname, fd, &f->local_ip, &f->local_port))
        return;
    bool is_wildcard =
        f->local_ip.high == 0 &&
        (f->local_ip.is_ipv4 ? (uint32_t)f->local_ip.low == 0 : f->local_ip.low == 0);
    f->known |= (f->local_port != 0 ? FACT_LOCAL_PORT : 0) | (is_wildcard ? 0 : FACT_LOCAL_IP);
}

/*
 * TCP_INFO tells a TCP socket from everything else in one call: SO_PROTOCOL alone would mistake a
 * raw socket (SOCK_RAW, IPPROTO_TCP) or a netlink one (NETLINK_XFRM is 6 too) for TCP.
 */
bool sock_facts(int fd, unsigned wanted, struct facts *f)
{
    wanted &= ~f->known;
    if (sock_get(fd, IPPROTO_TCP, TCP_INFO, &f->state, sizeof(f->state)) != 0)
        return false;
    if (wanted & (FACT_LOCAL_IP | FACT_LOCAL_PORT))
        local_facts(fd, f);
    if (wanted & FACT_PEER && ask_endpoint(SYS_getpeername, fd, &f->peer_ip, &f->peer_port))
        f->known |= FACT_PEER;
    if (wanted & FACT_COOKIE &&
        sock_get(fd, SOL_SOCKET, SO_COOKIE, &f->cookie, sizeof(f->cookie)) == 0)
        f->known |= FACT_COOKIE;
    if (wanted & FACT_WHEN) {
        /* tcp_fin(): the peer's FIN takes ESTABLISHED to CLOSE_WAIT; our own then to LAST_ACK. */
        bool passive = f->state == TCP_CLOSE_WAIT || f->state == TCP_LAST_ACK;
        f->when = passive ? WHEN_PASSIVE : WHEN_ACTIVE;
        f->known |= FACT_WHEN;
    }
    return true;
}

void sock_withhold_share(struct facts *f)
{
    if (f->state == TCP_LISTEN || f->state == TCP_CLOSE)
        f->known &= ~FACT_COOKIE;
}

/* False, and all of it 0, where the kernel does not say. */
static bool ask_tcp(int fd, struct tcp_info *info)
{
    *info = (struct tcp_info){0};
    return sock_get(fd, IPPROTO_TCP, TCP_INFO, info, sizeof(*info)) == 0;
}

int sock_waiting(int fd)
{
    struct tcp_info info;

    /* For a listener tcpi_unacked is the length of its accept queue (tcp_get_info()). */
    return ask_tcp(fd, &info) && info.tcpi_state == TCP_LISTEN ? (int)info.tcpi_unacked : -1;
}

bool sock_is_connected(uint8_t state)
{
    return state == TCP_ESTABLISHED || state == TCP_CLOSE_WAIT || state == TCP_FIN_WAIT1 ||
           state == TCP_FIN_WAIT2;
}

/* MPTCP that fell back to TCP takes TCP_LINGER2, passes it to its subflow, and keeps TIME_WAIT. */
static bool is_mptcp(int fd)
{
    int protocol = 0;

    return sock_get(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, sizeof(protocol)) == 0 &&
           protocol == SOCK_IPPROTO_MPTCP;
}

/* MPTCP's error for an option that it lacks differs between kernels. */
static bool is_no_option(int error)
{
    return error == ENOPROTOOPT || error == EOPNOTSUPP;
}

const char *sock_apply(int fd, const struct verdict *verdict, bool at_birth)
{
    if (verdict->mode == MODE_OFF)
        return NULL;
    const struct mode_options options = mode_options(verdict->mode);
    struct linger linger = {options.linger_on, verdict->seconds};
    bool keeps_defaults = at_birth || verdict->gives_way;
    struct sock_linger now;
    bool stands = verdict->gives_way && sock_linger(fd, &now) && now.on;

    if ((!keeps_defaults || options.linger_on) && !stands &&
        sock_set(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) != 0)
        return "SO_LINGER";
    if (keeps_defaults && options.linger2 == 0)
        return NULL;
    if (!at_birth && options.linger2 < 0 && is_mptcp(fd)) {
        errno = EOPNOTSUPP;
        return "TCP_LINGER2";
    }
    if (sock_set(fd, IPPROTO_TCP, TCP_LINGER2, &options.linger2, sizeof(options.linger2)) == 0)
        return NULL;
    /* MPTCP has no TCP_LINGER2; where the default is wanted, nothing is missing. */
    return options.linger2 == 0 && is_no_option(errno) ? NULL : "TCP_LINGER2";
}

bool sock_linger(int fd, struct sock_linger *l)
{
    struct linger linger = {0, 0};

    if (sock_get(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) != 0)
        return false;
    l->on = linger.l_onoff != 0;
    l->seconds = linger.l_linger;
    l->linger2 = 0;
    l->has_linger2 = sock_get(fd, IPPROTO_TCP, TCP_LINGER2, &l->linger2, sizeof(l->linger2)) == 0;
    return true;
}

/* 0 restores the default, which follows the sysctl. A value equal to it may have been just that. */
static int put_back_linger2(int fd, int value)
{
    const int none = 0;
    int now = -1;

    if (sock_set(fd, IPPROTO_TCP, TCP_LINGER2, &none, sizeof(none)) != 0 ||
        sock_get(fd, IPPROTO_TCP, TCP_LINGER2, &now, sizeof(now)) != 0)
        return -1;
    return now == value ? 0 : sock_set(fd, IPPROTO_TCP, TCP_LINGER2, &value, sizeof(value));
}

const char *sock_put_back(int fd, const struct sock_linger *l)
{
    const struct linger linger = {l->on, l->seconds};

    if (sock_set(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) != 0)
        return "SO_LINGER";
    return l->has_linger2 && put_back_linger2(fd, l->linger2) != 0 ? "TCP_LINGER2" : NULL;
}

struct verdict sock_linger_mode(const struct sock_linger *l)
{
    struct verdict verdict = {0};

    if (l->on)
        verdict.mode = l->seconds == 0 ? MODE_RST : MODE_WAIT;
    else
        verdict.mode = l->linger2 < 0 ? MODE_FIN_RST : MODE_FIN;
    if (verdict.mode == MODE_WAIT)
        verdict.seconds = (uint16_t)(l->seconds < UINT16_MAX ? l->seconds : UINT16_MAX);
    return verdict;
}

bool sock_waits(int fd)
{
    struct linger linger = {0, 0};

    return sock_get(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0 && linger.l_onoff &&
           linger.l_linger != 0;
}

bool sock_holds_back(int fd)
{
    int is_corked = 0;

    return sock_get(fd, IPPROTO_TCP, TCP_CORK, &is_corked, sizeof(is_corked)) == 0 && is_corked;
}

bool sock_applied(int fd, struct verdict *verdict)
{
    struct sock_linger l;

    if (!sock_linger(fd, &l))
        return false;
    struct verdict now = sock_linger_mode(&l);
    verdict->mode = now.mode;
    verdict->seconds = now.seconds;
    return true;
}

static const struct {
    const char *name;
    int level;
    int option;
} switches[] = {
    [SOCK_REUSEADDR] = {"SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR},
    [SOCK_REUSEPORT] = {"SO_REUSEPORT", SOL_SOCKET, SO_REUSEPORT},
    [SOCK_BIND_NO_PORT] = {"IP_BIND_ADDRESS_NO_PORT", IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT},
};

const char *sock_switch_name(enum sock_switch option)
{
    return switches[option].name;
}

int sock_switch(int fd, enum sock_switch option, bool on)
{
    int value = on;

    return sock_set(fd, switches[option].level, switches[option].option, &value, sizeof(value));
}

/* Lets a thread that was woken run. */
static void yield(void)
{
    static const long shortest[] = {0, 1}; /* the kernel's own struct timespec */

    (void)kernel_call(SYS_nanosleep, (long)shortest, 0);
}

/*
 * connect() to AF_UNSPEC. Some kernels, 5.10 among them, refuse it with EBUSY while a thread waits
 * in the socket (tcp_disconnect(), sk_wait_pending). SHUT_RD wakes its readers; SHUT_WR a writer,
 * and the FIN stands behind what he could not send.
 */
static int disconnect(int fd)
{
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    int result;

    for (int tries = 0;; tries++) {
        result = (int)kernel_call(SYS_connect, fd, (long)&nobody, sizeof(nobody));
        if (result == 0 || errno != EBUSY || tries == 2 * WAKE_TRIES)
            return result;
        (void)kernel_call(SYS_shutdown, fd, tries < WAKE_TRIES ? SHUT_RD : SHUT_WR);
        yield();
    }
}

/* Three links are one thread and its directory's . and .. (proc_task_getattr()). */
static bool has_threads(void)
{
    struct kernel_status status = {0};

    return kernel_statx(AT_FDCWD, "/proc/self/task", KERNEL_STATUS_NLINK, &status) == 0 &&
           status.nlink > 3;
}

/*
 * A reader that is still blocked when the connection is aborted gets EPIPE (sk_wait_event()); after
 * SHUT_RD it wakes with end of file. It must run to see that.
 */
static void release_readers(int fd, bool is_foreign)
{
    (void)kernel_call(SYS_shutdown, fd, SHUT_RD);
    if (is_foreign || has_threads())
        yield();
}

int sock_abort(int fd, bool is_foreign)
{
    int pending;

    release_readers(fd, is_foreign);

    if (disconnect(fd) != 0)
        return -1;
    /* tcp_disconnect() leaves ECONNRESET for the next call; plain shutdown() leaves nothing. */
    (void)sock_get(fd, SOL_SOCKET, SO_ERROR, &pending, sizeof(pending));
    /* Fails with ENOTCONN, and yet marks both directions as shut down (inet_shutdown()). */
    (void)kernel_call(SYS_shutdown, fd, SHUT_RDWR);
    return 0;
}

const char *sock_end(int fd, const struct verdict *verdict)
{
    bool aborts = verdict->mode == MODE_RST;
    const char *refused = aborts ? NULL : sock_apply(fd, verdict, false);

    if (aborts && disconnect(fd) != 0)
        refused = "connect";
    /* After that it fails with ENOTCONN, and yet the calls after ECONNRESET get EOF and EPIPE. */
    if (!refused && kernel_call(SYS_shutdown, fd, SHUT_RDWR) != 0 && !aborts)
        refused = "shutdown";
    return refused;
}

bool sock_has_lost_connection(int fd)
{
    struct tcp_info info;

    return ask_tcp(fd, &info) && info.tcpi_state == TCP_CLOSE && info.tcpi_rtt > 0;
}

bool sock_idle(int fd, uint32_t *milliseconds)
{
    struct tcp_info info;

    if (!ask_tcp(fd, &info))
        return false;
    *milliseconds = info.tcpi_last_data_recv < info.tcpi_last_data_sent ? info.tcpi_last_data_recv
                                                                        : info.tcpi_last_data_sent;
    return true;
}

void sock_queues(int fd, int state, uint32_t *unsent, uint32_t *unread)
{
    bool has_fin = state == TCP_FIN_WAIT1 || state == TCP_CLOSING || state == TCP_LAST_ACK;
    int out = 0;
    int in = 0;

    (void)kernel_call(SYS_ioctl, fd, SIOCOUTQ, (long)&out);
    (void)kernel_call(SYS_ioctl, fd, SIOCINQ, (long)&in);
    out -= has_fin;
    *unsent = out > 0 ? (uint32_t)out : 0;
    *unread = in > 0 ? (uint32_t)in : 0;
}

/*
 * A peer whose window is zero is probed by segments without data, and answers. Where data is
 * unacknowledged, the kernel sends it again, to a zero window too (tcp_retransmit_timer()), each
 * time after twice as long: the current interval less the first one is for how long it has. Without
 * timestamps an acknowledgement may leave that interval as it was (RFC 6298).
 */
uint32_t sock_stuck(int fd, uint8_t state)
{
    struct tcp_info info;
    uint32_t unsent;
    uint32_t unread;

    sock_queues(fd, state, &unsent, &unread);
    if (unsent == 0)
        return 0;
    (void)ask_tcp(fd, &info);
    bool sends_again = info.tcpi_unacked > 0 && info.tcpi_options & TCPI_OPT_TIMESTAMPS;
    uint32_t interval = info.tcpi_rto / 1000;
    return info.tcpi_last_data_sent +
           (sends_again && info.tcpi_backoff < 32 ? interval - (interval >> info.tcpi_backoff) : 0);
}

bool sock_is_open(int fd)
{
    int type;

    return sock_get(fd, SOL_SOCKET, SO_TYPE, &type, sizeof(type)) == 0 || errno != EBADF;
}

enum sock_lack sock_lacks(int fd, const struct sockaddr *peer, socklen_t length)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in; /* sin_port and sin6_port are at one place */
        struct sockaddr_in6 in6;
    } local = {.any.sa_family = AF_UNSPEC};
    socklen_t size = sizeof(local);
    enum sock_lack lack = SOCK_LACKS_NONE;
    int udp = (int)kernel_call(SYS_socket, peer->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    (void)kernel_call(SYS_getsockname, fd, (long)&local, (long)&size);
    local.in.sin_port = 0;
    if (kernel_call(SYS_bind, udp, (long)&local, size) != 0)
        lack = errno == EADDRNOTAVAIL ? SOCK_LACKS_LOCAL : SOCK_LACKS_NONE;
    else if (kernel_call(SYS_connect, udp, (long)peer, length) != 0)
        lack = errno == EADDRNOTAVAIL ? SOCK_LACKS_SOURCE : SOCK_LACKS_NONE;
    kernel_close(udp);
    return lack;
}
