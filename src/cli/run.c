/* SPDX-License-Identifier: MIT */
/*
 * linger run: runs a program under a policy. Judges whether the library reaches it, sets the
 * variables, and then becomes the program by execve(2): one pid, its own signals and exit status.
 * With -s alone it stays in front of the program (launch/), to print a summary at the end.
 * A program that the library cannot reach is started by the supervisor (supervise/).
 * Must never start a program that would silently run without its policy.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/nearest.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/launch/supervisor.h"
#include "cli/reach/launchers.h"
#include "cli/reach/reach.h"
#include "core/settings.h"
#include "policy/deadrules.h"
#include "report/stats.h"

static const char help[] =
    "usage: linger run [OPTION...] [--] PROGRAM [ARGUMENT...]\n"
    "\n"
    "Runs PROGRAM under a policy that decides how its TCP connections end: with\n"
    "liblinger.so preloaded, and linger becomes the program, or, if it is static or a\n"
    "Go program, under a supervisor of its system calls; then, and with -s alone,\n"
    "linger stays in front of it. Signals and exit status are the program's own.\n"
    "\n"
    "  -m, --mode=POLICY        how connections end: a mode, or rules; @FILE reads\n"
    "                           them from a file\n"
    "  -r, --reuseaddr[=VALUE]  bind a port that TIME_WAIT holds: SO_REUSEADDR on\n"
    "                           (default) or off, and conditions\n"
    "  -R, --reuseport[=VALUE]  several servers at one port: the same, SO_REUSEPORT\n"
    "  -B, --bind-no-port[=VALUE]  a bound source address has all ports for each\n"
    "                           destination: the same, IP_BIND_ADDRESS_NO_PORT\n"
    "  -l, --log[=FILE]         a line for each event, to standard error or a file\n"
    "                           (%p is the pid; bind,connect,fail:FILE: those alone)\n"
    "  -s, --stats[=FILE]       count in a file; without one, a summary at the end\n"
    "  -b, --backend=BACKEND    auto (default), preload or supervise\n"
    "  -n, --dry-run            print what would be run, and the policy as understood\n"
    "  -h, --help               this text\n"
    "\n"
    "exit status: the program's; 125 linger itself failed, 126 the program cannot be\n"
    "             executed, 127 it was not found\n"
    "\n"
    "examples:\n"
    "  linger run -m rst -- ./someserver\n"
    "  linger run -m 'off port=22; fin-rst role=server' -r -- nginx -g 'daemon off;'\n";

static const struct option options[] = {
    CLI_OPTION_MODE,
    {"reuseaddr", optional_argument, NULL, 'r'},
    {"reuseport", optional_argument, NULL, 'R'},
    {"bind-no-port", optional_argument, NULL, 'B'},
    {"log", optional_argument, NULL, 'l'},
    {"stats", optional_argument, NULL, 's'},
    {"backend", required_argument, NULL, 'b'},
    CLI_OPTION_DRY_RUN,
    CLI_OPTION_HELP,
    CLI_OPTIONS_END,
};

/* The options that set a variable, and their value where none is given. */
static const struct {
    const char *option;
    const char *bare;
} variables[SETTING_COUNT] = {
    [SETTING_MODE] = {"-m", NULL},         [SETTING_REUSEADDR] = {"-r", "on"},
    [SETTING_REUSEPORT] = {"-R", "on"},    [SETTING_BIND_NO_PORT] = {"-B", "on"},
    [SETTING_LOG] = {"-l", LOG_TO_STDERR}, [SETTING_STATS] = {"-s", ""},
};

struct request {
    const struct cli_command *self;
    const char *values[SETTING_COUNT]; /* as given by an option, else NULL */
    bool dry_run;
    bool has_summary; /* -s without a file */
    bool sees_closes; /* a supervisor, under the policy of this run */
    enum { AUTO, PRELOAD, SUPERVISE, BACKENDS } backend;
    const char *bare; /* an option without its value, right before the program */
    struct settings settings;
    char warnings[SETTINGS_COMPLAINT_MAX];
};

static int take_backend(struct request *request, const char *name)
{
    static const char *const names[BACKENDS] = {"auto", "preload", "supervise"};

    for (int i = 0; i < BACKENDS; i++) {
        if (strcmp(name, names[i]) == 0) {
            request->backend = i;
            return 0;
        }
    }
    const char *near = nearest(name, strlen(name), names, BACKENDS);
    if (near)
        return cli_error(request->self, "-b: unknown backend '%s'; did you mean '%s'?", name, near);
    return cli_error(request->self,
                     "-b: unknown backend '%s'; a backend is one of: auto, preload, supervise",
                     name);
}

/* 0 to go on, else *status is what to return. */
static int take_options(struct request *request, int argc, char **argv, int *status)
{
    int bare_at = 0;
    int option;

    while ((option = cli_option(request->self, argc, argv, options, true, status)) > 0) {
        if (option == 'n')
            request->dry_run = true;
        else if (!optarg)
            bare_at = optind;
        if (option == 'b' && take_backend(request, cli_optional(optarg, "")) != 0) {
            *status = CLI_FAILED;
            return -1;
        }
        for (enum setting i = 0; i < SETTING_COUNT; i++) {
            if (option == variables[i].option[1])
                request->values[i] =
                    i == SETTING_MODE ? optarg : cli_optional(optarg, variables[i].bare);
        }
    }
    if (bare_at > 0 && bare_at == optind) /* no "--" between */
        request->bare = argv[bare_at - 1];
    return option == 0 ? -1 : 0;
}

/* Parses the environment and the options; options take precedence. */
static int take_settings(struct request *request)
{
    char buffer[SETTINGS_COMPLAINT_MAX];
    struct text complaint;
    struct text warnings;
    int status = 0;

    request->settings.who = "linger run";
    text_begin(&complaint, buffer, sizeof(buffer));
    text_begin(&warnings, request->warnings, sizeof(request->warnings));
    for (enum setting i = 0; i < SETTING_COUNT; i++) {
        if (request->values[i])
            unsetenv(settings_name(i));
    }
    const char *stats = request->values[SETTING_STATS];
    request->has_summary = stats && !stats[0];
    request->values[SETTING_STATS] = request->has_summary ? NULL : stats;
    status = settings_take_environment(&request->settings, environ, &warnings);
    for (enum setting i = 0; status == 0 && i < SETTING_COUNT; i++) {
        if (!request->values[i])
            continue;
        status = settings_take(&request->settings, i, variables[i].option, request->values[i],
                               &complaint);
        if (status == 0)
            settings_warn(&request->settings, i, variables[i].option, &warnings);
    }
    if (status != 0)
        fprintf(stderr, "%s%s", warnings.data, complaint.data);
    return status;
}

static bool has_effect(const struct settings *s)
{
    for (enum setting i = 0; i < SETTING_COUNT; i++) {
        const struct policy *policy = settings_policy(s, i);
        if (policy ? policy->rule_count > 0 : settings_path(s, i) != NULL)
            return true;
    }
    return false;
}

/* Options behind the program's name are the program's. */
static int refuse_nothing(const struct cli_command *self, char **argv)
{
    while (*++argv) {
        if (strcmp(*argv, "-m") == 0 || strncmp(*argv, "--mode", 6) == 0)
            return cli_usage(self,
                             "nothing to do: '%s' follows the program and is its own; options of "
                             "linger come before it",
                             *argv);
    }
    return cli_usage(self, "nothing to do: give a policy with -m, or -r, -R, -B, -l or -s");
}

static int check_version(const struct request *request, const struct reach *reach)
{
    const char *version = reach->library_elf.version;

    if (!version[0])
        return cli_error(request->self, "%s: it names no version, so it is not liblinger",
                         reach->library);
    if (strcmp(version, LINGER_VERSION) != 0)
        return cli_error(request->self, "%s is version %s, and this is linger " LINGER_VERSION,
                         reach->library, version);
    return 0;
}

static void print_policy(const struct settings *s, enum setting setting)
{
    static char buffer[POLICY_TEXT_MAX * 4];
    const struct policy *policy = settings_policy(s, setting);
    struct text rule;

    if (!policy || policy->rule_count == 0)
        return;
    printf("%s\n", settings_name(setting));
    for (unsigned i = 0; i < policy->rule_count; i++) {
        text_begin(&rule, buffer, sizeof(buffer));
        policy_print_rule(policy, &policy->rules[i], &rule);
        printf("  rule %-3u  %s%s\n", policy->rules[i].number, rule.data,
               deadrules_has(policy, i) ? "  never reached" : "");
    }
    printf("  else      left alone\n");
}

static void print_variables(void)
{
    for (enum setting i = 0; i < SETTING_COUNT; i++) {
        const char *value = getenv(settings_name(i));
        if (value) {
            printf(" %s=", settings_name(i));
            cli_print_word(stdout, value);
        }
    }
    fputs(" LD_PRELOAD=", stdout);
    cli_print_word(stdout, getenv("LD_PRELOAD"));
}

/* -n: nothing is run; what is printed could be pasted into a shell. */
static int print_plan(const struct request *request, const struct reach *reach, char **argv)
{
    bool by_preload = reach->how == REACH_PRELOAD;

    cli_print_line(stdout, "backend     %s: %s", by_preload ? "preload" : "supervise",
                   reach->why.text);
    fputs("command    ", stdout);
    if (by_preload)
        print_variables();
    fputc(' ', stdout);
    cli_print_word(stdout, reach->file[0]);
    for (int i = 1; argv[i]; i++) {
        fputc(' ', stdout);
        cli_print_word(stdout, argv[i]);
    }
    fputc('\n', stdout);
    for (enum setting i = 0; i < SETTING_COUNT; i++)
        print_policy(&request->settings, i);
    return cli_flush(request->self, CLI_OK);
}

static int refuse(const struct request *request, const char *program, const struct reach *reach)
{
    if (reach->how == REACH_ERROR && request->bare)
        cli_error(request->self, "%s: %s; did you mean %s=%s?", program, reach->why.text,
                  request->bare, program);
    else
        cli_error(request->self, "%s: %s", program, reach->why.text);
    if (reach->how == REACH_ERROR)
        return reach->status;
    if (reach->how == REACH_SUPERVISE)
        cli_error(request->self,
                  "the preload would silently do nothing; without -b a supervisor runs it");
    return CLI_FAILED;
}

/* For -s without a file: one in a directory of its own, removed after the run. */
static int make_stats_file(struct request *request)
{
    char *file = request->settings.stats_path;
    struct stats *stats;

    if (!cli_make_temporary(request->self, "linger", file,
                            sizeof(request->settings.stats_path) - sizeof("/stats")))
        return -1;
    memcpy(file + strlen(file), "/stats", sizeof("/stats"));
    if (stats_open(file, &stats) != STATS_OK) {
        cli_error(request->self, "-s: cannot make %s: %s", file, strerror(errno));
        launch_remove_stats(file);
        return -1;
    }
    request->values[SETTING_STATS] = file;
    request->settings.given |= 1u << SETTING_STATS;
    return 0;
}

/*
 * The program's variable. A relative name is made absolute, and @FILE becomes the rules themselves:
 * a child would read it elsewhere, or again when it has changed or may not be read any more.
 */
static int set_variable(const struct settings *s, enum setting setting, const char *value)
{
    const struct policy *policy = settings_policy(s, setting);
    const char *file = setting == SETTING_LOG ? settings_log_file(value) : value;
    bool is_stderr = setting == SETTING_LOG && strcmp(file, LOG_TO_STDERR) == 0;
    char text[POLICY_TEXT_MAX];
    char here[PATH_MAX];
    struct text out;

    text_begin(&out, text, sizeof(text));
    if (policy && value[0] == '@') {
        policy_print(policy, &out);
        if (out.length < sizeof(text) - 1) /* what is printed may be longer than what was read */
            value = text;
    } else if (!policy && file[0] != '/' && !is_stderr && getcwd(here, sizeof(here))) {
        snprintf(text, sizeof(text), "%.*s%s/%s", (int)(file - value), value, here, file);
        value = text;
    }
    return setenv(settings_name(setting), value, 1);
}

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

static int set_variables(const struct request *request, const char *library)
{
    for (enum setting i = 0; i < SETTING_COUNT; i++) {
        const char *value = request->values[i];
        const char *before = getenv(settings_name(i));
        if (!value && before && before[0] == '@' && settings_policy(&request->settings, i))
            value = before;
        if (value && set_variable(&request->settings, i, value) != 0)
            return cli_error(request->self, "out of memory");
    }
    return append_preload(request->self, library);
}

static int run_program(struct request *request, const struct reach *reach, char **argv)
{
    bool is_supervised = reach->how == REACH_SUPERVISE;
    struct launch launch = {
        .self = request->self,
        .file = reach->file[0],
        .argv = argv,
        .settings = is_supervised ? &request->settings : NULL,
        .sees_closes = request->sees_closes,
        .stats = request->has_summary ? request->settings.stats_path : NULL,
        .speaks = request->has_summary || strcmp(request->settings.log_path, LOG_TO_STDERR) == 0,
    };

    if (is_supervised || request->has_summary)
        return launch_exit(launch_run(&launch));
    execv(launch.file, argv);
    return cli_exec_failed(request->self, argv[0]);
}

/* A signal whose handler restarts calls, as Go's all do, takes nothing away. */
static void warn_of_closes(struct request *request, const struct reach *reach)
{
    request->sees_closes =
        reach->how == REACH_SUPERVISE && supervisor_traps_close(&request->settings);
    if (request->sees_closes && !reach->elf.is_go)
        supervisor_warn_of_closes(request->self, &request->settings, reach->elf.interpreter[0]);
}

static int start(struct request *request, const struct reach *reach, char **argv)
{
    struct error why;

    if (reach->how == REACH_PRELOAD && check_version(request, reach) != 0)
        return CLI_FAILED;
    if (request->dry_run || reach->how != REACH_PRELOAD) /* else the library says it */
        fputs(request->warnings, stderr);
    if (launchers_lose(reach, argv[0], argv, &why))
        cli_error(request->self, "warning: %s", why.text);
    warn_of_closes(request, reach);
    if (request->has_summary && !request->dry_run && make_stats_file(request) != 0)
        return CLI_FAILED;
    if (reach->how == REACH_PRELOAD && set_variables(request, reach->preload) != 0) {
        if (request->has_summary && !request->dry_run)
            launch_remove_stats(request->settings.stats_path);
        return CLI_FAILED;
    }
    if (request->dry_run)
        return print_plan(request, reach, argv);
    return run_program(request, reach, argv);
}

static int run_main(const struct cli_command *self, int argc, char **argv)
{
    static struct request request;
    static struct reach reach;
    int status = CLI_FAILED;

    request.self = self;
    if (take_options(&request, argc, argv, &status) != 0)
        return status;
    argv += optind;
    if (!argv[0])
        return cli_usage(self, "a program is missing");
    if (take_settings(&request) != 0)
        return CLI_FAILED;
    if (!request.has_summary && !has_effect(&request.settings))
        return refuse_nothing(self, argv);
    reach_judge(argv[0], request.backend == SUPERVISE, &reach);
    if (reach.how != REACH_PRELOAD && (reach.how != REACH_SUPERVISE || request.backend == PRELOAD))
        return refuse(&request, argv[0], &reach);
    return start(&request, &reach, argv);
}

const struct cli_command cli_run = {"run", "run a program under a policy", help, run_main};
