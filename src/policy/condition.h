/* SPDX-License-Identifier: MIT */
/* The conditions of rules: what each is called, needs and means. */
#pragma once

#include "policy/cursor.h"

struct condition {
    const char *name;   /* "role" */
    const char *values; /* as the user writes them: "server|client" */
    const char *help;   /* a line: holds if ... */
    unsigned dialects;  /* 1 << enum policy_dialect, or-ed: a switch has those known at bind() */
    unsigned
        needs[2]; /* enum fact, by enum policy_role; local= and peer= need what their values do */
};

/* The condition of bit 1 << index in struct policy_rule.conditions; NULL after the last one. */
const struct condition *condition_at(unsigned index);

/* Reads NAME=VALUE into the rule. */
int condition_read(struct cursor *p, struct span token, struct policy_rule *rule);

/* Writes the rule's conditions, a blank before each. */
void condition_print(const struct policy *policy, const struct policy_rule *rule, struct text *out);

/* Does the rule's condition hold, as far as the facts are known? */
enum truth condition_holds(const struct policy *policy, enum policy_condition condition,
                           const struct policy_rule *rule, const struct facts *facts);

/* Does the condition of `wide` hold wherever `narrow` does? */
bool condition_covers(const struct policy *policy, enum policy_condition condition,
                      const struct policy_rule *wide, const struct policy_rule *narrow);

/* The facts that the rule needs of a connection of that role, enum fact or-ed. */
unsigned condition_needs(const struct policy *policy, const struct policy_rule *rule,
                         enum policy_role role);

/* Does prog= hold for the program of that name? True where the rule has none. */
bool condition_is_for(const struct policy *policy, const struct policy_rule *rule,
                      const char *program);

/* By enum policy_role and enum policy_when: "client", "passive". */
extern const char *const condition_roles[2];
extern const char *const condition_whens[2];
