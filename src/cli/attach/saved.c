/* SPDX-License-Identifier: MIT */
/*
 * Sockets are recognised by their cookies: descriptor numbers are reused, cookies never. The file
 * is text, so that a person can read it if all else fails. Must write each socket through before it
 * is changed: if linger is killed half-way, the file has all that was changed.
 */
#include "cli/attach/saved.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/process/holders.h"
#include "cli/sockets/sockets.h"

#define HEAD "linger attach --save"
#define VERSION 1
#define COLUMNS "# kind cookie inode port SO_LINGER(on seconds) TCP_LINGER2 local peer"
#define BOOT_MAX 64
#define LINE_MAX_LENGTH 400
#define NO_LINGER2 "none"

bool saved_look(int fd, struct saved_socket *socket)
{
    struct facts f = {0};
    struct stat status;

    memset(socket, 0, sizeof(*socket));
    if (!sock_facts(fd, FACT_COOKIE | FACT_LOCAL_IP | FACT_LOCAL_PORT | FACT_PEER, &f) ||
        !sock_linger(fd, &socket->linger) || fstat(fd, &status) != 0)
        return false;
    socket->cookie = f.cookie;
    socket->inode = (uint32_t)status.st_ino;
    socket->port = f.local_port;
    socket->network = sockets_network(fd);
    socket->is_listener = f.state == TCP_LISTEN;
    snprintf(socket->local, sizeof(socket->local), "%s", cli_endpoint(f.local_ip, f.local_port));
    snprintf(socket->peer, sizeof(socket->peer), "%s",
             f.known & FACT_PEER ? cli_endpoint(f.peer_ip, f.peer_port) : "-");
    return true;
}

bool saved_add(struct saved *saved, const struct saved_socket *socket)
{
    struct saved_socket *sockets = cli_grow(saved->sockets, saved->count, sizeof(*sockets));

    if (!sockets)
        return false;
    saved->sockets = sockets;
    saved->sockets[saved->count++] = *socket;
    return true;
}

static bool note_socket(int fd, int number, void *context)
{
    struct saved *saved = context;
    struct saved_socket socket;

    (void)number;
    return !saved_look(fd, &socket) || saved_add(saved, &socket);
}

int saved_take(struct saved *saved, const struct target *target, struct error *why)
{
    saved->count = 0;
    error_set(why, "out of memory"); /* the reason why note_socket() stops */
    return target_each_socket(target, note_socket, saved, why);
}

static int by_cookie(const void *a, const void *b)
{
    const struct saved_socket *x = a;
    const struct saved_socket *y = b;

    return (x->cookie > y->cookie) - (x->cookie < y->cookie);
}

static struct saved_socket *find(const struct saved *saved, const struct saved_socket *socket)
{
    return bsearch(socket, saved->sockets, saved->count, sizeof(*socket), by_cookie);
}

/* "0.0.0.0:80", "[::]:80" */
static bool is_at_any_address(const struct saved_socket *s)
{
    return strncmp(s->local, "0.0.0.0:", 8) == 0 || strncmp(s->local, "[::]:", 5) == 0;
}

/* The listener of an accepted connection: one at its exact address before one at any address. */
static const struct saved_socket *find_listener(const struct saved *saved,
                                                const struct saved_socket *connection)
{
    const struct saved_socket *listener = NULL;

    for (const struct saved_socket *s = saved->listeners; s; s = s->next_listener) {
        if (s->port != connection->port || s->network != connection->network)
            continue;
        if (strcmp(s->local, connection->local) == 0)
            return s;
        if (is_at_any_address(s))
            listener = s;
    }
    return listener;
}

/* MPTCP listeners have no TCP_LINGER2 to hand on. */
static bool has_inherited(const struct sock_linger *own, const struct sock_linger *listener)
{
    return own->on == listener->on && own->seconds == listener->seconds &&
           (!listener->has_linger2 || own->linger2 == listener->linger2);
}

/* Notes what a listener has until then: connections that have the same inherited it. */
static bool put_back(int fd, int number, void *context)
{
    struct saved *saved = context;
    struct saved_socket socket;
    struct saved_socket *former;

    (void)number;
    if (!saved_look(fd, &socket) || !(former = find(saved, &socket)) || former->is_there)
        return true;
    former->is_there = true;
    if (former->is_listener) {
        former->next_listener = saved->listeners;
        saved->listeners = former;
    }
    former->network = socket.network;
    former->now = socket.linger;
    former->refused = saved->dry_run ? NULL : sock_put_back(fd, &former->linger);
    former->error = errno;
    return true;
}

static bool put_back_inherited(int fd, int number, void *context)
{
    struct saved *saved = context;
    struct saved_socket socket;
    const struct saved_socket *listener;

    (void)number;
    if (saved_look(fd, &socket) && !socket.is_listener && !find(saved, &socket) &&
        (listener = find_listener(saved, &socket)) && has_inherited(&socket.linger, &listener->now))
        saved->inherited += saved->dry_run || !sock_put_back(fd, &listener->linger);
    return true;
}

/* Who has them, for free(3). Returns how many, or -1 and errno. */
static ssize_t find_holders(const struct saved *saved, struct holder **holders)
{
    uint32_t *inodes = calloc(saved->count + 1, sizeof(*inodes));

    *holders = NULL;
    for (size_t i = 0; inodes && i < saved->count; i++)
        inodes[i] = saved->sockets[i].inode;
    ssize_t count = inodes ? holders_find(inodes, saved->count, holders) : -1;
    free(inodes);
    return count;
}

void saved_drop_gone(struct saved *saved)
{
    struct seen held = {NULL, 0, 0};
    struct holder *holders;
    size_t left = 0;

    ssize_t found = find_holders(saved, &holders);
    for (ssize_t i = 0; i < found; i++)
        (void)seen_note(&held, holders[i].inode);
    for (size_t i = 0; found >= 0 && i < saved->count; i++) {
        if (seen_has(&held, saved->sockets[i].inode))
            saved->sockets[left++] = saved->sockets[i];
    }
    saved->count = found >= 0 ? left : saved->count;
    seen_forget(&held);
    free(holders);
}

/* Calls `visit` for each socket of each of the holders, which are sorted. */
static int each_socket(const struct holder *holders, size_t count, target_visit *visit,
                       void *context, struct error *why)
{
    struct error reason;
    struct target target;
    int status = 0;

    for (size_t i = 0; i < count; i++) {
        if (i > 0 && holders[i].pid == holders[i - 1].pid)
            continue;
        if (target_open(&target, holders[i].pid, &reason) != 0)
            continue; /* it has ended */
        if (target_each_socket(&target, visit, context, &reason) != 0) {
            error_set(why, "pid %d: %.200s", (int)target.pid, reason.text);
            status = -1;
        }
        target_close(&target);
    }
    return status;
}

int saved_put_back(struct saved *saved, bool dry_run, struct error *why)
{
    struct holder *holders;
    ssize_t count = find_holders(saved, &holders);

    if (count < 0)
        return error_set(why, "its processes cannot be found: %s", strerror(errno));
    saved->dry_run = dry_run;
    if (saved->count > 0)
        qsort(saved->sockets, saved->count, sizeof(*saved->sockets), by_cookie);
    holders_sort(holders, (size_t)count);
    int status = each_socket(holders, (size_t)count, put_back, saved, why);
    status |= each_socket(holders, (size_t)count, put_back_inherited, saved, why);
    free(holders);
    return status;
}

bool saved_has_listener(const struct saved *saved, long port)
{
    for (size_t i = 0; i < saved->count; i++) {
        if (saved->sockets[i].is_listener && saved->sockets[i].port == port)
            return true;
    }
    return false;
}

void saved_free(struct saved *saved)
{
    free(saved->sockets);
    *saved = (struct saved){0};
}

#define RESULT_SIZE 128
#define result_text(s, dry_run) put_result((char[RESULT_SIZE]){0}, s, dry_run)
static const char *put_result(char buffer[RESULT_SIZE], const struct saved_socket *s, bool dry_run)
{
    if (!s->is_there)
        return geteuid() == 0 ? "gone" : "gone, or out of reach without root";
    if (!s->refused)
        return dry_run ? "would be put back" : "put back";
    snprintf(buffer, RESULT_SIZE, "failed: %s: %s", s->refused, strerror(s->error));
    return buffer;
}

static void print_socket(struct json *json, const struct saved_socket *s, bool dry_run)
{
    if (json->out)
        json_open(json, NULL, '{');
    selection_print_ends(json, s->is_listener, s->local, strcmp(s->peer, "-") ? s->peer : "");
    if (json->out) {
        json_open(json, "linger", '[');
        json_number(json, NULL, s->linger.on);
        json_number(json, NULL, s->linger.seconds);
        json_close(json, ']');
        json_real(json, "linger2", s->linger.has_linger2 ? (double)s->linger.linger2 : (double)NAN,
                  10);
    } else {
        printf("  SO_LINGER {%d, %d}", s->linger.on, s->linger.seconds);
        if (s->linger.has_linger2)
            printf(" TCP_LINGER2 %d", s->linger.linger2);
    }
    selection_print(json, "result", "  ", result_text(s, dry_run));
    selection_end_line(json);
}

bool saved_report(const struct saved *saved, const struct selection *s)
{
    size_t gone = 0;
    size_t failed = 0;
    struct json json = {.out = s->json.out};

    for (size_t i = 0; i < saved->count; i++) {
        gone += !saved->sockets[i].is_there;
        failed += saved->sockets[i].refused != NULL;
    }
    if (s->quiet)
        return failed == 0;
    if (json.out) {
        json_open(&json, NULL, '{');
        json_open(&json, "sockets", '[');
    }
    for (size_t i = 0; i < saved->count; i++)
        print_socket(&json, &saved->sockets[i], s->dry_run);
    if (json.out) {
        json_close(&json, ']');
        json_number(&json, "put_back", (long long)(saved->count - gone - failed));
        json_number(&json, "accepted_since", (long long)saved->inherited);
        json_number(&json, "gone", (long long)gone);
        json_number(&json, "failed", (long long)failed);
        json_close(&json, '}');
        putchar('\n');
    } else {
        printf("%s%zu put back, and %zu accepted since; %zu gone, %zu failed\n",
               s->dry_run ? "nothing was changed: " : "", saved->count - gone - failed,
               saved->inherited, gone, failed);
    }
    return failed == 0;
}

/* The second line: a number of this boot, as random(4) has it; none without /proc. */
static void put_boot(char line[BOOT_MAX])
{
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    char boot[BOOT_MAX - 5] = "\n";

    if (file && !fgets(boot, sizeof(boot), file))
        boot[0] = '\0';
    if (file)
        fclose(file);
    snprintf(line, BOOT_MAX, "boot %s", boot);
}

int saved_create(const char *path, struct error *why)
{
    char boot[BOOT_MAX];
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    put_boot(boot);
    if (fd < 0 && errno == EEXIST)
        return error_set(why, "it exists, and its contents would be lost; --restore it, remove it, "
                              "or name another");
    if (fd >= 0 && dprintf(fd, HEAD " %d\n%s" COLUMNS "\n", VERSION, boot) > 0)
        return fd;
    error_set(why, "cannot be written: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

int saved_write(int file, const struct saved_socket *s)
{
    char linger2[16] = NO_LINGER2;

    if (s->linger.has_linger2)
        snprintf(linger2, sizeof(linger2), "%d", s->linger.linger2);
    return dprintf(file, "%s %" PRIu64 " %" PRIu32 " %u %d %d %s %s %s\n",
                   s->is_listener ? "listener" : "connection", s->cookie, s->inode, s->port,
                   s->linger.on, s->linger.seconds, linger2, s->local, s->peer) > 0
               ? 0
               : -1;
}

static bool read_line(const char *line, struct saved_socket *s)
{
    char kind[16];
    char linger2[16];
    char end;
    int on;
    int length = 0;

    memset(s, 0, sizeof(*s));
    if (sscanf(line, "%15s %" SCNu64 " %" SCNu32 " %hu %d %d %15s %63s %63s%n", kind, &s->cookie,
               &s->inode, &s->port, &on, &s->linger.seconds, linger2, s->local, s->peer,
               &length) != 9 ||
        strcmp(line + length, "\n") != 0)
        return false;
    s->is_listener = strcmp(kind, "listener") == 0;
    s->linger.on = on;
    s->linger.has_linger2 = sscanf(linger2, "%d%c", &s->linger.linger2, &end) == 1;
    return (s->is_listener || strcmp(kind, "connection") == 0) && (on == 0 || on == 1) &&
           (s->linger.has_linger2 || strcmp(linger2, NO_LINGER2) == 0);
}

/* The first two lines: the kind of file, and whether its cookies are still valid. */
static int check_head(FILE *file, struct error *why)
{
    char line[LINE_MAX_LENGTH] = "";
    char boot[BOOT_MAX];
    int version = 0;
    char end = '\0';

    if (!fgets(line, sizeof(line), file) || sscanf(line, HEAD " %d%c", &version, &end) != 2 ||
        end != '\n')
        return error_set(why, "not a file that linger attach --save wrote");
    if (version != VERSION)
        return error_set(why, "it has version %d; this linger reads version %d", version, VERSION);
    put_boot(boot);
    if (!fgets(line, sizeof(line), file) || strcmp(line, boot) != 0)
        return error_set(
            why, "it is from an earlier boot or another machine: its sockets no longer exist");
    return 0;
}

static int read_sockets(FILE *file, struct saved *saved, struct error *why)
{
    char line[LINE_MAX_LENGTH];
    struct saved_socket socket;

    for (int number = 3; fgets(line, sizeof(line), file); number++) {
        if (line[0] == '#')
            continue;
        if (!read_line(line, &socket))
            return error_set(why, "line %d is not a socket that linger attach --save wrote",
                             number);
        if (!saved_add(saved, &socket))
            return error_set(why, "out of memory");
    }
    return 0;
}

int saved_read(struct saved *saved, const char *path, struct error *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    struct stat status;
    int result = -1;

    if (!file)
        error_set(why, "cannot be read: %s", strerror(errno));
    else if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
        error_set(why, "not a regular file");
    else if ((status.st_uid != 0 && status.st_uid != geteuid()) ||
             (status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        error_set(why, "another user may write it; chown it if you trust what it says");
    else if (check_head(file, why) == 0)
        result = read_sockets(file, saved, why);
    if (file)
        fclose(file);
    else if (fd >= 0)
        close(fd);
    return result;
}
