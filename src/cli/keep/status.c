/* SPDX-License-Identifier: MIT */
/*
 * The lock is fcntl(2)'s: the kernel knows whose it is, and ends it with the process. Must follow
 * no link that another user could have made.
 */
#include "cli/keep/status.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report/fileid.h"

#define LOCK STATUS_DIRECTORY "/lock"
#define LIST STATUS_DIRECTORY "/listeners"

/* Who has the lock: 0: nobody; below 0: a process in another PID namespace. */
static pid_t find_keeper(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (fcntl(fd, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK)
        return 0;
    return lock.l_pid > 0 ? lock.l_pid : -1;
}

bool status_may_write(const struct cli_command *self, const char *path)
{
    if (!fileid_may_be_replaced(path))
        return true;
    cli_error(self, "%s: another user may write one of its directories; name another place", path);
    return false;
}

static int say_who_may(const struct cli_command *self, const char *path)
{
    return cli_error(self, "%s: %s; root is needed", path, strerror(errno));
}

int status_lock(const struct cli_command *self)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (mkdir(STATUS_DIRECTORY, 0755) != 0 && errno != EEXIST)
        return say_who_may(self, STATUS_DIRECTORY);
    if (!status_may_write(self, LOCK))
        return -1;
    int fd = open(LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return say_who_may(self, LOCK);
    if (fcntl(fd, F_SETLK, &lock) == 0)
        return 0; /* open until the end */
    bool is_taken = errno == EACCES || errno == EAGAIN;
    pid_t keeper = find_keeper(fd);
    close(fd);
    if (!is_taken)
        return -1;
    if (keeper > 0)
        return cli_error(self, "process %d does so already: one policy for a host; end it first",
                         (int)keeper);
    return cli_error(self, "a process in another PID namespace does so already: one policy for a "
                           "host; end it first");
}

/* A new file with a name of its own beside `path`, which rename() will give it. */
static FILE *begin_file(const char *path, char name[PATH_MAX])
{
    FILE *file = NULL;
    int fd;

    snprintf(name, PATH_MAX, "%s.new", path);
    (void)unlink(name);
    fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd >= 0 && !(file = fdopen(fd, "w")))
        close(fd);
    return file;
}

static void end_file(const struct cli_command *self, FILE *file, const char *name, const char *path)
{
    bool is_whole = file && fflush(file) == 0 && !ferror(file);

    if (!file || fclose(file) != 0 || !is_whole || rename(name, path) != 0)
        cli_error(self, "%s: cannot be written: %s", path, strerror(errno));
}

static void write_list(const struct look *l)
{
    const struct policy *rules = &l->apply.selection.rules;
    char name[PATH_MAX];
    FILE *file = begin_file(LIST, name);

    for (size_t i = 0; file && i < l->listeners.count; i++) {
        const struct listener *one = &l->listeners.items[i];
        if (one->state == LISTENER_KEPT)
            fprintf(file, "%lu %u %s %s\n", (unsigned long)one->inode, one->verdict.rule,
                    one->saved.local, selection_rule_text(rules, one->verdict.rule));
    }
    end_file(l->apply.selection.self, file, name, LIST);
}

static void write_counters(const struct look *l, const char *path)
{
    const struct listeners_counts *counts = &l->listeners.counts;
    size_t kept = 0;

    for (size_t i = 0; i < l->listeners.count; i++)
        kept += l->listeners.items[i].state == LISTENER_KEPT;
    const struct {
        const char *name, *type, *help;
        size_t value;
    } families[] = {
        {"listeners", "gauge", "listeners that have what their rule says", kept},
        {"applied_total", "counter", "listeners that were changed", counts->applied},
        {"refused_total", "counter", "listeners that cannot have what their rule says",
         counts->refused},
        {"gone_total", "counter", "such listeners that were closed", counts->gone},
        {"connections_total", "counter", "connections that were changed after accept()",
         counts->connections},
    };
    char name[PATH_MAX];
    FILE *file = begin_file(path, name);

    for (size_t i = 0; file && i < sizeof(families) / sizeof(families[0]); i++)
        fprintf(file, "# HELP linger_keep_%s %s\n# TYPE linger_keep_%s %s\nlinger_keep_%s %zu\n",
                families[i].name, families[i].help, families[i].name, families[i].type,
                families[i].name, families[i].value);
    end_file(l->apply.selection.self, file, name, path);
}

void status_write(const struct look *l, const char *counters)
{
    write_list(l);
    if (counters)
        write_counters(l, counters);
}

size_t status_read(struct status_kept **kept, pid_t *keeper)
{
    int lock = open(LOCK, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    FILE *file = NULL;
    size_t count = 0;
    struct status_kept one;
    char line[512];

    *kept = NULL;
    *keeper = lock < 0 ? 0 : find_keeper(lock);
    if (lock >= 0)
        close(lock);
    if (*keeper != 0)
        file = fopen(LIST, "re");
    while (file && fgets(line, sizeof(line), file)) {
        struct status_kept *items = cli_grow(*kept, count, sizeof(*items));
        if (!items)
            break;
        *kept = items;
        if (sscanf(line, "%" SCNu32 " %u %63s %60[^\n]", &one.inode, &one.rule, one.local,
                   one.text) == 4)
            items[count++] = one;
    }
    if (file)
        fclose(file);
    return count;
}
