/* SPDX-License-Identifier: MIT */
/* linger attach --stay: running programs under the whole policy, until they end. */
#ifndef LINGER_CLI_ADOPT_STAY_H
#define LINGER_CLI_ADOPT_STAY_H

#include <stdbool.h>

#include "cli/cli.h"
#include "cli/process/target.h"
#include "core/settings.h"

/* What the caller does not set starts as zeros. */
struct stay {
    const struct cli_command *self; /* who complains; the caller sets it */
    const char *log;                /* of --log, or NULL; the caller sets it */
    bool is_confirmed;              /* by --yes; the caller sets it */
    struct settings settings;
};

/*
 * Takes the settings: the policy, --log, and the variables, of which LINGER_MODE does not count.
 * Returns 0, or -1 after a message.
 */
int stay_take_settings(struct stay *stay, const struct policy *mode);

/*
 * Finds out what would be refused, and touches nothing. Returns 0, or -1 after a message. With
 * `asks`, the user has to say yes where something cannot be undone.
 */
int stay_check(const struct stay *stay, const struct target *targets, int count, bool asks);

/*
 * Serves them from now on, or replaces the policy: `is_replaced` says which of the two, of each.
 * Returns 0, or -1 after a message.
 */
int stay_start(const struct stay *stay, const struct target *targets, int count, bool *is_replaced,
               bool is_quiet);

/* What stay_start() did, as the member "served" of an object. */
void stay_print_json(const struct target *targets, int count, const bool *is_replaced);

#endif
