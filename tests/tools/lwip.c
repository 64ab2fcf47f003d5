/* SPDX-License-Identifier: MIT */
/*
 * A peer with a TCP of its own, lwIP's, which has 10.9.0.2 of a TUN device; it takes 65,535 bytes
 * before its program reads.
 *
 *     lwip DEVICE connect PORT WHEN
 *     lwip DEVICE listen WHEN
 *
 * Does and prints what netstack.go does. (lwIP's own tapif overruns its heap, so that the packets
 * are carried here.)
 */
#include <fcntl.h>
#include <net/if.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/if_tun.h>

#include <lwip/api.h>
#include <lwip/ip.h>
#include <lwip/tcp.h>
#include <lwip/tcpip.h>

static struct netif interface;
static int tun;

static void fail(const char *what, err_t problem)
{
    if (problem != ERR_OK) {
        printf("%s: %d\n", what, problem);
        exit(1);
    }
}

static err_t send_packet(struct netif *to, struct pbuf *chain, const ip4_addr_t *address)
{
    char packet[2000];
    u16_t length = pbuf_copy_partial(chain, packet, sizeof(packet), 0);

    (void)to;
    (void)address;
    return write(tun, packet, length) == length ? ERR_OK : ERR_IF;
}

static void *receive_packets(void *unused)
{
    char packet[2000];
    ssize_t length;

    while ((length = read(tun, packet, sizeof(packet))) > 0) {
        struct pbuf *chain = pbuf_alloc(PBUF_LINK, (u16_t)length, PBUF_RAM);

        pbuf_take(chain, packet, (u16_t)length);
        if (interface.input(chain, &interface) != ERR_OK)
            pbuf_free(chain);
    }
    return unused;
}

static err_t set_up(struct netif *new)
{
    new->output = send_packet;
    new->mtu = 1500;
    new->flags |= NETIF_FLAG_LINK_UP;
    return ERR_OK;
}

static void is_ready(void *semaphore)
{
    sys_sem_signal(semaphore);
}

static void attach(const char *device)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    ip4_addr_t ours, mask, theirs;
    pthread_t thread;
    sys_sem_t ready;

    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", device);
    tun = open("/dev/net/tun", O_RDWR);
    fail("device", ioctl(tun, TUNSETIFF, &request) == 0 ? ERR_OK : ERR_IF);
    fail("semaphore", sys_sem_new(&ready, 0));
    tcpip_init(is_ready, &ready);
    sys_arch_sem_wait(&ready, 0);
    IP4_ADDR(&ours, 10, 9, 0, 2);
    IP4_ADDR(&mask, 255, 255, 255, 0);
    IP4_ADDR(&theirs, 10, 9, 0, 1);
    LOCK_TCPIP_CORE();
    netif_add(&interface, &ours, &mask, &theirs, NULL, set_up, tcpip_input);
    netif_set_default(&interface);
    netif_set_up(&interface);
    UNLOCK_TCPIP_CORE();
    fail("thread", pthread_create(&thread, NULL, receive_packets, NULL) == 0 ? ERR_OK : ERR_MEM);
}

static struct netconn *call(int port)
{
    struct netconn *connection = netconn_new(NETCONN_TCP);
    ip_addr_t address;

    IP_ADDR4(&address, 10, 9, 0, 1);
    fail("connect", netconn_connect(connection, &address, (u16_t)port));
    return connection;
}

static struct netconn *serve(void)
{
    struct netconn *listener = netconn_new(NETCONN_TCP), *connection;
    ip_addr_t address;
    u16_t port;

    fail("bind", netconn_bind(listener, IP4_ADDR_ANY, 0));
    fail("listen", netconn_listen(listener));
    fail("address", netconn_addr(listener, &address, &port));
    printf("port %d\n", port);
    fflush(stdout);
    fail("accept", netconn_accept(listener, &connection));
    return connection;
}

/* Waits for "FIN" or "RST"; a reset takes the connection's control block away. */
static void await(const struct netconn *connection, const char *when)
{
    int here = strcmp(when, "once") == 0;

    while (!here) {
        LOCK_TCPIP_CORE();
        here = strcmp(when, "RST") == 0
                   ? connection->pcb.tcp == NULL
                   : connection->pcb.tcp && connection->pcb.tcp->state == CLOSE_WAIT;
        UNLOCK_TCPIP_CORE();
    }
}

int main(int argc, char **argv)
{
    struct netconn *connection;
    struct pbuf *chain;
    long bytes = 0;
    err_t end;

    alarm(100);
    attach(argv[1]);
    connection = strcmp(argv[2], "connect") == 0 ? call(atoi(argv[3])) : serve();
    fail("write", netconn_write(connection, "k", 1, NETCONN_COPY));
    await(connection, argv[argc - 1]);
    while ((end = netconn_recv_tcp_pbuf(connection, &chain)) == ERR_OK) {
        bytes += chain->tot_len;
        pbuf_free(chain);
    }
    printf("bytes=%ld %s\n", bytes,
           end == ERR_CLSD  ? "EOF"
           : end == ERR_RST ? "ECONNRESET"
                            : "another error");
    fflush(stdout);
    _exit(0);
}
