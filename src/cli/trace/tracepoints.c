/* SPDX-License-Identifier: MIT */
/*
 * perf_event_open(2) on tracepoints, one buffer a CPU. Descriptors and mappings alone, so nothing
 * is left behind however this process ends: no instance of tracefs, no mount that others see.
 */
#include "cli/trace/tracepoints.h"

#include <fcntl.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/kernel.h"

#define FORMAT_MAX 16384         /* bytes of a format file */
#define BUFFERS_MAX (64ul << 20) /* bytes, of all CPUs */
#define BUFFER_MAX (8ul << 20)   /* of one */
#define BUFFER_MIN (256ul << 10)
#define BUFFER_OF_LISTENS (64ul << 10)
#define EVENT_MAX 1024 /* ours are a fifth of that */
#define EVENT_MIN 40   /* of those that are looked at: with what sample_id_all appends */
#define FILTER_MAX 1024
#define LISTEN_TO_SYN_RECV "(oldstate!=10||newstate!=3)" /* says nothing that the next does not */
/* A client's connection, and our FIN acknowledged: when, not how it ends. */
#define NOT_BETWEEN "&&(oldstate!=2||newstate!=1)&&(oldstate!=4||newstate!=5)"
#define LISTEN_OR_CLOSE "(newstate==10||oldstate==10&&newstate==7)"

/* Linux 5.2 (fsopen(2)); libc and headers may be older. */
#define CALL_FSOPEN 430
#define CALL_FSCONFIG 431
#define CALL_FSMOUNT 432
#define FSCONFIG_CREATE 6

/* How many of the tracepoints it needs. */
#define KINDS(t) ((t)->what == TRACEPOINTS_LISTENS ? RECORD_STATE + 1 : RECORD_TRACEPOINTS)

static const char *const names[RECORD_TRACEPOINTS] = {
    [RECORD_STATE] = "sock/inet_sock_set_state",
    [RECORD_SENT_RESET] = "tcp/tcp_send_reset",
    [RECORD_GOT_RESET] = "tcp/tcp_receive_reset",
};

struct buffer {
    struct perf_event_mmap_page *control; /* the data follows it */
    uint64_t tail;
    bool is_read; /* `next` waits for its turn */
    struct record next;
};

struct tracepoints {
    enum tracepoints_what what;
    struct format formats[RECORD_TRACEPOINTS];
    size_t page;
    size_t size; /* of a buffer, a power of two */
    unsigned cpus;
    struct buffer *buffers;
    struct pollfd *polled; /* of each CPU the first tracepoint, which has the buffer */
    int *fds;              /* all */
    unsigned fd_count;
    uint64_t samples; /* that were delivered */
};

uint64_t tracepoints_now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* tracefs as it is mounted, or a mount of it that only this descriptor knows. */
static int open_tracefs(struct error *why)
{
    int fd = open("/sys/kernel/tracing/events", O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0)
        return fd;
    int context =
        errno == EACCES ? -1 : (int)syscall(CALL_FSOPEN, "tracefs", 1 /* close-on-exec */);
    if (context >= 0 && syscall(CALL_FSCONFIG, context, FSCONFIG_CREATE, NULL, NULL, 0) == 0) {
        int mount = (int)syscall(CALL_FSMOUNT, context, 1, 0);
        fd = mount >= 0 ? openat(mount, "events", O_DIRECTORY | O_CLOEXEC) : -1;
        kernel_close(mount);
    }
    kernel_close(context);
    if (fd < 0 && (errno == EACCES || errno == EPERM))
        error_set(why, "tracefs: %s", strerror(errno));
    else if (fd < 0)
        error_set(
            why,
            "tracefs cannot be read (%s); `mount -t tracefs none /sys/kernel/tracing` may help",
            strerror(errno));
    return fd;
}

static int read_format(int events, enum record_kind kind, struct format *format)
{
    char path[64];
    static char text[FORMAT_MAX];

    snprintf(path, sizeof(path), "%s/format", names[kind]);
    int fd = openat(events, path, O_RDONLY | O_CLOEXEC);
    FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (!file)
        return -1;
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    errno = ENOENT;
    return format_read(format, kind, text) ? 0 : -1;
}

static int read_formats(struct tracepoints *t, struct error *why)
{
    int events = open_tracefs(why);
    int status = events < 0 ? -1 : 0;

    for (enum record_kind kind = 0; status == 0 && kind < KINDS(t); kind++) {
        status = read_format(events, kind, &t->formats[kind]);
        if (status != 0)
            error_set(why, "tracepoint %s: %s (it came with Linux 4.16)", names[kind],
                      strerror(errno));
    }
    kernel_close(events);
    return status;
}

/* In the kernel's own words, to which bpf(2) is not needed. */
static void make_filter(const struct tracepoints *t, char filter[FILTER_MAX], enum record_kind kind,
                        const uint16_t *ports, unsigned count)
{
    size_t length = 0;

    filter[0] = '\0';
    if (kind == RECORD_STATE)
        length += (size_t)snprintf(
            filter, FILTER_MAX, "protocol==6&&%s%s%s",
            t->what == TRACEPOINTS_LISTENS ? LISTEN_OR_CLOSE : LISTEN_TO_SYN_RECV,
            t->what == TRACEPOINTS_ENDS ? NOT_BETWEEN : "", count > 0 ? "&&(" : "");
    for (unsigned i = 0; i < count; i++)
        length += (size_t)snprintf(filter + length, FILTER_MAX - length, "%ssport==%u||dport==%u",
                                   i > 0 ? "||" : "", ports[i], ports[i]);
    if (kind == RECORD_STATE && count > 0)
        snprintf(filter + length, FILTER_MAX - length, ")");
}

/* Returns a descriptor, -1 and errno; -1 and ENODEV where there is no such CPU. */
static int open_one(struct tracepoints *t, unsigned cpu, enum record_kind kind, const char *filter)
{
    bool has_processes = kind == RECORD_STATE && t->what != TRACEPOINTS_LISTENS;
    struct perf_event_attr attr = {
        .type = PERF_TYPE_TRACEPOINT,
        .size = sizeof(attr),
        .config = t->formats[kind].id,
        .sample_period = 1,
        .sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_RAW,
        .sample_id_all = 1,
        .use_clockid = 1,
        .clockid = CLOCK_MONOTONIC,
        .watermark = 1,
        .wakeup_watermark = t->what == TRACEPOINTS_LISTENS ? 1 : (uint32_t)(t->size / 4),
        .comm = has_processes,
        .task = has_processes,
        .namespaces = has_processes,
    };
    int fd = (int)syscall(SYS_perf_event_open, &attr, -1, (int)cpu, -1, PERF_FLAG_FD_CLOEXEC);

    if (fd < 0)
        return -1;
    t->fds[t->fd_count++] = fd;
    return filter[0] && ioctl(fd, PERF_EVENT_IOC_SET_FILTER, filter) != 0 ? -1 : fd;
}

static int open_cpu(struct tracepoints *t, unsigned cpu, char filters[][FILTER_MAX])
{
    int leader = open_one(t, cpu, RECORD_STATE, filters[RECORD_STATE]);

    if (leader < 0)
        return errno == ENODEV ? 0 : -1;
    t->polled[t->cpus] = (struct pollfd){.fd = leader, .events = POLLIN};
    struct buffer *buffer = &t->buffers[t->cpus++];
    buffer->control = mmap(NULL, t->page + t->size, PROT_READ | PROT_WRITE, MAP_SHARED, leader, 0);
    if (buffer->control == MAP_FAILED)
        return -1;
    for (enum record_kind kind = RECORD_STATE + 1; kind < KINDS(t); kind++) {
        int fd = open_one(t, cpu, kind, filters[kind]);
        if (fd < 0 || ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, leader) != 0)
            return -1;
    }
    return 0;
}

static int open_cpus(struct tracepoints *t, const uint16_t *ports, unsigned count)
{
    unsigned cpus = (unsigned)sysconf(_SC_NPROCESSORS_CONF);
    char filters[RECORD_TRACEPOINTS][FILTER_MAX];
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) { /* three descriptors a CPU */
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    t->page = (size_t)sysconf(_SC_PAGESIZE);
    t->size = t->what == TRACEPOINTS_LISTENS ? BUFFER_OF_LISTENS : BUFFER_MAX;
    while (t->size * cpus > BUFFERS_MAX && t->size > BUFFER_MIN)
        t->size /= 2;
    t->buffers = calloc(cpus, sizeof(*t->buffers));
    t->polled = calloc(cpus, sizeof(*t->polled));
    t->fds = calloc((size_t)cpus * RECORD_TRACEPOINTS, sizeof(*t->fds));
    if (!t->buffers || !t->polled || !t->fds)
        return -1;
    for (enum record_kind kind = 0; kind < KINDS(t); kind++)
        make_filter(t, filters[kind], kind, kind == RECORD_SENT_RESET ? NULL : ports,
                    kind == RECORD_SENT_RESET ? 0 : count);
    for (unsigned cpu = 0; cpu < cpus; cpu++) {
        if (open_cpu(t, cpu, filters) != 0)
            return -1;
    }
    return 0;
}

struct tracepoints *tracepoints_open(enum tracepoints_what what, const uint16_t *ports,
                                     unsigned count, struct error *why)
{
    struct tracepoints *t = calloc(1, sizeof(*t));

    if (!t) {
        error_set(why, "out of memory");
        return NULL;
    }
    t->what = what;
    int status = read_formats(t, why);
    if (status == 0 && (status = open_cpus(t, ports, count)) != 0)
        error_set(why, "perf_event_open(2): %s", strerror(errno));
    if (status == 0)
        return t;
    tracepoints_close(t);
    return NULL;
}

void tracepoints_close(struct tracepoints *t)
{
    KEEP_ERRNO;

    for (unsigned i = 0; i < t->fd_count; i++)
        close(t->fds[i]);
    for (unsigned i = 0; i < t->cpus; i++) {
        if (t->buffers[i].control != MAP_FAILED)
            munmap(t->buffers[i].control, t->page + t->size);
    }
    free(t->fds);
    free(t->polled);
    free(t->buffers);
    free(t);
}

bool tracepoints_have_reasons(const struct tracepoints *t)
{
    return t->formats[RECORD_SENT_RESET].reason.size > 0;
}

void tracepoints_stop(const struct tracepoints *t)
{
    for (unsigned i = 0; i < t->fd_count; i++)
        (void)ioctl(t->fds[i], PERF_EVENT_IOC_DISABLE, 0);
}

uint64_t tracepoints_lost(const struct tracepoints *t)
{
    uint64_t counted = 0;

    for (unsigned i = 0; i < t->fd_count; i++) {
        uint64_t value;
        counted += read(t->fds[i], &value, sizeof(value)) == sizeof(value) ? value : 0;
    }
    return counted > t->samples ? counted - t->samples : 0;
}

void tracepoints_wait(const struct tracepoints *t, int milliseconds, const sigset_t *mask)
{
    const struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000L};

    (void)ppoll(t ? t->polled : NULL, t ? t->cpus : 0, &time, mask);
}

/* perf_event_open(2), "MMAP layout": what each type has before its sample_id. */
union event {
    struct perf_event_header header;
    struct {
        struct perf_event_header header;
        uint32_t pid, thread;
        uint64_t time;
        uint32_t size;
        unsigned char raw[];
    } sample;
    struct {
        struct perf_event_header header;
        uint32_t pid, parent, thread, parent_thread;
    } process;
    struct {
        struct perf_event_header header;
        uint32_t pid, thread;
        char name[RECORD_NAME_MAX];
    } name;
    struct {
        struct perf_event_header header;
        uint32_t pid, thread;
        uint64_t count, device, inode; /* of the network's, NET_NS_INDEX is 0 */
    } namespaces;
    struct {
        struct perf_event_header header;
        uint64_t id, lost;
    } lost;
    char bytes[EVENT_MAX];
};

static bool take_sample(struct tracepoints *t, struct record *record, const union event *event)
{
    size_t size = event->header.size - offsetof(union event, sample.raw);
    uint16_t id;

    t->samples++;
    memcpy(&id, event->sample.raw, sizeof(id)); /* common_type is the first field everywhere */
    record->time = event->sample.time;
    record->pid = (pid_t)event->sample.pid;
    if (event->sample.size < size)
        size = event->sample.size;
    for (enum record_kind kind = 0; kind < KINDS(t); kind++) {
        if (t->formats[kind].id == id)
            return record_read(record, &t->formats[kind], kind, event->sample.raw, size);
    }
    return false;
}

/* False for what is of no use, as of threads that are not the first of their process. */
static bool take(struct tracepoints *t, struct record *record, const union event *event)
{
    const char *time = event->bytes + event->header.size - sizeof(record->time);

    memset(record, 0, sizeof(*record));
    if (event->header.type == PERF_RECORD_SAMPLE)
        return take_sample(t, record, event);
    memcpy(&record->time, time, sizeof(record->time));
    switch (event->header.type) {
    case PERF_RECORD_FORK:
    case PERF_RECORD_EXIT:
        record->kind = event->header.type == PERF_RECORD_FORK ? RECORD_PROCESS : RECORD_GONE;
        record->pid = (pid_t)event->process.pid;
        record->parent = (pid_t)event->process.parent;
        return event->process.pid == event->process.thread;
    case PERF_RECORD_COMM:
        record->kind = RECORD_NAME;
        record->pid = (pid_t)event->name.pid;
        memcpy(record->name, event->name.name, sizeof(record->name) - 1);
        return event->name.pid == event->name.thread;
    case PERF_RECORD_NAMESPACES:
        record->kind = RECORD_NAMESPACE;
        record->pid = (pid_t)event->namespaces.pid;
        record->namespace = event->namespaces.inode;
        return event->namespaces.pid == event->namespaces.thread && event->namespaces.count > 0;
    case PERF_RECORD_LOST:
        record->kind = RECORD_LOST;
        record->lost = event->lost.lost;
        return true;
    default:
        return false;
    }
}

static void copy_out(const struct tracepoints *t, const struct buffer *b, void *to, size_t size)
{
    const char *data = (const char *)b->control + t->page;
    size_t at = (size_t)(b->tail & (t->size - 1));
    size_t first = size < t->size - at ? size : t->size - at;

    memcpy(to, data + at, first);
    memcpy((char *)to + first, data, size - first);
}

/* Makes the buffer's next event ready; returns false where it is empty. */
static bool look_ahead(struct tracepoints *t, struct buffer *b)
{
    while (!b->is_read) {
        uint64_t head = __atomic_load_n(&b->control->data_head, __ATOMIC_ACQUIRE);
        union event event;
        if (b->tail + sizeof(event.header) > head)
            return false;
        copy_out(t, b, &event.header, sizeof(event.header));
        size_t size = event.header.size;
        if (size >= EVENT_MIN && size <= sizeof(event)) {
            copy_out(t, b, &event, size);
            b->is_read = take(t, &b->next, &event);
        }
        b->tail = size < sizeof(event.header) ? head : b->tail + size;
        __atomic_store_n(&b->control->data_tail, b->tail, __ATOMIC_RELEASE);
    }
    return true;
}

bool tracepoints_next(struct tracepoints *t, uint64_t before, struct record *record)
{
    struct buffer *first = NULL;

    for (unsigned i = 0; i < t->cpus; i++) {
        struct buffer *b = &t->buffers[i];
        if (look_ahead(t, b) && b->next.time < before &&
            (!first || b->next.time < first->next.time))
            first = b;
    }
    if (!first)
        return false;
    *record = first->next;
    first->is_read = false;
    return true;
}
