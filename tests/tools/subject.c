/* SPDX-License-Identifier: MIT */
/*
 * A program that knows nothing of this project: makes TCP connections and gets rid of them in
 * every way there is. What its peer sees then is the test.
 *
 *     subject [-6] [-c PORT | -p PORT] [-n COUNT] [-b BYTES] [-o ON,SECONDS] [-s HOW] [-rwh] WAY
 *
 * Prints "port N" (a server), "queued N" (with -b), "holding" (with -h: all connections are there
 * and stay until a signal ends the program), "closed" where the process lives on.
 */
#include <fcntl.h>
#include <linux/io_uring.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "common.h"

#define TIME_LIMIT 120 /* seconds */

static void say(const char *word, long number)
{
    char line[64];
    int length = number < 0 ? snprintf(line, sizeof(line), "%s\n", word)
                            : snprintf(line, sizeof(line), "%s %ld\n", word, number);

    check(write(1, line, (size_t)length) == length, "write");
}

static int serve(int family, int port)
{
    struct sockaddr_storage address;
    socklen_t length = test_address(family, port, &address);
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    check(fd >= 0, "socket");
    if (bind(fd, (struct sockaddr *)&address, length) != 0) {
        perror("bind");
        exit(98);
    }
    check(listen(fd, 1024) == 0, "listen");
    say("port", port_of(fd));
    return fd;
}

static int call(int family, int port)
{
    struct sockaddr_storage address;
    socklen_t length = test_address(family, port, &address);
    int fd = socket(family, SOCK_STREAM, 0);

    check(fd >= 0, "socket");
    check(connect(fd, (struct sockaddr *)&address, length) == 0, "connect");
    return fd;
}

/* Queues what fits, without waiting for the peer to read. */
static void queue(int fd, long bytes)
{
    static char block[65536];
    long left = bytes;

    memset(block, 'x', sizeof(block));
    while (left > 0) {
        size_t want = left < (long)sizeof(block) ? (size_t)left : sizeof(block);
        ssize_t sent = send(fd, block, want, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0)
            break;
        left -= sent;
    }
    say("queued", bytes - left);
}

static void drain(int fd)
{
    char block[4096];

    while (read(fd, block, sizeof(block)) > 0)
        ;
}

static void half_close(int fd, const char *how)
{
    if (strcmp(how, "rd") == 0)
        check(shutdown(fd, SHUT_RD) == 0, "shutdown");
    else if (strcmp(how, "wr") == 0)
        check(shutdown(fd, SHUT_WR) == 0, "shutdown");
    else if (strcmp(how, "rdwr") == 0)
        check(shutdown(fd, SHUT_RDWR) == 0, "shutdown");
    else if (strcmp(how, "wr-wait") == 0) {
        check(shutdown(fd, SHUT_WR) == 0, "shutdown");
        drain(fd);
    }
}

static void way_close(int fd)
{
    check(close(fd) == 0, "close");
}

static void way_fclose(int fd)
{
    FILE *stream = fdopen(fd, "r+");

    check(stream != NULL && fclose(stream) == 0, "fclose");
}

static void way_dup2(int fd)
{
    check(dup2(2, fd) == fd, "dup2");
}

static void way_dup3(int fd)
{
    check(dup3(2, fd, O_CLOEXEC) == fd, "dup3");
}

static void way_close_range(int fd)
{
    check(syscall(SYS_close_range, fd, fd, 0) == 0, "close_range");
}

/* Absent from libc before glibc 2.34 and from musl; with the library preloaded they are there. */
extern int close_range(unsigned first, unsigned last, int flags) __attribute__((weak));
extern void closefrom(int first) __attribute__((weak));

static void way_libc_close_range(int fd)
{
    check(close_range != NULL, "no close_range() in this libc");
    check(close_range((unsigned)fd, (unsigned)fd + 1, 0) == 0, "close_range");
    check(fcntl(fd, F_GETFD) == -1, "close_range left it open");
}

static void way_freopen(int fd)
{
    FILE *stream = fdopen(fd, "r+");

    check(stream != NULL && freopen("/dev/null", "r", stream) == stream, "freopen");
}

#undef freopen64 /* a macro of musl's headers, and absent there */
extern FILE *freopen64(const char *path, const char *mode, FILE *stream) __attribute__((weak));

static void way_freopen64(int fd)
{
    FILE *stream = fdopen(fd, "r+");

    check(stream != NULL && freopen64 != NULL, "no freopen64() in this libc");
    check(freopen64("/dev/null", "r", stream) == stream, "freopen64");
}

static void way_closefrom(int fd)
{
    if (closefrom)
        closefrom(fd);
    else
        way_close_range(fd);
    check(fcntl(fd, F_GETFD) == -1, "closefrom left it open");
}

static void way_syscall(int fd)
{
    check(syscall(SYS_close, fd) == 0, "syscall");
}

static void way_return(int fd)
{
    (void)fd;
    exit(0); /* what returning from main does */
}

static void way_exit(int fd)
{
    (void)fd;
    _exit(0);
}

static void way_abort(int fd)
{
    static const struct rlimit none = {0, 0};

    (void)fd;
    setrlimit(RLIMIT_CORE, &none);
    abort();
}

static void way_sigkill(int fd)
{
    (void)fd;
    kill(getpid(), SIGKILL);
}

static void way_exec(int fd)
{
    check(fcntl(fd, F_SETFD, FD_CLOEXEC) == 0, "fcntl");
    execl("/proc/self/exe", "subject", "nothing", (char *)NULL);
    check(false, "execl");
}

static void send_descriptor(int through, int fd)
{
    char data = 'x';
    struct iovec iov = {&data, 1};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    check(sendmsg(through, &message, 0) == 1, "sendmsg");
}

/* One process makes the socket, and another, which got it in a control message, closes it. */
static void pass_on(int fd, bool many)
{
    int pair[2];
    int status;

    check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
    pid_t child = fork();
    check(child >= 0, "fork");
    if (child == 0) {
        close(fd);
        check(close(receive_descriptor(pair[1], many)) == 0, "close");
        _exit(0);
    }
    send_descriptor(pair[0], fd);
    check(close(fd) == 0, "close");
    check(waitpid(child, &status, 0) == child && status == 0, "child");
}

static void way_scm_rights(int fd)
{
    pass_on(fd, false);
}

static void way_scm_rights_mmsg(int fd)
{
    pass_on(fd, true);
}

/* The parent's close tears nothing down: the child still talks, and then closes. */
static void way_fork(int fd)
{
    int pipes[2];
    int status;
    char go;

    check(pipe(pipes) == 0, "pipe");
    pid_t child = fork();
    check(child >= 0, "fork");
    if (child == 0) {
        check(read(pipes[0], &go, 1) == 1, "read");
        check(write(fd, "child", 5) == 5, "write");
        check(close(fd) == 0, "close");
        _exit(0);
    }
    check(close(fd) == 0, "close");
    check(write(pipes[1], "x", 1) == 1, "write");
    check(waitpid(child, &status, 0) == child && status == 0, "child");
}

static int shared;
static volatile pid_t reader;

static void *read_shared(void *unused)
{
    char byte;

    reader = (pid_t)syscall(SYS_gettid);
    check(read(shared, &byte, 1) == 1, "read"); /* keeps the socket alive until it returns */
    return unused;
}

static bool sleeps(pid_t thread)
{
    char path[64];
    char line[256] = "";

    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", thread);
    int fd = open(path, O_RDONLY);
    ssize_t length = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
    if (fd >= 0)
        close(fd);
    const char *end = length > 0 ? strrchr(line, ')') : NULL;
    return end && end[2] == 'S';
}

static void way_thread(int fd)
{
    pthread_t thread;

    shared = fd;
    check(pthread_create(&thread, NULL, read_shared, NULL) == 0, "pthread_create");
    while (reader == 0 || !sleeps(reader))
        sched_yield();
    check(close(fd) == 0, "close");
    say("closed", -1);
    pthread_join(thread, NULL);
}

static void close_shared(int signal_number)
{
    (void)signal_number;
    close(shared);
}

static void way_signal(int fd)
{
    shared = fd;
    check(signal(SIGUSR1, close_shared) != SIG_ERR, "signal");
    check(raise(SIGUSR1) == 0, "raise");
}

static void way_io_uring(int fd)
{
    struct io_uring_params params = {0};
    int ring = (int)syscall(SYS_io_uring_setup, 1, &params);

    if (ring < 0 && (errno == ENOSYS || errno == EPERM)) {
        say("no-io_uring", -1);
        exit(77);
    }
    check(ring >= 0, "io_uring_setup");
    size_t size = params.sq_off.array + params.sq_entries * sizeof(unsigned);
    char *sq = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    struct io_uring_sqe *sqe =
        mmap(NULL, sizeof(*sqe), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
    check(sq != MAP_FAILED && (void *)sqe != MAP_FAILED, "mmap");
    memset(sqe, 0, sizeof(*sqe));
    sqe->opcode = IORING_OP_CLOSE;
    sqe->fd = fd;
    *(unsigned *)(sq + params.sq_off.array) = 0;
    __atomic_store_n((unsigned *)(sq + params.sq_off.tail), 1, __ATOMIC_RELEASE);
    check(syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1, "enter");
    check(fcntl(fd, F_GETFD) == -1, "io_uring left it open");
}

static const struct {
    const char *name;
    void (*go)(int fd);
} ways[] = {
    {"close", way_close},
    {"fclose", way_fclose},
    {"dup2", way_dup2},
    {"dup3", way_dup3},
    {"close_range", way_close_range},
    {"closefrom", way_closefrom},
    {"libc_close_range", way_libc_close_range},
    {"freopen", way_freopen},
    {"freopen64", way_freopen64},
    {"syscall", way_syscall},
    {"return", way_return},
    {"_exit", way_exit},
    {"abort", way_abort},
    {"sigkill", way_sigkill},
    {"exec", way_exec},
    {"scm_rights", way_scm_rights},
    {"scm_rights_mmsg", way_scm_rights_mmsg},
    {"fork", way_fork},
    {"thread", way_thread},
    {"signal", way_signal},
    {"io_uring", way_io_uring},
};

static void leave(int fd, const char *way)
{
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        if (strcmp(way, ways[i].name) == 0) {
            ways[i].go(fd);
            return;
        }
    }
    errno = EINVAL;
    check(false, way);
}

/* As many descriptors as the hard limit allows. */
static void raise_limit(void)
{
    struct rlimit limit;

    check(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    check(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
}

int main(int argc, char **argv)
{
    struct linger linger = {0, 0};
    const char *how = "none";
    int family = AF_INET;
    int caller = 0;
    int port = 0;
    long count = 1;
    long bytes = -1;
    bool sets_linger = false;
    bool reads = false;
    bool waits = false;
    bool holds = false;
    int option;

    alarm(TIME_LIMIT);
    if (argc == 2 && strcmp(argv[1], "nothing") == 0)
        return 0;
    while ((option = getopt(argc, argv, "6c:p:n:b:o:s:rwh")) != -1) {
        switch (option) {
        case '6':
            family = AF_INET6;
            break;
        case 'c':
            caller = atoi(optarg);
            break;
        case 'p':
            port = atoi(optarg);
            break;
        case 'n':
            count = atol(optarg);
            break;
        case 'b':
            bytes = atol(optarg);
            break;
        case 'o':
            sets_linger = sscanf(optarg, "%d,%d", &linger.l_onoff, &linger.l_linger) == 2;
            check(sets_linger, "-o");
            break;
        case 's':
            how = optarg;
            break;
        case 'r':
            reads = true; /* the peer's knock, before anything else */
            break;
        case 'w':
            waits = true; /* for the peer's FIN: a passive close */
            break;
        case 'h':
            holds = true;
            raise_limit();
            break;
        default:
            return 99;
        }
    }
    int listener = caller ? -1 : serve(family, port);
    for (long i = 0; i < count; i++) {
        int fd = caller ? call(family, caller) : accept(listener, NULL, NULL);
        check(fd >= 0, "accept");
        if (holds)
            continue;
        if (sets_linger)
            check(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0, "SO_LINGER");
        char byte;
        if (reads)
            check(recv(fd, &byte, 1, 0) == 1, "recv");
        if (bytes >= 0)
            queue(fd, bytes);
        else
            check(send(fd, "hello", 5, MSG_NOSIGNAL) == 5, "send");
        if (waits)
            drain(fd);
        half_close(fd, how);
        leave(fd, argv[optind] ? argv[optind] : "close");
    }
    if (holds) {
        say("holding", -1);
        pause();
    }
    say("closed", -1);
    return 0;
}
