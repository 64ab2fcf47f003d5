/* SPDX-License-Identifier: MIT */
/* That `linger keep` runs, and what it does: a lock, a list and counters, in files. */
#pragma once

#include "cli/keep/look.h"

#define STATUS_DIRECTORY "/run/linger-keep"

/* Takes the lock of this host until this process ends. Returns 0, or -1 after a message. */
int status_lock(const struct cli_command *self);

/*
 * Writes the list of what is kept, and the counters in Prometheus's text format to `counters`
 * unless that is NULL; each file is replaced as a whole. A message says where that fails.
 */
void status_write(const struct look *l, const char *counters);

/* A listener that is kept, as the list has it. */
struct status_kept {
    uint32_t inode;
    unsigned rule;
    char local[SAVED_ENDPOINT_MAX];
    char text[SELECTION_RULE_SIZE]; /* of the rule */
};

/* Reads the list into an array for free(3), and who keeps them; none if nobody does now. */
size_t status_read(struct status_kept **kept, pid_t *keeper);

/* Is there no other user who could replace that file? Else false, after a message. */
bool status_may_write(const struct cli_command *self, const char *path);
