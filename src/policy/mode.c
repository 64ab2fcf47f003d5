/* SPDX-License-Identifier: MIT */
/*
 * The table of modes, the one source of the parser, the printer, the messages, the help texts, the
 * counters and the options that sock.c sets. Pure.
 */
#include "policy/mode.h"

#include <assert.h>

#define ACCEPTED_SWITCH "a value is one of: on, 1, off, 0"
#define ACCEPTED_MAX_LENGTH 160

/* In the order of enum policy_mode, and none left out. */
static const struct {
    const char *name;
    const char *help;
    uint16_t seconds_max; /* 0: takes none */
    struct mode_options options;
} modes[] = {
    {"off", "the program's own choice", 0, {0, 0}},
    {"fin", "FIN, even if the program asks for RST", 0, {0, 0}},
    {"rst", "RST: no TIME_WAIT; undelivered data is lost", 0, {1, 0}},
    {"fin-rst", "FIN after all data, and no TIME_WAIT", 0, {0, -1}},
    {"wait", "FIN; close() waits for the peer, SECONDS at most", POLICY_WAIT_MAX, {1, 0}},
    {"off", NULL, 0, {0, 0}}, /* of a switch */
    {"on", NULL, 0, {0, 0}},
};
static_assert(sizeof(modes) / sizeof(modes[0]) == MODE_COUNT, "a row for each mode");

const char *mode_name(enum policy_mode mode)
{
    return modes[mode].name;
}

const char *mode_help(enum policy_mode mode)
{
    return modes[mode].help;
}

struct mode_options mode_options(enum policy_mode mode)
{
    return modes[mode].options;
}

void mode_print_usage(struct text *out, enum policy_mode mode)
{
    text_put(out, modes[mode].name);
    text_put(out, modes[mode].seconds_max ? ":SECONDS" : "");
}

void mode_print(struct text *out, enum policy_mode mode, unsigned seconds)
{
    text_put(out, modes[mode].name);
    if (modes[mode].seconds_max) {
        text_put_char(out, ':');
        text_put_number(out, seconds);
    }
}

/* Static, as the error outlives the parser. Written anew each time, always the same. */
static char accepted[ACCEPTED_MAX_LENGTH];

static const char *accepted_modes(void)
{
    struct text out;

    text_begin(&out, accepted, sizeof(accepted));
    text_put(&out, "a mode is one of");
    for (enum policy_mode mode = 0; mode < MODE_TEARDOWNS; mode++) {
        text_put(&out, mode > 0 ? ", " : ": ");
        mode_print_usage(&out, mode);
    }
    return accepted;
}

static const char *accepted_seconds(enum policy_mode mode)
{
    struct text out;

    text_begin(&out, accepted, sizeof(accepted));
    text_put(&out, modes[mode].name);
    text_put(&out, " takes whole seconds, 1 to ");
    text_put_number(&out, modes[mode].seconds_max);
    text_put(&out, ", as in ");
    mode_print(&out, mode, 5);
    return accepted;
}

static int read_seconds(struct cursor *p, struct span token, enum policy_mode mode,
                        struct policy_rule *rule)
{
    uint32_t seconds;

    (void)cursor_until(p, &token, ':');
    if (!cursor_number(p, token, modes[mode].seconds_max, &seconds) || seconds == 0)
        return cursor_fail(p, token, "bad number of seconds", accepted_seconds(mode));
    rule->seconds = (uint16_t)seconds;
    return 0;
}

static int read_switch(struct cursor *p, struct span token, struct policy_rule *rule)
{
    static const char *const names[] = {"off", "on"};
    bool set = cursor_is(p, token, modes[MODE_SET].name) || cursor_is(p, token, "1");

    if (!set && !cursor_is(p, token, modes[MODE_CLEAR].name) && !cursor_is(p, token, "0"))
        return cursor_fail_word(p, token, "unknown value", ACCEPTED_SWITCH, names, 2);
    rule->mode = set ? MODE_SET : MODE_CLEAR;
    return 0;
}

static int unknown_mode(struct cursor *p, struct span token)
{
    const char *names[MODE_TEARDOWNS];

    for (enum policy_mode mode = 0; mode < MODE_TEARDOWNS; mode++)
        names[mode] = modes[mode].name;
    return cursor_fail_word(p, token, "unknown mode", accepted_modes(), names, MODE_TEARDOWNS);
}

int mode_read(struct cursor *p, struct span token, struct policy_rule *rule)
{
    struct span rest = token;
    struct span head = cursor_until(p, &rest, ':');

    if (p->dialect != POLICY_TEARDOWN)
        return read_switch(p, token, rule);
    for (enum policy_mode mode = 0; mode < MODE_TEARDOWNS; mode++) {
        bool takes_seconds = modes[mode].seconds_max != 0;
        if (!cursor_is(p, takes_seconds ? head : token, modes[mode].name))
            continue;
        rule->mode = (uint8_t)mode;
        return takes_seconds ? read_seconds(p, token, mode, rule) : 0;
    }
    return unknown_mode(p, token);
}
