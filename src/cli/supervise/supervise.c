/*
 * The supervisor. A program that makes raw system calls is out of a preload's reach, so the kernel
 * is asked to hold the few calls that matter and to tell us of each first: seccomp user
 * notification, seccomp_unotify(2).
 *
 * Three processes:
 *
 *     front          what the user started. Passes signals on, stops and goes on with the
 *       |            program, and returns its exit status.
 *     supervisor     serves the notifications of the program and of all its descendants, until
 *       |            the last of them has ended.
 *     program
 *
 * The supervisor is an ancestor of all that it serves (a subreaper: orphans stay its
 * descendants), so that Yama's scope 1 lets it take duplicates of their descriptors. It is not
 * the front, so that a program which goes into the background gives the prompt back.
 *
 * One notification: take a duplicate of the descriptor, read the address, and only then ask
 * whether the caller is still held (before that, its pid and its memory may be another's); then
 * the same moment of teardown.c that a hook of the library calls; then close the duplicate, and
 * only then let the call go on: our copy must not be the last one of a socket that the program
 * closes. listen(), and what is answered in the program's stead, act on the duplicate.
 *
 * Who dies first takes nobody along half-working: a call that nobody answers fails with ENOSYS,
 * so when the supervisor dies the front ends all that it served; when the front dies the
 * supervisor ends the program, as the same signal would have without us.
 *
 * Must never block but in poll(), keep a duplicate, or hold any descriptor of the program's.
 */
#include "supervise/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "report.h"
#include "sock.h"
#include "supervise/filter.h"
#include "supervise/front.h"
#include "system/processes.h"
#include "system/target.h"
#include "teardown.h"

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64) /* Linux 6.6 */
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

#define NOTIFICATION_MAX 512 /* bytes; struct seccomp_notif grows with kernels */
#define NO_NEWS (-1)         /* no wait status has all bits set */
#define EXITED(status) ((status) << 8)

/* What the supervisor and the program-to-be tell each other. */
struct order {
    unsigned moments;
    bool refuses_mptcp;
};

struct hello {
    int listener; /* its number in the program, or -1 */
    int error;
};

static struct supervisor {
    const struct cli_command *self;
    pid_t front;
    pid_t program; /* 0: it has ended */
    int listener;
    int signals;
    bool asks_name;       /* some rule has prog= */
    bool has_warned;      /* of a process that could not be reached */
    struct settings *all; /* prog= not decided */
    struct settings cut;  /* to the program of that name */
    char name[TARGET_NAME_MAX];
} supervisor;

/* One call that is held, and what it is answered. */
struct call {
    const struct seccomp_notif *request;
    struct seccomp_notif_resp answer;
    int fd; /* the duplicate */
};

/* The program's wait status, from the supervisor to the front, in shared memory. */
static _Atomic int *news;

static void tell(int status)
{
    atomic_store(news, status);
    kill(supervisor.front, SIGCHLD);
}

/* -------- answering a call -------- */

static void answer(struct call *call, int status)
{
    call->answer.error = status == 0 ? 0 : -errno;
    call->answer.flags = 0;
}

/* False where not all of it can be read: then the kernel itself will say EFAULT. */
static bool read_memory(const struct call *call, uint64_t address, void *buffer, size_t size)
{
    struct iovec local = {buffer, size};
    struct iovec remote = {(void *)(uintptr_t)address, size}; /* NOLINT: of another process */

    return process_vm_readv((pid_t)call->request->pid, &local, 1, &remote, 1, 0) == (ssize_t)size;
}

/* Is the caller still held? Then what was opened and read before is its own. */
static bool is_valid(const struct call *call)
{
    return ioctl(supervisor.listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &call->request->id) == 0;
}

static void warn_of(const struct call *call, int error)
{
    char why[TARGET_WHY_MAX] = "its descriptors cannot be duplicated";

    report_failed(-1, "pidfd_getfd", error, NULL);
    if (supervisor.has_warned)
        return;
    supervisor.has_warned = true;
    if (error == EPERM)
        target_explain_refusal((pid_t)call->request->pid, why);
    cli_error(supervisor.self, "pid %u is not under the policy: %s", call->request->pid, why);
}

/* The duplicate; false where there is none: not open, or gone meanwhile, or out of reach. */
static bool take(struct call *call)
{
    call->fd = target_take((pid_t)call->request->pid, (int)call->request->data.args[0]);
    if (call->fd < 0 && errno != EBADF && is_valid(call))
        warn_of(call, errno);
    return call->fd >= 0;
}

/*
 * The duplicate of a TCP socket whose caller is still held. Nothing else is acted on in the
 * program's stead: listen() on a Unix socket, say, notes who called it (SO_PEERCRED).
 */
static bool take_tcp(struct call *call)
{
    struct facts facts = {0};

    return take(call) && is_valid(call) && sock_facts(call->fd, 0, &facts);
}

/* The address that is argument 1, its length being argument 2. */
static bool read_address(const struct call *call, struct sockaddr_storage *address,
                         socklen_t *length)
{
    uint32_t size = (uint32_t)call->request->data.args[2];

    if (size < sizeof(struct sockaddr_in) || size > sizeof(*address))
        return false;
    *length = size;
    return read_memory(call, call->request->data.args[1], address, size) &&
           (address->ss_family == AF_INET || address->ss_family == AF_INET6);
}

static void serve_connect(struct call *call)
{
    bool asks_peer = teardown_asks_peer(); /* reading costs as much as all the rest */
    struct sockaddr_storage address;
    socklen_t length = 0;

    if (asks_peer && !read_address(call, &address, &length))
        return;
    if (take(call) && is_valid(call))
        teardown_connect(call->fd, asks_peer ? (struct sockaddr *)&address : NULL, length);
}

/* Nothing is told behind a call, so listen() is made here: then it can be looked at. */
static void serve_listen(struct call *call)
{
    if (!take_tcp(call))
        return;
    bool settled = teardown_listen(call->fd);
    int status = listen(call->fd, (int)call->request->data.args[1]);
    answer(call, status);
    if (status == 0)
        teardown_listening(call->fd, settled);
}

/* May the caller bind that port, as the kernel will judge it? (ip(7), ip_unprivileged_port_start)
 */
static bool may_bind(const struct call *call, const struct sockaddr_storage *address)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, (int)call->request->pid};
    struct __user_cap_data_struct data[2] = {{0, 0, 0}, {0, 0, 0}};
    uint16_t port = ntohs(((const struct sockaddr_in *)address)->sin_port); /* as in sockaddr_in6 */

    return port >= 1024 || (syscall(SYS_capget, &header, data) == 0 &&
                            data[0].effective & 1u << CAP_NET_BIND_SERVICE);
}

/* Made here where the log is to say why it failed, and where the caller is permitted to do it. */
static void serve_bind(struct call *call)
{
    struct sockaddr_storage address;
    socklen_t length;

    if (!read_address(call, &address, &length) || !take_tcp(call))
        return;
    teardown_bind(call->fd, (struct sockaddr *)&address, length);
    if (!report_is_on() || !may_bind(call, &address))
        return;
    int status = bind(call->fd, (struct sockaddr *)&address, length);
    answer(call, status);
    if (status != 0)
        teardown_bind_failed(call->fd, (struct sockaddr *)&address, length);
}

/* SO_LINGER or TCP_LINGER2: the program has its way first, and its errors. */
static void serve_setsockopt(struct call *call)
{
    const __u64 *arguments = call->request->data.args;
    int level = (int)arguments[1];
    int option = (int)arguments[2];
    int size = (int)arguments[4];
    struct linger value = {0, 0}; /* the larger one of both */

    size = size < (int)sizeof(value) ? size : (int)sizeof(value);
    if (size < 0 || !read_memory(call, arguments[3], &value, (size_t)size) || !take_tcp(call))
        return;
    int status = sock_set(call->fd, level, option, &value, (socklen_t)size);
    answer(call, status);
    if (status == 0)
        teardown_setsockopt(call->fd, level, option);
}

static void serve_shutdown(struct call *call)
{
    if (take(call) && is_valid(call) &&
        teardown_shutdown(call->fd, (int)call->request->data.args[1]))
        answer(call, 0);
}

static void serve_close(struct call *call)
{
    if (take(call) && is_valid(call))
        teardown_close(call->fd);
}

/* dup2() and dup3() close the target, unless they fail or it is the same. */
static void serve_replace(struct call *call)
{
    pid_t thread = (pid_t)call->request->pid;
    int from = (int)call->request->data.args[0];
    int target = (int)call->request->data.args[1];
    int source = from == target ? -1 : target_take(thread, from);

    if (source < 0)
        return;
    close(source);
    call->fd = target_take(thread, target);
    report_subject(report_is_on() ? (pid_t)target_status(thread, "Tgid") : 0, target);
    if (call->fd >= 0 && is_valid(call))
        teardown_close(call->fd);
}

static bool visit_at_exit(int fd, int number, void *context)
{
    const pid_t *process = context;

    report_subject(*process, number);
    teardown_exit(fd);
    return true;
}

static void serve_exit(struct call *call)
{
    pid_t process = (pid_t)target_status((pid_t)call->request->pid, "Tgid");
    char why[TARGET_WHY_MAX];
    struct target target;

    if (target_open(&target, process, why) != 0)
        return;
    if (is_valid(call))
        (void)target_each_socket(&target, visit_at_exit, &process, why);
    target_close(&target);
}

static void dispatch(struct call *call)
{
    static const struct {
        int number;
        void (*serve)(struct call *call);
    } services[] = {
        {SYS_connect, serve_connect},   {SYS_listen, serve_listen},
        {SYS_bind, serve_bind},         {SYS_setsockopt, serve_setsockopt},
        {SYS_shutdown, serve_shutdown}, {SYS_close, serve_close},
        {SYS_dup3, serve_replace},      {SYS_exit_group, serve_exit},
#ifdef SYS_dup2
        {SYS_dup2, serve_replace},
#endif
    };

    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
        if (services[i].number == call->request->data.nr)
            services[i].serve(call);
    }
}

/* Puts the policy in force as it is for a program of that name: prog= is decided by it. */
static void use_policy_for(const char *name)
{
    struct supervisor *s = &supervisor;

    if (strcmp(name, s->name) != 0 || !name[0]) {
        s->cut = *s->all;
        settings_keep_program(&s->cut, name);
        snprintf(s->name, sizeof(s->name), "%s", name);
    }
    teardown_switch(&s->cut);
}

/* One notification. The caller may be gone at any point, which is no error. */
static void serve(void)
{
    static union {
        struct seccomp_notif request;
        char room[NOTIFICATION_MAX];
    } notification;
    struct call call = {.request = &notification.request, .fd = -1};

    memset(&notification, 0, sizeof(notification)); /* the kernel insists */
    if (ioctl(supervisor.listener, SECCOMP_IOCTL_NOTIF_RECV, &notification) != 0)
        return;
    pid_t thread = (pid_t)notification.request.pid;
    call.answer.id = notification.request.id;
    call.answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    if (report_is_on())
        report_subject((pid_t)target_status(thread, "Tgid"),
                       (int)notification.request.data.args[0]);
    if (supervisor.asks_name) {
        char name[TARGET_NAME_MAX];
        target_name(thread, name);
        use_policy_for(name);
    }
    dispatch(&call);
    if (call.fd >= 0)
        close(call.fd);
    ioctl(supervisor.listener, SECCOMP_IOCTL_NOTIF_SEND, &call.answer);
}

/* -------- the supervisor's life -------- */

/* The program has ended, but not all that it started: nobody waits for us any more. */
static void go_into_background(void)
{
    int null;

    supervisor.program = 0;
    if (strcmp(supervisor.all->log, SETTINGS_STDERR) == 0)
        return;
    null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(null, STDERR_FILENO);
    close(null);
}

/* Reaps; false when there is no descendant left. */
static bool reap(void)
{
    pid_t pid;
    int status;

    if (supervisor.program && getppid() != supervisor.front)
        kill(supervisor.program, SIGKILL);
    while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
        if (pid != supervisor.program)
            continue;
        tell(status);
        if (!WIFSTOPPED(status))
            go_into_background();
    }
    return pid == 0;
}

/* False when there is nobody left to serve. */
static bool take_signals(void)
{
    struct signalfd_siginfo info;
    bool goes_on = true;

    while (read(supervisor.signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            goes_on = reap();
        else if (supervisor.program)
            front_forward(supervisor.program, (int)info.ssi_signo, info.ssi_code);
    }
    return goes_on;
}

/* Signals are blocked since front_begin(), and read like notifications. */
static int watch_signals(void)
{
    sigset_t all;

    sigfillset(&all);
    return signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void serve_all(void)
{
    struct pollfd watched[] = {{supervisor.listener, POLLIN, 0}, {supervisor.signals, POLLIN, 0}};
    bool goes_on = true;

    while (goes_on) {
        if (poll(watched, 2, -1) < 0)
            continue;
        if (watched[0].revents & POLLIN)
            serve();
        else if (watched[0].revents & POLLHUP) /* all have ended, and will be reaped */
            watched[0].fd = -1;
        if (watched[1].revents & POLLIN)
            goes_on = take_signals();
    }
}

/* In the program's process: goes under the filter, and becomes the program. */
static _Noreturn void become_program(int channel, pid_t parent, const char *file, char **argv)
{
    static struct filter filter;
    struct order order;
    struct hello hello;
    char go;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || read(channel, &order, sizeof(order)) != (ssize_t)sizeof(order))
        _exit(CLI_FAILED);
    filter_build(&filter, order.moments, order.refuses_mptcp);
    hello.listener = filter_install(&filter);
    hello.error = errno;
    if (write(channel, &hello, sizeof(hello)) != (ssize_t)sizeof(hello) ||
        read(channel, &go, sizeof(go)) != (ssize_t)sizeof(go))
        _exit(CLI_FAILED);
    execv(file, argv);
    int status = errno == ENOENT ? CLI_NOT_FOUND : CLI_NOT_EXECUTABLE;
    cli_error(supervisor.self, "%s: %s", argv[0], strerror(errno));
    _exit(status);
}

static void explain_filter(int error)
{
    const char *why =
        error == EBUSY ? "a supervisor serves it already (a container runtime's, or "
                         "linger's own), and the kernel permits one"
        : error == EPERM || error == EACCES
            ? "seccomp(2) is refused, by a container's profile perhaps: allow "
              "seccomp, pidfd_open and pidfd_getfd there"
        : error == ENOSYS || error == EINVAL
            ? "this kernel has no seccomp user notification (the supervisor needs Linux 5.6)"
            : strerror(error);

    cli_error(supervisor.self, "the program cannot be supervised: %s", why);
}

static void explain_take(int error)
{
    char why[TARGET_WHY_MAX];

    if (error == ENOSYS)
        snprintf(why, sizeof(why),
                 "this kernel has no pidfd_getfd (Linux 5.6), or a seccomp "
                 "profile hides it");
    else if (error == EPERM && target_yama_scope() >= 2)
        snprintf(why, sizeof(why), "kernel.yama.ptrace_scope is %d: %s", target_yama_scope(),
                 target_yama_scope() == 2 ? "root or CAP_SYS_PTRACE is needed"
                                          : "nobody may, until a reboot");
    else if (error == EPERM)
        snprintf(why, sizeof(why),
                 "pidfd_getfd(2) is refused, by a container's profile perhaps: "
                 "allow it there, or add CAP_SYS_PTRACE");
    else
        snprintf(why, sizeof(why), "%s", strerror(error));
    cli_error(supervisor.self, "the program cannot be supervised: %s", why);
}

/* Takes the listener out of the program, which also shows that its descriptors can be taken. */
static bool meet_program(int channel)
{
    struct hello hello;
    uint64_t flags = SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP;

    if (read(channel, &hello, sizeof(hello)) != (ssize_t)sizeof(hello))
        return false; /* somebody has ended it: nothing to explain */
    if (hello.listener < 0) {
        explain_filter(hello.error);
        return false;
    }
    supervisor.listener = target_take(supervisor.program, hello.listener);
    if (supervisor.listener < 0) {
        explain_take(errno);
        return false;
    }
    /* The caller sleeps anyway: on its processor the answer is there soonest. Optional. */
    ioctl(supervisor.listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, flags);
    return true;
}

static bool has_rule(const struct policy *policy, bool (*matches)(const struct policy_rule *rule))
{
    for (unsigned i = 0; i < policy->rule_count; i++) {
        if (matches(&policy->rules[i]))
            return true;
    }
    return false;
}

static bool is_fin_rst(const struct policy_rule *rule)
{
    return rule->mode == MODE_FIN_RST;
}

static bool is_by_name(const struct policy_rule *rule)
{
    return rule->conditions & CONDITION_PROG;
}

/* A pair of sockets beyond the standard descriptors, which may be closed and are the program's. */
static int make_channel(int channel[2])
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return -1;
    for (int i = 0; i < 2; i++) {
        channel[i] = fcntl(pair[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        close(pair[i]);
    }
    return channel[0] < 0 || channel[1] < 0 ? -1 : 0;
}

/* Puts the policy in force, and orders the filter that it needs. */
static bool order_filter(int channel, const char *file)
{
    struct supervisor *s = &supervisor;
    struct order order;
    const char *slash = strrchr(file, '/');
    const char *name = slash ? slash + 1 : file;

    s->asks_name = has_rule(&s->all->mode, is_by_name) ||
                   has_rule(&s->all->reuseaddr, is_by_name) ||
                   has_rule(&s->all->reuseport, is_by_name);
    report_subject(s->program, -1);
    teardown_start(s->all, name);
    if (s->asks_name) {
        use_policy_for(name);
        teardown_inherit();
    }
    order.moments = teardown_moments;
    order.refuses_mptcp = has_rule(&s->all->mode, is_fin_rst);
    return write(channel, &order, sizeof(order)) == (ssize_t)sizeof(order);
}

/* In the supervisor: starts the program under the filter. False, and its wait status, if not. */
static bool start_program(const char *file, char **argv, int *status)
{
    pid_t self = getpid();
    struct front front;
    int channel[2];

    if (make_channel(channel) != 0 || front_begin(&front) != 0) {
        cli_error(supervisor.self, "cannot start a process: %s", strerror(errno));
        *status = EXITED(CLI_FAILED);
        return false;
    }
    if (front.child == 0) {
        close(channel[0]);
        become_program(channel[1], self, file, argv);
    }
    supervisor.program = front.child;
    close(channel[1]);
    bool ordered = order_filter(channel[0], file);
    front_release(channel[0]);
    bool met = ordered && meet_program(channel[0]);
    supervisor.signals = watch_signals();
    if (met && write(channel[0], "", 1) == 1) {
        close(channel[0]);
        return true;
    }
    close(channel[0]); /* the program takes that for a no */
    waitpid(supervisor.program, status, 0);
    return false;
}

static _Noreturn void be_supervisor(const char *file, char **argv)
{
    int status;

    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_PDEATHSIG, SIGCHLD); /* reap() notices */
    if (!start_program(file, argv, &status)) {
        tell(status);
        _exit(CLI_FAILED);
    }
    if (chdir("/") != 0) {
        /* Then a file system stays in use while the program runs, which it does anyway. */
    }
    serve_all();
    _exit(CLI_OK);
}

/* -------- the front -------- */

static bool look_at_supervisor(pid_t child, int *status)
{
    bool is_dead = waitpid(child, status, WNOHANG) == child;
    int told = atomic_exchange(news, NO_NEWS);

    if (told == NO_NEWS && !is_dead)
        return false;
    if (told == NO_NEWS) {
        cli_error(supervisor.self, "the supervisor died, so the program has been ended");
        processes_end_children(); /* all that it has left are ours now */
        told = EXITED(CLI_FAILED);
    }
    *status = told;
    return true;
}

int supervise(const struct cli_command *self, struct settings *settings, const char *file,
              char **argv)
{
    struct front front;

    supervisor.self = self;
    supervisor.all = settings;
    supervisor.front = getpid();
    settings->backend = BACKEND_SUPERVISE;
    news = mmap(NULL, sizeof(*news), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (news == MAP_FAILED) {
        cli_error(self, "out of memory");
        return EXITED(CLI_FAILED);
    }
    atomic_store(news, NO_NEWS);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (front_begin(&front) != 0) {
        cli_error(self, "cannot start a process: %s", strerror(errno));
        return EXITED(CLI_FAILED);
    }
    if (front.child == 0)
        be_supervisor(file, argv);
    front_release(-1);
    return front_wait(&front, look_at_supervisor);
}
