/* SPDX-License-Identifier: MIT */
/*
 * Reads the figures of a run: the kernel's counters (which count the whole namespace, so a run is
 * the difference of two readings), its list of sockets, what the load printed, and the library's
 * own counters. What cannot be read is NAN, never 0.
 */
#include "cli/ab/figures.h"

#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/sockets/sockets.h"
#include "report/stats.h"

#define OUTPUT_MAX 1048576 /* bytes of the load's output that are searched */

static const struct {
    enum counter counter;
    enum figure figure;
} counted[] = {
    {COUNTER_ACCEPTED, FIGURE_CONNECTIONS}, {COUNTER_SENT_RESETS, FIGURE_RST_SENT},
    {COUNTER_RESETS, FIGURE_RESETS},        {COUNTER_ABORTED, FIGURE_ABORT_DATA},
    {COUNTER_UNREAD, FIGURE_ABORT_CLOSE},   {COUNTER_LINGER2, FIGURE_ABORT_LINGER},
};

/* What known loads print: a rate and errors. The groups of a match are added up. */
static const struct known_output {
    const char *rate;
    const char *errors;
} known_outputs[] = {
    /* wrk, and hey */
    {"Requests/sec:[[:space:]]*([0-9.]+)",
     "Socket errors: connect ([0-9]+), read ([0-9]+), write ([0-9]+), timeout ([0-9]+)|"
     "Error distribution:[[:space:]]*\\[([0-9]+)\\]"},
    /* ab */
    {"Requests per second:[[:space:]]*([0-9.]+)", "Failed requests:[[:space:]]*([0-9]+)"},
    /* redis-benchmark, with and without -q: the last figure that it prints */
    {"([0-9.]+) requests per second", NULL},
};

void figures_of_counters(const uint64_t before[COUNTER_COUNT], double *values)
{
    uint64_t growth[COUNTER_COUNT];

    (void)counters_since(before, growth);
    for (size_t i = 0; i < sizeof(counted) / sizeof(counted[0]); i++) {
        enum counter c = counted[i].counter;
        values[counted[i].figure] = before[c] == COUNTER_MISSING ? NAN : (double)growth[c];
    }
}

/* The first match, or with `last` the last one; NAN without a match. */
static double search(const char *pattern, const char *text, bool last)
{
    regmatch_t groups[8];
    double value = NAN;
    regex_t regex;

    if (regcomp(&regex, pattern, REG_EXTENDED | REG_NEWLINE) != 0)
        return NAN;
    while (regexec(&regex, text, 8, groups, 0) == 0) {
        value = regex.re_nsub == 0 ? strtod(text + groups[0].rm_so, NULL) : 0;
        for (size_t i = 1; i <= regex.re_nsub && i < 8; i++) {
            if (groups[i].rm_so >= 0)
                value += strtod(text + groups[i].rm_so, NULL);
        }
        text += groups[0].rm_eo > 0 ? groups[0].rm_eo : 1;
        if (!last)
            break;
    }
    regfree(&regex);
    return value;
}

void figures_of_output(const char *path, const struct figures_metric *metrics, int metric_count,
                       double *values)
{
    static char text[OUTPUT_MAX];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

    if (fd >= 0)
        close(fd);
    text[length > 0 ? length : 0] = '\0';
    for (size_t i = 0; i < sizeof(known_outputs) / sizeof(known_outputs[0]); i++) {
        double rate = search(known_outputs[i].rate, text, true);
        if (isnan(rate))
            continue;
        values[FIGURE_RATE] = rate;
        if (known_outputs[i].errors) {
            double errors = search(known_outputs[i].errors, text, false);
            values[FIGURE_ERRORS] = isnan(errors) ? 0 : errors;
        }
    }
    for (int i = 0; i < metric_count; i++)
        values[FIGURE_METRIC + i] = search(metrics[i].pattern, text, false);
}

double figures_unsent(const char *path)
{
    struct stats stats;

    return stats_read(path, &stats) == STATS_OK ? (double)stats_get(&stats, STAT_UNSENT_BYTES)
                                                : NAN;
}

/* Already closed by the program: no later run causes what becomes of it. */
static bool has_ended(uint8_t state)
{
    return state == TCP_TIME_WAIT || state == TCP_FIN_WAIT1 || state == TCP_FIN_WAIT2 ||
           state == TCP_CLOSING;
}

bool figures_note_former(long port, struct seen *former)
{
    struct sockets sockets = {NULL, 0};
    bool noted = sockets_read(&sockets, DIAG_EVERY_STATE) == 0;

    for (size_t i = 0; noted && i < sockets.count; i++) {
        const struct diag_socket *s = &sockets.items[i];
        if (has_ended(s->state) && (s->local_port == port || s->peer_port == port))
            noted = seen_note(former, s->cookie) >= 0;
    }
    free(sockets.items);
    return noted;
}

double figures_time_wait(long port, bool of_client, const struct seen *former, double *last)
{
    struct sockets sockets = {NULL, 0};
    double count = 0;

    *last = 0;
    if (sockets_read(&sockets, 1u << TCP_TIME_WAIT) != 0)
        return NAN;
    for (size_t i = 0; i < sockets.count; i++) {
        const struct diag_socket *s = &sockets.items[i];
        bool is_there = (of_client ? s->peer_port : s->local_port) == port;
        if (!is_there || seen_has(former, s->cookie))
            continue;
        count++;
        if (s->expires / 1e3 > *last)
            *last = s->expires / 1e3;
    }
    free(sockets.items);
    return count;
}
