/* SPDX-License-Identifier: MIT */
/* The modes: their names, their arguments, and a line of help for each. */
#pragma once

#include "policy/cursor.h"

/* "wait" */
const char *mode_name(enum policy_mode mode);

/* A line of help, for a mode of LINGER_MODE: "FIN, even if the program asks for RST". */
const char *mode_help(enum policy_mode mode);

/* What a mode of LINGER_MODE but MODE_OFF sets. */
struct mode_options {
    int linger_on; /* SO_LINGER, with the verdict's seconds */
    int linger2;   /* TCP_LINGER2: 0 is the default, tcp_fin_timeout; below 0, no FIN_WAIT2 */
};
struct mode_options mode_options(enum policy_mode mode);

/* As the user writes it: "wait:SECONDS". */
void mode_print_usage(struct text *out, enum policy_mode mode);

/* Writes a mode with its argument: "fin-rst", "wait:5". */
void mode_print(struct text *out, enum policy_mode mode, unsigned seconds);

/* Reads the word at the head of a rule, by the parser's dialect. */
int mode_read(struct cursor *p, struct span token, struct policy_rule *rule);
