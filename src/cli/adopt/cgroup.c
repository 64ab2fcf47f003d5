/* SPDX-License-Identifier: MIT */
/* Reads names in /proc and /sys/fs/cgroup; must change nothing but where this process is. */
#include "cli/adopt/cgroup.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/process/target.h"

enum { PATH_LENGTH_MAX = 2 * PATH_MAX };

/* The name of the process's cgroup, "/" for the root; "" if it is not known. */
static void read_name(pid_t pid, char name[PATH_MAX])
{
    char line[PATH_MAX + 8];

    name[0] = '\0';
    FILE *file = fopen(target_path(pid, "cgroup"), "re");
    while (file && fgets(line, sizeof(line), file)) {
        if (sscanf(line, "0::%4095[^\n]", name) == 1)
            break;
    }
    if (file)
        fclose(file);
}

/* Where it is mounted; beside the hierarchies of version 1 in the second place. */
static void find_file(const char *name, size_t length, const char *file, char path[PATH_LENGTH_MAX])
{
    bool is_alone = access("/sys/fs/cgroup/cgroup.procs", F_OK) == 0;

    snprintf(path, PATH_LENGTH_MAX, "/sys/fs/cgroup%s%.*s/%s", is_alone ? "" : "/unified",
             (int)length, name, file);
}

bool cgroup_is_frozen(pid_t program)
{
    char name[PATH_MAX];
    char path[PATH_LENGTH_MAX];
    char event[64];
    bool found = false;

    read_name(program, name);
    find_file(name, strlen(name), "cgroup.events", path);
    FILE *events = fopen(path, "re");
    while (events && fgets(event, sizeof(event), events))
        found = found || strcmp(event, "frozen 1\n") == 0;
    if (events)
        fclose(events);
    return found;
}

/* The unit that is named last is the one that it is in; the end of a scope does not end it. */
static bool is_of_service(const char *name)
{
    const char *service = NULL;

    for (const char *at = name; (at = strstr(at, ".service")); at++) {
        if (strcspn(at, "/") == strlen(".service"))
            service = at;
    }
    return service && !strstr(service, ".scope");
}

/* The kernel asks for the right to write to both, and to what they have in common. */
static bool is_writable(const char *ours, const char *theirs)
{
    char path[PATH_LENGTH_MAX];
    size_t common = 0;

    for (size_t i = 0; ours[i] == theirs[i] && ours[i]; i++)
        common = ours[i] == '/' ? i : common;
    find_file(theirs, common, "cgroup.procs", path);
    if (faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) != 0)
        return false;
    find_file(theirs, strlen(theirs), "cgroup.procs", path);
    return faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0;
}

bool cgroup_may_enter(pid_t program)
{
    char ours[PATH_MAX];
    char theirs[PATH_MAX];

    read_name(getpid(), ours);
    read_name(program, theirs);
    return !is_of_service(ours) || strcmp(ours, theirs) == 0 || is_writable(ours, theirs);
}

bool cgroup_enter(pid_t program)
{
    char ours[PATH_MAX];
    char theirs[PATH_MAX];
    char path[PATH_LENGTH_MAX];

    read_name(getpid(), ours);
    read_name(program, theirs);
    if (!theirs[0] || strcmp(ours, theirs) == 0)
        return true;
    find_file(theirs, strlen(theirs), "cgroup.procs", path);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool is_entered = fd >= 0 && write(fd, "0", 1) == 1;
    if (fd >= 0)
        close(fd);
    return is_entered || !is_of_service(ours);
}
