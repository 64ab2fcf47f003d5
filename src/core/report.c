/*
 * Log lines and counters. A log line is one write(2) of at most 512 bytes. The file is opened for
 * each line and closed again: a descriptor that stayed open could be closed by the program and
 * come back as somebody's connection. Descriptor 2 is the program's, so before each line its
 * device and inode are compared with what they were at load.
 *
 * Must never block, raise a signal in the program, or write into anything but the log.
 */
#include "report.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "diag.h"
#include "kernel.h"
#include "quiet.h"
#include "sock.h"
#include "stats.h"

#define LINE_MAX_LENGTH 512
#define TAIL_ROOM 16 /* for the end of a quoted value that is cut, and what follows it */

static enum { LOG_OFF, LOG_STDERR, LOG_FILE } log_kind;
static char log_path[SETTINGS_PATH_MAX]; /* absolute: the program may change its directory */
static struct stats *stats;              /* NULL: no counters */
static struct identity {
    uint64_t device;
    uint64_t inode;
} log_identity; /* of descriptor 2 at load */
static struct {
    pid_t pid;
    int fd;
} subject; /* of the events, where it is not this process */

/* fstat(2) is not in every libc (glibc before 2.33), and its structure differs; statx does not. */
static bool identify(int fd, struct identity *id)
{
    struct statx status = {0}; /* written by the kernel, which an analyser does not see */

    if (kernel_call(SYS_statx, fd, (long)"", AT_EMPTY_PATH, STATX_INO, (long)&status, 0) != 0)
        return false;
    id->device = (uint64_t)status.stx_dev_major << 32 | status.stx_dev_minor;
    id->inode = status.stx_ino;
    return true;
}

void report_subject(pid_t pid, int fd)
{
    subject.pid = pid;
    subject.fd = fd;
}

static uint64_t subject_pid(void)
{
    return (uint64_t)(subject.pid ? subject.pid : getpid());
}

void report_stderr(const char *message, size_t length)
{
    struct facts facts = {0};
    int saved = errno;

    if (!sock_facts(STDERR_FILENO, 0, &facts))
        quiet_write(STDERR_FILENO, message, length);
    errno = saved;
}

/* The log's name with %p and %% replaced. */
static void expand(char path[SETTINGS_PATH_MAX])
{
    struct text out;

    text_begin(&out, path, SETTINGS_PATH_MAX);
    for (const char *c = log_path; *c; c++) {
        if (c[0] == '%' && c[1] == 'p')
            text_put_number(&out, subject_pid());
        else
            text_put_char(&out, *c);
        c += c[0] == '%';
    }
}

/* O_NONBLOCK: a FIFO without a reader is an error at once, and a full one loses the line. */
static int open_log(void)
{
    char path[SETTINGS_PATH_MAX];

    expand(path);
    return kernel_open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                       0644);
}

static bool write_to_file(const char *data, size_t length)
{
    int fd = open_log();
    bool written = fd >= 0 && quiet_write(fd, data, length);

    if (fd >= 0)
        kernel_close(fd);
    return written;
}

static bool write_to_stderr(const char *data, size_t length)
{
    struct identity now;

    return identify(STDERR_FILENO, &now) && now.device == log_identity.device &&
           now.inode == log_identity.inode && quiet_write(STDERR_FILENO, data, length);
}

struct line {
    struct text text;
    char data[LINE_MAX_LENGTH + 1];
};

static void put_padded(struct text *out, uint64_t number, unsigned width)
{
    uint64_t unit = 1;

    while (--width > 0)
        unit *= 10;
    for (; unit > 1 && number < unit; unit /= 10)
        text_put_char(out, '0');
    text_put_number(out, number);
}

/* Days since 1970-01-01 as year, month and day (the proleptic Gregorian calendar, in UTC). */
static void put_date(struct text *out, uint64_t days)
{
    uint64_t shifted = days + 719468; /* since 0000-03-01 */
    uint64_t era = shifted / 146097;
    uint64_t day_of_era = shifted % 146097;
    uint64_t year =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint64_t day = day_of_era - (365 * year + year / 4 - year / 100);
    uint64_t month = (5 * day + 2) / 153; /* 0 is March */

    put_padded(out, year + era * 400 + (month >= 10), 4);
    text_put_char(out, '-');
    put_padded(out, month < 10 ? month + 3 : month - 9, 2);
    text_put_char(out, '-');
    put_padded(out, day - (153 * month + 2) / 5 + 1, 2);
}

static void put_times(struct text *out)
{
    struct timespec wall = {0, 0};
    struct timespec steady = {0, 0};

    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_MONOTONIC, &steady);
    uint64_t seconds = (uint64_t)wall.tv_sec;
    text_put(out, "time=");
    put_date(out, seconds / 86400);
    text_put_char(out, 'T');
    put_padded(out, seconds / 3600 % 24, 2);
    text_put_char(out, ':');
    put_padded(out, seconds / 60 % 60, 2);
    text_put_char(out, ':');
    put_padded(out, seconds % 60, 2);
    text_put_char(out, '.');
    put_padded(out, (uint64_t)wall.tv_nsec / 1000, 6);
    text_put(out, "Z mono=");
    text_put_number(out, (uint64_t)steady.tv_sec);
    text_put_char(out, '.');
    put_padded(out, (uint64_t)steady.tv_nsec / 1000, 6);
}

/* " key=value" for a value that is a plain word. */
static void put_word(struct line *line, const char *key, const char *value)
{
    text_put_char(&line->text, ' ');
    text_put(&line->text, key);
    text_put_char(&line->text, '=');
    text_put(&line->text, value);
}

static void put_number(struct line *line, const char *key, uint64_t number)
{
    put_word(line, key, "");
    text_put_number(&line->text, number);
}

static void put_descriptor(struct line *line, int fd)
{
    put_number(line, "fd", (unsigned)(subject.pid ? subject.fd : fd));
}

static bool is_plain(const char *value)
{
    for (const char *c = value; *c; c++) {
        if (*c <= ' ' || *c > '~' || *c == '"' || *c == '\\')
            return false;
    }
    return value[0] != '\0';
}

/*
 * Any value: in quotes where it has blanks, quotes or bytes that are not printable ASCII, with
 * \" \\ and \xHH. What does not fit in the line is cut, and "..." says so.
 */
static void put_value(struct line *line, const char *key, const char *value)
{
    static const char digits[] = "0123456789abcdef";
    struct text *out = &line->text;

    if (is_plain(value) && out->length + strlen(key) + strlen(value) + TAIL_ROOM < out->size) {
        put_word(line, key, value);
        return;
    }
    put_word(line, key, "\"");
    for (const char *c = value; *c; c++) {
        if (out->length + TAIL_ROOM >= out->size) {
            text_put(out, "...");
            break;
        }
        if (*c == '"' || *c == '\\') {
            text_put_char(out, '\\');
            text_put_char(out, *c);
        } else if (*c >= ' ' && *c <= '~') {
            text_put_char(out, *c);
        } else {
            text_put(out, "\\x");
            text_put_char(out, digits[(unsigned char)*c >> 4]);
            text_put_char(out, digits[(unsigned char)*c & 0xf]);
        }
    }
    text_put_char(out, '"');
}

static void put_endpoint(struct line *line, const char *key, struct policy_ip ip, uint16_t port)
{
    put_word(line, key, "");
    policy_print_endpoint(&line->text, ip, port);
}

static void put_facts(struct line *line, const struct facts *f)
{
    if (f->known & FACT_COOKIE)
        put_number(line, "cookie", f->cookie);
    if (f->known & FACT_ROLE)
        put_word(line, "role", f->role == ROLE_SERVER ? "server" : "client");
    if (f->known & FACT_LOCAL_IP)
        put_endpoint(line, "local", f->local_ip, f->local_port);
    else if (f->known & FACT_LOCAL_PORT)
        put_number(line, "local", f->local_port);
    if (f->known & FACT_PEER)
        put_endpoint(line, "peer", f->peer_ip, f->peer_port);
}

static void put_verdict(struct line *line, const struct verdict *verdict)
{
    put_word(line, "verdict", verdict ? "" : "none");
    if (verdict)
        policy_print_mode(&line->text, verdict->mode, verdict->seconds);
    if (verdict)
        put_number(line, "rule", verdict->rule);
}

/* False where there is no log, and nothing needs to be put together. */
static bool begin(struct line *line, const char *event)
{
    if (log_kind == LOG_OFF)
        return false;
    text_begin(&line->text, line->data, LINE_MAX_LENGTH); /* one byte is the newline's */
    put_times(&line->text);
    put_number(line, "pid", subject_pid());
    put_word(line, "event", event);
    return true;
}

static void end(struct line *line)
{
    line->data[line->text.length++] = '\n';
    bool written = log_kind == LOG_FILE ? write_to_file(line->data, line->text.length)
                                        : write_to_stderr(line->data, line->text.length);
    if (!written)
        stats_add(stats, STAT_LOG_LOST, 1);
}

static void warn(const char *name, const char *value, const char *why)
{
    char buffer[LINE_MAX_LENGTH];
    struct text out;

    text_begin(&out, buffer, sizeof(buffer));
    text_put(&out, "liblinger: ");
    text_put(&out, name);
    text_put(&out, ": '");
    text_put_printable(&out, value, strlen(value) < 200 ? strlen(value) : 200);
    text_put(&out, "' ");
    text_put(&out, why);
    text_put(&out, ", so nothing goes there\n");
    report_stderr(out.data, out.length);
}

static void make_absolute(const char *path)
{
    struct text out;

    text_begin(&out, log_path, sizeof(log_path));
    if (path[0] != '/' && getcwd(log_path, sizeof(log_path))) {
        out.length = strlen(log_path);
        text_put_char(&out, '/');
    }
    text_put(&out, path);
}

static void open_the_log(const char *value)
{
    struct facts facts = {0};
    int fd;

    if (strcmp(value, SETTINGS_STDERR) == 0) {
        /* Descriptor 2 may be closed, or inetd's connection: then there is no log. */
        if (identify(STDERR_FILENO, &log_identity) && !sock_facts(STDERR_FILENO, 0, &facts))
            log_kind = LOG_STDERR;
        return;
    }
    make_absolute(value);
    fd = open_log();
    if (fd < 0) {
        warn("LINGER_LOG", value, errno == EISDIR ? "is a directory" : "cannot be written");
        return;
    }
    kernel_close(fd);
    log_kind = LOG_FILE;
}

void report_open(const struct settings *s)
{
    if (s->stats[0]) {
        switch (stats_open(s->stats, true, &stats)) {
        case STATS_OK:
            break;
        case STATS_FAILED:
            warn("LINGER_STATS", s->stats, "cannot be opened or made");
            break;
        case STATS_FOREIGN:
            warn("LINGER_STATS", s->stats, "is no file of counters of this version");
            break;
        }
    }
    if (s->log[0])
        open_the_log(s->log);
}

bool report_is_on(void)
{
    return log_kind != LOG_OFF || stats != NULL;
}

static void put_policy(struct line *line, const char *key, const struct policy *policy)
{
    char buffer[LINE_MAX_LENGTH];
    struct text out;

    if (policy->rule_count == 0)
        return;
    text_begin(&out, buffer, sizeof(buffer));
    for (unsigned i = 0; i < policy->rule_count; i++) {
        text_put(&out, i > 0 ? "; " : "");
        policy_print_rule(policy, &policy->rules[i], &out);
    }
    put_value(line, key, buffer);
}

void report_load(const struct settings *s, const char *program)
{
    struct line line;

    if (!begin(&line, "load"))
        return;
    put_word(&line, "version", LINGER_VERSION);
    put_word(&line, "backend", s->backend == BACKEND_SUPERVISE ? "supervise" : "preload");
    put_value(&line, "program", program);
    put_policy(&line, "reuseaddr", &s->reuseaddr);
    put_policy(&line, "reuseport", &s->reuseport);
    put_policy(&line, "mode", &s->mode);
    end(&line);
}

void report_armed(int fd, const char *moment, const struct facts *facts,
                  const struct verdict *verdict)
{
    struct line line;

    stats_add(stats, stats_armed(verdict->mode), 1);
    if (!begin(&line, "arm"))
        return;
    put_word(&line, "at", moment);
    put_descriptor(&line, fd);
    put_facts(&line, facts);
    put_verdict(&line, verdict);
    end(&line);
}

void report_failed(int fd, const char *option, int error, const struct verdict *verdict)
{
    struct line line;

    stats_add(stats, STAT_FAILED, 1);
    if (!begin(&line, "fail"))
        return;
    put_descriptor(&line, fd);
    put_word(&line, "option", option);
    put_number(&line, "errno", (unsigned)error);
    put_verdict(&line, verdict);
    end(&line);
}

void report_overridden(int fd, const struct verdict *verdict)
{
    struct line line;

    stats_add(stats, STAT_OVERRIDDEN, 1);
    if (!begin(&line, "override"))
        return;
    put_descriptor(&line, fd);
    put_verdict(&line, verdict);
    end(&line);
}

void report_aborted(int fd, const struct facts *facts, const struct verdict *verdict)
{
    struct line line;

    stats_add(stats, STAT_ABORTS, 1);
    if (!begin(&line, "reset"))
        return;
    put_descriptor(&line, fd);
    put_facts(&line, facts);
    put_verdict(&line, verdict);
    end(&line);
}

static void put_why(struct line *line, uint32_t unread, const struct policy *policy,
                    const struct verdict *verdict)
{
    char buffer[LINE_MAX_LENGTH];
    struct text out;

    text_begin(&out, buffer, sizeof(buffer));
    if (unread > 0) {
        text_put(&out, "unread data: the kernel sends RST whatever the mode");
    } else if (!verdict) {
        text_put(&out, "no rule matches");
    } else {
        policy_print_rule(policy, policy_rule(policy, verdict->rule), &out);
    }
    put_value(line, "why", buffer);
}

void report_closed(int fd, const struct facts *facts, const struct policy *policy,
                   const struct verdict *verdict)
{
    bool is_passive = facts->when == WHEN_PASSIVE;
    struct line line;
    uint32_t unsent;
    uint32_t unread;

    if (facts->state == TCP_CLOSE) {
        stats_add(stats, STAT_CLOSED_UNCONNECTED, 1);
        unsent = unread = 0;
    } else {
        sock_queues(fd, facts->state, &unsent, &unread);
        stats_add(stats, stats_closed(is_passive, verdict, verdict ? verdict->mode : MODE_OFF), 1);
        stats_add(stats, STAT_UNREAD, unread > 0);
        stats_add(stats, STAT_UNSENT_BYTES, verdict && verdict->mode == MODE_RST ? unsent : 0);
    }
    if (!begin(&line, "close"))
        return;
    put_descriptor(&line, fd);
    put_facts(&line, facts);
    put_word(&line, "state", diag_state_name(facts->state));
    if (facts->state != TCP_CLOSE)
        put_word(&line, "when", is_passive ? "passive" : "active");
    put_number(&line, "unsent", unsent);
    put_number(&line, "unread", unread);
    put_verdict(&line, verdict);
    put_why(&line, unread, policy, verdict);
    end(&line);
}

void report_bind(int fd, const struct facts *facts, int option, bool on)
{
    bool is_address = option == SO_REUSEADDR;
    struct line line;

    if (is_address)
        stats_add(stats, on ? STAT_REUSEADDR_SET : STAT_REUSEADDR_CLEARED, 1);
    else
        stats_add(stats, on ? STAT_REUSEPORT_SET : STAT_REUSEPORT_CLEARED, 1);
    if (!begin(&line, "bind"))
        return;
    put_descriptor(&line, fd);
    put_endpoint(&line, "local", facts->local_ip, facts->local_port);
    put_word(&line, is_address ? "SO_REUSEADDR" : "SO_REUSEPORT", on ? "1" : "0");
    end(&line);
}

/* Who holds a port. */
struct holders {
    uint16_t port;
    unsigned listeners;
    unsigned time_wait;
    unsigned others;
    uint32_t last; /* ms until the last TIME_WAIT is gone */
};

static bool count_holder(const struct diag_socket *socket, void *context)
{
    struct holders *h = context;

    if (socket->local_port != h->port)
        return true;
    if (socket->state == TCP_LISTEN)
        h->listeners++;
    else if (socket->state == TCP_TIME_WAIT)
        h->time_wait++;
    else
        h->others++;
    if (socket->state == TCP_TIME_WAIT && socket->expires > h->last)
        h->last = socket->expires;
    return true;
}

/* The dump needs more room than a small stack has; a mapping is no heap, and short-lived. */
static bool find_holders(struct holders *h)
{
    void *buffer =
        mmap(NULL, DIAG_BUFFER_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool found;

    if (buffer == MAP_FAILED)
        return false;
    found = diag_each(buffer, count_holder, h) == 0;
    munmap(buffer, DIAG_BUFFER_SIZE);
    return found;
}

static const char *holders_say(const struct holders *h)
{
    if (h->listeners > 0)
        return "a listener holds the port";
    if (h->time_wait > 0)
        return "TIME_WAIT sockets of a run without SO_REUSEADDR hold the port";
    return h->others > 0 ? "connections of a run without SO_REUSEADDR hold the port"
                         : "a socket that is bound and does not listen holds the port";
}

void report_bind_failed(int fd, const struct facts *facts)
{
    struct holders holders = {.port = facts->local_port};
    struct line line;

    stats_add(stats, STAT_BIND_FAILED, 1);
    if (!begin(&line, "bind"))
        return;
    put_descriptor(&line, fd);
    put_endpoint(&line, "local", facts->local_ip, facts->local_port);
    put_number(&line, "errno", EADDRINUSE);
    if (find_holders(&holders)) {
        put_number(&line, "listeners", holders.listeners);
        put_number(&line, "time_wait", holders.time_wait);
        put_number(&line, "others", holders.others);
        put_number(&line, "seconds", (holders.last + 999) / 1000);
        put_value(&line, "why", holders_say(&holders));
    }
    end(&line);
}
