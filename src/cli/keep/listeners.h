/* SPDX-License-Identifier: MIT */
/* The TCP listeners of all network namespaces that a process is in, and what became of each. */
#pragma once

#include "cli/attach/saved.h"
#include "cli/cli.h"
#include "cli/sockets/sockets.h"
#include "policy/decide.h"

enum listener_state {
    LISTENER_NEW = 1 << 0,   /* nobody who has it was examined */
    LISTENER_TRIED = 1 << 1, /* the same, although they were looked for */
    LISTENER_LEFT = 1 << 2,  /* no rule matches it, for those who have it now */
    LISTENER_KEPT = 1 << 3,  /* it has what its rule says */
    LISTENER_REFUSED =
        1 << 4, /* its rule cannot be decided for a listener, or the kernel refused */
    LISTENER_ANY = (1 << 5) - 1,
};

struct listener {
    uint32_t inode;  /* of the socket: what all lists have */
    uint64_t cookie; /* as the kernel's list has it; 0: not listed yet */
    bool is_there;
    enum listener_state state;
    struct verdict verdict;    /* of one that is kept or refused */
    uint32_t waiting;          /* for accept(), when it was last listed */
    uint8_t passes;            /* how often its connections will be examined, at most */
    struct saved_socket saved; /* of one that is kept: as it was before */
};

/* Since the start. */
struct listeners_counts {
    size_t applied; /* to listeners */
    size_t refused;
    size_t gone;        /* of those that were kept */
    size_t connections; /* that were changed */
};

/* Zeroed at first. By inode. */
struct listeners {
    struct listener *items;
    size_t count;
    struct listeners_counts counts;
    struct sockets listed;
    bool has_warned;
};

/*
 * Lists them again: new ones are added, those that nobody has any more are dropped. Returns 0, or
 * -1 after a message.
 */
int listeners_refresh(struct listeners *l, const struct cli_command *self);

/* That of the inode, which is added unless it is there: then others move. NULL: out of memory. */
struct listener *listeners_get(struct listeners *l, uint32_t inode);

void listeners_free(struct listeners *l);
