/* SPDX-License-Identifier: MIT */
/*
 * By their names, and as far as their arguments can be read without knowing all their options. Must
 * never run one.
 */
#include "cli/reach/launchers.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"

/* Launchers that LD_PRELOAD does not survive: under one of these options, or always. */
static const struct launchers {
    const char *names; /* each between colons */
    const char *options[4];
    enum { ELSEWHERE, CLEARS, MOVES, BECOMES } what;
} launchers[] = {
    {":systemctl:service:invoke-rc.d:systemd-run:machinectl:docker:podman:nerdctl:kubectl:crictl:"
     "lxc:tmux:ssh:at:batch:",
     {NULL},
     ELSEWHERE},
    {":sudo:doas:pkexec:login:", {NULL}, CLEARS},
    {":env:", {"-", "-i", "--ignore-environment", "-u LD_PRELOAD"}, CLEARS},
    {":su:runuser:", {"-", "-l", "--login"}, CLEARS},
    {":setpriv:", {"--reset-env"}, CLEARS},
    {":bwrap:chroot:firejail:flatpak:systemd-nspawn:nsenter:", {NULL}, MOVES},
    {":unshare:", {"-R", "--root"}, MOVES},
    {":su:runuser:setpriv:chpst:setuidgid:gosu:start-stop-daemon:", {NULL}, BECOMES},
};

/*
 * Is the option among the launcher's own: alone, as --root=DIR, or with its value in the next word?
 * They end at a word that neither is an option nor follows one.
 */
static bool has_option(char *const *argv, const char *option)
{
    size_t length = strlen(option);
    char both[64];

    for (size_t i = 1; argv[i] && (argv[i][0] == '-' || argv[i - 1][0] == '-'); i++) {
        snprintf(both, sizeof(both), "%s %s", argv[i], argv[i + 1] ? argv[i + 1] : "");
        if (strcmp(argv[i], option) == 0 || strcmp(both, option) == 0 ||
            (strncmp(argv[i], option, length) == 0 && argv[i][length] == '='))
            return true;
    }
    return false;
}

/* The option by which LD_PRELOAD is lost; "" if it always is, NULL if it is not. */
static const char *option_of(const struct launchers *l, char *const *argv)
{
    for (size_t i = 0; i < 4 && l->options[i]; i++) {
        if (!argv || has_option(argv, l->options[i]))
            return l->options[i];
    }
    return l->options[0] ? NULL : "";
}

/* May everybody read the file, through directories that everybody may enter? */
static bool is_for_all(const char *path)
{
    char part[PATH_MAX];
    struct stat status;
    bool is_open = stat(path, &status) == 0 && status.st_mode & S_IROTH;

    for (const char *at = strchr(path + 1, '/'); is_open && at; at = strchr(at + 1, '/')) {
        snprintf(part, sizeof(part), "%.*s", (int)(at - path), path);
        is_open = stat(part, &status) == 0 && status.st_mode & S_IXOTH;
    }
    return is_open;
}

static bool explain(const struct launchers *l, const struct reach *reach, const char *name,
                    const char *option, struct error *why)
{
    if (l->what == ELSEWHERE)
        error_set(why,
                  "%.64s has another process start programs, and they get no policy; set the "
                  "variables that '-n' prints in the unit or the container",
                  name);
    else if (reach->how != REACH_PRELOAD || (l->what == BECOMES && is_for_all(reach->library)))
        return false;
    else if (l->what == BECOMES)
        error_set(why,
                  "%.64s may become a user who cannot read %.256s, and what it starts then is not "
                  "reached; install the library where everybody may read it, or use -b supervise",
                  name, reach->library);
    else
        error_set(
            why, "%.64s%s%s changes %s, and what it starts is not reached; -b supervise reaches it",
            name, option[0] ? " " : "", option,
            l->what == CLEARS ? "the environment" : "the root directory");
    return true;
}

/* Those that start what their arguments name, as it would be started by itself. */
static const struct carrier {
    const char *names;
    const char *with_value; /* letters of options whose value is the next word */
    int words;              /* its own, before the program */
} carriers[] = {
    {":env:", "uCSa", 0},     {":nohup:setsid:", "", 0}, {":timeout:", "ks", 1},
    {":nice:", "n", 0},       {":stdbuf:", "ioe", 0},    {":xargs:", "adEILnPs", 0},
    {":ionice:", "cnpPu", 0}, {":taskset:", "", 1},      {":chrt:", "TPD", 1},
    {":time:", "fo", 0},
};

/* The arguments of the program that this one starts; NULL if it is none of these. */
static char *const *carried(char *const *argv, const char *word)
{
    const struct carrier *c = carriers;
    const struct carrier *end = carriers + sizeof(carriers) / sizeof(carriers[0]);

    while (c < end && !strstr(c->names, word))
        c++;
    if (c == end)
        return NULL;
    for (argv++; *argv && (*argv)[0] == '-'; argv++) {
        if (strcmp(*argv, "--") == 0) {
            argv++;
            break;
        }
        const char *option = (*argv)[1] == '-' ? NULL : strpbrk(*argv + 1, c->with_value);
        if (option && !option[1] && argv[1])
            argv++;
    }
    while (*argv && c == carriers && strchr(*argv, '='))
        argv++;
    for (int i = 0; *argv && i < c->words; i++)
        argv++;
    return *argv ? argv : NULL;
}

bool launchers_lose(const struct reach *reach, const char *program, char *const *argv,
                    struct error *why)
{
    while (program) {
        const char *name = text_file_name(program);
        char word[64];
        snprintf(word, sizeof(word), ":%.60s:", name);
        for (size_t i = 0; i < sizeof(launchers) / sizeof(launchers[0]); i++) {
            const char *option =
                strstr(launchers[i].names, word) ? option_of(&launchers[i], argv) : NULL;
            if (option && explain(&launchers[i], reach, name, option, why))
                return true;
        }
        argv = argv ? carried(argv, word) : NULL;
        program = argv ? argv[0] : NULL;
    }
    return false;
}
