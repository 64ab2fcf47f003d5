/* SPDX-License-Identifier: MIT */
/*
 * The kernel does not say who connected, but it counts: the client's SYN is a byte that the peer
 * has acknowledged and that is not payload (tcp_snd_una_update()); a server's socket is made when
 * its own SYN has been. Keeps nothing.
 */
#include "socket/role.h"

#include <assert.h>
#include <linux/sockios.h> /* SIOCOUTQ */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "base/kernel.h"
#include "socket/sock.h"

#define DEFAULT_LOW 32768 /* inet_init_net(), net/ipv4/af_inet.c */
#define DEFAULT_HIGH 60999
#define RESERVED_SIZE 262144 /* "1,3,5," and so on take 190 KiB */
#define TRIES 8              /* to see nothing sent or acknowledged between two questions */

/* The beginning of struct tcp_info of linux/tcp.h, which glibc's headers cut short. */
struct progress {
    uint8_t state;
    uint8_t options[23];
    uint32_t unacked; /* packets */
    uint32_t rtt_and_more[23];
    uint64_t bytes_acked;
    uint64_t bytes_received;
    uint32_t segs_out;
    uint32_t segs_in;
    uint32_t notsent_bytes;
    uint32_t min_rtt;
    uint32_t data_segs_in;
    uint32_t data_segs_out;
    uint64_t rates[4];
    uint32_t delivered[2];
    uint64_t bytes_sent; /* Linux 4.19; a retransmission counts again */
    uint64_t bytes_retrans;
};
static_assert(offsetof(struct progress, bytes_acked) == 120, "tcpi_bytes_acked");
static_assert(offsetof(struct progress, bytes_sent) == 200, "tcpi_bytes_sent");

static bool ask_progress(int fd, struct progress *progress)
{
    *progress = (struct progress){0};
    return sock_get(fd, IPPROTO_TCP, TCP_INFO, progress, sizeof(*progress)) == 0;
}

static bool stood_still(const struct progress *a, const struct progress *b)
{
    return a->state == b->state && a->bytes_acked == b->bytes_acked &&
           a->bytes_sent == b->bytes_sent && a->bytes_retrans == b->bytes_retrans &&
           a->notsent_bytes == b->notsent_bytes;
}

/* Payload that was sent and is not acknowledged, or -1 if that changes all the time. */
static int ask_in_flight(int fd, struct progress *now)
{
    struct progress before;
    int queued = 0;

    for (int i = 0; i < TRIES && now->unacked > 0; i++) {
        before = *now;
        (void)kernel_call(SYS_ioctl, fd, SIOCOUTQ, (long)&queued);
        if (!ask_progress(fd, now))
            return -1;
        if (stood_still(&before, now)) {
            uint8_t state = now->state; /* our FIN, if it was sent, counts as a byte */
            bool has_fin = state == TCP_FIN_WAIT1 || state == TCP_CLOSING || state == TCP_LAST_ACK;
            return queued - (int)now->notsent_bytes - (has_fin && now->notsent_bytes == 0);
        }
    }
    return now->unacked > 0 ? -1 : 0;
}

/*
 * False where the numbers do not show it: where bytes_sent is not counted, and where a packet was
 * lost on its way out of this host, which counts in bytes_sent and not in bytes_retrans.
 */
static bool ask_role(int fd, uint8_t *role)
{
    struct progress p;
    int in_flight = ask_progress(fd, &p) ? ask_in_flight(fd, &p) : -1;

    if (in_flight < 0 || (p.bytes_sent == 0 && p.data_segs_out > 0))
        return false;
    uint64_t payload = p.bytes_sent - p.bytes_retrans - (uint64_t)in_flight;
    uint64_t others = p.bytes_acked - payload - (p.state == TCP_FIN_WAIT2); /* our FIN */
    *role = others == 0 ? ROLE_SERVER : ROLE_CLIENT;
    return others <= 1;
}

/* Two numbers separated by blanks. */
void role_read_range(struct role_range *range)
{
    int fd = kernel_open("/proc/sys/net/ipv4/ip_local_port_range", O_RDONLY | O_CLOEXEC, 0);
    unsigned numbers[2] = {0, 0};
    char text[32] = {0};
    ssize_t length = kernel_read(fd, text, sizeof(text));
    int at = 0;

    kernel_close(fd);
    for (ssize_t i = 0; i < length && at < 2; i++) {
        bool is_digit = text[i] >= '0' && text[i] <= '9';
        if (is_digit)
            numbers[at] = numbers[at] * 10 + (unsigned)(text[i] - '0');
        else if (numbers[at] != 0)
            at++;
    }
    bool is_range = numbers[1] != 0; /* the kernel keeps them in order, and below 65536 */
    range->low = (uint16_t)(is_range ? numbers[0] : DEFAULT_LOW);
    range->high = (uint16_t)(is_range ? numbers[1] : DEFAULT_HIGH);
}

/* "8080,30000-30010", and a newline. */
static void mark_reserved(const char *text, ssize_t length, struct role_range range,
                          bool reserved[])
{
    unsigned first = 0;
    unsigned number = 0;

    for (ssize_t i = 0; i < length; i++) {
        if (text[i] >= '0' && text[i] <= '9') {
            number = number * 10 + (unsigned)(text[i] - '0');
        } else if (text[i] == '-') {
            first = number;
            number = 0;
        } else {
            for (unsigned port = first ? first : number; port <= number; port++) {
                if (port >= range.low && port <= range.high)
                    reserved[port - range.low] = true;
            }
            first = number = 0;
        }
    }
}

/* The kernel answers the first read alone, of as much as there is room for. */
void role_read_reserved(struct role_range range, bool reserved[])
{
    int fd = kernel_open("/proc/sys/net/ipv4/ip_local_reserved_ports", O_RDONLY | O_CLOEXEC, 0);
    char *text =
        mmap(NULL, RESERVED_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (text != MAP_FAILED) {
        mark_reserved(text, kernel_read(fd, text, RESERVED_SIZE), range, reserved);
        munmap(text, RESERVED_SIZE);
    }
    kernel_close(fd);
}

/* By the local port. */
static uint8_t guess_role(int fd, struct facts *facts)
{
    struct role_range range;

    (void)sock_facts(fd, FACT_LOCAL_PORT, facts);
    role_read_range(&range);
    return facts->local_port < range.low || facts->local_port > range.high ? ROLE_SERVER
                                                                           : ROLE_CLIENT;
}

void role_add(int fd, struct facts *facts, unsigned wanted)
{
    if (!(wanted & FACT_ROLE) || facts->state == TCP_CLOSE)
        return;
    if (facts->state == TCP_LISTEN || facts->state == TCP_SYN_SENT)
        facts->role = facts->state == TCP_LISTEN ? ROLE_SERVER : ROLE_CLIENT;
    else if (!ask_role(fd, &facts->role))
        facts->role = guess_role(fd, facts);
    facts->known |= FACT_ROLE;
}
