/* SPDX-License-Identifier: MIT */
/* One event of a tracepoint, from the kernel's bytes: where the fields are is read from tracefs. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "policy/policy.h"

enum record_kind {
    RECORD_STATE,                        /* sock:inet_sock_set_state */
    RECORD_SENT_RESET,                   /* tcp:tcp_send_reset */
    RECORD_GOT_RESET,                    /* tcp:tcp_receive_reset */
    RECORD_TRACEPOINTS,                  /* how many of those */
    RECORD_PROCESS = RECORD_TRACEPOINTS, /* a process has begun: its parent, its namespace */
    RECORD_NAME,                         /* it has another name */
    RECORD_NAMESPACE,                    /* it is in another network namespace */
    RECORD_GONE,                         /* it has ended */
    RECORD_LOST,                         /* the buffer was full */
};

/*
 * Why a RST was sent: the kernel's reason (enum sk_rst_reason, Linux 6.10), and at the end what
 * more the events of a connection show.
 */
enum record_reason {
    REASON_UNKNOWN, /* an older kernel, or one that gives no reason */
    REASON_NO_SOCKET,
    REASON_UNREAD,  /* TCP_ABORT_ON_CLOSE: closed with unread data */
    REASON_ABORTED, /* TCP_STATE: tcp_disconnect(), by SO_LINGER {1, 0} or connect() to AF_UNSPEC */
    REASON_ORPHAN,  /* TCP_ABORT_ON_DATA: the ACK of the FIN, under fin-rst or with data */
    REASON_LINGER2, /* TCP_ABORT_ON_LINGER: TCP_LINGER2 < 0 at a close() in FIN_WAIT2 */
    REASON_MEMORY,
    REASON_KEEPALIVE,
    REASON_TIME_WAIT,
    REASON_MPTCP, /* MPTCP_RST_...: a subflow of Multipath TCP */
    REASON_OTHER,
    REASON_UNACCEPTED, /* the listener was closed before accept() */
    REASON_DESTROYED,  /* SOCK_DESTROY: ss -K */
    REASON_LATE,       /* data for a closed socket, before its FIN was acknowledged */
};

#define RECORD_NAME_MAX 16 /* TASK_COMM_LEN */

struct record {
    enum record_kind kind;
    uint64_t time; /* ns of CLOCK_MONOTONIC */
    pid_t pid;     /* of the process that ran at that moment, whether it has to do with it or not */
    bool is_call;  /* in a system call or exit() of that process, not in an interrupt */
    bool no_softirq; /* with these held off: a listener's close() ends so what nobody accepted */
    uint64_t socket; /* its address in the kernel; 0: none */
    uint8_t from;    /* RECORD_STATE: TCP_ESTABLISHED, ... */
    uint8_t to;
    struct policy_ip local;
    struct policy_ip peer;
    uint16_t local_port;
    uint16_t peer_port;
    enum record_reason reason;
    pid_t parent;               /* RECORD_PROCESS */
    char name[RECORD_NAME_MAX]; /* RECORD_NAME */
    uint64_t namespace;         /* RECORD_NAMESPACE: the inode of /proc/PID/ns/net */
    uint64_t lost;              /* RECORD_LOST */
};

#define FORMAT_REASONS 64

/* A field's place; no size: this kernel has no such field. */
struct format_field {
    uint16_t offset;
    uint16_t size;
};

struct format {
    unsigned id; /* of the tracepoint, in its events' common_type */
    struct format_field flags, socket, from, to, local_port, peer_port, protocol, reason;
    struct format_field local, peer, local_ipv6, peer_ipv6;
    uint8_t reasons[FORMAT_REASONS]; /* enum record_reason of each of the kernel's numbers */
};

/* Reads the text of tracefs's file `format`. Returns false where it lacks what every event has. */
bool format_read(struct format *format, enum record_kind kind, const char *text);

/*
 * Reads an event's bytes into `record`, whose time and pid are known already. Returns false where
 * it is of another protocol, or too short.
 */
bool record_read(struct record *record, const struct format *format, enum record_kind kind,
                 const void *bytes, size_t size);
