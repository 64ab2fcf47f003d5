/* SPDX-License-Identifier: MIT */
/* linger attach --restore: puts back what a file says, and reports the outcome for each socket. */
#pragma once

#include "cli/attach/saved.h"
#include "cli/cli.h"

struct restore_request {
    const char *path;
    bool dry_run;
    bool json;
    bool quiet;
};

/* Prints what saved_put_back() did; false if the kernel refused something. */
bool restore_report(const struct restore_request *request, const struct saved *saved);

/* Returns an exit status. */
int restore(const struct cli_command *self, const struct restore_request *request);
