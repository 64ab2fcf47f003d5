/* SPDX-License-Identifier: MIT */
/* Medians, spreads and ratios. A figure that no run has is left out. */
#include "cli/ab/table.h"

#include <assert.h>
#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/json.h"

#define BAR_CELLS 16

static const struct figure_row {
    const char *name; /* in JSON */
    const char *text;
    int decimals;
} figures[] = {
    [FIGURE_SECONDS] = {"load_seconds", "load, seconds", 2},
    [FIGURE_RATE] = {"rate", "requests per second", 1},
    [FIGURE_ERRORS] = {"load_errors", "load errors", 0},
    [FIGURE_CONNECTIONS] = {"connections", "connections accepted", 0},
    [FIGURE_TIME_WAIT] = {"time_wait", "TIME_WAIT left at the port", 0},
    [FIGURE_RST_SENT] = {"rst_sent", "RST sent, by both ends (TcpOutRsts)", 0},
    [FIGURE_RESETS] = {"resets", "connections reset (TcpEstabResets)", 0},
    [FIGURE_ABORT_DATA] = {"abort_on_data", "TCPAbortOnData", 0},
    [FIGURE_ABORT_CLOSE] = {"abort_on_close", "TCPAbortOnClose (unread data)", 0},
    [FIGURE_ABORT_LINGER] = {"abort_on_linger", "TCPAbortOnLinger", 0},
    [FIGURE_UNSENT] = {"unsent_bytes", "unsent bytes discarded", 0},
    [FIGURE_CPU] = {"server_cpu_seconds", "server, CPU seconds", 2},
    [FIGURE_RESTART] = {"restart_seconds", "port free again, seconds", 3},
};
static_assert(sizeof(figures) / sizeof(figures[0]) == FIGURE_METRIC, "a row for each figure");

static double larger(double a, double b)
{
    return a > b ? a : b;
}

struct sum {
    int count; /* of the values present */
    double median;
    double low;
    double high;
};

static int compare(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;

    return (*x > *y) - (*x < *y);
}

static double value_of(const struct ab_table *r, int round, int mode, int figure)
{
    int at = round * r->mode_count + mode;

    return at < r->done && r->results[at].outcome == AB_DONE ? r->results[at].values[figure] : NAN;
}

static struct sum sum_up(const struct ab_table *r, int mode, int figure)
{
    double values[AB_ROUNDS_MAX];
    struct sum sum = {0, NAN, NAN, NAN};

    for (int i = 0; i < r->rounds; i++) {
        double value = value_of(r, i, mode, figure);
        if (!isnan(value))
            values[sum.count++] = value;
    }
    if (sum.count == 0)
        return sum;
    qsort(values, (size_t)sum.count, sizeof(values[0]), compare);
    sum.low = values[0];
    sum.high = values[sum.count - 1];
    sum.median = (values[(sum.count - 1) / 2] + values[sum.count / 2]) / 2;
    return sum;
}

static int figure_count(const struct ab_table *r)
{
    return FIGURE_METRIC + r->plan->metric_count;
}

static struct figure_row row_of(const struct ab_table *r, int figure)
{
    if (figure < FIGURE_METRIC)
        return figures[figure];
    const char *name = r->plan->metrics[figure - FIGURE_METRIC].name;
    return (struct figure_row){name, name, 2};
}

/* The largest of all values; -1 if no run has one. */
static double largest(const struct ab_table *r, int figure)
{
    double most = -1;

    for (int i = 0; i < r->mode_count; i++) {
        struct sum sum = sum_up(r, i, figure);
        if (sum.count > 0)
            most = larger(most, sum.high);
    }
    return most;
}

static void print_bar(double value, double most)
{
    bool utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    int cells = most > 0 ? (int)(value / most * BAR_CELLS + 0.5) : 0;

    fputs("  ", stdout);
    for (int i = 0; i < cells; i++)
        fputs(utf8 ? "█" : "#", stdout);
}

/* Is the difference from the first mode no larger than the spread of either mode's runs? */
static bool is_within_spread(const struct sum *first, const struct sum *sum)
{
    double spread = larger(first->high - first->low, sum->high - sum->low);

    return sum->median != first->median && fabs(sum->median - first->median) <= spread;
}

static bool print_mode(const struct ab_table *r, int mode, int figure, double most)
{
    struct sum first = sum_up(r, 0, figure);
    struct sum sum = sum_up(r, mode, figure);
    int decimals = row_of(r, figure).decimals;
    char spread[64] = "";
    char ratio[64] = "";
    bool doubtful = false;

    printf("  %-20s ", r->modes[mode]);
    if (sum.count == 0) {
        puts("           -");
        return false;
    }
    if (sum.count > 1 && sum.high > sum.low)
        snprintf(spread, sizeof(spread), "±%.*f", decimals, (sum.high - sum.low) / 2);
    if (mode > 0 && first.count > 0 && first.median > 0) {
        doubtful = first.count > 1 && is_within_spread(&first, &sum);
        double times = sum.median / first.median;
        snprintf(ratio, sizeof(ratio), "x %.*f%s", times < 100 ? 3 : 0, times,
                 doubtful ? " ~" : "");
    }
    printf("%12.*f", decimals, sum.median);
    if (cli_is_terminal(stdout)) {
        printf("  %-*s  %-12s", spread[0] ? 11 : 10, spread, ratio); /* ± is two bytes */
        print_bar(sum.median, most);
    } else if (ratio[0]) {
        printf("  %-*s  %s", spread[0] ? 11 : 10, spread, ratio);
    } else if (spread[0]) {
        printf("  %s", spread);
    }
    putchar('\n');
    return doubtful;
}

static bool print_figure(const struct ab_table *r, int figure, double most)
{
    bool doubtful = false;

    printf("%s\n", row_of(r, figure).text);
    for (int i = 0; i < r->mode_count; i++)
        doubtful |= print_mode(r, i, figure, most);
    return doubtful;
}

static const char *target_of(const struct ab_plan *plan)
{
    if (plan->attach)
        return "a running daemon";
    return plan->on_server && plan->on_client ? "server and load"
           : plan->on_client                  ? "the load"
                                              : "the server";
}

void ab_table_print(const struct ab_table *r)
{
    const char *separator = "0 in every run: ";
    bool doubtful = false;

    setlocale(LC_CTYPE, "");
    printf("modes of %s, port %ld, %d of %d runs%s\n", target_of(r->plan), r->plan->port, r->done,
           r->rounds * r->mode_count,
           r->plan->in_namespace ? ", each in a network namespace of its own" : "");
    printf("median  ± half the range of the rounds  x ratio to the first mode\n\n");
    for (int i = 0; i < figure_count(r); i++) {
        double most = largest(r, i);
        if (most > 0)
            doubtful |= print_figure(r, i, most);
    }
    for (int i = 0; i < figure_count(r); i++) {
        if (largest(r, i) != 0)
            continue;
        printf("%s%s", separator, row_of(r, i).text);
        separator = ", ";
    }
    if (separator[0] == ',')
        putchar('\n');
    if (doubtful)
        puts("~ the rounds of one mode differ by more than that: it proves nothing");
    if (r->rounds == 1)
        puts("one round: how much the runs of one mode differ is unknown");
    cli_print_line(stdout, "what the server and the load printed: %s", r->plan->directory);
}

static void print_values(struct json *json, const char *key, const struct ab_table *r, int mode,
                         int round)
{
    json_open(json, key, '{');
    for (int i = 0; i < figure_count(r); i++)
        json_real(json, row_of(r, i).name,
                  round < 0 ? sum_up(r, mode, i).median : value_of(r, round, mode, i), 9);
    json_close(json, '}');
}

void ab_table_print_json(const struct ab_table *r)
{
    struct json json = {.out = stdout};

    json_open(&json, NULL, '{');
    json_number(&json, "port", r->plan->port);
    json_number(&json, "rounds", r->rounds);
    json_number(&json, "runs", r->done);
    json_string(&json, "target", target_of(r->plan));
    json_bool(&json, "namespace", r->plan->in_namespace);
    json_string(&json, "directory", r->plan->directory);
    json_open(&json, "modes", '[');
    for (int mode = 0; mode < r->mode_count; mode++) {
        json_open(&json, NULL, '{');
        json_string(&json, "mode", r->modes[mode]);
        print_values(&json, "median", r, mode, -1);
        json_open(&json, "runs", '[');
        for (int round = 0; round * r->mode_count + mode < r->done; round++)
            print_values(&json, NULL, r, mode, round);
        json_close(&json, ']');
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_close(&json, '}');
    putchar('\n');
}
