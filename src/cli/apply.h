/* SPDX-License-Identifier: MIT */
/* A policy on the sockets that running processes have: `linger attach`, `supervise` and `keep`. */
#pragma once

#include "cli/attach/selection.h"
#include "socket/sock.h"

struct apply {
    struct selection selection;
    const char *save;   /* of --save: a file's name, or NULL */
    bool is_supervised; /* what is not known yet is left to a supervisor */
    bool has_lines; /* an object of JSON is a line, and each line has the program and the rule */

    /* apply() fills these. */
    int saved; /* the open file of `save` */
    unsigned listeners;
    unsigned connections;
    unsigned failed;
};

/* What is to be done with one socket, and what was. */
struct apply_outcome {
    struct verdict before; /* what it had, as a mode */
    enum decision decision;
    struct verdict verdict;
    bool has_options;    /* there is something to set */
    bool gives_way;      /* what the program itself has set stands, by overrule=no */
    bool is_beyond;      /* fin-rst, and the socket is MPTCP's, which has no TCP_LINGER2 */
    bool is_lossy;       /* rst, and TCP_CORK is set */
    const char *refused; /* an option, or NULL */
    int error;
};

struct apply_outcome apply_decide(const struct policy *policy, int fd, const struct facts *facts);

/* Sets it. */
void apply_set(int fd, struct apply_outcome *outcome);

/* Prints the outcome as a line, or as an object. */
void apply_print(struct apply *a, const struct facts *facts, const struct apply_outcome *outcome);

/*
 * Reads the policy. Refuses rules about connections to come, which only a supervisor can apply to a
 * running process; and, where a listener alone hands the policy on, rules that depend on the peer.
 * Returns 0, or -1 after a message.
 */
int apply_take_mode(struct selection *s, bool has_listener_alone);

/* Takes -s and those of the selection; false after a message. */
bool apply_take_option(struct apply *a, int option);

/* The text of what is missing or contradictory; NULL if nothing is. */
const char *apply_find_mistake(const struct apply *a, bool has_pids);

/*
 * Sets the options, and prints that; an object of JSON is left open, for further members. False
 * where something was refused, or not done.
 */
bool apply(struct apply *a);

/* Closes that object. */
void apply_end_json(struct apply *a);
