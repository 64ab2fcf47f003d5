/* SPDX-License-Identifier: MIT */
/*
 * systemd keeps the processes of a unit in a cgroup of the unit's name, at the end of a path of
 * slices (systemd.slice(5), cgroups(7)). Must never trust a name below a directory of another
 * user's, who may have made it.
 */
#include "cli/pids.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define DEEPEST 32 /* slices, and cgroups below a unit's */

struct search {
    const char *name;
    pids_visit *visit;
    void *context;
    unsigned found;
};

static int open_directory(int parent, const char *name)
{
    return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* A directory for cgroups whose names are given by root, or by this user. */
static bool is_trusted(int directory)
{
    struct statfs fs;
    struct stat status;

    return fstatfs(directory, &fs) == 0 && fstat(directory, &status) == 0 &&
           (fs.f_type == CGROUP2_SUPER_MAGIC || fs.f_type == CGROUP_SUPER_MAGIC) &&
           (status.st_uid == 0 || status.st_uid == geteuid());
}

static bool ends_with(const char *name, const char *end)
{
    size_t length = strlen(name);

    return length > strlen(end) && strcmp(name + length - strlen(end), end) == 0;
}

/* Calls `visit` for each process of the cgroup itself. */
static int take_processes(struct search *s, int cgroup)
{
    int fd = openat(cgroup, "cgroup.procs", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    int status = 0;
    int pid;

    while (file && status == 0 && fscanf(file, "%d", &pid) == 1) {
        if (pid == 0)
            continue; /* of another PID namespace */
        s->found++;
        status = s->visit(s->name, pid, s->context);
    }
    if (file)
        fclose(file);
    return status;
}

/*
 * Looks for the unit in `cgroup`, which it closes, and in those below; stops where `visit` does not
 * return 0. All that is below a unit's cgroup is the unit's.
 */
/* NOLINTNEXTLINE(misc-no-recursion): DEEPEST ends it. */
static int walk(struct search *s, int cgroup, const char *name, unsigned depth, bool is_units)
{
    char manager[32]; /* a user's own units are below this one's cgroup */

    snprintf(manager, sizeof(manager), "user@%u.service", (unsigned)geteuid());
    is_units = is_units || strcmp(name, s->name) == 0;
    bool leads_on = is_units || (is_trusted(cgroup) && (depth == 0 || ends_with(name, ".slice") ||
                                                        strcmp(name, manager) == 0));
    int status = is_units ? take_processes(s, cgroup) : 0;
    const struct dirent *entry;
    DIR *directory = leads_on && depth < DEEPEST ? fdopendir(cgroup) : NULL;

    while (directory && status == 0 && (entry = readdir(directory))) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        int below = open_directory(cgroup, entry->d_name);
        if (below >= 0)
            status = walk(s, below, entry->d_name, depth + 1, is_units);
    }
    if (directory)
        closedir(directory);
    else
        close(cgroup);
    return status;
}

static int take_unit(const struct cli_command *command, struct search *s)
{
    /* Of version 2; beside version 1; of version 1. systemd has the unit in each that is there. */
    static const char *const tops[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified",
                                       "/sys/fs/cgroup/systemd"};
    int status = 0;

    for (size_t i = 0; status == 0 && s->found == 0 && i < sizeof(tops) / sizeof(tops[0]); i++) {
        int top = open_directory(AT_FDCWD, tops[i]);
        if (top >= 0)
            status = walk(s, top, "", 0, false);
    }
    if (status == 0 && s->found == 0)
        return cli_error(command, "%s: no process of that unit runs here (by /sys/fs/cgroup)",
                         s->name);
    return status;
}

static bool is_unit(const char *word)
{
    return ends_with(word, ".service") || ends_with(word, ".scope");
}

bool pids_is_name(const char *word)
{
    long pid;

    return cli_number(word, 1, INT32_MAX, &pid) || is_unit(word);
}

int pids_each(const struct cli_command *command, char *const *names, pids_visit *visit,
              void *context)
{
    int status = 0;
    long pid;

    for (; *names && status == 0; names++) {
        struct search s = {*names, visit, context, 0};
        if (cli_number(*names, 1, INT32_MAX, &pid))
            status = visit(*names, (pid_t)pid, context);
        else if (is_unit(*names))
            status = take_unit(command, &s);
        else
            return cli_usage(command,
                             "'%s' is not a process: give a pid, the name of a unit "
                             "(nginx.service), or --port PORT",
                             *names),
                   -1;
    }
    return status;
}
