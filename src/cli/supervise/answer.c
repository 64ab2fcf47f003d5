/* SPDX-License-Identifier: MIT */
/*
 * One notification: take a duplicate of the descriptor, read the address, and only then ask
 * whether the caller is still held (before that, its pid and its memory may be another's); then
 * the same moment of core/moments.c that a hook of the library calls; then close the duplicate, and
 * only then let the call proceed: our copy must not be the last one of a socket that the program
 * closes. listen(), and calls that are answered for the program, act on the duplicate.
 * Must never block, keep a duplicate, or trust what it read before that check.
 */
#include "cli/supervise/answer.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli/supervise/filter.h"
#include "core/moments.h"
#include "report/fileid.h"
#include "report/report.h"
#include "socket/descriptors.h"
#include "socket/sock.h"

/* Milliseconds; OPEN_PATIENCE is for a caller that is not given a processor. */
enum { GLANCE = 1, LONG = 1000, OPEN_PATIENCE = 1000, OPEN_PATIENCE_BOUND = 100 };

/* One call that is held, and what it is answered. */
struct call {
    struct answerer *answerer;
    const struct seccomp_notif *request;
    struct seccomp_notif_resp answer;
    bool is_over;   /* has its answer, or waits for it */
    bool is_open;   /* connect(), and the local end decides */
    bool is_met;    /* the caller is one that was supervised before */
    bool waits_not; /* close() of the duplicate cannot wait: it is not connected */
    int fd;         /* the duplicate */
};

static void answer(struct call *call, int status)
{
    call->answer.error = status == 0 ? 0 : -errno;
    call->answer.flags = 0;
}

static bool is_valid(const struct call *call)
{
    return notify_is_held(call->answerer->listener, call->request);
}

/* The next events are about the caller's descriptor `number`. Costs more than the call itself. */
static void name_subject(const struct seccomp_notif *request, int number)
{
    if (report_is_on())
        report_subject((pid_t)target_status((pid_t)request->pid, "Tgid"), number);
}

static void warn_of(const struct call *call, int error)
{
    struct error why = {.text = "its descriptors cannot be duplicated"};

    report_failed(-1, "pidfd_getfd", error, NULL);
    if (call->answerer->has_warned)
        return;
    call->answerer->has_warned = true;
    if (error == EPERM)
        (void)target_explain_refusal((pid_t)call->request->pid, &why);
    cli_error(call->answerer->self, "pid %u is not under the policy: %s", call->request->pid,
              why.text);
}

/* Takes the duplicate; false if there is none: not open, closed by now, or out of reach. */
static bool take(struct call *call, int number)
{
    call->fd = target_take_again((pid_t)call->request->pid, number, &call->is_met);
    int error = errno;
    if (call->fd < 0 && error != EBADF && is_valid(call)) {
        name_subject(call->request, number);
        warn_of(call, error);
    }
    return call->fd >= 0;
}

/*
 * The duplicate of a TCP socket whose caller is still held. We act for the program on nothing else:
 * listen() on a Unix socket, for example, records its caller (SO_PEERCRED).
 */
static bool take_tcp(struct call *call, int number)
{
    struct facts facts = {0};

    if (!take(call, number) || !sock_facts(call->fd, 0, &facts))
        return false;
    name_subject(call->request, number);
    return is_valid(call);
}

/* The same for the descriptor that is argument 0. */
static bool take_first(struct call *call)
{
    return take_tcp(call, (int)call->request->data.args[0]);
}

/*
 * The same for a moment that itself passes over what is not TCP, so that the kernel is not asked
 * twice; where there is a log it is, as logging costs more. Where each socket of the program gets
 * the same, it does not matter if the number means another one by now.
 */
static bool take_first_to_look(struct call *call)
{
    if (report_is_on())
        return take_first(call);
    return take(call, (int)call->request->data.args[0]) &&
           ((call->is_met && moments_asks_nothing()) || is_valid(call));
}

/* The address that is argument 1, its length being argument 2. */
static bool read_address(const struct call *call, struct sockaddr_storage *address,
                         socklen_t *length)
{
    uint32_t size = (uint32_t)call->request->data.args[2];

    if (size < sizeof(struct sockaddr_in) || size > sizeof(*address))
        return false;
    *length = size;
    return notify_read(call->request, call->request->data.args[1], address, size) &&
           (address->ss_family == AF_INET || address->ss_family == AF_INET6);
}

static void handle_connect(struct call *call)
{
    bool asks_peer = moments_asks_peer(); /* reading costs as much as all the rest */
    struct sockaddr_storage address;
    socklen_t length = 0;

    bool has_address = !asks_peer || read_address(call, &address, &length);
    if (!take_first_to_look(call) || !has_address)
        return;
    enum moments_connecting result =
        moments_connect(call->fd, asks_peer ? (struct sockaddr *)&address : NULL, length);
    call->is_open = result == MOMENTS_OPEN && !(moments_wanted & MOMENT_CLOSE);
    call->waits_not = result == MOMENTS_SETTLED;
}

/* A supervisor is not notified after a call, so listen() is made here, and then looked at. */
static void handle_listen(struct call *call)
{
    if (!take_first(call))
        return;
    bool settled = moments_listen(call->fd);
    int status = listen(call->fd, (int)call->request->data.args[1]);
    answer(call, status);
    if (status == 0 && !settled)
        moments_listening(call->fd);
}

/* The kernel lists the sockets of our own network namespace. */
static bool is_of_our_network(const struct call *call)
{
    struct fileid ours;
    struct fileid callers;

    return fileid_of_path("/proc/self/ns/net", &ours) &&
           fileid_of_path(target_path((pid_t)call->request->pid, "ns/net"), &callers) &&
           fileid_is(&ours, &callers);
}

/*
 * bind() is the program's own call: the kernel judges what confines the program (Landlock,
 * privileged ports, a user namespace) when it is made, and we run before that. So the log says who
 * has the port by then, and not whether the call fails.
 */
static void handle_bind(struct call *call)
{
    struct sockaddr_storage address;
    socklen_t length;

    accept_release(&call->answerer->accepts);
    if (!read_address(call, &address, &length) || !take_first(call))
        return;
    moments_bind(call->fd, (struct sockaddr *)&address, length);
    if (report_is_on() && is_of_our_network(call))
        moments_bind_fails(call->fd, (struct sockaddr *)&address, length, 0);
}

/* SO_LINGER or TCP_LINGER2: first as the program wants it, with its errors. */
static void handle_setsockopt(struct call *call)
{
    const __u64 *arguments = call->request->data.args;
    int level = (int)arguments[1];
    int option = (int)arguments[2];
    int size = (int)arguments[4];
    struct linger value = {0, 0};
    /* As much as the kernel reads: there may be no more. */
    int whole = option == SO_LINGER ? (int)sizeof(value) : (int)sizeof(int);

    size = size < whole ? size : whole;
    if (size < 0 || !notify_read(call->request, arguments[3], &value, (size_t)size) ||
        !take_first(call))
        return;
    int status = sock_set(call->fd, level, option, &value, (socklen_t)size);
    answer(call, status);
    if (status == 0)
        moments_setsockopt(call->fd, level, option);
}

/* A server's event loop asks until there is none. */
static void handle_accept(struct call *call)
{
    struct accepts *accepts = &call->answerer->accepts;
    enum accept_result result = ACCEPT_GOES_ON;

    if (!take(call, (int)call->request->data.args[0]))
        return;
    int waiting = sock_waiting(call->fd);
    call->waits_not = waiting >= 0; /* nor does a listener's, __tcp_close() */
    if (waiting == 0 && accept_has_none(accepts, call->request, call->fd)) {
        errno = EAGAIN;
        answer(call, -1);
    } else if (waiting >= 0) {
        name_subject(call->request, -1);
        if (is_valid(call))
            result = accept_handle(accepts, call->request, call->fd, &call->answer);
    }
    call->is_over = result == ACCEPT_GIVEN || result == ACCEPT_WAITS;
    if (result == ACCEPT_WAITS)
        call->fd = -1;
}

static void handle_shutdown(struct call *call)
{
    if (take_first(call) && moments_shutdown(call->fd, (int)call->request->data.args[1]))
        answer(call, 0);
}

static void handle_close(struct call *call)
{
    if (take_first(call))
        moments_close(call->fd);
}

/* dup2() and dup3() close the target, unless they fail or it is the same. */
static void handle_replace(struct call *call)
{
    pid_t thread = (pid_t)call->request->pid;
    int from = (int)call->request->data.args[0];
    int target = (int)call->request->data.args[1];
    bool has_flags = call->request->data.nr == SYS_dup3;
    bool will_fail = (has_flags && (int)call->request->data.args[2] & ~O_CLOEXEC) ||
                     !descriptors_is_permitted(thread, target);
    int source = from == target || will_fail ? -1 : target_take(thread, from);

    if (source < 0)
        return;
    target_release(source);
    if (take_tcp(call, target))
        moments_close(call->fd);
}

static bool visit_at_exit(int fd, int number, void *context)
{
    const pid_t *process = context;

    report_subject(*process, number);
    moments_exit(fd);
    return true;
}

static void handle_exit(struct call *call)
{
    pid_t process = (pid_t)target_status((pid_t)call->request->pid, "Tgid");
    struct error why;
    struct target target;

    if (target_open(&target, process, &why) != 0)
        return;
    if (is_valid(call))
        (void)target_each_socket(&target, visit_at_exit, &process, &why);
    target_close(&target);
}

static void dispatch(struct call *call)
{
    static const struct {
        int number;
        unsigned moment;
        void (*handle)(struct call *call);
    } handlers[] = {
        {SYS_connect, MOMENT_CONNECT, handle_connect},
        {SYS_listen, MOMENT_LISTEN, handle_listen},
        {SYS_bind, MOMENT_BIND, handle_bind},
#ifdef SYS_accept
        {SYS_accept, MOMENT_ACCEPT, handle_accept},
#endif
        {SYS_accept4, MOMENT_ACCEPT, handle_accept},
        {SYS_setsockopt, MOMENT_SETSOCKOPT, handle_setsockopt},
        {SYS_shutdown, MOMENT_SHUTDOWN, handle_shutdown},
        {SYS_close, MOMENT_CLOSE, handle_close},
        {SYS_dup3, MOMENT_CLOSE, handle_replace},
#ifdef SYS_dup2
        {SYS_dup2, MOMENT_CLOSE, handle_replace},
#endif
        {SYS_exit_group, MOMENT_EXIT, handle_exit},
    };

    if (filter_is_foreign(call->request->data.arch)) {
        if (!call->answerer->has_met_foreign)
            cli_error(call->answerer->self,
                      "pid %u is a 32-bit program: a supervisor leaves its connections alone",
                      call->request->pid);
        call->answerer->has_met_foreign = true;
        return;
    }
    for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
        /* A filter that stays also reports calls that a later policy has no use for. */
        if (handlers[i].number == call->request->data.nr && handlers[i].moment & moments_wanted)
            handlers[i].handle(call);
    }
}

/* Applies the policy as it is for a program of that name, which decides prog=. */
static void use_policy_for(struct answerer *a, const char *name)
{
    if (strcmp(name, a->name) != 0 || !name[0]) {
        a->cut = *a->all;
        settings_keep_program(&a->cut, name);
        snprintf(a->name, sizeof(a->name), "%s", name);
    }
    moments_switch(&a->cut);
}

/*
 * Each call that is answered takes a descriptor or two. Until a call is taken a signal can
 * interrupt it, so that it is never made: the sooner the better, and that is root's right.
 */
static void take_precedence(void)
{
    struct rlimit files;

    setpriority(PRIO_PROCESS, 0, -20);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

void answer_begin(struct answerer *a, pid_t program, const char *name)
{
    take_precedence();
    for (enum setting i = 0; i < SETTING_COUNT; i++) {
        const struct policy *policy = settings_policy(a->all, i);
        for (unsigned rule = 0; policy && rule < policy->rule_count; rule++)
            a->asks_name = a->asks_name || policy->rules[rule].conditions & CONDITION_PROG;
    }
    a->program = program;
    report_subject(program, -1);
    moments_start(a->all, name);
    if (a->asks_name) {
        use_policy_for(a, name);
        moments_inherit();
    }
}

/*
 * There was a call, and now there is none: a signal has interrupted it, and the program gets EINTR
 * or, by SA_RESTART, makes it again. Or all that could make one have ended, and there was none.
 */
static bool is_interrupted(const struct answerer *a)
{
    struct pollfd listener = {.fd = a->listener};

    if (poll(&listener, 1, 0) == 1 && listener.revents & POLLHUP)
        return false;
    report_subject(a->program, -1);
    report_interrupted();
    return true;
}

void answer_use(struct answerer *a, int listener)
{
    a->listener = listener;
    a->accepts.listener = listener;
    a->accepts.room = &a->room->accepts;
    notify_use(listener);
}

static void meet(struct answerer *a, const struct seccomp_notif *request)
{
    char name[TARGET_NAME_MAX];

    if (!a->asks_name)
        return;
    target_name((pid_t)request->pid, name);
    use_policy_for(a, name);
}

/* Oldest first. A connect() that has no local end by its time limit has failed. */
static void look_at_open(struct answerer *a)
{
    unsigned left = 0;

    for (unsigned i = 0; i < a->open_count; i++) {
        const struct answer_open *o = &a->open[i];
        struct facts facts = {0};
        bool is_known = sock_facts(o->fd, FACT_LOCAL_PORT, &facts) && facts.state != TCP_CLOSE;
        if (is_known) {
            meet(a, &o->request);
            name_subject(&o->request, (int)o->request.data.args[0]);
            moments_connected(o->fd);
        }
        if (is_known || o->until <= accept_clock())
            target_release(o->fd);
        else
            a->open[left++] = *o;
    }
    a->open_count = left;
}

static void keep_open(struct answerer *a, const struct call *call)
{
    struct facts facts = {0}; /* of a socket that was bound first our duplicate keeps the port */
    bool is_bound = sock_facts(call->fd, FACT_LOCAL_PORT, &facts) && facts.local_port != 0;
    int patience = is_bound ? OPEN_PATIENCE_BOUND : OPEN_PATIENCE;

    if (a->open_count == ANSWER_OPEN_MAX) {
        a->open[0].until = 0;
        look_at_open(a);
    }
    a->open[a->open_count++] =
        (struct answer_open){call->fd, *call->request, accept_clock() + patience};
}

/* Other processes can write to the room, so a copy is judged. */
static void answer_held(struct answerer *a)
{
    const struct seccomp_notif request = a->room->call.request;
    struct call call = {.answerer = a, .request = &request, .fd = -1};

    call.answer.id = call.request->id;
    call.answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    meet(a, call.request);
    dispatch(&call);
    if (call.fd >= 0 && call.waits_not)
        close(call.fd);
    else if (call.fd >= 0 && !call.is_open)
        target_release(call.fd);
    if (!call.is_over)
        notify_answer(a->listener, &call.answer);
    if (call.is_open)
        keep_open(a, &call);
}

/* Retries accept(), and looks at connections that open, until there is a call to read. */
static void retry_waiting(struct answerer *a)
{
    const struct seccomp_notif *due;
    bool is_called = false;

    while (!is_called && (accept_is_busy(&a->accepts) || a->open_count > 0)) {
        is_called = accept_watch(&a->accepts, a->open_count > 0 ? GLANCE : LONG);
        look_at_open(a);
        while ((due = accept_due(&a->accepts))) {
            meet(a, due);
            name_subject(due, -1);
            accept_retry(&a->accepts, due);
        }
    }
}

bool answer_call(struct answerer *a)
{
    retry_waiting(a);
    atomic_store(&a->is_busy, a->open_count > 0);
    memset(&a->room->call, 0, sizeof(a->room->call)); /* the kernel insists */
    if (ioctl(a->listener, SECCOMP_IOCTL_NOTIF_RECV, &a->room->call) != 0)
        return errno != ENOENT || is_interrupted(a);
    atomic_store(&a->is_busy, true);
    answer_held(a);
    return true;
}

void answer_left(struct answerer *a)
{
    accept_take_over(&a->accepts);
    if (notify_is_held(a->listener, &a->room->call.request))
        answer_held(a);
}

void answer_forget(struct answerer *a)
{
    for (; a->open_count > 0; a->open_count--)
        target_release(a->open[a->open_count - 1].fd);
    accept_forget(&a->accepts);
}
