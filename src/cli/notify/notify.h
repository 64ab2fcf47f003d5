/* SPDX-License-Identifier: MIT */
/* What seccomp_unotify(2) lets a supervisor do about a call that the kernel holds. */
#pragma once

#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* To be called by a process that begins to read notifications from this descriptor. */
void notify_use(int listener);

/* The call that this kernel lacks, and without which nothing can be answered; NULL: none. */
const char *notify_lacks(int listener);

/* Is the call still held? Then what was opened and read of its caller before is its own. */
bool notify_is_held(int listener, const struct seccomp_notif *request);

/* Does nothing if the caller has gone. */
void notify_answer(int listener, struct seccomp_notif_resp *answer);

/* False where not all of it can be read: then the kernel itself will say EFAULT. */
bool notify_read(const struct seccomp_notif *request, uint64_t from, void *to, size_t size);

/*
 * What accept(2) does with the address of a connection: to pointer `arguments[1]`, its length being
 * at `arguments[2]`. Returns 0, or -1 and errno.
 */
int notify_write_address(const struct seccomp_notif *request,
                         const struct sockaddr_storage *address, socklen_t length);

/* May a descriptor be the answer? Linux 5.14. */
bool notify_can_give(int listener);

/*
 * Ends the call with a duplicate of `fd` as its result, or leaves it as it is. Returns 0, or -1 and
 * errno: ENOENT or ESRCH, the caller has gone; EMFILE, it has no number left. If we are killed or
 * stopped in this, the call may return 0 (seccomp_notify_addfd()).
 */
int notify_give(int listener, const struct seccomp_notif *request, int fd, bool closes_on_exec);
