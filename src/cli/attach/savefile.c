/* SPDX-License-Identifier: MIT */
/*
 * Text, so that a person can read it if all else fails. Must write each socket through before it is
 * changed: if linger is killed half-way, the file has all that was changed.
 */
#include "cli/attach/savefile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD "linger attach --save"
#define VERSION 1
#define COLUMNS "# kind cookie inode port SO_LINGER(on seconds) TCP_LINGER2 local peer"
#define BOOT_MAX 64
#define LINE_MAX_LENGTH 400
#define NO_LINGER2 "none"

/* A number of this boot, as random(4) has it; "" without /proc. */
static void read_boot(char boot[BOOT_MAX])
{
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

    if (!file || !fgets(boot, BOOT_MAX, file))
        boot[0] = '\0';
    if (file)
        fclose(file);
    boot[strcspn(boot, "\n")] = '\0';
}

FILE *savefile_create(const char *path, struct error *why)
{
    char boot[BOOT_MAX];
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

    read_boot(boot);
    if (fd < 0 && errno == EEXIST)
        error_set(why,
                  "it exists, and its contents would be lost; --restore it, remove it, or name "
                  "another");
    else if (!file || fprintf(file, HEAD " %d\nboot %s\n" COLUMNS "\n", VERSION, boot) < 0 ||
             fflush(file) != 0)
        error_set(why, "cannot be written: %s", strerror(errno));
    else
        return file;
    if (file)
        fclose(file);
    else if (fd >= 0)
        close(fd);
    return NULL;
}

int savefile_write(FILE *file, const struct saved_socket *s)
{
    char linger2[16] = NO_LINGER2;

    if (s->linger.has_linger2)
        snprintf(linger2, sizeof(linger2), "%d", s->linger.linger2);
    fprintf(file, "%s %" PRIu64 " %" PRIu32 " %u %d %d %s %s %s\n",
            s->is_listener ? "listener" : "connection", s->cookie, s->inode, s->port, s->linger.on,
            s->linger.seconds, linger2, s->local, s->peer);
    return fflush(file) == 0 ? 0 : -1;
}

static bool read_line(const char *line, struct saved_socket *s)
{
    char kind[16];
    char linger2[16];
    char *end;
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
    s->linger.has_linger2 = strcmp(linger2, NO_LINGER2) != 0;
    s->linger.linger2 = s->linger.has_linger2 ? (int)strtol(linger2, &end, 10) : 0;
    return (s->is_listener || strcmp(kind, "connection") == 0) && (on == 0 || on == 1) &&
           (!s->linger.has_linger2 || (linger2[0] && *end == '\0'));
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
    read_boot(boot);
    if (!fgets(line, sizeof(line), file) || strncmp(line, "boot ", 5) != 0 ||
        strcspn(line + 5, "\n") != strlen(boot) || strncmp(line + 5, boot, strlen(boot)) != 0)
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

static bool is_own(const struct stat *status)
{
    return (status->st_uid == 0 || status->st_uid == geteuid()) &&
           (status->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

int savefile_read(const char *path, struct saved *saved, struct error *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    struct stat status;
    int result = -1;

    if (!file)
        error_set(why, "cannot be read: %s", strerror(errno));
    else if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
        error_set(why, "not a regular file");
    else if (!is_own(&status))
        error_set(why, "another user may write it; chown it if you trust what it says");
    else if (check_head(file, why) == 0)
        result = read_sockets(file, saved, why);
    if (file)
        fclose(file);
    else if (fd >= 0)
        close(fd);
    return result;
}
