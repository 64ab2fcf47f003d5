/* SPDX-License-Identifier: MIT */
/*
 * What the two supervisors of a running program share, and hand over to those that replace them: a
 * page of memory and the filter's listener.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "cli/cli.h"
#include "cli/supervise/answer.h"

#define HANDOVER_NAME "lingersupervise" /* of both, for ps(1); 15 characters are what it shows */

/* Their numbers in each supervisor. */
enum { HANDOVER_PAGE = 3, HANDOVER_LISTENER, HANDOVER_FREE };

struct page {
    unsigned moments;        /* that the filter reports; enum moment or-ed */
    struct answer_room room; /* the kernel itself writes here what it hands over */
};

/*
 * Waits until no other takeover of the process goes on, which would be in the way of ours: one
 * traces it. Ours lasts until `turn` is closed; -1 without the right to lock. The process itself
 * can hold that lock, and so can all that may trace it: we wait no longer than a takeover lasts.
 * False after a message.
 */
bool handover_await_turn(const struct cli_command *self, pid_t program, int *turn);

/*
 * The process that supervises `program` for this user, or, with `anybody`, that claims to; 0: none.
 * Supervisors are listed once for all programs: those that come later are seen after
 * handover_forget().
 */
pid_t handover_find(pid_t program, bool anybody);
void handover_forget(void);

/*
 * Takes the page and the listener from the supervisors that the program has. Returns the page;
 * NULL with errno 0 if there are none, ESRCH if they have just ended, or another one.
 */
struct page *handover_take(pid_t program);

/* Makes a page for a program that has no supervisors; NULL and errno. */
struct page *handover_make(pid_t program);

/*
 * Gives this process alone the right to answer, for as long as it lives (fcntl(2), "Advisory record
 * locking"). `replaces`: those who have it are ended. False if it belongs to another.
 */
bool handover_own(pid_t program, bool replaces);
