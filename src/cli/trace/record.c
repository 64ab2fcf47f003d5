/* SPDX-License-Identifier: MIT */
/*
 * The text of tracefs's format files and the bytes that it describes. Offsets and the numbers of
 * reasons differ between kernels, so both are read. Must never read beyond what an event has.
 */
#include "cli/trace/record.h"

#include <endian.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/address.h"
#include "socket/sock.h"

/* enum trace_flag_type of include/linux/trace_events.h */
#define FLAG_HARDIRQ 0x08
#define FLAG_SOFTIRQ 0x10
#define FLAG_BH_OFF 0x80 /* since Linux 6.0 */

#define SOCKADDR_SIZE 28u /* of struct sockaddr_in6: tcp_send_reset since Linux 6.10 */

/* "field:__u8 saddr[4];	offset:32;	size:4;	signed:0;" */
static struct format_field find(const char *text, const char *name)
{
    struct format_field field = {0, 0};
    size_t length = strlen(name);

    for (const char *at = text; (at = strstr(at, name)); at++) {
        const char *end = at + length;
        unsigned offset, size;
        if (at == text || at[-1] != ' ' || (*end != ';' && *end != '['))
            continue;
        end = strchr(end, ';');
        if (end && sscanf(end, "; offset:%u; size:%u;", &offset, &size) == 2 &&
            offset <= UINT16_MAX && size <= UINT16_MAX) {
            field.offset = (uint16_t)offset;
            field.size = (uint16_t)size;
            break;
        }
    }
    return field;
}

static enum record_reason reason_of(const char *name, size_t length)
{
    static const struct {
        const char *name;
        enum record_reason reason;
    } known[] = {
        {"NOT_SPECIFIED", REASON_UNKNOWN},         {"NO_SOCKET", REASON_NO_SOCKET},
        {"TCP_ABORT_ON_CLOSE", REASON_UNREAD},     {"TCP_STATE", REASON_ABORTED},
        {"TCP_ABORT_ON_DATA", REASON_ORPHAN},      {"TCP_ABORT_ON_LINGER", REASON_LINGER2},
        {"TCP_ABORT_ON_MEMORY", REASON_MEMORY},    {"TCP_KEEPALIVE_TIMEOUT", REASON_KEEPALIVE},
        {"TCP_TIMEWAIT_SOCKET", REASON_TIME_WAIT},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strlen(known[i].name) == length && memcmp(known[i].name, name, length) == 0)
            return known[i].reason;
    }
    return strncmp(name, "MPTCP", strlen("MPTCP")) == 0 ? REASON_MPTCP : REASON_OTHER;
}

/*
 * "__print_symbolic(REC->reason, { 0, "NOT_SPECIFIED" }, { 1, "NO_SOCKET" }, ...": the numbers
 * differ between kernels.
 */
static void read_reasons(struct format *format, const char *text)
{
    const char *at = strstr(text, "__print_symbolic(REC->reason");

    memset(format->reasons, REASON_OTHER, sizeof(format->reasons));
    if (!at)
        return;
    while ((at = strchr(at, '{'))) {
        char *end;
        unsigned long number = strtoul(at + 1, &end, 10);
        const char *name = end + strspn(end, ", \"");
        if (end == at + 1)
            break;
        if (number < FORMAT_REASONS)
            format->reasons[number] = (uint8_t)reason_of(name, strcspn(name, "\""));
        at = name;
    }
}

bool format_read(struct format *format, enum record_kind kind, const char *text)
{
    const char *id = strstr(text, "ID:");
    const char *addresses = strstr(text, "fmt:");

    memset(format, 0, sizeof(*format));
    if (!id || !addresses)
        return false;
    format->id = (unsigned)strtoul(id + strlen("ID:"), NULL, 10);
    format->flags = find(text, "common_flags");
    format->socket = find(text, "skaddr");
    format->from = find(text, "oldstate");
    format->to = find(text, "newstate");
    format->local_port = find(text, "sport");
    format->peer_port = find(text, "dport");
    format->protocol = find(text, "protocol");
    format->reason = find(text, "reason");
    format->local = find(text, "saddr");
    format->peer = find(text, "daddr");
    format->local_ipv6 = find(text, "saddr_v6");
    format->peer_ipv6 = find(text, "daddr_v6");
    read_reasons(format, text);
    return format->id != 0 && format->flags.size == 1 && format->socket.size > 0 &&
           format->local.size > 0 && format->peer.size > 0 &&
           (kind != RECORD_STATE || (format->from.size > 0 && format->to.size > 0));
}

struct bytes {
    const uint8_t *at;
    size_t size;
};

/* A number of 1 to 8 bytes in this machine's order; 0 where there is none. */
static uint64_t number(struct bytes bytes, struct format_field field)
{
    uint64_t value = 0;

    if (field.size == 0 || field.size > sizeof(value) ||
        field.offset + (size_t)field.size > bytes.size)
        return 0;
    memcpy(&value, bytes.at + field.offset, field.size);
    return __BYTE_ORDER == __BIG_ENDIAN ? value >> (64 - 8 * field.size) : value;
}

static struct policy_ip address(struct bytes bytes, struct format_field field,
                                struct format_field ipv6, uint16_t *port)
{
    uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff};
    struct policy_ip ip = {0};

    if (field.size == SOCKADDR_SIZE && field.offset + SOCKADDR_SIZE <= bytes.size) {
        (void)sock_endpoint((const void *)(bytes.at + field.offset), SOCKADDR_SIZE, true, &ip,
                            port);
    } else if (ipv6.size == 16 && ipv6.offset + 16u <= bytes.size) { /* of IPv4, too: ::ffff: */
        ip = address_ip(bytes.at + ipv6.offset);
    } else if (field.size == 4 && field.offset + 4u <= bytes.size) {
        memcpy(mapped + 12, bytes.at + field.offset, 4);
        ip = address_ip(mapped);
    }
    return ip;
}

bool record_read(struct record *record, const struct format *format, enum record_kind kind,
                 const void *data, size_t size)
{
    const struct bytes bytes = {data, size};
    uint64_t flags = number(bytes, format->flags);
    uint64_t reason = number(bytes, format->reason);

    if (format->protocol.size > 0 && number(bytes, format->protocol) != IPPROTO_TCP)
        return false;
    record->kind = kind;
    record->is_call = (flags & (FLAG_HARDIRQ | FLAG_SOFTIRQ)) == 0;
    record->no_softirq = (flags & FLAG_BH_OFF) != 0;
    record->socket = number(bytes, format->socket);
    record->from = (uint8_t)number(bytes, format->from);
    record->to = (uint8_t)number(bytes, format->to);
    record->local_port = (uint16_t)number(bytes, format->local_port);
    record->peer_port = (uint16_t)number(bytes, format->peer_port);
    record->local = address(bytes, format->local, format->local_ipv6, &record->local_port);
    record->peer = address(bytes, format->peer, format->peer_ipv6, &record->peer_port);
    record->reason = REASON_UNKNOWN;
    if (format->reason.size > 0)
        record->reason = reason < FORMAT_REASONS ? format->reasons[reason] : REASON_OTHER;
    return true;
}
