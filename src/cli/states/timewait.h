/* What a dump of TCP sockets adds up to: counted once, printed by states.c in its three forms. */
#ifndef LINGER_STATES_TIMEWAIT_H
#define LINGER_STATES_TIMEWAIT_H

#include <sys/types.h>

#include "sockets/sockets.h"
#include "system/holders.h"

#define TIME_WAIT_SECONDS 60 /* TCP_TIMEWAIT_LEN, include/net/tcp.h: fixed in the kernel */

/*
 * One end as others see it: a destination that this machine connects to (address and port), or a
 * peer (address alone) of a port that this machine serves.
 */
struct timewait_peer {
    struct policy_ip local; /* of a destination: ports are used up for each local address */
    struct policy_ip peer;
    uint16_t peer_port;  /* of a destination, else 0 */
    uint16_t local_port; /* of a served port, else 0 */
    unsigned time_wait;
    unsigned used; /* of a destination: ephemeral ports towards it, TIME_WAIT among them */
};

struct timewait_sysctls {
    unsigned port_low; /* net.ipv4.ip_local_port_range */
    unsigned port_high;
    int tw_reuse;    /* net.ipv4.tcp_tw_reuse; -1 where it cannot be read */
    int fin_timeout; /* net.ipv4.tcp_fin_timeout, seconds */
    int somaxconn;   /* net.core.somaxconn */
};

struct timewait {
    unsigned states[DIAG_STATES];
    struct timewait_peer *peers; /* the most TIME_WAIT first */
    size_t peer_count;
    struct timewait_peer busiest; /* the destination with the most used ports; none: used is 0 */
    struct diag_socket full;      /* a listener whose accept queue is full; none: state is 0 */
    struct holder *owing;         /* who holds sockets in CLOSE_WAIT, one entry a socket, by pid */
    size_t owing_count;
    struct timewait_sysctls sysctls;
};

/* Sums up. Returns 0, or -1 and errno. timewait_free() gives back what it allocated. */
int timewait_sum(struct timewait *sum, const struct sockets *sockets);
void timewait_free(struct timewait *sum);

/* Ephemeral ports in the range. */
unsigned timewait_range(const struct timewait *sum);

#endif
