/* SPDX-License-Identifier: MIT */
/*
 * Addresses and ports in a policy: how local=, peer= and port= are read, written and compared.
 * Pure.
 */
#include "policy/address.h"

#include <arpa/inet.h>
#include <string.h>

#define PORT_MAX 65535

#define ACCEPTED_ADDRESS                                                                           \
    "an address is ADDR[/LEN][:PORT[-PORT]] or :PORT, as in 10.0.0.0/8, [2001:db8::]/32, [::1]:80"
#define ACCEPTED_BRACKETS "an IPv6 address is written in brackets, as in [::1] or [2001:db8::]/32"
#define ACCEPTED_PREFIX "a prefix length is 0 to 32 for IPv4, 0 to 128 for IPv6"

bool address_read_ports(const struct cursor *p, struct span s, struct policy_ports *ports)
{
    bool is_range = memchr(p->text + s.at, '-', s.length) != NULL;
    struct span head = cursor_until(p, &s, '-');
    uint32_t low;
    uint32_t high;

    if (!cursor_number(p, head, PORT_MAX, &low) || low == 0)
        return false;
    high = low;
    if (is_range && (!cursor_number(p, s, PORT_MAX, &high) || high < low))
        return false;
    *ports = (struct policy_ports){(uint16_t)low, (uint16_t)high};
    return true;
}

struct policy_ip address_ip(const uint8_t bytes[16])
{
    struct policy_ip ip = {0, 0, false};

    for (int i = 0; i < 8; i++) {
        ip.high = ip.high << 8 | bytes[i];
        ip.low = ip.low << 8 | bytes[i + 8];
    }
    ip.is_ipv4 = ip.high == 0 && ip.low >> 32 == 0xffff;
    return ip;
}

/* inet_pton() of a span into 16 bytes; IPv4 becomes ::ffff:a.b.c.d. */
static bool parse_ip(const struct cursor *p, struct span s, int family, struct policy_ip *ip)
{
    char name[INET6_ADDRSTRLEN];
    uint8_t bytes[16] = {[10] = 0xff, [11] = 0xff};

    if (s.length >= sizeof(name))
        return false;
    memcpy(name, p->text + s.at, s.length);
    name[s.length] = '\0';
    if (strlen(name) != s.length ||
        inet_pton(family, name, family == AF_INET ? bytes + 12 : bytes) != 1)
        return false;
    *ip = address_ip(bytes);
    return true;
}

static void mask_address(struct policy_address *address, uint32_t prefix)
{
    address->mask_high = prefix >= 64 ? UINT64_MAX : prefix == 0 ? 0 : UINT64_MAX << (64 - prefix);
    address->mask_low = prefix <= 64 ? 0 : UINT64_MAX << (128 - prefix);
    address->ip.high &= address->mask_high;
    address->ip.low &= address->mask_low;
    /* [::]/0 is every IPv6 address, 0.0.0.0/0 every IPv4 one: neither holds the other's. */
    address->ip.is_ipv4 = address->ip.is_ipv4 && prefix >= 96;
}

/* Takes the [/LEN] at the head of `s`; without one the whole address counts. */
static int parse_prefix(struct cursor *p, struct span *s, struct policy_address *address)
{
    bool is_dotted = p->text[s->at - 1] != ']';
    uint32_t prefix = 128;

    if (s->length > 0 && p->text[s->at] == '/') {
        struct span rest = {s->at + 1, s->length - 1};
        struct span digits = {rest.at, 0};

        while (digits.length < rest.length && cursor_is_digit(p->text[digits.at + digits.length]))
            digits.length++;
        if (!cursor_number(p, digits, is_dotted ? 32 : 128, &prefix))
            return cursor_fail(p, digits, "bad prefix length", ACCEPTED_PREFIX);
        prefix += is_dotted ? 96 : 0;
        s->at = digits.at + digits.length;
        s->length = rest.length - digits.length;
    }
    mask_address(address, prefix);
    return 0;
}

/* Is it IPv6 without brackets? Up to its second colon there is no dot. */
static bool is_bare_ipv6(const struct cursor *p, struct span s)
{
    unsigned colons = 0;

    for (size_t i = 0; i < s.length && colons < 2; i++) {
        if (p->text[s.at + i] == '.')
            return false;
        colons += p->text[s.at + i] == ':';
    }
    return colons == 2;
}

/* Takes the ADDR at the head of `s`: dotted, or IPv6 in brackets. */
static int parse_address_head(struct cursor *p, struct span value, struct span *s,
                              struct policy_ip *ip)
{
    size_t length = 0;

    if (p->text[s->at] == '[') {
        struct span inside = {s->at + 1, s->length - 1};
        const char *end = memchr(p->text + inside.at, ']', inside.length);
        if (!end)
            return cursor_fail(p, value, "missing ']' in", ACCEPTED_BRACKETS);
        inside = cursor_until(p, &inside, ']');
        if (!parse_ip(p, inside, AF_INET6, ip))
            return cursor_fail(p, inside, "bad IPv6 address", ACCEPTED_ADDRESS);
        length = inside.length + 2;
    } else {
        while (length < s->length && !strchr("/:", p->text[s->at + length]))
            length++;
        struct span head = {s->at, length};
        if (is_bare_ipv6(p, value))
            return cursor_fail(p, value, "IPv6 address without brackets", ACCEPTED_BRACKETS);
        if (!parse_ip(p, head, AF_INET, ip))
            return cursor_fail(p, head, "bad address", ACCEPTED_ADDRESS);
    }
    s->at += length;
    s->length -= length;
    return 0;
}

int address_read(struct cursor *p, struct span value, struct policy_address *address)
{
    struct span s = value;

    *address = (struct policy_address){.ports = {0, PORT_MAX}};
    if (p->text[s.at] == ':' && !is_bare_ipv6(p, value)) {
        address->any_ip = true;
    } else if (parse_address_head(p, value, &s, &address->ip) != 0 ||
               parse_prefix(p, &s, address) != 0) {
        return -1;
    }
    if (s.length == 0)
        return 0;
    struct span ports = {s.at + 1, s.length - 1};
    if (p->text[s.at] != ':')
        return cursor_fail(p, s, "unexpected", ACCEPTED_ADDRESS);
    if (!address_read_ports(p, ports, &address->ports))
        return cursor_fail(p, ports, "bad port", ADDRESS_ACCEPTED_PORT);
    return 0;
}

static void print_hex(struct text *out, unsigned group)
{
    static const char digits[] = "0123456789abcdef";

    for (int shift = 12; shift >= 0; shift -= 4) {
        if (group >> shift != 0 || shift == 0)
            text_put_char(out, digits[group >> shift & 0xf]);
    }
}

static unsigned ip_group(struct policy_ip ip, int group)
{
    uint64_t shifted = group < 4 ? ip.high >> (48 - 16 * group) : ip.low >> (112 - 16 * group);

    return (unsigned)(shifted & 0xffff);
}

/* The longest run of two or more zero groups, which "::" stands for (RFC 5952, 4.2). */
static int longest_zeros(struct policy_ip ip, int *length)
{
    int best = -1;

    *length = 1;
    for (int start = 0; start < 8; start++) {
        int end = start;
        while (end < 8 && ip_group(ip, end) == 0)
            end++;
        if (end - start > *length) {
            best = start;
            *length = end - start;
        }
    }
    return best;
}

static void print_ip(struct text *out, struct policy_ip ip)
{
    int length;
    int zeros = longest_zeros(ip, &length);

    if (ip.is_ipv4) {
        for (int shift = 24; shift >= 0; shift -= 8) {
            text_put(out, shift < 24 ? "." : "");
            text_put_number(out, ip.low >> shift & 0xff);
        }
        return;
    }
    text_put_char(out, '[');
    for (int group = 0; group < 8; group++) {
        if (group == zeros) {
            text_put(out, "::");
            group += length - 1;
            continue;
        }
        print_hex(out, ip_group(ip, group));
        if (group < 7 && group + 1 != zeros)
            text_put_char(out, ':');
    }
    text_put_char(out, ']');
}

void address_print_endpoint(struct text *out, struct policy_ip ip, uint16_t port)
{
    print_ip(out, ip);
    if (port != 0) {
        text_put_char(out, ':');
        text_put_number(out, port);
    }
}

void address_print_ports(struct text *out, struct policy_ports ports)
{
    text_put_number(out, ports.low);
    if (ports.high != ports.low) {
        text_put_char(out, '-');
        text_put_number(out, ports.high);
    }
}

void address_print(struct text *out, const struct policy_address *a)
{
    unsigned prefix =
        (unsigned)(__builtin_popcountll(a->mask_high) + __builtin_popcountll(a->mask_low));
    bool has_ports = a->ports.low != 0;

    if (!a->any_ip) {
        print_ip(out, a->ip);
        if (prefix < 128) {
            text_put_char(out, '/');
            text_put_number(out, prefix - (a->ip.is_ipv4 ? 96 : 0));
        }
    }
    if (has_ports) {
        text_put_char(out, ':');
        address_print_ports(out, a->ports);
    }
}

bool address_port_in(struct policy_ports ports, uint16_t port)
{
    return port >= ports.low && port <= ports.high;
}

static bool ip_matches(const struct policy_address *a, const struct policy_ip *ip)
{
    uint64_t differs =
        ((ip->high & a->mask_high) ^ a->ip.high) | ((ip->low & a->mask_low) ^ a->ip.low);

    return differs == 0 && ip->is_ipv4 == a->ip.is_ipv4;
}

bool address_covers(const struct policy_address *wide, const struct policy_address *narrow)
{
    bool has_port = address_port_in(wide->ports, narrow->ports.low) &&
                    address_port_in(wide->ports, narrow->ports.high);
    bool is_longer =
        !(wide->mask_high & ~narrow->mask_high) && !(wide->mask_low & ~narrow->mask_low);
    bool has_ip = wide->any_ip || (!narrow->any_ip && is_longer && ip_matches(wide, &narrow->ip));

    return has_port && has_ip;
}

static enum truth port_matches(const struct policy_address *a, const uint16_t *port)
{
    bool any_port = a->ports.low == 0;

    return any_port ? TRUTH_YES : policy_truth(port, port && address_port_in(a->ports, *port));
}

enum truth address_holds(const struct policy *policy, struct policy_run run,
                         const struct policy_ip *ip, const uint16_t *port)
{
    const struct policy_address *a = &policy->addresses[run.first];
    enum truth result = TRUTH_NO;

    for (const struct policy_address *end = a + run.count; a < end; a++) {
        /* Most comparisons end here, so a long list is fast. */
        if (ip && !ip_matches(a, ip) && !a->any_ip)
            continue;
        enum truth by_port = port_matches(a, port);
        if (by_port == TRUTH_YES && (ip || a->any_ip))
            return TRUTH_YES;
        if (by_port != TRUTH_NO)
            result = TRUTH_UNKNOWN;
    }
    return result;
}

unsigned address_needs(const struct policy *policy, struct policy_run run, unsigned ip,
                       unsigned port)
{
    unsigned needs = 0;

    for (unsigned i = 0; i < run.count; i++) {
        const struct policy_address *a = &policy->addresses[run.first + i];
        needs |= (a->any_ip ? 0 : ip) | (a->ports.low == 0 ? 0 : port);
    }
    return needs;
}
