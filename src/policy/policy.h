/* SPDX-License-Identifier: MIT */
/*
 * The policy language: text -> struct policy, and back.
 *
 * A policy is rules separated by ';' or newlines; a rule is a mode and conditions, all of which
 * must hold; the first rule that matches decides (see decide.h). Dialects share the grammar:
 * LINGER_MODE speaks of teardown, the variables of options at bind() of a switch.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

/* Limits. Beyond each of them a policy is refused, never cut. */
#define POLICY_TEXT_MAX 16384     /* bytes of text */
#define POLICY_RULES_MAX 64       /* rules in a policy */
#define POLICY_ADDRESSES_MAX 256  /* values of local= and peer= in all rules */
#define POLICY_PORTS_MAX 256      /* values of port= in all rules */
#define POLICY_PATTERNS_MAX 64    /* values of prog= in all rules */
#define POLICY_PATTERN_BYTES 2048 /* their text, a NUL after each */
#define POLICY_WAIT_MAX 3600      /* seconds in wait:N */
#define POLICY_SHARE_ALL 1000000  /* share=100%, in millionths */

enum policy_dialect {
    POLICY_TEARDOWN,       /* off, fin, rst, fin-rst, wait:N; every condition */
    POLICY_SWITCH,         /* on/1, off/0; the conditions port=, local=, prog= */
    POLICY_SWITCH_NO_PORT, /* the same where the port is chosen later: no port= */
};

enum policy_mode {
    MODE_OFF,     /* leave the program's own choice */
    MODE_FIN,     /* orderly release, even if the program asked for an abort */
    MODE_RST,     /* abort: SO_LINGER {1, 0} */
    MODE_FIN_RST, /* orderly release without TIME_WAIT: TCP_LINGER2 = -1 */
    MODE_WAIT,    /* close() waits for the acknowledgement: SO_LINGER {1, N} */
    MODE_CLEAR,   /* switch: clear the option before bind() */
    MODE_SET,     /* switch: set the option before bind() */
    MODE_COUNT
};

enum policy_role {
    ROLE_CLIENT, /* made by connect() */
    ROLE_SERVER, /* made by accept() */
};

enum policy_when {
    WHEN_ACTIVE,  /* active close: we close first */
    WHEN_PASSIVE, /* passive close: the peer's FIN is here already */
};

#define MODE_TEARDOWNS MODE_CLEAR /* how many modes LINGER_MODE has; they come first */

/* Which conditions a rule has: bits of struct policy_rule.conditions. */
enum policy_condition {
    CONDITION_ROLE = 1 << 0,
    CONDITION_PORT = 1 << 1,
    CONDITION_LOCAL = 1 << 2,
    CONDITION_PEER = 1 << 3,
    CONDITION_WHEN = 1 << 4,
    CONDITION_SHARE = 1 << 5,
    CONDITION_PROG = 1 << 6,
    CONDITION_OVERRULE = 1 << 7, /* not a condition of the connection: overrule=no */
    CONDITION_END = 1 << 8       /* the first free bit */
};
static_assert(CONDITION_END - 1 <= UINT16_MAX, "the bits of struct policy_rule.conditions");

/* An IPv6 address, or an IPv4 one as ::ffff:a.b.c.d, as two numbers in host order. */
struct policy_ip {
    uint64_t high;
    uint64_t low;
    bool is_ipv4;
};

struct policy_ports {
    uint16_t low;
    uint16_t high;
};

/* A value of local= or peer=. */
struct policy_address {
    struct policy_ip ip; /* masked */
    uint64_t mask_high;
    uint64_t mask_low;
    struct policy_ports ports; /* 0-65535 if none were given */
    bool any_ip;               /* `:8080`: every address of both families */
};

/* A run of values in one of the policy's pools. */
struct policy_run {
    uint16_t first;
    uint16_t count;
};

struct policy_rule {
    uint8_t mode;        /* enum policy_mode */
    uint8_t role;        /* enum policy_role */
    uint8_t when;        /* enum policy_when */
    uint16_t conditions; /* enum policy_condition, or-ed */
    uint16_t seconds;    /* of wait:N */
    uint16_t number;     /* 1 for the first rule in the text */
    uint32_t share;      /* millionths */
    struct policy_run ports;
    struct policy_run local;
    struct policy_run peer;
    struct policy_run programs;
};

/* A parsed policy. Self-contained: the text it came from is not needed any more. */
struct policy {
    uint16_t rule_count;
    uint16_t address_count;
    uint16_t port_count;
    uint16_t pattern_count;
    uint16_t pattern_bytes;
    struct policy_rule rules[POLICY_RULES_MAX];
    struct policy_address addresses[POLICY_ADDRESSES_MAX];
    struct policy_ports ports[POLICY_PORTS_MAX];
    uint16_t patterns[POLICY_PATTERNS_MAX]; /* offsets into pattern_text */
    char pattern_text[POLICY_PATTERN_BYTES];
};

/* Kleene's three values, of a condition and of a rule. */
enum truth { TRUTH_NO, TRUTH_YES, TRUTH_UNKNOWN };

static inline enum truth policy_truth(bool known, bool holds)
{
    return !known ? TRUTH_UNKNOWN : holds ? TRUTH_YES : TRUTH_NO;
}

/* What can be known of a socket: bits of struct facts.known, and of what a policy needs. */
enum fact {
    FACT_ROLE = 1 << 0,
    FACT_LOCAL_PORT = 1 << 1,
    FACT_LOCAL_IP = 1 << 2, /* a listener on a wildcard address has none yet */
    FACT_PEER = 1 << 3,     /* address and port */
    FACT_COOKIE = 1 << 4,
    FACT_WHEN = 1 << 5,
    FACT_END = 1 << 6 /* the first free bit */
};

struct facts {
    unsigned known;      /* enum fact, or-ed: which of the fields below hold */
    uint8_t role;        /* enum policy_role */
    uint8_t when;        /* enum policy_when */
    uint8_t state;       /* TCP_ESTABLISHED, ... of <netinet/tcp.h>; no rule depends on it */
    uint16_t local_port; /* host order */
    uint16_t peer_port;
    struct policy_ip local_ip;
    struct policy_ip peer_ip;
    uint64_t cookie; /* SO_COOKIE, socket(7) */
};

/* What is wrong with a text, and where. */
struct policy_error {
    size_t at;            /* offset of the mistake */
    size_t length;        /* in bytes; 0 where something is missing */
    const char *what;     /* "unknown mode" */
    const char *accepted; /* "a mode is one of: ..." */
    const char *meant;    /* the name that may be meant, or NULL */
};

/*
 * Parses `length` bytes of `text`. '#' starts a comment where `comments` is set (policy files).
 * A text without rules is a policy without rules. Returns 0, or -1 and fills `error`; then `policy`
 * must not be used.
 */
int policy_parse(struct policy *policy, enum policy_dialect dialect, const char *text,
                 size_t length, bool comments, struct policy_error *error);

/* Decides prog= once and for all: drops the rules that are not for the program of that name. */
void policy_keep_program(struct policy *policy, const char *program);

/* Writes a rule in the language itself, with every default left out: parsing it gives it back. */
void policy_print_rule(const struct policy *policy, const struct policy_rule *rule,
                       struct text *out);

/* The whole policy in one line. */
void policy_print(const struct policy *policy, struct text *out);

/* The rule of that number, or NULL if prog= dropped it. */
const struct policy_rule *policy_rule(const struct policy *policy, unsigned number);

bool policy_has_mode(const struct policy *policy, enum policy_mode mode);
