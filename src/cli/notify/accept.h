/* SPDX-License-Identifier: MIT */
/*
 * accept(2), made for the program: which calls wait for a connection, and which connections wait
 * for a call.
 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "cli/notify/notify.h"

#define ACCEPT_WAITING_MAX 512
#define ACCEPT_KEPT_MAX 64

/* A call on a listener that blocks. */
struct accept_waiting {
    struct seccomp_notif request;
    uint64_t listener; /* its cookie */
    int64_t until;     /* milliseconds of CLOCK_MONOTONIC, by SO_RCVTIMEO; INT64_MAX: for good */
};

/* In memory that a second supervisor shares, which reads it when it takes over. */
struct accept_room {
    unsigned count;
    struct accept_waiting waiting[ACCEPT_WAITING_MAX];
};

/* A connection whose call was interrupted, or whose program had no descriptor left. */
struct accept_kept {
    int fd;
    pid_t caller;
    uint64_t listener;
    struct sockaddr_storage peer;
    socklen_t length;
};

/* What this process has of a call that waits. */
struct accept_watched {
    int fd; /* the listener's duplicate */
    bool is_due, is_readable;
};

/* `listener` and `room` are the caller's to set. */
struct accepts {
    int listener; /* of notifications */
    struct accept_room *room;
    unsigned count;
    struct accept_waiting waiting[ACCEPT_WAITING_MAX];
    struct accept_watched watched[ACCEPT_WAITING_MAX];
    int64_t asked; /* when all of them were last checked: do they still wait? */
    bool has_timer;
    timer_t timer; /* ends an accept(2) that would wait */
    unsigned kept_count;
    struct accept_kept kept[ACCEPT_KEPT_MAX];
};

enum accept_result {
    ACCEPT_GOES_ON,  /* the program's own call does it */
    ACCEPT_ANSWERED, /* `answer` was filled */
    ACCEPT_GIVEN,    /* the caller has its connection, or has gone */
    ACCEPT_WAITS,    /* later; the duplicate belongs to `accepts` now */
};

/* Would the call fail with EAGAIN? `fd` is a duplicate of its listener, whose queue is empty. */
bool accept_has_none(const struct accepts *a, const struct seccomp_notif *request, int fd);

/* Handles a call on a listener. `fd` is its duplicate; the caller was still held just now. */
enum accept_result accept_handle(struct accepts *a, const struct seccomp_notif *request, int fd,
                                 struct seccomp_notif_resp *answer);

/* Continues with the calls that waited when another supervisor ended. */
void accept_take_over(struct accepts *a);

/* In a process that was forked: lets go of what its parent has. */
void accept_forget(struct accepts *a);

/* Does a call wait, or a connection? Then accept_watch() is due before the next call is read. */
bool accept_is_busy(const struct accepts *a);

/* Milliseconds of CLOCK_MONOTONIC. */
int64_t accept_clock(void);

/*
 * Waits until a notification can be read or a waiting call is due, at most for `limit`
 * milliseconds. True: there is a notification, or no process is left to make a call.
 */
bool accept_watch(struct accepts *a, int limit);

/* The next waiting call that is due, for accept_retry(); NULL if there is none. */
const struct seccomp_notif *accept_due(const struct accepts *a);

/* Before a bind(): closes the duplicates of listeners whose callers no longer wait. */
void accept_release(struct accepts *a);

/* Gives the call a connection or an error, or lets it wait on. */
void accept_retry(struct accepts *a, const struct seccomp_notif *due);
