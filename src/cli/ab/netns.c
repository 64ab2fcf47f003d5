/* SPDX-License-Identifier: MIT */
/* Sysctls are read before unshare(2) and written after it: a new namespace has the defaults. */
#include "cli/ab/netns.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define SYSCTLS_MAX 256
#define VALUE_MAX 128

static struct sysctl {
    char path[300];
    char value[VALUE_MAX];
} sysctls[SYSCTLS_MAX];

static bool read_file(const char *path, char value[VALUE_MAX])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, value, VALUE_MAX - 1);

    if (fd >= 0)
        close(fd);
    value[length > 0 ? length : 0] = '\0';
    return length > 0;
}

static bool write_file(const char *path, const char *value)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool written = fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);

    if (fd >= 0)
        close(fd);
    return written;
}

static unsigned read_sysctls(void)
{
    DIR *directory = opendir("/proc/sys/net/ipv4");
    const struct dirent *entry;
    unsigned count = 1;

    snprintf(sysctls[0].path, sizeof(sysctls[0].path), "/proc/sys/net/core/somaxconn");
    (void)read_file(sysctls[0].path, sysctls[0].value);
    while (directory && (entry = readdir(directory)) && count < SYSCTLS_MAX) {
        struct sysctl *s = &sysctls[count];
        bool is_tcp = strncmp(entry->d_name, "tcp_", 4) == 0 ||
                      strcmp(entry->d_name, "ip_local_port_range") == 0;
        snprintf(s->path, sizeof(s->path), "/proc/sys/net/ipv4/%s", entry->d_name);
        count += is_tcp && read_file(s->path, s->value);
    }
    if (directory)
        closedir(directory);
    return count;
}

/* What cannot be written (a global sysctl, or one closed to user namespaces) stays as it is. */
static void write_sysctls(unsigned count)
{
    char now[VALUE_MAX];

    for (unsigned i = 0; i < count; i++) {
        if (read_file(sysctls[i].path, now) && strcmp(now, sysctls[i].value) != 0)
            (void)write_file(sysctls[i].path, sysctls[i].value);
    }
}

static int raise_loopback(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int status = fd < 0 ? -1 : ioctl(fd, SIOCSIFFLAGS, &request);

    if (fd >= 0)
        close(fd);
    return status;
}

/* user_namespaces(7): each id maps to itself. */
static int enter_as_user(void)
{
    char user[64];
    char group[64];

    snprintf(user, sizeof(user), "%u %u 1", geteuid(), geteuid());
    snprintf(group, sizeof(group), "%u %u 1", getegid(), getegid());
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
        return -1;
    bool mapped = write_file("/proc/self/setgroups", "deny") &&
                  write_file("/proc/self/uid_map", user) && write_file("/proc/self/gid_map", group);
    return mapped ? 0 : -1;
}

int netns_enter(void)
{
    unsigned count = read_sysctls();

    if (unshare(CLONE_NEWNET) != 0 && (errno != EPERM || enter_as_user() != 0))
        return -1;
    if (raise_loopback() != 0)
        return -1;
    write_sysctls(count);
    return 0;
}
