/* SPDX-License-Identifier: MIT */
/* The descriptors that are open in this process. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/*
 * Calls `visit` for each of these numbers, and for some that are not open. `buffer` has `size`
 * bytes, 24 for each number that one call to the kernel returns: a hook may have 2 KiB of stack.
 */
void descriptors_each(unsigned first, unsigned last, void (*visit)(int fd), uint64_t *buffer,
                      size_t size);

/*
 * Is the number below RLIMIT_NOFILE of the process (0: this one), so that dup2(2) may use it? One
 * above may still be open, from before the limit fell.
 */
bool descriptors_is_permitted(pid_t process, int fd);

/* Calls `visit` for each descriptor that recvmsg(2) put into the message (SCM_RIGHTS, unix(7)). */
void descriptors_received(const struct msghdr *message, void (*visit)(int fd));
