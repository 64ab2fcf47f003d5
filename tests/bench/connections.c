/* SPDX-License-Identifier: MIT */
/*
 * Both ends of many connections; they know nothing of SO_LINGER. A client prints microseconds for
 * each connection where nothing else is said, a server "port N" at first.
 *
 *     serve COUNT                  reads a byte of each connection and closes
 *     answer                       reads each connection to its end, then closes
 *     greet                        the same, but sends a byte first
 *     visit PORT COUNT             a client of `serve`
 *     call PORT COUNT              a client of `answer` that closes first
 *     swarm PORT COUNT PROCESSES   the same by so many processes at a time
 *     fetch PORT COUNT WHO         HTTP/1.0 requests by 8 threads; the server or the client closes
 *     latency PORT COUNT           `call` until no port is left: "MADE P50 P99" of connect() in
 *                                  microseconds, for every 500 of them
 *     wall PORT COUNT SECONDS      `call`, tried again where no port is left: "SECONDS MADE" every
 *                                  tenth of a second
 *     pace PORT RATE               visits at that rate a second until it is ended
 *     keep PORT                    binds, tries again for 100 s: "bound MILLISECONDS"; then accepts
 *                                  and keeps everything
 *     hold PORT COUNT              makes that many: "held"; then waits for the end of each
 *     listen COUNT                 that many listeners: microseconds for each; waits for a line
 *     share COUNT                  one listener that so many processes have; waits for a line
 */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "../tools/common.h"

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

static void pause_until(double when)
{
    double left = when - seconds();
    struct timespec pause = {(time_t)left, (long)((left - (time_t)left) * 1e9)};

    if (left > 0)
        nanosleep(&pause, NULL);
}

/* -1 where connect() failed. */
static int connected_to(int port)
{
    struct sockaddr_storage address;
    socklen_t length = test_address(AF_INET, port, &address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    check(fd >= 0, "socket");
    if (connect(fd, (struct sockaddr *)&address, length) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static int silent_listener(void)
{
    struct sockaddr_storage address;
    socklen_t length = test_address(AF_INET, 0, &address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    check(fd >= 0 && bind(fd, (struct sockaddr *)&address, length) == 0, "bind");
    check(listen(fd, 65535) == 0, "listen");
    return fd;
}

static void print_port(int fd)
{
    printf("port %d\n", port_of(fd));
    fflush(stdout);
}

static int listener(void)
{
    int fd = silent_listener();

    print_port(fd);
    return fd;
}

/* It may end by a reset: that is what some modes are. */
static void read_to_the_end(int fd)
{
    char bytes[4096];

    while (recv(fd, bytes, sizeof(bytes), 0) > 0)
        ;
}

static void serve(long count)
{
    int server = listener();
    char byte;

    for (; count > 0; count--) {
        int fd = accept(server, NULL, NULL);
        check(fd >= 0, "accept");
        check(recv(fd, &byte, 1, 0) == 1, "recv");
        check(close(fd) == 0, "close");
    }
}

static void answer(bool greets)
{
    int server = listener();

    for (;;) {
        int fd = accept(server, NULL, NULL);
        check(fd >= 0, "accept");
        check(!greets || send(fd, "x", 1, MSG_NOSIGNAL) == 1, "send");
        read_to_the_end(fd);
        close(fd);
    }
}

static void ask(int port, const char *request)
{
    int fd = connected_to(port);

    check(fd >= 0 && send(fd, request, strlen(request), 0) > 0, "connect");
    read_to_the_end(fd);
    close(fd);
}

static void visit(int port)
{
    ask(port, "x");
}

static void call(int port)
{
    int fd = connected_to(port);

    check(fd >= 0, "connect");
    close(fd);
}

static void each(void (*meet)(int port), int port, long count)
{
    double begin = seconds();

    for (long i = 0; i < count; i++)
        meet(port);
    printf("%.3f\n", (seconds() - begin) * 1e6 / count);
}

/* All begin when the last of them is there. */
static void swarm(int port, long count, int processes)
{
    int gate[2];
    char byte;

    check(processes > 0 && pipe(gate) == 0, "pipe");
    _Atomic int *here =
        mmap(NULL, sizeof(*here), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check(here != MAP_FAILED, "mmap");
    for (int i = 0; i < processes; i++) {
        pid_t child = fork();
        check(child >= 0, "fork");
        if (child == 0) {
            close(gate[1]);
            ++*here;
            check(read(gate[0], &byte, 1) == 0, "read");
            for (long made = 0; made < count / processes; made++)
                call(port);
            _exit(0);
        }
    }
    while (*here < processes)
        pause_until(seconds() + 0.01);
    double begin = seconds();
    close(gate[1]);
    for (int i = 0, status; i < processes; i++)
        check(wait(&status) > 0 && status == 0, "a client");
    printf("%.3f\n", (seconds() - begin) * 1e6 / (count / processes * processes));
}

struct fetches {
    int port;
    bool is_closer; /* the client is */
    long count;
};

/* The reply's body is "hello". */
static void *fetch(void *argument)
{
    const struct fetches *fetches = argument;
    const char *request = fetches->is_closer ? "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
                                             : "GET / HTTP/1.0\r\n\r\n";

    for (long i = 0; i < fetches->count; i++) {
        char reply[4096] = "";
        size_t length = 0;
        int fd = connected_to(fetches->port);
        check(fd >= 0 && send(fd, request, strlen(request), 0) > 0, "connect");
        for (ssize_t got; (got = recv(fd, reply + length, sizeof(reply) - 1 - length, 0)) > 0;) {
            length += got;
            if (fetches->is_closer && strstr(reply, "hello"))
                break;
        }
        check(strstr(reply, "hello") != NULL, "the reply");
        close(fd);
    }
    return NULL;
}

static void fetch_all(int port, long count, bool is_closer)
{
    enum { THREADS = 8 };
    struct fetches fetches = {port, is_closer, count / THREADS};
    pthread_t threads[THREADS];
    double begin = seconds();

    for (int i = 0; i < THREADS; i++)
        check(pthread_create(&threads[i], NULL, fetch, &fetches) == 0, "pthread_create");
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    printf("%.3f\n", (seconds() - begin) * 1e6 / (fetches.count * THREADS));
}

static void listen_on(long count)
{
    double begin = seconds();

    for (int i = 0; i < count; i++) {
        struct sockaddr_storage address;
        socklen_t length = test_address(AF_INET, 10000 + i, &address);
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        check(fd >= 0 && bind(fd, (struct sockaddr *)&address, length) == 0, "bind");
        check(listen(fd, 16) == 0, "listen");
    }
    printf("%.3f\n", (seconds() - begin) * 1e6 / count);
    fflush(stdout);
    getchar();
}

static void share(int processes)
{
    int life[2];
    char byte;

    int fd = silent_listener();
    check(pipe(life) == 0, "pipe");
    for (int i = 1; i < processes; i++) {
        pid_t child = fork();
        check(child >= 0, "fork");
        if (child == 0) {
            close(life[1]);
            _exit(read(life[0], &byte, 1) != 0);
        }
    }
    print_port(fd);
    getchar();
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void latency(int port, long count)
{
    double took[500];

    for (long made = 1; made <= count; made++) {
        double begin = seconds();
        int fd = connected_to(port);
        if (fd < 0) {
            check(errno == EADDRNOTAVAIL, "connect");
            return;
        }
        took[(made - 1) % 500] = (seconds() - begin) * 1e6;
        close(fd);
        if (made % 500 == 0) {
            qsort(took, 500, sizeof(took[0]), ascending);
            printf("%ld %.1f %.1f\n", made, took[249], took[494]);
        }
    }
}

static void wall(int port, long count, double limit)
{
    double begin = seconds(), next = begin;
    long made = 0;

    while (made < count && seconds() < begin + limit) {
        int fd = connected_to(port);
        if (fd >= 0) {
            close(fd);
            made++;
        } else {
            check(errno == EADDRNOTAVAIL, "connect");
            pause_until(next);
        }
        if (seconds() >= next) {
            printf("%.2f %ld\n", seconds() - begin, made);
            next += 0.1;
        }
    }
    printf("%.2f %ld\n", seconds() - begin, made);
}

static void pace(int port, double rate)
{
    double next = seconds();

    for (;;) {
        ask(port, "GET / HTTP/1.0\r\n\r\n");
        next += 1 / rate;
        pause_until(next);
    }
}

static void keep(int port)
{
    struct sockaddr_storage address;
    socklen_t length = test_address(AF_INET, port, &address);
    double begin = seconds();
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    while (bind(fd, (struct sockaddr *)&address, length) != 0) {
        check(errno == EADDRINUSE && seconds() < begin + 100, "bind");
        pause_until(seconds() + 0.005);
    }
    check(listen(fd, 4096) == 0, "listen");
    printf("bound %.3f\n", (seconds() - begin) * 1e3);
    fflush(stdout);
    for (;;)
        check(accept(fd, NULL, NULL) >= 0, "accept");
}

static void hold(int port, int count)
{
    int *fds = calloc(count, sizeof(*fds));

    check(fds != NULL, "calloc");
    for (int i = 0; i < count; i++) {
        fds[i] = connected_to(port);
        check(fds[i] >= 0, "connect");
    }
    puts("held");
    fflush(stdout);
    for (int i = 0; i < count; i++) {
        read_to_the_end(fds[i]);
        close(fds[i]);
    }
}

int main(int argc, char **argv)
{
    struct rlimit limit;
    const char *what = argc > 1 ? argv[1] : "";
    int port = argc > 2 ? atoi(argv[2]) : 0;
    long count = argc > 3 ? atol(argv[3]) : 0;

    check(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    check(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
    if (strcmp(what, "serve") == 0 && argc == 3)
        serve(atol(argv[2]));
    else if ((strcmp(what, "answer") == 0 || strcmp(what, "greet") == 0) && argc == 2)
        answer(strcmp(what, "greet") == 0);
    else if (strcmp(what, "visit") == 0 && argc == 4)
        each(visit, port, count);
    else if (strcmp(what, "call") == 0 && argc == 4)
        each(call, port, count);
    else if (strcmp(what, "swarm") == 0 && argc == 5)
        swarm(port, count, atoi(argv[4]));
    else if (strcmp(what, "fetch") == 0 && argc == 5)
        fetch_all(port, count, strcmp(argv[4], "client") == 0);
    else if (strcmp(what, "listen") == 0 && argc == 3)
        listen_on(atol(argv[2]));
    else if (strcmp(what, "share") == 0 && argc == 3)
        share(port);
    else if (strcmp(what, "latency") == 0 && argc == 4)
        latency(port, count);
    else if (strcmp(what, "wall") == 0 && argc == 5)
        wall(port, count, atof(argv[4]));
    else if (strcmp(what, "pace") == 0 && argc == 4)
        pace(port, atof(argv[3]));
    else if (strcmp(what, "keep") == 0 && argc == 3)
        keep(port);
    else if (strcmp(what, "hold") == 0 && argc == 4)
        hold(port, (int)count);
    else
        check(0, "usage: see the head of connections.c");
    return 0;
}
