/* SPDX-License-Identifier: MIT */
/* What the subcommands share. Results go to standard output, everything else to standard error. */
#include "cli/cli.h"

#include <errno.h>
#include <limits.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

#include "base/nearest.h"
#include "core/settings.h"
#include "policy/address.h"
#include "policy/condition.h"
#include "policy/mode.h"
#include "report/fileid.h"

#define OPTIONS_MAX 32

static void print_line(FILE *stream, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

/* The bytes of a character that the locale prints; 0 where there is none. */
static size_t printable(const char *at, const char *end)
{
    mbstate_t state = {0};
    wchar_t wide;
    size_t length = mbrtowc(&wide, at, (size_t)(end - at), &state);

    return length <= (size_t)(end - at) && iswprint((wint_t)wide) ? length : 0;
}

static void print_line(FILE *stream, const char *format, va_list arguments)
{
    char *line;
    int length = vasprintf(&line, format, arguments);
    const char *end = line + (length > 0 ? length : 0);

    if (length < 0)
        return;
    setlocale(LC_CTYPE, "");
    for (const char *at = line; at < end;) {
        size_t shown = printable(at, end);
        fwrite(shown ? at : "?", 1, shown ? shown : 1, stream);
        at += shown ? shown : 1;
    }
    fputc('\n', stream);
    free(line);
}

void cli_print_line(FILE *stream, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_line(stream, format, arguments);
    va_end(arguments);
}

int cli_error(const struct cli_command *command, const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "linger%s%s: ", command ? " " : "", command ? command->name : "");
    va_start(arguments, format);
    print_line(stderr, format, arguments);
    va_end(arguments);
    return -1;
}

int cli_refer(const struct cli_command *command)
{
    fprintf(stderr, "Try 'linger%s%s --help'.\n", command ? " " : "", command ? command->name : "");
    return CLI_FAILED;
}

static int unknown_option(const struct cli_command *command, const char *given,
                          const struct option *options)
{
    const char *names[OPTIONS_MAX];
    int count = 0;

    if (optopt)
        return cli_usage(command, "unknown option '-%c'", optopt);
    while (count < OPTIONS_MAX && options[count].name) {
        names[count] = options[count].name;
        count++;
    }
    const char *near = nearest(given + 2, strcspn(given + 2, "="), names, (size_t)count);
    if (near)
        return cli_usage(command, "unknown option '%s'; did you mean '--%s'?", given, near);
    return cli_usage(command, "unknown option '%s'", given);
}

static void print_help_line(const char *usage, const char *help)
{
    printf("  %-23s  %s\n", usage, help);
}

static void print_language(void)
{
    const struct condition *condition;
    char usage[40];
    struct text out;

    puts("\nmodes:");
    for (enum policy_mode mode = 0; mode < MODE_TEARDOWNS; mode++) {
        text_begin(&out, usage, sizeof(usage));
        mode_print_usage(&out, mode);
        print_help_line(usage, mode_help(mode));
    }
    puts("\nconditions of a rule, MODE CONDITION...; the first rule that matches decides:");
    for (unsigned i = 0; (condition = condition_at(i)); i++) {
        snprintf(usage, sizeof(usage), "%s=%s", condition->name, condition->values);
        print_help_line(usage, condition->help);
    }
}

enum cli_status cli_exec_status(int error)
{
    return error == ENOENT || error == ENOTDIR ? CLI_NOT_FOUND : CLI_NOT_EXECUTABLE;
}

enum cli_status cli_exec_failed(const struct cli_command *command, const char *program)
{
    enum cli_status status = cli_exec_status(errno);

    cli_error(command, "%s: %s", program, strerror(errno));
    return status;
}

/* The table in the form of getopt(): "m:r::h". An option without a letter has a larger number. */
static void gather_letters(const struct option *options, char *letters)
{
    for (int count = 0; options->name && count < OPTIONS_MAX; options++, count++) {
        if (options->val > CHAR_MAX)
            continue;
        *letters++ = (char)options->val;
        for (int i = 0; i < options->has_arg; i++)
            *letters++ = ':';
    }
    *letters = '\0';
}

static bool is_condition(const char *word)
{
    const struct condition *condition;
    size_t length = strcspn(word, "=");

    for (unsigned i = 0; word[length] && (condition = condition_at(i)); i++) {
        if (strlen(condition->name) == length && memcmp(condition->name, word, length) == 0)
            return true;
    }
    return false;
}

/* Has a shell split a policy without quotes? Then says so. */
static bool is_split(const struct cli_command *command, const char *mode, char *const *words,
                     int count)
{
    for (int i = 0; i < count; i++) {
        if (!is_condition(words[i]))
            continue;
        (void)cli_usage(command, "'%s' belongs to the policy: quote it, as in -m '%.60s %s'",
                        words[i], mode, words[i]);
        return true;
    }
    return false;
}

int cli_option(const struct cli_command *command, int argc, char **argv,
               const struct option *options, bool has_program, int *status)
{
    static const char *mode;
    char letters[3 * OPTIONS_MAX + 3] = "+:";
    int at = optind ? optind : 1;

    opterr = 0;
    gather_letters(options, letters + 2);
    int option = getopt_long(argc, argv, has_program ? letters : letters + 1, options, NULL);
    if (option == 'm')
        mode = optarg;
    int words = option == -1 && mode ? argc - optind : 0;
    if (words > 0 && strcmp(argv[optind - 1], "--") != 0 &&
        is_split(command, mode, argv + optind, has_program ? 1 : words)) {
        *status = CLI_FAILED;
        return 0;
    }
    if (option == 'h') {
        fputs(command->help, stdout);
        if (strstr(command->help, "=POLICY"))
            print_language();
        *status = cli_flush(command, CLI_OK);
        return 0;
    }
    if (option == ':') {
        *status = cli_usage(command, "option '%s' needs an argument", argv[at]);
        return 0;
    }
    if (option == '?') {
        bool is_extra = optopt != 0 && strncmp(argv[at], "--", 2) == 0;
        *status = is_extra ? cli_usage(command, "option '%s' takes no argument", argv[at])
                           : unknown_option(command, argv[at], options);
        return 0;
    }
    return option;
}

const char *cli_optional(const char *argument, const char *otherwise)
{
    if (!argument)
        return otherwise;
    return argument[0] == '=' ? argument + 1 : argument;
}

void *cli_grow(void *items, size_t count, size_t size)
{
    bool is_full = (count & (count - 1)) == 0; /* 0, 1, 2, 4, ... */

    return is_full ? reallocarray(items, count > 0 ? 2 * count : 1, size) : items;
}

static volatile sig_atomic_t is_interrupted;

static void interrupt(int number)
{
    (void)number;
    is_interrupted = 1;
}

/* Without SA_RESTART: a signal ends the wait. */
void cli_catch_signals(void)
{
    const struct sigaction action = {.sa_handler = interrupt};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool cli_is_interrupted(void)
{
    return is_interrupted;
}

double cli_now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

bool cli_make_temporary(const struct cli_command *command, const char *prefix, char *name,
                        size_t size)
{
    const char *set = getenv("TMPDIR");
    const char *directory = set && set[0] ? set : "/tmp";
    char *whole = realpath(directory, NULL); /* the program may change its directory */

    snprintf(name, size, "%s/%s.XXXXXX", whole ? whole : directory, prefix);
    free(whole);
    bool is_exposed = fileid_may_be_replaced(name);
    if (is_exposed)
        cli_error(command,
                  "cannot make %s: another user may write one of its directories; set "
                  "TMPDIR to one of your own",
                  name);
    else if (mkdtemp(name))
        return true;
    else
        cli_error(command,
                  "no directory can be made in %s: %s; set TMPDIR to one for temporary files",
                  directory, strerror(errno));
    return false;
}

void cli_warn_exposed(const struct cli_command *command, const char *option, const char *path)
{
    if (fileid_may_be_replaced(path))
        cli_error(command,
                  "warning: %s: %s lies in a directory of another user's, who can replace it",
                  option, path);
}

int cli_flush(const struct cli_command *command, int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    cli_error(command, "cannot write the result: %s", strerror(errno));
    return CLI_FAILED;
}

bool cli_is_terminal(FILE *stream)
{
    const char *colour = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");

    return isatty(fileno(stream)) && !(colour && colour[0]) && terminal &&
           strcmp(terminal, "dumb") != 0;
}

const char *cli_put_endpoint(char buffer[CLI_ENDPOINT_SIZE], struct policy_ip ip, uint16_t port)
{
    struct text out;

    text_begin(&out, buffer, CLI_ENDPOINT_SIZE);
    address_print_endpoint(&out, ip, port);
    return buffer;
}

void cli_print_word(FILE *stream, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "%+,-./:=@_^";
    bool is_text = true;

    if (word[0] && word[strspn(word, plain)] == '\0') {
        fputs(word, stream);
        return;
    }
    for (const char *c = word; *c; c++)
        is_text = is_text && *c >= ' ' && *c <= '~';
    fputs(is_text ? "'" : "$'", stream); /* in the second, bash and zsh read \NNN */
    for (; *word; word++) {
        if (is_text && *word == '\'')
            fputs("'\\''", stream);
        else if (!is_text && (*word < ' ' || *word > '~' || *word == '\'' || *word == '\\'))
            fprintf(stream, "\\%03o", (unsigned char)*word);
        else
            fputc(*word, stream);
    }
    fputc('\'', stream);
}

bool cli_number(const char *text, long low, long high, long *number)
{
    char *end;

    errno = 0;
    *number = strtol(text, &end, 10);
    return errno == 0 && text[0] >= '0' && text[0] <= '9' && *end == '\0' && *number >= low &&
           *number <= high;
}

bool cli_take_number(const struct cli_command *command, const char *name, const char *text,
                     long low, long high, long *number)
{
    if (cli_number(text, low, high, number))
        return true;
    cli_error(command, "%s: '%s' is not a number from %ld to %ld", name, text, low, high);
    return false;
}

bool cli_take_policy(const struct cli_command *command, const char *text, struct policy *policy)
{
    static struct settings settings;
    char buffer[SETTINGS_COMPLAINT_MAX];
    char who[32];
    struct text complaint;

    snprintf(who, sizeof(who), "linger %s", command->name);
    settings.who = who;
    text_begin(&complaint, buffer, sizeof(buffer));
    bool is_read = settings_take(&settings, SETTING_MODE, "-m", text, &complaint) == 0;
    if (is_read)
        settings_warn(&settings, SETTING_MODE, "-m", &complaint);
    fputs(complaint.data, stderr);
    *policy = settings.mode;
    return is_read;
}

bool cli_take_port(const struct cli_command *command, const char *text, long *port)
{
    if (cli_number(text, 1, UINT16_MAX, port))
        return true;
    (void)cli_usage(command, "-p: '%s' is not a port; a port is 1 to 65535", text);
    return false;
}

bool cli_take_seconds(const struct cli_command *command, const char *name, const char *text,
                      long low, long high, long *seconds)
{
    static const char units[] = "smhd";
    static const long worth[] = {1, 60, 3600, 86400};
    size_t digits = strspn(text, "0123456789");
    const char *unit = text[digits] ? strchr(units, text[digits]) : units;
    char number[24];

    snprintf(number, sizeof(number), "%.*s", (int)digits, text);
    if (unit && strlen(text) <= digits + 1 &&
        cli_number(number, low, high / worth[unit - units], seconds)) {
        *seconds *= worth[unit - units];
        return true;
    }
    (void)cli_usage(command,
                    "%s: '%s' is not a time from %ld to %ld seconds; units are s, m, h and d, as "
                    "in 5m",
                    name, text, low, high);
    return false;
}

bool cli_take_interval(const struct cli_command *command, const char *text, long *seconds)
{
    return cli_take_seconds(command, "-w", cli_optional(text, "1"), 1, 86400, seconds);
}
