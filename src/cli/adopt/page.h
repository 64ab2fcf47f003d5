/* SPDX-License-Identifier: MIT */
/*
 * What the two servers of a running program share, and how they are found again: a page of memory
 * that both map (memfd_create(2)), whose name says which program it is of.
 */
#ifndef LINGER_CLI_ADOPT_PAGE_H
#define LINGER_CLI_ADOPT_PAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cli/process/target.h"
#include "cli/supervise/answer.h"

#define PAGE_SERVER "linger-stay" /* the name of both, for ps(1) */

/* What is in it. A change of its layout is another PAGE_VERSION. */
struct page {
    uint32_t version;
    uint32_t moments;            /* of which the filter tells; enum moment or-ed */
    _Atomic unsigned generation; /* grows with each policy; who is of an older one ends */
    union answer_room room;      /* the kernel itself writes here what it hands over */
};

/* A program that is served, in a process that has the descriptors of its servers. */
struct paged {
    int fd; /* the page's */
    struct page *page;
    int listener; /* -1: there are no servers yet */
};

/* The pid of a server of that process, or 0. */
pid_t page_server(pid_t program);

/* Takes both descriptors from that server. Returns 0, or -1, errno (EPERM: for good) and `why`. */
int page_take(struct paged *paged, pid_t server, pid_t program, char why[TARGET_WHY_MAX]);

/* Makes a page for a process that has no servers. Returns 0, or -1 and `why`. */
int page_make(struct paged *paged, pid_t program, char why[TARGET_WHY_MAX]);

/*
 * Waits until this process alone may answer, for as long as it lives (fcntl(2), "Advisory record
 * locking"). Who has that right and is of an older generation is ended. False where this process is
 * of an older one itself.
 */
bool page_own(const struct paged *paged, unsigned generation);

#endif
