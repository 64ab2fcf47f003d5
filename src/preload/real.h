/* The next definition of each function that the library stands in front of. */
#ifndef LINGER_REAL_H
#define LINGER_REAL_H

#include <stdio.h>
#include <sys/socket.h>

/* Only in the type of this argument do glibc's and musl's <sys/socket.h> differ. */
#ifdef __GLIBC__
typedef int real_flags;
#else
typedef unsigned real_flags;
#endif

struct real {
    int (*socket)(int, int, int);
    int (*connect)(int, const struct sockaddr *, socklen_t);
    int (*listen)(int, int);
    int (*accept)(int, struct sockaddr *, socklen_t *);
    int (*accept4)(int, struct sockaddr *, socklen_t *, int);
    ssize_t (*recvmsg)(int, struct msghdr *, int);
    int (*recvmmsg)(int, struct mmsghdr *, unsigned, real_flags, struct timespec *);
    int (*bind)(int, const struct sockaddr *, socklen_t);
    int (*setsockopt)(int, int, int, const void *, socklen_t);
    int (*shutdown)(int, int);
    int (*close)(int);
    int (*fclose)(FILE *);
    int (*dup2)(int, int);
    int (*dup3)(int, int, int);
    /* NULL outside of a glibc of 32 bits, 2.34 or newer. */
    int (*setsockopt64)(int, int, int, const void *, socklen_t);
    ssize_t (*recvmsg64)(int, struct msghdr *, int);
    int (*recvmmsg64)(int, struct mmsghdr *, unsigned, real_flags, struct timespec *);
};

extern struct real real;

/* Fills `real`. Must never ask for a name that this libc lacks: a failing dlsym() allocates. */
void real_resolve(void);

#endif
