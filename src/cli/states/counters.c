/* SPDX-License-Identifier: MIT */
/* The counters: a line of names and one of numbers for each protocol. */
#include "cli/states/counters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/needs.h"

#define LINE_MAX 8192

static const struct {
    const char *name;
    enum counter counter;
} rows[] = {
    {"ActiveOpens", COUNTER_CONNECTED},      {"PassiveOpens", COUNTER_ACCEPTED},
    {"AttemptFails", COUNTER_CONNECT_FAILS}, {"EstabResets", COUNTER_RESETS},
    {"OutRsts", COUNTER_SENT_RESETS},        {"TCPAbortOnClose", COUNTER_UNREAD},
    {"TCPAbortOnData", COUNTER_ABORTED},     {"TCPAbortOnLinger", COUNTER_LINGER2},
    {"TCPAbortOnTimeout", COUNTER_TIMEOUTS}, {"TCPAbortOnMemory", COUNTER_MEMORY},
    {"ListenOverflows", COUNTER_OVERFLOWS},  {"TW", COUNTER_TIME_WAIT},
    {"TWKilled", COUNTER_TIME_WAIT},
};

static void take(uint64_t values[COUNTER_COUNT], const char *name, const char *value)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t *sum = &values[rows[i].counter];
        if (strcmp(rows[i].name, name) == 0)
            *sum = (*sum == COUNTER_MISSING ? 0 : *sum) + strtoull(value, NULL, 10);
    }
}

/* "Tcp: RtoAlgorithm RtoMin ...", and under it "Tcp: 1 200 ..." */
static int read_pairs(const char *path, uint64_t values[COUNTER_COUNT])
{
    static char names[LINE_MAX], numbers[LINE_MAX];
    FILE *file = fopen(path, "re");

    if (!file)
        return -1;
    while (fgets(names, sizeof(names), file) && fgets(numbers, sizeof(numbers), file)) {
        char *next_name = NULL, *next_number = NULL;
        const char *name = strtok_r(names, " \n", &next_name);
        const char *number = strtok_r(numbers, " \n", &next_number);
        bool is_tcp = name && (strcmp(name, "Tcp:") == 0 || strcmp(name, "TcpExt:") == 0);
        while (is_tcp && name && number) {
            take(values, name, number);
            name = strtok_r(NULL, " \n", &next_name);
            number = strtok_r(NULL, " \n", &next_number);
        }
    }
    fclose(file);
    return 0;
}

int counters_read(uint64_t values[COUNTER_COUNT])
{
    for (int i = 0; i < COUNTER_COUNT; i++)
        values[i] = COUNTER_MISSING;
    int status = read_pairs("/proc/self/net/snmp", values);
    if (read_pairs("/proc/self/net/netstat", values) != 0)
        return -1;
    if (!needs_is_linux("5.18")) /* tw_timer_handler() counted it, when it was over */
        values[COUNTER_TIME_WAIT] = COUNTER_MISSING;
    return status;
}

int counters_since(const uint64_t before[COUNTER_COUNT], uint64_t growth[COUNTER_COUNT])
{
    int status = counters_read(growth);

    for (int i = 0; i < COUNTER_COUNT; i++)
        growth[i] -= before[i];
    return status;
}
