/* Another process whose sockets are looked at: pidfd_open(2), pidfd_getfd(2), /proc/PID/fd. */
#ifndef LINGER_TARGET_H
#define LINGER_TARGET_H

#include <stdbool.h>
#include <sys/types.h>

#define TARGET_NAME_MAX 256
#define TARGET_WHY_MAX 256

struct target {
    pid_t pid;
    int pidfd;                  /* held from the start: the pid cannot be reused unseen */
    char name[TARGET_NAME_MAX]; /* the file name it was started by, as prog= compares it */
};

/* Opens the process. Returns 0, or -1 and says in `why` what is in the way and what would help. */
int target_open(struct target *target, pid_t pid, char why[TARGET_WHY_MAX]);
void target_close(struct target *target);

/*
 * Calls `visit` with a duplicate of each socket of the process; it is closed behind the call. A
 * descriptor that vanished meanwhile is passed over. Returns 0, or -1 and `why`; stops at once,
 * with -1 and `why` as it is, where `visit` returns false.
 */
int target_each_socket(const struct target *target, bool (*visit)(int fd, void *context),
                       void *context, char why[TARGET_WHY_MAX]);

#endif
