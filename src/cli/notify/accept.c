/* SPDX-License-Identifier: MIT */
/*
 * A connection's options are set between accept(2) and the program's first use of it, and after
 * accept() nothing is notified. So the supervisor makes the call, on its duplicate of the listener,
 * sets the options, and hands the connection over as the call's result, in one step.
 *
 * If the listener blocks, the supervisor waits in poll(2) in place of the caller. A signal can
 * interrupt the caller as in its own call, and we are not notified of that. So every PERIOD we
 * check that it still waits: else our duplicate would keep a listener open that its program closed.
 *
 * The caller may have gone in the moment between accept() and the hand-over, and a connection
 * cannot be put back: it is kept, and the next accept() on that listener gets it. A call that a
 * signal interrupted is made again at once, if the handler has SA_RESTART.
 */
#include "cli/notify/accept.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "cli/process/target.h"
#include "core/moments.h"
#include "socket/sock.h"

#define PERIOD 20 /* milliseconds */

/* timer_create(2); glibc has no such name for it in older versions. */
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

int64_t accept_clock(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static uint64_t cookie_of(int fd)
{
    struct facts facts = {0};

    return sock_facts(fd, FACT_COOKIE, &facts) ? facts.cookie : 0;
}

static int flags_of(const struct seccomp_notif *request)
{
    return request->data.nr == SYS_accept4 ? (int)request->data.args[3] : 0;
}

static void ring(int number)
{
    (void)number;
}

/*
 * accept4(2) on a listener that blocks, after poll() has shown a connection: a process that we do
 * not supervise may have taken it since. Then a timer ends the wait.
 */
static int accept_or_leave(struct accepts *a, int fd, struct sockaddr *peer, socklen_t *length,
                           int flags)
{
    static const struct itimerspec soon = {{0, 1000000}, {0, 1000000}}; /* a millisecond */
    static const struct itimerspec never;
    struct sigaction action = {.sa_handler = ring}; /* no SA_RESTART */
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGVTALRM};
    sigset_t one;

    if (!a->has_timer) {
        event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
        sigemptyset(&one);
        sigaddset(&one, SIGVTALRM);
        sigaction(SIGVTALRM, &action, NULL);
        pthread_sigmask(SIG_UNBLOCK, &one, NULL);
        a->has_timer = timer_create(CLOCK_MONOTONIC, &event, &a->timer) == 0;
    }
    if (!a->has_timer)
        return -1;
    timer_settime(a->timer, 0, &soon, NULL);
    int accepted = accept4(fd, peer, length, flags);
    int saved = errno == EINTR ? EAGAIN : errno;
    timer_settime(a->timer, 0, &never, NULL);
    errno = saved;
    return accepted;
}

/* A connection that an earlier call has left; false if there is none. */
static bool take_kept(struct accepts *a, const struct seccomp_notif *request, uint64_t listener,
                      struct accept_kept *kept)
{
    int flags = flags_of(request) & SOCK_NONBLOCK ? O_NONBLOCK : 0;

    for (unsigned i = 0; i < a->kept_count; i++) {
        if (a->kept[i].listener != listener)
            continue;
        *kept = a->kept[i];
        memmove(&a->kept[i], &a->kept[i + 1], (--a->kept_count - i) * sizeof(*kept));
        return fcntl(kept->fd, F_SETFL, flags) == 0;
    }
    return false;
}

/* If there are too many, closes the oldest, as its listener would. */
static void keep(struct accepts *a, const struct accept_kept *kept)
{
    if (a->kept_count == ACCEPT_KEPT_MAX) {
        close(a->kept[0].fd);
        memmove(&a->kept[0], &a->kept[1], --a->kept_count * sizeof(*kept));
    }
    a->kept[a->kept_count++] = *kept;
}

/* Takes the next connection of the listener. False, and errno EAGAIN: there is none. */
static bool take_next(struct accepts *a, const struct seccomp_notif *request, int fd, bool blocks,
                      struct accept_kept *next)
{
    int flags = flags_of(request) | SOCK_CLOEXEC;
    struct sockaddr *peer = (struct sockaddr *)&next->peer;
    struct pollfd readable = {.fd = fd, .events = POLLIN};

    if (a->kept_count > 0 && take_kept(a, request, cookie_of(fd), next))
        return true;
    next->length = sizeof(next->peer);
    if (!blocks) {
        next->fd = accept4(fd, peer, &next->length, flags);
    } else if (poll(&readable, 1, 0) == 1) {
        next->fd = accept_or_leave(a, fd, peer, &next->length, flags);
    } else {
        next->fd = -1;
        errno = EAGAIN; /* EINTR would be that of a signal to us */
    }
    if (next->fd < 0)
        return false;
    moments_accept(next->fd, peer, next->length);
    return true;
}

/* `fd` is the listener's duplicate. */
static enum accept_result give(struct accepts *a, const struct seccomp_notif *request, int fd,
                               struct accept_kept *next, struct seccomp_notif_resp *answer)
{
    if (request->data.args[1] != 0 &&
        notify_write_address(request, &next->peer, next->length) != 0) {
        answer->error = -errno; /* the kernel drops the connection, too: do_accept() */
        close(next->fd);
        return ACCEPT_ANSWERED;
    }
    if (notify_give(a->listener, request, next->fd, flags_of(request) & SOCK_CLOEXEC) == 0) {
        target_release(next->fd); /* the program may have closed it already */
        return ACCEPT_GIVEN;
    }
    answer->error = -errno;
    next->listener = cookie_of(fd);
    next->caller = (pid_t)target_status((pid_t)request->pid, "Tgid"); /* threads end */
    keep(a, next);
    return answer->error == -EMFILE ? ACCEPT_ANSWERED : ACCEPT_GIVEN;
}

static void add(struct accepts *a, const struct accept_waiting *waiting, int fd)
{
    a->waiting[a->count] = a->room->waiting[a->count] = *waiting;
    a->watched[a->count] = (struct accept_watched){.fd = fd};
    a->room->count = ++a->count;
}

static enum accept_result wait_for(struct accepts *a, const struct seccomp_notif *request, int fd)
{
    struct timeval limit = {0};

    if (a->count == ACCEPT_WAITING_MAX)
        return ACCEPT_GOES_ON;
    (void)sock_get(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    int64_t patience = (int64_t)limit.tv_sec * 1000 + limit.tv_usec / 1000;
    add(a,
        &(struct accept_waiting){*request, cookie_of(fd),
                                 patience == 0 ? INT64_MAX : accept_clock() + patience},
        fd);
    return ACCEPT_WAITS;
}

static bool is_blocking(int fd)
{
    return !(fcntl(fd, F_GETFL) & O_NONBLOCK);
}

bool accept_has_none(const struct accepts *a, const struct seccomp_notif *request, int fd)
{
    return a->kept_count == 0 && !(flags_of(request) & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) &&
           !is_blocking(fd);
}

enum accept_result accept_handle(struct accepts *a, const struct seccomp_notif *request, int fd,
                                 struct seccomp_notif_resp *answer)
{
    int flags = flags_of(request);
    bool blocks = is_blocking(fd);
    struct accept_kept next;

    if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK))
        return ACCEPT_GOES_ON;
    if (!take_next(a, request, fd, blocks, &next)) {
        if (errno == EAGAIN && blocks)
            return wait_for(a, request, fd);
        answer->flags = 0;
        answer->error = -errno;
        return ACCEPT_ANSWERED;
    }
    answer->flags = 0;
    return give(a, request, fd, &next, answer);
}

bool accept_is_busy(const struct accepts *a)
{
    return a->count > 0 || a->kept_count > 0;
}

void accept_forget(struct accepts *a)
{
    for (; a->count > 0; a->count--)
        close(a->watched[a->count - 1].fd);
    for (; a->kept_count > 0; a->kept_count--)
        target_release(a->kept[a->kept_count - 1].fd);
    a->has_timer = false; /* timer_create(2): it is not inherited */
}

/* Other processes can write to the room: each number is trusted only while its caller waits. */
void accept_take_over(struct accepts *a)
{
    static struct accept_room left;

    memcpy(&left, a->room, sizeof(left));
    for (unsigned i = 0; i < left.count && i < ACCEPT_WAITING_MAX; i++) {
        const struct accept_waiting *w = &left.waiting[i];
        int fd = target_take((pid_t)w->request.pid, (int)w->request.data.args[0]);
        if (fd >= 0 && notify_is_held(a->listener, &w->request) && cookie_of(fd) == w->listener)
            add(a, w, fd);
        else if (fd >= 0)
            close(fd);
    }
}

/* Closes connections whose program has ended; so has its listener, as far as we know. */
static void drop_orphans(struct accepts *a)
{
    for (unsigned i = a->kept_count; i > 0; i--) {
        struct accept_kept *kept = &a->kept[i - 1];
        if (kill(kept->caller, 0) == 0 || errno != ESRCH)
            continue;
        close(kept->fd);
        memmove(kept, kept + 1, (a->kept_count-- - i) * sizeof(*kept));
    }
}

/* The listeners; where neighbours share one, only the first of them. */
static nfds_t fill(const struct accepts *a, struct pollfd *set)
{
    set[0] = (struct pollfd){a->listener, POLLIN, 0};
    for (unsigned i = 0; i < a->count; i++) {
        bool is_shared = i > 0 && a->waiting[i].listener == a->waiting[i - 1].listener;
        set[i + 1] = (struct pollfd){is_shared ? -1 : a->watched[i].fd, POLLIN, 0};
    }
    return a->count + 1;
}

bool accept_watch(struct accepts *a, int limit)
{
    static struct pollfd set[ACCEPT_WAITING_MAX + 1];
    bool is_readable = false;

    (void)poll(set, fill(a, set), limit < PERIOD ? limit : PERIOD); /* EINTR: the time counts */
    int64_t time = accept_clock();
    bool asks_all = time - a->asked >= PERIOD;
    for (unsigned i = 0; i < a->count; i++) {
        struct accept_watched *w = &a->watched[i];
        is_readable = set[i + 1].fd < 0 ? is_readable : set[i + 1].revents != 0;
        w->is_readable = is_readable;
        w->is_due = asks_all || is_readable;
    }
    if (asks_all) {
        a->asked = time;
        drop_orphans(a);
    }
    return set[0].revents != 0;
}

const struct seccomp_notif *accept_due(const struct accepts *a)
{
    for (unsigned i = 0; i < a->count; i++) {
        if (a->watched[i].is_due)
            return &a->waiting[i].request;
    }
    return NULL;
}

static void leave(struct accepts *a, unsigned at)
{
    unsigned behind = --a->count - at;

    close(a->watched[at].fd);
    memmove(&a->watched[at], &a->watched[at + 1], behind * sizeof(a->watched[0]));
    memmove(&a->waiting[at], &a->waiting[at + 1], behind * sizeof(a->waiting[0]));
    memcpy(&a->room->waiting[at], &a->waiting[at], behind * sizeof(a->waiting[0]));
    a->room->count = a->count;
}

void accept_release(struct accepts *a)
{
    for (unsigned i = a->count; i > 0; i--) {
        if (!notify_is_held(a->listener, &a->waiting[i - 1].request))
            leave(a, i - 1);
    }
}

/* For a caller that is still held. True: it has its answer. */
static bool is_answered(struct accepts *a, unsigned at)
{
    const struct accept_waiting *w = &a->waiting[at];
    struct seccomp_notif_resp answer = {.id = w->request.id};
    enum accept_result result = ACCEPT_ANSWERED;
    struct accept_kept next;

    if (take_next(a, &w->request, a->watched[at].fd, true, &next))
        result = give(a, &w->request, a->watched[at].fd, &next, &answer);
    else if (errno != EAGAIN || w->until <= accept_clock())
        answer.error = -errno;
    else
        return false;
    if (result == ACCEPT_ANSWERED)
        notify_answer(a->listener, &answer);
    return true;
}

void accept_retry(struct accepts *a, const struct seccomp_notif *due)
{
    unsigned at = (unsigned)((const struct accept_waiting *)due - a->waiting);
    uint64_t listener = a->waiting[at].listener;

    a->watched[at].is_due = false;
    if (!notify_is_held(a->listener, due) || is_answered(a, at)) {
        leave(a, at);
        return;
    }
    /* The listener has no connection, so its other callers wait on too. */
    for (unsigned i = at; i < a->count; i++) {
        if (a->waiting[i].listener == listener && a->watched[i].is_readable)
            a->watched[i].is_due = false;
    }
}
