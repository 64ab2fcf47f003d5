/*
 * The policy language: a hand-written parser that reads left to right and stops at the first
 * mistake, and the printer that is its inverse. Pure: no descriptor, no environment, no heap.
 */
#include "policy.h"

#include <arpa/inet.h>
#include <assert.h>
#include <fnmatch.h>
#include <string.h>

#define PORT_MAX 65535

static const char *const mode_names[] = {"off", "fin", "rst", "fin-rst", "wait", "off", "on"};
static_assert(sizeof(mode_names) / sizeof(mode_names[0]) == MODE_COUNT, "a name for each mode");

static const char *const role_names[] = {[ROLE_CLIENT] = "client", [ROLE_SERVER] = "server"};
static const char *const when_names[] = {[WHEN_ACTIVE] = "active", [WHEN_PASSIVE] = "passive"};

/* What is accepted, for the errors. */
#define ACCEPTED_MODE "a mode is one of: off, fin, rst, fin-rst, wait:SECONDS"
#define ACCEPTED_SWITCH "a value is one of: on, 1, off, 0"
#define ACCEPTED_WAIT "wait takes whole seconds, 1 to 3600, as in wait:5"
#define ACCEPTED_CONDITION                                                                         \
    "a condition is one of: role=, port=, local=, peer=, when=, share=, prog="
#define ACCEPTED_SWITCH_CONDITION "a condition here is one of: port=, local=, prog="
#define ACCEPTED_ROLE "a role is one of: server, client"
#define ACCEPTED_WHEN "when is one of: active, passive"
#define ACCEPTED_PORT "a port is 1 to 65535 or a range LOW-HIGH, as in 80,8000-8999"
#define ACCEPTED_ADDRESS                                                                           \
    "an address is ADDR[/LEN][:PORT[-PORT]] or :PORT, as in 10.0.0.0/8, [2001:db8::]/32, [::1]:80"
#define ACCEPTED_BRACKETS "an IPv6 address stands in brackets, as in [::1] or [2001:db8::]/32"
#define ACCEPTED_PREFIX "a prefix length is 0 to 32 for IPv4, 0 to 128 for IPv6"
#define ACCEPTED_SHARE "a share is above 0% and up to 100%, with up to 4 decimals, as in share=2.5%"
#define ACCEPTED_PROGRAM "prog takes file names or patterns, as in prog=nginx,redis-*"

struct span {
    size_t at;
    size_t length;
};

struct parser {
    struct policy *policy;
    enum policy_dialect dialect;
    const char *text;
    size_t length;
    size_t at;
    bool comments;
    struct policy_error *error;
};

static int fail(struct parser *p, struct span where, const char *what, const char *accepted)
{
    *p->error = (struct policy_error){.at = where.at, .length = where.length, what, accepted};
    return -1;
}

static bool span_is(const struct parser *p, struct span s, const char *word)
{
    return s.length == strlen(word) && memcmp(p->text + s.at, word, s.length) == 0;
}

/* Splits `s` at the first `c`: returns what stands before it, `s` keeps what comes after. */
static struct span span_until(const struct parser *p, struct span *s, char c)
{
    const char *found = memchr(p->text + s->at, c, s->length);
    size_t before = found ? (size_t)(found - (p->text + s->at)) : s->length;
    size_t taken = found ? before + 1 : before;
    struct span head = {s->at, before};

    s->at += taken;
    s->length -= taken;
    return head;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A decimal number of digits alone, up to `max`; false for anything else. */
static bool parse_number(const struct parser *p, struct span s, uint32_t max, uint32_t *number)
{
    uint64_t value = 0;

    if (s.length == 0 || s.length > 9)
        return false;
    for (size_t i = 0; i < s.length; i++) {
        char c = p->text[s.at + i];
        if (!is_digit(c))
            return false;
        value = value * 10 + (uint64_t)(c - '0');
    }
    *number = (uint32_t)value;
    return value <= max;
}

/* PORT or LOW-HIGH. */
static bool parse_ports(const struct parser *p, struct span s, struct policy_ports *ports)
{
    bool is_range = memchr(p->text + s.at, '-', s.length) != NULL;
    struct span head = span_until(p, &s, '-');
    uint32_t low;
    uint32_t high;

    if (!parse_number(p, head, PORT_MAX, &low) || low == 0)
        return false;
    high = low;
    if (is_range && (!parse_number(p, s, PORT_MAX, &high) || high < low))
        return false;
    *ports = (struct policy_ports){(uint16_t)low, (uint16_t)high};
    return true;
}

struct policy_ip policy_ip(const uint8_t bytes[16])
{
    struct policy_ip ip = {0, 0, false};

    for (int i = 0; i < 8; i++) {
        ip.high = ip.high << 8 | bytes[i];
        ip.low = ip.low << 8 | bytes[i + 8];
    }
    ip.is_ipv4 = ip.high == 0 && ip.low >> 32 == 0xffff;
    return ip;
}

/* inet_pton of a span into 16 bytes; IPv4 becomes ::ffff:a.b.c.d. */
static bool parse_ip(const struct parser *p, struct span s, int family, struct policy_ip *ip)
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
    *ip = policy_ip(bytes);
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
static int parse_prefix(struct parser *p, struct span *s, struct policy_address *address)
{
    bool is_dotted = p->text[s->at - 1] != ']' && address->ip.is_ipv4;
    uint32_t prefix = 128;

    if (s->length > 0 && p->text[s->at] == '/') {
        struct span rest = {s->at + 1, s->length - 1};
        struct span digits = {rest.at, 0};

        while (digits.length < rest.length && is_digit(p->text[digits.at + digits.length]))
            digits.length++;
        if (!parse_number(p, digits, is_dotted ? 32 : 128, &prefix))
            return fail(p, digits, "bad prefix length", ACCEPTED_PREFIX);
        prefix += is_dotted ? 96 : 0;
        s->at = digits.at + digits.length;
        s->length = rest.length - digits.length;
    }
    mask_address(address, prefix);
    return 0;
}

/* Takes the ADDR at the head of `s`: dotted, or IPv6 in brackets. */
static int parse_address_head(struct parser *p, struct span value, struct span *s,
                              struct policy_ip *ip)
{
    size_t length = 0;

    if (p->text[s->at] == '[') {
        struct span inside = {s->at + 1, s->length - 1};
        const char *end = memchr(p->text + inside.at, ']', inside.length);
        if (!end)
            return fail(p, value, "missing ']' in", ACCEPTED_BRACKETS);
        inside = span_until(p, &inside, ']');
        if (!parse_ip(p, inside, AF_INET6, ip))
            return fail(p, inside, "bad IPv6 address", ACCEPTED_ADDRESS);
        length = inside.length + 2;
    } else {
        while (length < s->length && !strchr("/:", p->text[s->at + length]))
            length++;
        struct span head = {s->at, length};
        if (memchr(p->text + s->at + length, ':', s->length - length) &&
            parse_ip(p, value, AF_INET6, ip))
            return fail(p, value, "IPv6 address without brackets", ACCEPTED_BRACKETS);
        if (!parse_ip(p, head, AF_INET, ip))
            return fail(p, head, "bad address", ACCEPTED_ADDRESS);
    }
    s->at += length;
    s->length -= length;
    return 0;
}

/* ADDR[/LEN][:PORT[-PORT]] or :PORT[-PORT]. */
static int parse_address(struct parser *p, struct span value, struct policy_address *address)
{
    struct span s = value;

    *address = (struct policy_address){.ports = {0, PORT_MAX}};
    if (p->text[s.at] == ':' && !parse_ip(p, value, AF_INET6, &address->ip)) {
        address->any_ip = true;
    } else if (parse_address_head(p, value, &s, &address->ip) != 0 ||
               parse_prefix(p, &s, address) != 0) {
        return -1;
    }
    if (s.length == 0)
        return 0;
    struct span ports = {s.at + 1, s.length - 1};
    if (p->text[s.at] != ':')
        return fail(p, s, "unexpected", ACCEPTED_ADDRESS);
    if (!parse_ports(p, ports, &address->ports))
        return fail(p, ports, "bad port", ACCEPTED_PORT);
    return 0;
}

static int add_address(struct parser *p, struct span value)
{
    struct policy *policy = p->policy;

    if (policy->address_count == POLICY_ADDRESSES_MAX)
        return fail(p, value, "too many addresses at", "a policy has up to 256 addresses");
    if (parse_address(p, value, &policy->addresses[policy->address_count]) != 0)
        return -1;
    policy->address_count++;
    return 0;
}

static int add_ports(struct parser *p, struct span value)
{
    struct policy *policy = p->policy;

    if (policy->port_count == POLICY_PORTS_MAX)
        return fail(p, value, "too many ports at", "a policy has up to 256 ports and port ranges");
    if (!parse_ports(p, value, &policy->ports[policy->port_count]))
        return fail(p, value, "bad port", ACCEPTED_PORT);
    policy->port_count++;
    return 0;
}

static int add_pattern(struct parser *p, struct span value)
{
    struct policy *policy = p->policy;
    size_t end = policy->pattern_bytes + value.length + 1;

    if (policy->pattern_count == POLICY_PATTERNS_MAX || end > POLICY_PATTERN_BYTES)
        return fail(p, value, "too many programs at",
                    "a policy has up to 64 program patterns, of 2048 bytes together");
    if (memchr(p->text + value.at, '/', value.length) ||
        memchr(p->text + value.at, '\0', value.length))
        return fail(p, value, "a path is no file name:", ACCEPTED_PROGRAM);
    memcpy(policy->pattern_text + policy->pattern_bytes, p->text + value.at, value.length);
    policy->pattern_text[end - 1] = '\0';
    policy->patterns[policy->pattern_count++] = policy->pattern_bytes;
    policy->pattern_bytes = (uint16_t)end;
    return 0;
}

/* A comma-separated list; `count` is the count of the pool that `add` appends to. */
static int parse_list(struct parser *p, struct span s, const uint16_t *count,
                      struct policy_run *run, int (*add)(struct parser *, struct span))
{
    size_t end = s.at + s.length;

    run->first = *count;
    while (true) {
        struct span value = span_until(p, &s, ',');
        bool is_last = value.at + value.length == end;
        if (value.length == 0)
            return fail(p, value, "a value is missing", "values are separated by one comma");
        if (add(p, value) != 0)
            return -1;
        if (is_last)
            break;
    }
    run->count = (uint16_t)(*count - run->first);
    return 0;
}

static int parse_word(struct parser *p, struct span value, const char *const names[2], uint8_t *out,
                      const char *what, const char *accepted)
{
    for (uint8_t i = 0; i < 2; i++) {
        if (span_is(p, value, names[i])) {
            *out = i;
            return 0;
        }
    }
    return fail(p, value, what, accepted);
}

/* 0.0001% to 100%, in millionths. */
static int parse_share(struct parser *p, struct span value, struct policy_rule *rule)
{
    struct span s = value;
    uint32_t whole = 0;
    uint32_t fraction = 0;
    uint32_t scale = 10000;

    if (p->text[s.at + s.length - 1] != '%')
        return fail(p, value, "bad share", ACCEPTED_SHARE);
    s.length--;
    bool has_fraction = memchr(p->text + s.at, '.', s.length) != NULL;
    struct span head = span_until(p, &s, '.');
    if (!parse_number(p, head, 100, &whole) ||
        (has_fraction && (s.length > 4 || !parse_number(p, s, 9999, &fraction))))
        return fail(p, value, "bad share", ACCEPTED_SHARE);
    for (size_t i = 0; has_fraction && i < s.length; i++)
        scale /= 10;
    rule->share = whole * 10000 + fraction * (has_fraction ? scale : 0);
    if (rule->share == 0 || rule->share > POLICY_SHARE_ALL)
        return fail(p, value, "bad share", ACCEPTED_SHARE);
    return 0;
}

static int parse_role(struct parser *p, struct span value, struct policy_rule *rule)
{
    return parse_word(p, value, role_names, &rule->role, "unknown role", ACCEPTED_ROLE);
}

static int parse_when(struct parser *p, struct span value, struct policy_rule *rule)
{
    return parse_word(p, value, when_names, &rule->when, "unknown moment", ACCEPTED_WHEN);
}

static int parse_port(struct parser *p, struct span value, struct policy_rule *rule)
{
    return parse_list(p, value, &p->policy->port_count, &rule->ports, add_ports);
}

static int parse_local(struct parser *p, struct span value, struct policy_rule *rule)
{
    return parse_list(p, value, &p->policy->address_count, &rule->local, add_address);
}

static int parse_peer(struct parser *p, struct span value, struct policy_rule *rule)
{
    return parse_list(p, value, &p->policy->address_count, &rule->peer, add_address);
}

static int parse_prog(struct parser *p, struct span value, struct policy_rule *rule)
{
    return parse_list(p, value, &p->policy->pattern_count, &rule->programs, add_pattern);
}

static const struct {
    const char *name;
    enum policy_condition bit;
    bool in_switch; /* the switch dialect has it too */
    int (*parse)(struct parser *, struct span, struct policy_rule *);
} conditions[] = {
    {"role", CONDITION_ROLE, false, parse_role},   {"port", CONDITION_PORT, true, parse_port},
    {"local", CONDITION_LOCAL, true, parse_local}, {"peer", CONDITION_PEER, false, parse_peer},
    {"when", CONDITION_WHEN, false, parse_when},   {"share", CONDITION_SHARE, false, parse_share},
    {"prog", CONDITION_PROG, true, parse_prog},
};

#define CONDITION_COUNT (sizeof(conditions) / sizeof(conditions[0]))

static int parse_condition(struct parser *p, struct span token, struct policy_rule *rule)
{
    bool is_switch = p->dialect == POLICY_SWITCH;
    const char *accepted = is_switch ? ACCEPTED_SWITCH_CONDITION : ACCEPTED_CONDITION;
    struct span value = token;
    struct span name = span_until(p, &value, '=');

    for (size_t i = 0; i < CONDITION_COUNT; i++) {
        if (!span_is(p, name, conditions[i].name))
            continue;
        if (is_switch && !conditions[i].in_switch)
            return fail(p, name, "condition that is not known before bind():", accepted);
        if (rule->conditions & conditions[i].bit)
            return fail(p, token, "condition given twice:",
                        "several values of one condition are separated by commas");
        if (value.length == 0)
            return fail(p, token, "condition without a value:", accepted);
        rule->conditions |= (uint8_t)conditions[i].bit;
        return conditions[i].parse(p, value, rule);
    }
    return fail(p, name, "unknown condition", accepted);
}

static int parse_wait(struct parser *p, struct span token, struct policy_rule *rule)
{
    uint32_t seconds;

    (void)span_until(p, &token, ':');
    if (!parse_number(p, token, POLICY_WAIT_MAX, &seconds) || seconds == 0)
        return fail(p, token, "bad number of seconds", ACCEPTED_WAIT);
    rule->mode = MODE_WAIT;
    rule->seconds = (uint16_t)seconds;
    return 0;
}

static int parse_mode(struct parser *p, struct span token, struct policy_rule *rule)
{
    struct span rest = token;
    struct span head = span_until(p, &rest, ':');

    if (span_is(p, head, "wait"))
        return parse_wait(p, token, rule);
    for (enum policy_mode mode = MODE_OFF; mode < MODE_WAIT; mode++) {
        if (span_is(p, token, mode_names[mode])) {
            rule->mode = (uint8_t)mode;
            return 0;
        }
    }
    return fail(p, token, "unknown mode", ACCEPTED_MODE);
}

static int parse_switch(struct parser *p, struct span token, struct policy_rule *rule)
{
    bool set = span_is(p, token, "on") || span_is(p, token, "1");

    if (!set && !span_is(p, token, "off") && !span_is(p, token, "0"))
        return fail(p, token, "unknown value", ACCEPTED_SWITCH);
    rule->mode = set ? MODE_SET : MODE_CLEAR;
    return 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool ends_rule(char c)
{
    return c == ';' || c == '\n';
}

/* The next word of the rule at p->at; false at the rule's end. */
static bool next_token(struct parser *p, struct span *token)
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

static int parse_rule(struct parser *p, struct span token)
{
    struct policy *policy = p->policy;
    int status;

    if (policy->rule_count == POLICY_RULES_MAX)
        return fail(p, token, "too many rules at", "a policy has up to 64 rules");
    struct policy_rule *rule = &policy->rules[policy->rule_count];
    *rule = (struct policy_rule){.number = (uint16_t)(policy->rule_count + 1)};
    status =
        p->dialect == POLICY_SWITCH ? parse_switch(p, token, rule) : parse_mode(p, token, rule);
    while (status == 0 && next_token(p, &token))
        status = parse_condition(p, token, rule);
    policy->rule_count++;
    return status;
}

int policy_parse(struct policy *policy, enum policy_dialect dialect, const char *text,
                 size_t length, bool comments, struct policy_error *error)
{
    struct parser p = {policy, dialect, text, length, 0, comments, error};
    struct span token;

    policy->rule_count = 0;
    policy->address_count = 0;
    policy->port_count = 0;
    policy->pattern_count = 0;
    policy->pattern_bytes = 0;
    if (length > POLICY_TEXT_MAX)
        return fail(&p, (struct span){POLICY_TEXT_MAX, 0}, "the policy is too long",
                    "a policy has up to 16384 bytes");
    while (p.at < length) {
        if (next_token(&p, &token) && parse_rule(&p, token) != 0)
            return -1;
        p.at++; /* over the rule's end */
    }
    return 0;
}

static bool rule_is_for(const struct policy *policy, const struct policy_rule *rule,
                        const char *program)
{
    if (!(rule->conditions & CONDITION_PROG))
        return true;
    for (unsigned i = 0; i < rule->programs.count; i++) {
        const char *pattern = policy->pattern_text + policy->patterns[rule->programs.first + i];
        if (fnmatch(pattern, program, 0) == 0)
            return true;
    }
    return false;
}

void policy_keep_program(struct policy *policy, const char *program)
{
    uint16_t kept = 0;

    for (uint16_t i = 0; i < policy->rule_count; i++) {
        if (!rule_is_for(policy, &policy->rules[i], program))
            continue;
        policy->rules[kept] = policy->rules[i];
        policy->rules[kept].conditions &= (uint8_t)~CONDITION_PROG;
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

void policy_print_mode(struct text *out, enum policy_mode mode, unsigned seconds)
{
    text_put(out, mode_names[mode]);
    if (mode == MODE_WAIT) {
        text_put_char(out, ':');
        text_put_number(out, seconds);
    }
}

static void print_hex(struct text *out, unsigned group)
{
    static const char digits[] = "0123456789abcdef";
    int shift = 12;

    while (shift > 0 && group >> shift == 0)
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        text_put_char(out, digits[group >> shift & 0xf]);
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
            text_put_number(out, ip.low >> shift & 0xff);
            text_put(out, shift > 0 ? "." : "");
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

void policy_print_endpoint(struct text *out, struct policy_ip ip, uint16_t port)
{
    print_ip(out, ip);
    if (port != 0) {
        text_put_char(out, ':');
        text_put_number(out, port);
    }
}

static void print_ports(struct text *out, struct policy_ports ports)
{
    text_put_number(out, ports.low);
    if (ports.high != ports.low) {
        text_put_char(out, '-');
        text_put_number(out, ports.high);
    }
}

static void print_address(struct text *out, const struct policy_address *a)
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
        print_ports(out, a->ports);
    }
}

static void print_addresses(struct text *out, const char *name, const struct policy *policy,
                            struct policy_run run)
{
    for (unsigned i = 0; i < run.count; i++) {
        text_put(out, i == 0 ? name : ",");
        print_address(out, &policy->addresses[run.first + i]);
    }
}

static void print_share(struct text *out, uint32_t share)
{
    uint32_t fraction = share % 10000;

    text_put(out, " share=");
    text_put_number(out, share / 10000);
    text_put(out, fraction > 0 ? "." : "");
    for (; fraction > 0; fraction = fraction % 1000 * 10)
        text_put_number(out, fraction / 1000);
    text_put(out, "%");
}

void policy_print_rule(const struct policy *policy, const struct policy_rule *rule,
                       struct text *out)
{
    policy_print_mode(out, rule->mode, rule->seconds);
    if (rule->conditions & CONDITION_ROLE) {
        text_put(out, " role=");
        text_put(out, role_names[rule->role]);
    }
    for (unsigned i = 0; i < rule->ports.count; i++) {
        text_put(out, i == 0 ? " port=" : ",");
        print_ports(out, policy->ports[rule->ports.first + i]);
    }
    print_addresses(out, " local=", policy, rule->local);
    print_addresses(out, " peer=", policy, rule->peer);
    if (rule->conditions & CONDITION_WHEN) {
        text_put(out, " when=");
        text_put(out, when_names[rule->when]);
    }
    if (rule->conditions & CONDITION_SHARE)
        print_share(out, rule->share);
    for (unsigned i = 0; rule->conditions & CONDITION_PROG && i < rule->programs.count; i++) {
        text_put(out, i == 0 ? " prog=" : ",");
        text_put(out, policy->pattern_text + policy->patterns[rule->programs.first + i]);
    }
}
