/* SPDX-License-Identifier: MIT */
/* The TCP listeners of all network namespaces that a process is in, and what became of each. */
#pragma once

#include "cli/attach/saved.h"
#include "cli/cli.h"
#include "cli/sockets/sockets.h"
#include "policy/decide.h"

enum listener_state {
    LISTENER_NEW,     /* nobody who has it was examined */
    LISTENER_LEFT,    /* no rule matches it, for those who have it now */
    LISTENER_KEPT,    /* it has what its rule says */
    LISTENER_REFUSED, /* its rule cannot be decided for a listener, or the kernel refused */
};

struct listener {
    uint32_t inode;  /* of the socket: what all lists have */
    uint64_t cookie; /* as the kernel's list has it; 0: not listed yet */
    bool is_there;
    bool is_tried; /* its processes were looked for */
    enum listener_state state;
    struct verdict verdict;    /* of one that is kept or refused */
    uint32_t waiting;          /* for accept(), when it was last listed */
    uint8_t passes;            /* how often its connections will be examined, at most */
    struct saved_socket saved; /* of one that is kept: as it was before */
};

/* Zeroed at first. By inode. */
struct listeners {
    struct listener *items;
    size_t count;
    size_t gone; /* kept ones that are no more, until now */
    struct sockets listed;
    bool has_warned;
};

/*
 * Lists them again: new ones are added, those that nobody has any more are dropped. Returns 0, or
 * -1 after a message.
 */
int listeners_refresh(struct listeners *l, const struct cli_command *self);

/* NULL: unknown. */
struct listener *listeners_find(const struct listeners *l, uint32_t inode);

/* Adds one that is not there yet; NULL: out of memory. Others move. */
struct listener *listeners_add(struct listeners *l, uint32_t inode);

void listeners_free(struct listeners *l);
