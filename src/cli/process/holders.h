/* SPDX-License-Identifier: MIT */
/* Which processes hold a socket: /proc/PID/fd, proc(5). */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HOLDERS_NAME_MAX 64

struct holder {
    uint32_t inode; /* the socket's */
    pid_t pid;
    char program[HOLDERS_NAME_MAX]; /* comm */
};

/*
 * Finds the holders of the sockets with these inodes, a process once per socket, as far as /proc
 * may be read. Sorts `inodes`. Returns the number of holders and an array for free(3), or -1 and
 * errno.
 */
ssize_t holders_find(uint32_t *inodes, size_t count, struct holder **holders);

/*
 * The same for TCP sockets of this network namespace that had a connection and have none: those
 * that are not among `inodes`, the kernel's list. Where a socket may not be duplicated
 * (pidfd_getfd(2)), nothing is known of it, and it is left out.
 */
ssize_t holders_find_closed(uint32_t *inodes, size_t count, struct holder **holders);

/*
 * How many of the sorted inodes have no known holder: except to root, /proc shows the descriptors
 * of the same user's processes only. Sorts the holders by inode.
 */
size_t holders_unseen(const uint32_t *inodes, size_t count, struct holder *holders,
                      size_t holder_count);

/* Sorts the inodes, and moves their holders to the front. Returns how many these are. */
size_t holders_select(uint32_t *inodes, size_t count, struct holder *holders, size_t holder_count);

/* Keeps those inodes that are among the others, too, which it sorts. Returns how many. */
size_t holders_keep(uint32_t *inodes, size_t count, uint32_t *others, size_t other_count);

/* What follows "processes that": why they are not seen, and what would show them. */
#define HOLDERS_WHY_MAX 192
void holders_explain_unseen(char why[HOLDERS_WHY_MAX]);

/* Sorts by pid, so that the sockets of a process stand together. */
void holders_sort(struct holder *holders, size_t count);

/* Where the sockets of the next process begin, in sorted holders. */
size_t holders_next(const struct holder *holders, size_t count, size_t at);
