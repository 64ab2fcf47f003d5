/* SPDX-License-Identifier: MIT */
/* Reads only the range; keeps two bits for each port, and no descriptor. */
#include "socket/role.h"

#include <netinet/tcp.h>

#include "base/kernel.h"

#define DEFAULT_LOW 32768 /* inet_init_net(), net/ipv4/af_inet.c */
#define DEFAULT_HIGH 60999

static void note(uint32_t bits[], uint16_t port)
{
    __atomic_fetch_or(&bits[port / 32], 1u << port % 32, __ATOMIC_RELAXED);
}

static bool is_noted(const uint32_t bits[], uint16_t port)
{
    return __atomic_load_n(&bits[port / 32], __ATOMIC_RELAXED) >> port % 32 & 1;
}

void role_note_served(struct role_ports *ports, uint16_t port)
{
    note(ports->served, port);
}

void role_note(struct role_ports *ports, const struct facts *facts)
{
    if (facts->known & FACT_ROLE && facts->known & FACT_LOCAL_PORT)
        note(facts->role == ROLE_SERVER ? ports->served : ports->connected, facts->local_port);
}

bool role_is_served(const struct role_ports *ports, uint16_t port)
{
    if (is_noted(ports->served, port) || is_noted(ports->connected, port))
        return is_noted(ports->served, port);
    return port < ports->low || port > ports->high;
}

/* Two numbers separated by blanks. */
void role_read_range(struct role_ports *ports)
{
    int fd = kernel_open("/proc/sys/net/ipv4/ip_local_port_range", O_RDONLY | O_CLOEXEC, 0);
    unsigned numbers[2] = {0, 0};
    char text[32] = {0};
    ssize_t length = fd < 0 ? 0 : kernel_read(fd, text, sizeof(text));
    int at = 0;

    if (fd >= 0)
        kernel_close(fd);
    for (ssize_t i = 0; i < length && at < 2; i++) {
        bool is_digit = text[i] >= '0' && text[i] <= '9';
        if (is_digit)
            numbers[at] = numbers[at] * 10 + (unsigned)(text[i] - '0');
        else if (numbers[at] != 0)
            at++;
    }
    bool is_range = numbers[1] != 0; /* the kernel keeps them in order, and below 65536 */
    ports->low = (uint16_t)(is_range ? numbers[0] : DEFAULT_LOW);
    ports->high = (uint16_t)(is_range ? numbers[1] : DEFAULT_HIGH);
}

void role_complete(struct role_ports *ports, struct facts *facts, unsigned wanted)
{
    bool server;

    if (facts->state == TCP_LISTEN && facts->known & FACT_LOCAL_PORT)
        role_note_served(ports, facts->local_port);
    server = facts->state == TCP_LISTEN ||
             (facts->state != TCP_SYN_SENT && role_is_served(ports, facts->local_port));
    /* The share is drawn for a connection, never for a listener or what may become one. */
    if (facts->state == TCP_LISTEN || facts->state == TCP_CLOSE)
        facts->known &= ~FACT_COOKIE;
    if (facts->state == TCP_CLOSE)
        return;
    facts->role = server ? ROLE_SERVER : ROLE_CLIENT;
    facts->known |= wanted & FACT_ROLE;
}
