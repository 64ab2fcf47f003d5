/* SPDX-License-Identifier: MIT */
/*
 * The variables, and the complaint about a value that does not parse. The first byte of the input
 * is the setting, the second the way in; the rest is the value itself, or what @FILE holds, or an
 * environment, a NUL after each entry. Only files of our own are read: the machine has others, and
 * some block.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/settings.h"
#include "fuzz.h"

#define ENTRIES_MAX 64
#define WHO "fuzz"

/* What holds of every complaint; returns the number of its lines. */
static unsigned check_lines(const struct text *complaint)
{
    const char *text = complaint->data;
    unsigned lines = 0;

    fuzz_check(complaint->length < complaint->size && strlen(text) == complaint->length,
               "a complaint is within its buffer");
    fuzz_check(complaint->length > 0 && text[complaint->length - 1] == '\n',
               "a complaint ends in a newline");
    for (size_t i = 0; i < complaint->length; i++) {
        fuzz_check(text[i] == '\n' || (text[i] >= ' ' && text[i] <= '~'),
                   "a complaint is printable");
        lines += text[i] == '\n';
    }
    return lines;
}

static void check_complaint(const struct text *complaint, const char *shown_as)
{
    const char *text = complaint->data;
    unsigned lines = check_lines(complaint);

    fuzz_check(strncmp(text, WHO ": ", strlen(WHO ": ")) == 0, "a complaint says who complains");
    fuzz_check(strncmp(text + strlen(WHO ": "), shown_as, strlen(shown_as)) == 0,
               "a complaint names the setting");
    fuzz_check(lines == 4, "what is wrong, the place, a caret, what is accepted");
    const char *excerpt = strchr(text, '\n') + 1;
    const char *caret = strchr(excerpt, '\n') + 1;
    fuzz_check(caret[strspn(caret, " ")] == '^', "there is a caret");
    fuzz_check(strspn(caret, " ") <= (size_t)(caret - 1 - excerpt), "under the excerpt");
    fuzz_check(strcspn(caret, "\n") <= (size_t)(caret - excerpt), "and not wider");
}

/* Events may stand before it. */
static void check_log_path(const char *value, const char *path)
{
    size_t length = strlen(value);
    size_t kept = strlen(path);

    fuzz_check(kept <= length && strcmp(value + length - kept, path) == 0, "a path is whole");
    fuzz_check(kept == length || value[length - kept - 1] == ':', "nothing but events before it");
}

static void try(enum setting setting, const char *value)
{
    static struct settings s;
    char room[SETTINGS_COMPLAINT_MAX];
    struct text complaint;

    memset(&s, 0, sizeof(s));
    s.who = WHO;
    text_begin(&complaint, room, sizeof(room));
    if (settings_take(&s, setting, settings_name(setting), value, &complaint) != 0) {
        check_complaint(&complaint, settings_name(setting));
        return;
    }
    fuzz_check(complaint.length == 0, "no complaint about what is accepted");
    if (setting == SETTING_STATS)
        fuzz_check(strcmp(value, s.stats_path) == 0, "a path is whole");
    if (setting == SETTING_LOG)
        check_log_path(value, s.log_path);
    settings_keep_program(&s, "redis-server");
}

/* As @FILE. A leading slash may be repeated, which makes names of any length for one file. */
static void try_file(enum setting setting, size_t slashes, const uint8_t *data, size_t size)
{
    static int fd = -1;
    char value[LOG_PATH_MAX + 64];

    if (fd < 0)
        fd = memfd_create("policy", MFD_CLOEXEC);
    fuzz_check(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size, "a file");
    memset(value, '/', sizeof(value));
    value[0] = '@';
    snprintf(value + 1 + slashes, sizeof(value) - 1 - slashes, "/proc/self/fd/%d", fd);
    try(setting, value);
}

/* Warnings may come first; what stopped the program must be in the complaint, and whole. */
static void try_environment(char *block, size_t size)
{
    static struct settings s;
    char *environment[ENTRIES_MAX + 1] = {NULL};
    char room[SETTINGS_COMPLAINT_MAX];
    struct text complaint;
    size_t count = 0;

    for (size_t at = 0; at < size && count < ENTRIES_MAX; at += strlen(block + at) + 1) {
        const char *value = strchr(block + at, '=');
        if (!value || value[1] != '@')
            environment[count++] = block + at;
    }
    memset(&s, 0, sizeof(s));
    s.who = WHO;
    text_begin(&complaint, room, sizeof(room));
    int status = settings_take_environment(&s, environment, &complaint);
    if (status == 0 && complaint.length == 0)
        return;
    unsigned lines = check_lines(&complaint);
    fuzz_check(status == 0 || lines >= 4, "what stopped the program is told");
    fuzz_check(status == 0 || strstr(room, "^"), "with a caret");
}

/* A name without a slash is looked up in a directory that is empty. */
static void leave_for_nowhere(void)
{
    static bool is_done;
    char directory[] = "/tmp/fuzz-settings-XXXXXX";

    if (is_done)
        return;
    fuzz_check(mkdtemp(directory) && chdir(directory) == 0 && rmdir(directory) == 0, "nowhere");
    is_done = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    enum setting setting = data[0] % (SETTING_COUNT + 1);
    /* A block of its own, so that the sanitizer sees what is read past its end. */
    char *value = malloc(size - 1);
    fuzz_check(value != NULL, "memory");
    memcpy(value, data + 2, size - 2);
    value[size - 2] = '\0';
    leave_for_nowhere();
    if (setting == SETTING_COUNT)
        try_environment(value, size - 2);
    else if (data[1] >= 0x80 && setting != SETTING_LOG && setting != SETTING_STATS)
        try_file(setting, (size_t)(data[1] - 0x80) * 32, data + 2, size - 2);
    else if (value[0] != '@' || !strchr(value, '/'))
        try(setting, value);
    free(value);
    return 0;
}
