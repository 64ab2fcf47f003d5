/* SPDX-License-Identifier: MIT */
/*
 * The variables. Runs once, before main or in the launcher: must not allocate or leave a
 * descriptor open, and must never take half of a value.
 */
#include "core/settings.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/param.h>
#include <sys/stat.h>

#include "base/kernel.h"
#include "base/nearest.h"
#include "policy/deadrules.h"
#include "report/log.h"

#define PREFIX "LINGER_"
#define EXCERPT_COLUMNS 76 /* of the line with the mistake */
#define EXCERPT_BEFORE 40  /* kept before the mistake if the line is longer */
#define FILE_COLUMNS 256   /* of the name of a file of rules */

static const struct {
    const char *name;
    enum policy_dialect dialect; /* of a setting that is a policy */
} variables[] = {
    [SETTING_MODE] = {"LINGER_MODE", POLICY_TEARDOWN},
    [SETTING_REUSEADDR] = {"LINGER_REUSEADDR", POLICY_SWITCH},
    [SETTING_REUSEPORT] = {"LINGER_REUSEPORT", POLICY_SWITCH},
    [SETTING_BIND_NO_PORT] = {"LINGER_BIND_NO_PORT", POLICY_SWITCH_NO_PORT},
    [SETTING_LOG] = {"LINGER_LOG", 0},
    [SETTING_STATS] = {"LINGER_STATS", 0},
};
static_assert(sizeof(variables) / sizeof(variables[0]) == SETTING_COUNT, "a row for each setting");

const char *settings_name(enum setting setting)
{
    return variables[setting].name;
}

static bool is_path(enum setting setting)
{
    return setting == SETTING_LOG || setting == SETTING_STATS;
}

static struct policy *policy_of(struct settings *s, enum setting setting)
{
    struct policy *const policies[SETTING_COUNT] = {&s->mode, &s->reuseaddr, &s->reuseport,
                                                    &s->bind_no_port};

    return policies[setting];
}

const struct policy *settings_policy(const struct settings *s, enum setting setting)
{
    return policy_of((struct settings *)s, setting);
}

bool settings_is_given(const struct settings *s, enum setting setting)
{
    return s->given >> setting & 1;
}

const char *settings_path(const struct settings *s, enum setting setting)
{
    const char *path = setting == SETTING_LOG ? s->log_path : s->stats_path;

    return settings_is_given(s, setting) && path[0] ? path : NULL;
}

bool settings_has_switch(const struct settings *s)
{
    bool has_rule = false;

    for (enum setting i = SETTING_REUSEADDR; i <= SETTING_BIND_NO_PORT; i++)
        has_rule = has_rule || (settings_is_given(s, i) && settings_policy(s, i)->rule_count > 0);
    return has_rule;
}

/* What was parsed, and where it came from. */
struct source {
    const char *shown_as;
    const char *file; /* NULL where the value itself was parsed */
    const char *text;
    size_t length;
};

static size_t line_start(const struct source *from, size_t at)
{
    while (at > 0 && from->text[at - 1] != '\n')
        at--;
    return at;
}

static size_t line_end(const struct source *from, size_t at)
{
    while (at < from->length && from->text[at] != '\n')
        at++;
    return at;
}

/* The line with the mistake, or the part of it around the mistake, and a caret below. */
static void put_excerpt(struct text *out, const struct source *from, const struct policy_error *e)
{
    size_t start = line_start(from, e->at);
    size_t end = line_end(from, e->at);
    const char *cut = "";

    if (end - start > EXCERPT_COLUMNS && e->at - start > EXCERPT_BEFORE) {
        start = e->at - EXCERPT_BEFORE;
        cut = "...";
    }
    end = MIN(end, start + EXCERPT_COLUMNS);
    text_put(out, "  ");
    text_put(out, cut);
    text_put_printable(out, from->text + start, end - start);
    text_put(out, "\n  ");
    text_put(out, cut[0] ? "   " : "");
    for (size_t i = start; i < e->at; i++)
        text_put_char(out, ' ');
    text_put_char(out, '^');
    for (size_t i = 1; i < e->length && e->at + i < end; i++)
        text_put_char(out, '~');
    text_put_char(out, '\n');
}

/* A long name is cut at the front: the complaint is about what follows it. */
static void put_place(struct text *out, const struct source *from, size_t at)
{
    size_t length = strlen(from->file);
    size_t cut = length - MIN(length, FILE_COLUMNS);
    size_t line = 1;

    for (size_t i = 0; i < at; i++)
        line += from->text[i] == '\n';
    text_put(out, cut > 0 ? "..." : "");
    text_put_printable(out, from->file + cut, length - cut);
    text_put_char(out, ':');
    text_put_number(out, line);
    text_put(out, ": ");
}

static void complain(const char *who, const struct source *from, const struct policy_error *e,
                     struct text *out)
{
    text_put(out, who);
    text_put(out, ": ");
    text_put(out, from->shown_as);
    text_put(out, ": ");
    if (from->file)
        put_place(out, from, e->at);
    text_put(out, e->what);
    if (e->length > 0) {
        text_put(out, " '");
        text_put_printable(out, from->text + e->at, MIN(e->length, EXCERPT_COLUMNS));
        text_put_char(out, '\'');
    }
    if (e->meant) {
        text_put(out, "; did you mean '");
        text_put(out, e->meant);
        text_put(out, "'?");
    }
    text_put_char(out, '\n');
    put_excerpt(out, from, e);
    text_put(out, "  ");
    text_put(out, e->accepted);
    text_put_char(out, '\n');
}

/* A warning that began at `before` and does not fit is dropped whole. */
static void end_warning(struct text *complaint, size_t before)
{
    if (complaint->data[complaint->length - 1] != '\n') {
        complaint->length = before;
        complaint->data[before] = '\0';
    }
}

/* What strerror() would say, without its locale, which may allocate. */
static const char *reason(int error)
{
    switch (error) {
    case ENOENT:
        return "there is no such file";
    case EACCES:
    case EPERM:
        return "permission was denied";
    case EISDIR:
        return "it is a directory; @FILE names a file of rules";
    case ENODEV:
        return "it is not a regular file; @FILE names a file of rules";
    case EFBIG:
        return "it is too long; a policy has up to 16384 bytes";
    default:
        return "@FILE names a readable file of rules";
    }
}

/* A FIFO would make the program wait for a writer, and a device may have no end. */
static int open_regular(const char *path)
{
    int fd = kernel_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
    struct kernel_status status = {0};

    if (fd < 0 || (kernel_statx(fd, "", KERNEL_STATUS_TYPE, &status) == 0 && S_ISREG(status.mode)))
        return fd;
    errno = S_ISDIR(status.mode) ? EISDIR : ENODEV;
    kernel_close(fd);
    return -1;
}

/* Reads a whole file of fewer than `size` bytes. Returns its length, or -1 and errno. */
static ssize_t read_file(const char *path, char *buffer, size_t size)
{
    int fd = open_regular(path);
    size_t length = 0;
    ssize_t got;

    if (fd < 0)
        return -1;
    while ((got = kernel_read(fd, buffer + length, size - length)) != 0) {
        if (got > 0)
            length += (size_t)got;
        else if (errno != EINTR)
            break;
    }
    kernel_close(fd);
    bool failed = got < 0 || length == size;
    if (length == size)
        errno = EFBIG;
    return failed ? -1 : (ssize_t)length;
}

/* Of the value @FILE: the rules in the file take its place. */
static bool take_file(struct source *from, struct policy_error *error)
{
    static char buffer[POLICY_TEXT_MAX + 1];
    const char *path = from->text + 1;
    ssize_t length = read_file(path, buffer, sizeof(buffer));

    if (length < 0) {
        *error = (struct policy_error){1, strlen(path), "cannot read", reason(errno), NULL};
        return false;
    }
    *from = (struct source){from->shown_as, path, buffer, (size_t)length};
    return true;
}

static bool take_policy(struct settings *s, enum setting setting, struct source *from,
                        struct policy_error *error)
{
    return (from->text[0] != '@' || take_file(from, error)) &&
           policy_parse(policy_of(s, setting), variables[setting].dialect, from->text, from->length,
                        from->file != NULL, error) == 0;
}

/* As strcspn(3), without importing it. */
static size_t until(const char *text, const char *stops)
{
    size_t length = 0;

    while (text[length] && !strchr(stops, text[length]))
        length++;
    return length;
}

const char *settings_log_file(const char *value)
{
    const char *end = value + until(value, ":/");

    return *end == ':' ? end + 1 : value;
}

static enum event find_event(const char *name, size_t length)
{
    enum event event = 0;

    while (event < EVENT_COUNT &&
           (strlen(event_names[event]) != length || memcmp(event_names[event], name, length) != 0))
        event++;
    return event;
}

/* The events before the colon of EVENT[,EVENT...]:FILE; all where there is none. */
static bool take_events(const struct source *from, unsigned *events, struct policy_error *error)
{
    size_t end = (size_t)(settings_log_file(from->text) - from->text);
    size_t length = until(from->text, ",");

    *events = end > 0 ? 0 : EVENT_ALL;
    error->accepted = "EVENT[,EVENT...]:FILE, as in bind,connect,fail:stderr";
    if (end > 0 ? end == from->length : find_event(from->text, length) < EVENT_COUNT)
        error->what = "no file after the events:";
    error->length = error->what ? from->length : 0;
    for (size_t at = 0; at < end && !error->what; at += length + 1) {
        length = until(from->text + at, ",:");
        enum event event = find_event(from->text + at, length);
        if (event == EVENT_COUNT)
            *error =
                (struct policy_error){at, length, "unknown event", error->accepted,
                                      nearest(from->text + at, length, event_names, EVENT_COUNT)};
        *events |= 1u << event;
    }
    return !error->what;
}

/* Finds a mistake in a file name; in a log's, %p stands for the pid and %% for one '%'. */
static bool find_mistake(enum setting setting, const struct source *from,
                         struct policy_error *error)
{
    const char *escape = setting == SETTING_LOG ? strchr(from->text, '%') : NULL;

    while (escape && (escape[1] == 'p' || escape[1] == '%'))
        escape = strchr(escape + 2, '%');
    if (from->length >= LOG_PATH_MAX)
        *error = (struct policy_error){.at = LOG_PATH_MAX - 1,
                                       .what = "the name is too long",
                                       .accepted = "a file name has up to 4095 bytes"};
    else if (escape)
        *error = (struct policy_error){.at = (size_t)(escape - from->text),
                                       .length = escape[1] ? 2 : 1,
                                       .what = "unknown",
                                       .accepted =
                                           "in a log's name %p is the pid, and %% a percent sign"};
    else if (setting == SETTING_LOG && strcmp(settings_log_file(from->text), "stdout") == 0)
        *error = (struct policy_error){.at = from->length - strlen("stdout"),
                                       .length = strlen("stdout"),
                                       .what = "the log cannot go to standard output:",
                                       .accepted = "a log is stderr or a file, as in ./stdout"};
    return error->what != NULL;
}

static bool take_path(struct settings *s, enum setting setting, const struct source *from,
                      struct policy_error *error)
{
    bool is_log = setting == SETTING_LOG;
    const char *file = is_log ? settings_log_file(from->text) : from->text;

    if ((is_log && !take_events(from, &s->log_events, error)) || find_mistake(setting, from, error))
        return false;
    memcpy(is_log ? s->log_path : s->stats_path, file, strlen(file) + 1);
    return true;
}

int settings_take(struct settings *s, enum setting setting, const char *shown_as, const char *value,
                  struct text *complaint)
{
    struct source from = {shown_as, NULL, value, strlen(value)};
    struct policy_error error = {.what = NULL};

    s->given |= 1u << setting;
    if (is_path(setting) ? take_path(s, setting, &from, &error)
                         : take_policy(s, setting, &from, &error))
        return 0;
    complain(s->who, &from, &error, complaint);
    return -1;
}

void settings_warn(const struct settings *s, enum setting setting, const char *shown_as,
                   struct text *complaint)
{
    const struct policy *policy = settings_policy(s, setting);
    char buffer[EXCERPT_COLUMNS + 1];
    size_t before = complaint->length;
    struct text rule;
    unsigned i = 0;

    while (policy && i < policy->rule_count && !deadrules_has(policy, i))
        i++;
    if (!policy || i == policy->rule_count)
        return;
    text_begin(&rule, buffer, sizeof(buffer));
    policy_print_rule(policy, &policy->rules[i], &rule);
    text_put(complaint, s->who);
    text_put(complaint, ": ");
    text_put(complaint, shown_as);
    text_put(complaint, ": rule ");
    text_put_number(complaint, policy->rules[i].number);
    text_put(complaint, " can never decide: '");
    text_put_printable(complaint, rule.data, rule.length);
    text_put(complaint, "'; rules before it match all that it does, so move it up\n");
    end_warning(complaint, before);
}

static void warn_unknown(const char *who, const char *name, size_t length, struct text *complaint)
{
    size_t before = complaint->length;

    text_put(complaint, who);
    text_put(complaint, ": ");
    text_put_printable(complaint, name, MIN(length, EXCERPT_COLUMNS));
    text_put(complaint, ": no such variable; the variables are");
    for (int i = 0; i < SETTING_COUNT; i++) {
        text_put(complaint, i == 0 ? " " : ", ");
        text_put(complaint, variables[i].name);
    }
    text_put_char(complaint, '\n');
    end_warning(complaint, before);
}

/* The setting of that name, or SETTING_COUNT. */
static enum setting find(const char *name, size_t length)
{
    enum setting i = 0;

    while (i < SETTING_COUNT &&
           (strlen(variables[i].name) != length || memcmp(variables[i].name, name, length) != 0))
        i++;
    return i;
}

/* The length of the name where the entry is one of ours, else 0. */
static size_t name_length(const char *entry)
{
    const char *equals = strchr(entry, '=');

    return equals && strncmp(entry, PREFIX, strlen(PREFIX)) == 0 ? (size_t)(equals - entry) : 0;
}

int settings_take_environment(struct settings *s, char *const *environment, struct text *complaint)
{
    unsigned seen = 0; /* the first of two entries of one name counts, as for getenv() */

    for (char *const *e = environment; e && *e; e++) {
        size_t length = name_length(*e);
        enum setting setting = find(*e, length);
        if (setting == SETTING_COUNT || seen & 1u << setting)
            continue;
        if (settings_take(s, setting, variables[setting].name, *e + length + 1, complaint) != 0)
            return -1;
        seen |= 1u << setting;
    }
    /* Only now: however many warnings there are, the error that stops the program must fit. */
    for (enum setting i = 0; i < SETTING_COUNT; i++) {
        if (seen & 1u << i)
            settings_warn(s, i, variables[i].name, complaint);
    }
    for (char *const *e = environment; e && *e; e++) {
        size_t length = name_length(*e);
        if (length > 0 && find(*e, length) == SETTING_COUNT)
            warn_unknown(s->who, *e, length, complaint);
    }
    return 0;
}

void settings_keep_program(struct settings *s, const char *program)
{
    for (enum setting i = 0; i < SETTING_COUNT; i++) {
        if (!is_path(i) && settings_is_given(s, i))
            policy_keep_program(policy_of(s, i), program);
    }
}
