/* SPDX-License-Identifier: MIT */
/*
 * The policy language: a hand-written parser that reads left to right and stops at the first
 * mistake, and the printer that is its inverse. This file knows rules; modes and conditions
 * are tables elsewhere. Pure: no descriptor, no environment, no heap.
 */
#include "policy/policy.h"

#include "policy/condition.h"
#include "policy/cursor.h"
#include "policy/mode.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool ends_rule(char c)
{
    return c == ';' || c == '\n';
}

/* The next word of the rule at p->at; false at the rule's end. */
static bool next_token(struct cursor *p, struct span *token)
{
    while (p->at < p->length && is_blank(p->text[p->at]))
        p->at++;
    if (p->comments && p->at < p->length && p->text[p->at] == '#') {
        while (p->at < p->length && p->text[p->at] != '\n')
            p->at++;
    }
    token->at = p->at;
    while (p->at < p->length && !is_blank(p->text[p->at]) && !ends_rule(p->text[p->at]))
        p->at++;
    token->length = p->at - token->at;
    return token->length > 0;
}

static int parse_rule(struct cursor *p, struct span token)
{
    struct policy *policy = p->policy;
    int status;

    if (policy->rule_count == POLICY_RULES_MAX)
        return cursor_fail(p, token, "too many rules at", "a policy has up to 64 rules");
    struct policy_rule *rule = &policy->rules[policy->rule_count];
    *rule = (struct policy_rule){.number = (uint16_t)(policy->rule_count + 1)};
    status = mode_read(p, token, rule);
    while (status == 0 && next_token(p, &token))
        status = condition_read(p, token, rule);
    policy->rule_count++;
    return status;
}

int policy_parse(struct policy *policy, enum policy_dialect dialect, const char *text,
                 size_t length, bool comments, struct policy_error *error)
{
    struct cursor p = {policy, dialect, text, length, 0, comments, error};
    struct span token;

    policy->rule_count = 0;
    policy->address_count = 0;
    policy->port_count = 0;
    policy->pattern_count = 0;
    policy->pattern_bytes = 0;
    if (length > POLICY_TEXT_MAX)
        return cursor_fail(&p, (struct span){POLICY_TEXT_MAX, 0}, "the policy is too long",
                           "a policy has up to 16384 bytes");
    while (p.at < length) {
        if (next_token(&p, &token) && parse_rule(&p, token) != 0)
            return -1;
        p.at++; /* over the rule's end */
    }
    return 0;
}

void policy_keep_program(struct policy *policy, const char *program)
{
    uint16_t kept = 0;

    for (uint16_t i = 0; i < policy->rule_count; i++) {
        if (!condition_is_for(policy, &policy->rules[i], program))
            continue;
        policy->rules[kept] = policy->rules[i];
        policy->rules[kept].conditions &= (uint16_t)~CONDITION_PROG;
        kept++;
    }
    policy->rule_count = kept;
}

const struct policy_rule *policy_rule(const struct policy *policy, unsigned number)
{
    for (unsigned i = 0; i < policy->rule_count; i++) {
        if (policy->rules[i].number == number)
            return &policy->rules[i];
    }
    return NULL;
}

bool policy_has_mode(const struct policy *policy, enum policy_mode mode)
{
    for (unsigned i = 0; i < policy->rule_count; i++) {
        if (policy->rules[i].mode == mode)
            return true;
    }
    return false;
}

void policy_print_rule(const struct policy *policy, const struct policy_rule *rule,
                       struct text *out)
{
    mode_print(out, rule->mode, rule->seconds);
    condition_print(policy, rule, out);
}

void policy_print(const struct policy *policy, struct text *out)
{
    for (unsigned i = 0; i < policy->rule_count; i++) {
        text_put(out, i > 0 ? "; " : "");
        policy_print_rule(policy, &policy->rules[i], out);
    }
}
