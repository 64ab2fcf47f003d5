/* SPDX-License-Identifier: MIT */
/*
 * (policy, facts) -> verdict. Pure, and three-valued: while a rule depends on a fact that is not
 * known yet, the answer is "not yet", and a later moment of the connection's life decides again.
 */
#pragma once

#include "policy/policy.h"

struct verdict {
    uint8_t mode;     /* enum policy_mode */
    uint16_t seconds; /* of MODE_WAIT */
    uint16_t rule;    /* number of the rule that decided, or is undecided */
    bool gives_way;   /* overrule=no: to what the program itself has set */
};

enum decision {
    DECIDE_VERDICT, /* a rule matched */
    DECIDE_NO_RULE, /* none did: the socket is left alone */
    DECIDE_NOT_YET, /* a fact that is not known yet decides */
};

/* By the first rule that matches. `verdict` is filled for DECIDE_VERDICT; its rule for NOT_YET. */
enum decision decide(const struct policy *policy, const struct facts *facts,
                     struct verdict *verdict);

/* The facts that some rule of the policy needs, enum fact or-ed. */
unsigned decide_needs(const struct policy *policy);

/* Those that some rule needs of a connection of that role. */
unsigned decide_needs_of(const struct policy *policy, enum policy_role role);
