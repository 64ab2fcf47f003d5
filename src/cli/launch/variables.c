/* SPDX-License-Identifier: MIT */
/* The program's variables. Must leave no relative name in them: a child may read it elsewhere. */
#include "cli/launch/variables.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Appends the library to LD_PRELOAD (ld.so(8)): names are separated by blanks or colons. */
static int append_preload(const struct cli_command *self, const char *library)
{
    const char *before = getenv("LD_PRELOAD");
    char *joined;

    if (strpbrk(library, " :"))
        return cli_error(self, "%s: LD_PRELOAD cannot name a path with a blank or a colon",
                         library);
    for (const char *at = before; at && *at; at += strspn(at, " :")) {
        size_t length = strcspn(at, " :");
        if (length == strlen(library) && memcmp(at, library, length) == 0)
            return 0;
        at += length;
    }
    bool extends = before && before[0];
    if (asprintf(&joined, "%s%s%s", extends ? before : "", extends ? ":" : "", library) < 0)
        return cli_error(self, "out of memory");
    int status = setenv("LD_PRELOAD", joined, 1);
    free(joined);
    return status;
}

/* A relative name is made absolute: the program and its children may open it elsewhere. */
static char *from_here(enum setting setting, const char *value)
{
    const char *file = setting == SETTING_LOG ? settings_log_file(value) : value;
    bool is_file = setting != SETTING_LOG || strcmp(file, LOG_TO_STDERR) != 0;
    char *here = is_file && file[0] != '/' ? getcwd(NULL, 0) : NULL;
    char *whole = NULL;

    if (!here)
        return strdup(value);
    if (asprintf(&whole, "%.*s%s/%s", (int)(file - value), value, here, file) < 0)
        whole = NULL;
    free(here);
    return whole;
}

/*
 * What the program finds in the variable. For @FILE the rules themselves: otherwise each child
 * would read the file again, which by then may have changed or be unreadable.
 */
static char *passed_on(const struct settings *s, enum setting setting, const char *value)
{
    static char rules[POLICY_TEXT_MAX];
    const struct policy *policy = settings_policy(s, setting);
    struct text out;

    if (!policy)
        return from_here(setting, value);
    text_begin(&out, rules, sizeof(rules));
    if (value[0] == '@')
        policy_print(policy, &out);
    bool fits =
        out.length < sizeof(rules) - 1; /* what is printed may be longer than what was read */
    return strdup(value[0] == '@' && fits ? rules : value);
}

/* `given` by an option, or NULL. */
static int set_variable(const struct settings *s, enum setting setting, const char *given)
{
    const char *name = settings_name(setting);
    const char *before = getenv(name);

    if (!given && (!before || before[0] != '@' || !settings_policy(s, setting)))
        return 0;
    char *value = passed_on(s, setting, given ? given : before);
    int status = value ? setenv(name, value, 1) : -1;
    free(value);
    return status;
}

int variables_set(const struct cli_command *self, const struct settings *s,
                  const char *const values[SETTING_COUNT], const char *library)
{
    for (enum setting i = 0; i < SETTING_COUNT; i++) {
        if (set_variable(s, i, values[i]) != 0)
            return cli_error(self, "out of memory");
    }
    return append_preload(self, library);
}
