/* SPDX-License-Identifier: MIT */
/* linger stats: the counters of a LINGER_STATS file, as a table, as JSON, or for Prometheus. */
#include "report/stats.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "policy/mode.h"

static const char help[] =
    "usage: linger stats [OPTION...] FILE\n"
    "\n"
    "Shows the counters in FILE, which all programs share that name it in\n"
    "LINGER_STATS. They count calls: a connection that ends by exit() or SIGKILL is\n"
    "not counted, and a close() of one of several copies is.\n"
    "\n"
    "  -j, --json             as JSON, in one line\n"
    "  -P, --prometheus       in the text format of Prometheus\n"
    "  -w, --watch[=SECONDS]  repeat every second, or every SECONDS, with what each\n"
    "                         counter has gained\n"
    "  -h, --help             this text\n"
    "\n"
    "example:\n"
    "  linger run -m rst -s=/run/nginx.stats -- nginx\n"
    "  linger stats /run/nginx.stats\n";

static const struct option options[] = {
    CLI_OPTION_JSON, {"prometheus", no_argument, NULL, 'P'}, CLI_OPTION_WATCH, CLI_OPTION_HELP,
    CLI_OPTIONS_END,
};

/* A counter: its place in a family, and its text in the table. */
struct counter {
    const char *family; /* of Prometheus, without "linger_" and "_total" */
    const char *labels;
    const char *key;  /* in JSON */
    const char *text; /* in the table */
};

/* The counters of modes come first, and are named from the table of modes. */
static struct counter counters[] = {
    [STAT_CLOSED_UNCONNECTED] = {"closed_unconnected", "", "closed_unconnected",
                                 "closed without a connection"},
    [STAT_UNSENT_BYTES] = {"unsent_bytes", "", "unsent_bytes", "bytes unsent at close under rst"},
    [STAT_UNREAD] = {"unread", "", "unread", "closed with unread data"},
    [STAT_ABORTS] = {"aborts", "", "aborts", "shutdown() made an abort"},
    [STAT_REUSEADDR_SET] = {"reuse", "option=\"SO_REUSEADDR\",value=\"1\"", "reuseaddr_set",
                            "SO_REUSEADDR set"},
    [STAT_REUSEADDR_CLEARED] = {"reuse", "option=\"SO_REUSEADDR\",value=\"0\"", "reuseaddr_cleared",
                                "SO_REUSEADDR cleared"},
    [STAT_REUSEPORT_SET] = {"reuse", "option=\"SO_REUSEPORT\",value=\"1\"", "reuseport_set",
                            "SO_REUSEPORT set"},
    [STAT_REUSEPORT_CLEARED] = {"reuse", "option=\"SO_REUSEPORT\",value=\"0\"", "reuseport_cleared",
                                "SO_REUSEPORT cleared"},
    [STAT_BIND_NO_PORT_SET] = {"reuse", "option=\"IP_BIND_ADDRESS_NO_PORT\",value=\"1\"",
                               "bind_no_port_set", "IP_BIND_ADDRESS_NO_PORT set"},
    [STAT_BIND_NO_PORT_CLEARED] = {"reuse", "option=\"IP_BIND_ADDRESS_NO_PORT\",value=\"0\"",
                                   "bind_no_port_cleared", "IP_BIND_ADDRESS_NO_PORT cleared"},
    [STAT_BIND_FAILED] = {"bind_failed", "", "bind_failed",
                          "bind() failed: no such address, or in use"},
    [STAT_CONNECT_FAILED] = {"connect_failed", "", "connect_failed", "connect() failed"},
    [STAT_OVERRIDDEN] = {"overridden", "", "overridden", "program's own option overruled"},
    [STAT_FAILED] = {"failed", "", "failed", "option that could not be applied"},
    [STAT_INTERRUPTED] = {"interrupted", "", "interrupted", "call that a signal interrupted"},
    [STAT_LOG_LOST] = {"log_lost", "", "log_lost", "log line lost"},
};
static_assert(sizeof(counters) / sizeof(counters[0]) == STAT_COUNT, "a row for each counter");

static const struct {
    const char *family;
    const char *help;
} families[] = {
    {"armed", "Sockets that options were set on, at creation or later."},
    {"closed", "Connections closed by close() and its relatives."},
    {"closed_unconnected", "Sockets closed that were not connected."},
    {"unsent_bytes", "Bytes in the send queue when a connection was closed under rst."},
    {"unread", "Connections closed with unread data, which the kernel resets whatever the mode."},
    {"aborts", "Connections aborted at shutdown(SHUT_RDWR)."},
    {"reuse", "Options set or cleared before bind()."},
    {"bind_failed", "Calls of bind() that failed because the address is missing or in use."},
    {"connect_failed", "Calls of connect() that failed."},
    {"overridden", "Calls that set SO_LINGER or TCP_LINGER2 and were overruled."},
    {"failed", "Options that the kernel refused."},
    {"interrupted", "Calls that a signal interrupted before the supervisor could read them."},
    {"log_lost", "Log lines that could not be written."},
};

struct words {
    char labels[64];
    char key[40];
    char text[48];
};

/* A counter of one verdict. */
static void name_counter(int counter, const char *family, const char *label, const char *key,
                         const char *says, const char *verdict)
{
    static struct words words[STAT_CLOSED_UNCONNECTED];
    struct words *w = &words[counter];

    snprintf(w->labels, sizeof(w->labels), "%s\"%s\"", label, verdict);
    snprintf(w->key, sizeof(w->key), "%s_%s", key, verdict);
    for (char *c = w->key; *c; c++) {
        if (*c == '-')
            *c = '_';
    }
    snprintf(w->text, sizeof(w->text), "%s%s", says,
             strcmp(verdict, "none") == 0 ? "no rule" : verdict);
    counters[counter] = (struct counter){family, w->labels, w->key, w->text};
}

static void name_closed(int verdict, const char *name)
{
    name_counter(STAT_CLOSED_ACTIVE + verdict, "closed",
                 "when=\"active\",verdict=", "closed_active", "closed first, ", name);
    name_counter(STAT_CLOSED_PASSIVE + verdict, "closed",
                 "when=\"passive\",verdict=", "closed_passive", "closed after the peer, ", name);
}

static void name_counters(void)
{
    name_closed(0, "none");
    for (enum policy_mode mode = 0; mode < MODE_TEARDOWNS; mode++) {
        name_closed((int)mode + 1, mode_name(mode));
        if (mode != MODE_OFF)
            name_counter(stats_armed(mode), "armed", "mode=", "armed", "sockets armed with ",
                         mode_name(mode));
    }
}

static void print_table(FILE *out, const struct stats *stats, const struct stats *before)
{
    bool is_empty = true;

    for (int i = 0; i < STAT_COUNT; i++) {
        uint64_t value = stats_get(stats, i);
        if (value == 0)
            continue;
        is_empty = false;
        fprintf(out, "%12llu  %s", (unsigned long long)value, counters[i].text);
        if (before && value > stats_get(before, i))
            fprintf(out, ", +%llu", (unsigned long long)(value - stats_get(before, i)));
        fputc('\n', out);
    }
    if (is_empty)
        fputs("           0  of anything\n", out);
}

void cli_print_counters(FILE *out, const struct stats *stats)
{
    name_counters();
    print_table(out, stats, NULL);
}

static void print_json(const struct stats *stats)
{
    struct json json = {.out = stdout};

    json_open(&json, NULL, '{');
    for (int i = 0; i < STAT_COUNT; i++)
        json_number(&json, counters[i].key, (long long)stats_get(stats, i));
    json_close(&json, '}');
    putchar('\n');
}

static void print_prometheus(const struct stats *stats)
{
    for (size_t f = 0; f < sizeof(families) / sizeof(families[0]); f++) {
        const char *name = families[f].family;
        printf("# HELP linger_%s_total %s\n# TYPE linger_%s_total counter\n", name,
               families[f].help, name);
        for (int i = 0; i < STAT_COUNT; i++) {
            const struct counter *c = &counters[i];
            if (strcmp(c->family, name) == 0)
                printf("linger_%s_total%s%s%s %llu\n", name, c->labels[0] ? "{" : "", c->labels,
                       c->labels[0] ? "}" : "", (unsigned long long)stats_get(stats, i));
        }
    }
}

/* False after a message. */
static bool read_counters(const struct cli_command *self, const char *path, struct stats *stats)
{
    enum stats_status status = stats_read(path, stats);

    if (status == STATS_FAILED)
        cli_error(self, "%s: %s", path, strerror(errno));
    if (status == STATS_FOREIGN)
        cli_error(self, "%s: not a file of counters of linger " LINGER_VERSION, path);
    return status == STATS_OK;
}

/* With `seconds` it repeats: in place in a terminal; elsewhere a blank line follows a table. */
static int show(const struct cli_command *self, const char *path, int format, long seconds)
{
    bool in_place = seconds > 0 && format != 'j' && cli_is_terminal(stdout);
    struct stats stats;
    struct stats before;
    bool is_first = true;

    name_counters();
    for (;; is_first = false) {
        if (!read_counters(self, path, &stats))
            return CLI_FAILED;
        fputs(in_place ? "\033[H\033[J" : "", stdout);
        if (format == 'j')
            print_json(&stats);
        else if (format == 'P')
            print_prometheus(&stats);
        else
            print_table(stdout, &stats, is_first ? NULL : &before);
        fputs(seconds > 0 && format != 'j' && !in_place ? "\n" : "", stdout);
        int status = cli_flush(self, CLI_OK);
        if (status != CLI_OK || seconds == 0)
            return status;
        before = stats;
        nanosleep(&(struct timespec){.tv_sec = seconds}, NULL);
    }
}

static int stats_main(const struct cli_command *self, int argc, char **argv)
{
    long seconds = 0;
    int format = 0;
    int option;
    int status = CLI_OK;

    while ((option = cli_option(self, argc, argv, options, false, &status)) > 0) {
        if (option == 'w' && !cli_take_interval(self, optarg, &seconds))
            return CLI_FAILED;
        if (option != 'w' && format != 0 && format != option)
            return cli_usage(self, "--json and --prometheus exclude each other");
        if (option != 'w')
            format = option;
    }
    if (option == 0)
        return status;
    if (format == 'P' && seconds > 0)
        return cli_usage(self, "--prometheus and --watch exclude each other");
    if (argc - optind != 1)
        return cli_usage(self, argc == optind ? "a file is missing" : "one file at a time");
    return show(self, argv[optind], format, seconds);
}

const struct cli_command cli_stats = {"stats", "the counters of a LINGER_STATS file", help,
                                      stats_main};
