/*
 * (policy, facts) -> verdict. Pure, and three-valued: where a rule hangs on a fact that is not
 * known yet, the answer is "not yet", and a later moment of the connection's life asks again.
 */
#ifndef LINGER_DECIDE_H
#define LINGER_DECIDE_H

#include "policy.h"

/* What can be known of a socket: bits of struct facts.known, and of what a policy needs. */
enum fact {
    FACT_ROLE = 1 << 0,
    FACT_LOCAL_PORT = 1 << 1,
    FACT_LOCAL_IP = 1 << 2, /* a listener on a wildcard address has none yet */
    FACT_PEER = 1 << 3,     /* address and port */
    FACT_COOKIE = 1 << 4,
    FACT_WHEN = 1 << 5,
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

struct verdict {
    uint8_t mode;     /* enum policy_mode */
    uint16_t seconds; /* of MODE_WAIT */
    uint16_t rule;    /* number of the rule that decided, or that it hangs on */
};

enum decision {
    DECIDE_VERDICT, /* a rule matched */
    DECIDE_NO_RULE, /* none does: the socket is left alone */
    DECIDE_NOT_YET, /* it hangs on a fact that is not known yet */
};

/* By the first rule that matches. `verdict` is filled for DECIDE_VERDICT; its rule for NOT_YET. */
enum decision decide(const struct policy *policy, const struct facts *facts,
                     struct verdict *verdict);

/* The facts that some rule of the policy asks for, enum fact or-ed. */
unsigned decide_needs(const struct policy *policy);

/* Those that some rule asks for of a connection of that role. */
unsigned decide_needs_of(const struct policy *policy, enum policy_role role);

#endif
