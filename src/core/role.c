/* One bit a port, and the ephemeral range: all that is kept of sockets. No descriptor is known. */
#include "role.h"

#include <netinet/tcp.h>

#include "kernel.h"

#define PORTS 65536

static struct {
    uint16_t low;
    uint16_t high;
} ephemeral = {32768, 60999}; /* the kernel's own default */
static uint32_t served[PORTS / 32];

void role_note_served(uint16_t port)
{
    __atomic_fetch_or(&served[port / 32], 1u << port % 32, __ATOMIC_RELAXED);
}

static bool is_served(uint16_t port)
{
    bool noted = __atomic_load_n(&served[port / 32], __ATOMIC_RELAXED) >> port % 32 & 1;

    return noted || port < ephemeral.low || port > ephemeral.high;
}

/* Two numbers separated by blanks; where they are not to be had the default stays. */
void role_read_range(void)
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
    if (numbers[0] != 0 && numbers[1] >= numbers[0] && numbers[1] < PORTS) {
        ephemeral.low = (uint16_t)numbers[0];
        ephemeral.high = (uint16_t)numbers[1];
    }
}

void role_complete(struct facts *facts, unsigned wanted)
{
    bool server = facts->state == TCP_LISTEN ||
                  (facts->state != TCP_SYN_SENT && is_served(facts->local_port));

    /* The share is drawn for a connection, never for a listener or what may become one. */
    if (facts->state == TCP_LISTEN || facts->state == TCP_CLOSE)
        facts->known &= ~FACT_COOKIE;
    if (facts->state == TCP_CLOSE)
        return;
    facts->role = server ? ROLE_SERVER : ROLE_CLIENT;
    facts->known |= wanted & FACT_ROLE;
}
