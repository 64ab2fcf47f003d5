/* SPDX-License-Identifier: MIT */
/* The next definition of each function that the library stands in front of. */
#pragma once

#include <link.h>
#include <stdio.h>
#include <sys/socket.h>

/* Only in the type of this argument do glibc's and musl's <sys/socket.h> differ. */
#ifdef __GLIBC__
typedef int real_flags;
#else
typedef unsigned real_flags;
#endif

#undef freopen64 /* a macro of musl's headers */

/*
 * NULL where this libc has none: freopen64() in musl, close_range() and closefrom() before glibc
 * 2.34 and in musl, and outside of a glibc of 32 bits those of ENTRY_TIME64, whose names begin
 * with "__": what a program that was built with -D_TIME_BITS=64 calls.
 */
#define REAL_FUNCTIONS(ENTRY, ENTRY_TIME64)                                                        \
    ENTRY(int, close, (int))                                                                       \
    ENTRY(int, socket, (int, int, int))                                                            \
    ENTRY(int, connect, (int, const struct sockaddr *, socklen_t))                                 \
    ENTRY(int, listen, (int, int))                                                                 \
    ENTRY(int, accept, (int, struct sockaddr *, socklen_t *))                                      \
    ENTRY(int, accept4, (int, struct sockaddr *, socklen_t *, int))                                \
    ENTRY(ssize_t, recvmsg, (int, struct msghdr *, int))                                           \
    ENTRY(int, recvmmsg, (int, struct mmsghdr *, unsigned, real_flags, struct timespec *))         \
    ENTRY(int, bind, (int, const struct sockaddr *, socklen_t))                                    \
    ENTRY(int, setsockopt, (int, int, int, const void *, socklen_t))                               \
    ENTRY(int, shutdown, (int, int))                                                               \
    ENTRY(int, fclose, (FILE *))                                                                   \
    ENTRY(FILE *, freopen, (const char *, const char *, FILE *))                                   \
    ENTRY(FILE *, freopen64, (const char *, const char *, FILE *))                                 \
    ENTRY(int, dup2, (int, int))                                                                   \
    ENTRY(int, dup3, (int, int, int))                                                              \
    ENTRY(int, close_range, (unsigned, unsigned, int))                                             \
    ENTRY(void, closefrom, (int))                                                                  \
    ENTRY_TIME64(int, setsockopt64, (int, int, int, const void *, socklen_t))                      \
    ENTRY_TIME64(ssize_t, recvmsg64, (int, struct msghdr *, int))                                  \
    ENTRY_TIME64(int, recvmmsg64, (int, struct mmsghdr *, unsigned, real_flags, struct timespec *))

#define REAL_SLOT(type, name, arguments) type(*name) arguments;

struct real {
    REAL_FUNCTIONS(REAL_SLOT, REAL_SLOT)
};

extern struct real real;

/* Fills `real`. Any number of threads may: each finds the same. */
void real_resolve(void);

/* Fills what is still empty from that loaded object. */
void real_fill(const struct dl_phdr_info *loaded, const ElfW(Dyn) * dynamic);
