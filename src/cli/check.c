/* SPDX-License-Identifier: MIT */
/*
 * linger check: can a program be reached, by which backend, and if not why; and what a running one
 * is under. Its memory says what is loaded: its environment may be overwritten (nginx, redis), and
 * what it was started with says nothing of what the loader passed over. Must only read.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cli/adopt/handover.h"
#include "cli/attach/selection.h"
#include "cli/cli.h"
#include "cli/pids.h"
#include "cli/reach/launchers.h"
#include "cli/reach/reach.h"
#include "socket/sock.h"

#define LIBRARY_NAME "liblinger.so"
#define LIBRARY_SIZE_MAX 65536 /* of one mapping */
#define ANCESTORS_MAX 64

static const char help[] =
    "usage: linger check PROGRAM...\n"
    "       linger check --pid PID|UNIT...\n"
    "\n"
    "Says for each program how linger run reaches it: by preloading liblinger.so, by\n"
    "a supervisor of its system calls (static and Go programs), or not at all.\n"
    "\n"
    "  -p, --pid     what running processes are under: the library and its policy, a\n"
    "                supervisor, or what attach left on their listeners\n"
    "  -h, --help    this text\n"
    "\n"
    "exit status: 0 all by preload (or attach); 1 some by a supervisor; 2 some not at\n"
    "             all, or not found; 125 wrong arguments, or it may not be looked at\n"
    "\n"
    "example:\n"
    "  linger check nginx /usr/local/bin/caddy\n";

/* The exit status is that of the worst. */
static void note(enum reach_how how, int *worst)
{
    int status = (int)(how == REACH_ERROR ? REACH_NONE : how);

    *worst = status > *worst ? status : *worst;
}

static void print_row(const char *label, const char *text)
{
    cli_print_line(stdout, "  %-11s %s", label, text);
}

static void print_elf(const struct elf *elf)
{
    printf("  %-11s %d-bit %s%s%s\n", "ELF", elf->bits, elf_machine(elf),
           elf->is_pie ? ", position-independent" : "", elf->is_go ? ", Go" : "");
    if (elf->interpreter[0])
        print_row("loader", elf->interpreter);
}

static void print(const char *program, const struct reach *reach)
{
    static const char *const names[] = {[REACH_PRELOAD] = "preload",
                                        [REACH_SUPERVISE] = "supervisor",
                                        [REACH_NONE] = "not at all",
                                        [REACH_ERROR] = "error"};
    struct error loses;

    cli_print_line(stdout, "%s", program);
    print_row("reached by", names[reach->how]);
    print_row("why", reach->why.text);
    if (reach->how == REACH_ERROR && pids_is_name(program))
        cli_print_line(stdout, "  %-11s of a running process: linger check --pid %s", "but",
                       program);
    if (launchers_lose(reach, program, NULL, &loses))
        print_row("but", loses.text);
    for (int i = 0; i < reach->depth; i++)
        print_row(i == 0 ? "file" : "through", reach->file[i]);
    if (reach->has_elf)
        print_elf(&reach->elf);
    if (reach->how == REACH_PRELOAD)
        print_row("library", reach->preload);
}

struct loaded {
    char path[PATH_MAX]; /* "" if it is not */
    bool has_settings;
    struct settings settings;
};

/* Looks for the mark in a mapping of the library: its settings, if it is of this very build. */
static void read_settings(pid_t pid, uint64_t from, uint64_t to, struct loaded *l)
{
    static char bytes[LIBRARY_SIZE_MAX];
    size_t size = (size_t)(to - from);
    struct settings_mark mark = {.text = SETTINGS_MARK, .size = sizeof(l->settings)};
    size_t known = offsetof(struct settings_mark, at);

    if (l->has_settings || size > sizeof(bytes) || !target_peek(pid, from, bytes, size))
        return;
    const char *found = memmem(bytes, size, &mark, known);
    if (!found || found + sizeof(mark) > bytes + size)
        return;
    memcpy(&mark, found, sizeof(mark));
    l->has_settings = target_peek(pid, (uintptr_t)mark.at, &l->settings, sizeof(l->settings));
}

/* False, and errno, if this user may not look. */
static bool find_library(pid_t pid, struct loaded *l)
{
    FILE *maps = fopen(target_path(pid, "maps"), "re");
    char line[PATH_MAX + 128];
    unsigned long from;
    unsigned long to;
    int at;

    memset(l, 0, sizeof(*l));
    while (maps && fgets(line, sizeof(line), maps)) {
        line[strcspn(line, "\n")] = '\0';
        const char *name = strstr(line, "/" LIBRARY_NAME);
        if (!name || sscanf(line, "%lx-%lx %*s %*s %*s %*s %n", &from, &to, &at) != 2)
            continue;
        snprintf(l->path, sizeof(l->path), "%s", line + at);
        read_settings(pid, from, to, l);
    }
    if (!maps)
        return false;
    fclose(maps);
    return true;
}

static void print_library(const struct loaded *l)
{
    static char buffer[POLICY_TEXT_MAX + 32];
    struct text text;

    print_row("library", l->path);
    if (!l->has_settings)
        print_row("policy", "unknown: the library is of another version than this linger");
    for (enum setting i = 0; l->has_settings && i <= SETTING_BIND_NO_PORT; i++) {
        if (!settings_is_given(&l->settings, i))
            continue;
        text_begin(&text, buffer, sizeof(buffer));
        if (i != SETTING_MODE) {
            text_put(&text, settings_name(i));
            text_put(&text, "=");
        }
        policy_print(settings_policy(&l->settings, i), &text);
        print_row(i == SETTING_MODE ? "policy" : "setting", buffer);
    }
}

/* Is the process one of linger's own? Then its command line, the words apart, is in `line`. */
static bool is_linger(pid_t pid, char line[ERROR_MAX])
{
    char name[TARGET_NAME_MAX];

    target_name(pid, name);
    size_t length = strcmp(name, "linger") == 0 ? target_read(pid, "cmdline", line, ERROR_MAX) : 0;
    for (size_t i = 0; i + 1 < length; i++)
        line[i] = (char)(line[i] ? line[i] : ' ');
    return length > 0;
}

/* That of linger run is among its parents: above its keeper, the front. */
static pid_t find_supervisor(pid_t pid, char line[ERROR_MAX])
{
    bool is_filtered = target_status(pid, "Seccomp") == 2; /* SECCOMP_MODE_FILTER */
    pid_t found = is_filtered ? handover_find(pid, true) : 0;

    if (found > 0)
        return is_linger(found, line) ? found : 0;
    for (int i = 0; i < ANCESTORS_MAX && pid > 0; i++) {
        if ((is_filtered || i == 0) && is_linger(pid, line))
            found = pid;
        else if (found > 0 || !is_filtered)
            break;
        pid = (pid_t)target_status(pid, "PPid");
    }
    return found;
}

/* Why a program has no library: what it is, or where the library is for it. */
static void print_why_not(pid_t pid)
{
    static struct reach reach;
    struct statvfs fs;
    static char text[2 * LIBRARY_PATH_MAX + 256];

    reach_judge(target_path(pid, "exe"), false, &reach);
    if (reach.how != REACH_PRELOAD) {
        print_row("why", reach.why.text);
        return;
    }
    const char *path = reach.library;
    snprintf(text, sizeof(text), "/proc/%d/root%s", (int)pid, path);
    if (statvfs(text, &fs) != 0)
        snprintf(text, sizeof(text), "%s is not in its file system (%s)", path, strerror(errno));
    else if (fs.f_flag & ST_NOEXEC)
        snprintf(text, sizeof(text),
                 "%s may not be executed there: add ExecPaths=%s to the unit, which has "
                 "NoExecPaths=",
                 path, path);
    else
        snprintf(text, sizeof(text),
                 "it was started without LD_PRELOAD, or its loader passed that over (setuid, "
                 "other user ids): linger attach changes it now");
    print_row("why", text);
}

static bool show_listener(int fd, int number, void *context)
{
    struct facts facts = {0};
    struct verdict verdict;
    char line[CLI_ENDPOINT_SIZE + 64];
    bool *is_set = context;

    (void)number;
    if (!sock_facts(fd, FACT_LOCAL_IP | FACT_LOCAL_PORT, &facts) || facts.state != TCP_LISTEN ||
        !sock_applied(fd, &verdict))
        return true;
    snprintf(line, sizeof(line), "%s  %s", cli_endpoint(facts.local_ip, facts.local_port),
             selection_mode_text(DECIDE_VERDICT, &verdict));
    print_row("listener", line);
    *is_set = *is_set || verdict.mode != MODE_FIN;
    return true;
}

/*
 * Prints what the process is under. Its listeners count as under the library where attach or keep
 * has left a mode on one. Returns what it is reached by, or -1 and `why` it cannot be seen.
 */
static int show_process(pid_t pid, struct error *why)
{
    static struct loaded loaded;
    struct target target;
    char line[ERROR_MAX];
    bool is_set = false;

    if (target_open(&target, pid, why) != 0)
        return -1;
    if (!find_library(pid, &loaded)) {
        target_close(&target);
        return target_explain_refusal(pid, why);
    }
    cli_print_line(stdout, "%s (pid %d)", target.name, (int)pid);
    pid_t supervisor = find_supervisor(pid, line);
    if (loaded.path[0])
        print_library(&loaded);
    else
        print_row("library", "not loaded");
    if (supervisor > 0)
        cli_print_line(stdout, "  %-11s pid %d: %s", "supervisor", (int)supervisor, line);
    else if (!loaded.path[0])
        print_why_not(pid);
    int status = target_each_socket(&target, show_listener, &is_set, why);
    target_close(&target);
    if (status != 0)
        return -1;
    return loaded.path[0] || (is_set && supervisor == 0) ? REACH_PRELOAD
           : supervisor > 0                              ? REACH_SUPERVISE
                                                         : REACH_NONE;
}

static int show(const char *name, pid_t pid, void *worst)
{
    struct error why;
    int how = show_process(pid, &why);

    (void)name;
    if (how < 0)
        return cli_error(&cli_check, "pid %d: %s", (int)pid, why.text);
    note(how, worst);
    return 0;
}

static int check_main(const struct cli_command *self, int argc, char **argv)
{
    static const struct option options[] = {
        {"pid", no_argument, NULL, 'p'}, CLI_OPTION_HELP, CLI_OPTIONS_END};
    static struct reach reach;
    int worst = 0;
    bool is_running = false;
    int option;
    int status;

    while ((option = cli_option(self, argc, argv, options, false, &status)) > 0)
        is_running = true;
    if (option == 0)
        return status;
    argv += optind;
    if (!argv[0])
        return cli_usage(self, is_running ? "a pid or the name of a unit is missing"
                                          : "a program is missing");
    if (is_running && pids_each(self, argv, show, &worst) != 0)
        return CLI_FAILED;
    for (; !is_running && *argv; argv++) {
        reach_judge(*argv, false, &reach);
        print(*argv, &reach);
        note(reach.how, &worst);
    }
    return cli_flush(self, worst);
}

const struct cli_command cli_check = {"check", "can a program be reached, and if not why", help,
                                      check_main};
