/* SPDX-License-Identifier: MIT */
/* Addresses and ports, as policies read, write and compare them. */
#pragma once

#include "policy/cursor.h"

#define ADDRESS_ACCEPTED_PORT "a port is 1 to 65535 or a range LOW-HIGH, as in 80,8000-8999"

/* An address of 16 bytes in network order (IPv4 as ::ffff:a.b.c.d) as policies compare it. */
struct policy_ip address_ip(const uint8_t bytes[16]);

static inline bool address_is_same(struct policy_ip a, struct policy_ip b)
{
    return a.high == b.high && a.low == b.low;
}

static inline bool address_is_loopback(struct policy_ip ip)
{
    return ip.high == 0 && (ip.is_ipv4 ? (ip.low >> 24 & 0xff) == 127 : ip.low == 1);
}

/* Writes an address and, unless it is 0, a port: 192.0.2.1:80, [2001:db8::1]:80. */
void address_print_endpoint(struct text *out, struct policy_ip ip, uint16_t port);

/* PORT or LOW-HIGH; false where it is neither. */
bool address_read_ports(const struct cursor *p, struct span s, struct policy_ports *ports);
void address_print_ports(struct text *out, struct policy_ports ports);
bool address_port_in(struct policy_ports ports, uint16_t port);

/* ADDR[/LEN][:PORT[-PORT]] or :PORT[-PORT]. */
int address_read(struct cursor *p, struct span value, struct policy_address *address);
void address_print(struct text *out, const struct policy_address *address);

/* Is every address and port of `narrow` one of `wide`? */
bool address_covers(const struct policy_address *wide, const struct policy_address *narrow);

/* Is it one of the policy's addresses in `run`? An unknown part is NULL. */
enum truth address_holds(const struct policy *policy, struct policy_run run,
                         const struct policy_ip *ip, const uint16_t *port);

/* The facts that those addresses need: `ip`, `port` or both. */
unsigned address_needs(const struct policy *policy, struct policy_run run, unsigned ip,
                       unsigned port);
