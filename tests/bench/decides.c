/* SPDX-License-Identifier: MIT */
/*
 * What a decision costs, in nanoseconds: the least mean of 20 pieces of COUNT / 20 decisions.
 *
 *     decides RULES COUNT
 *
 * One rule is `rst`. Of more, each has a list of four addresses, and the connection is in the last
 * of the last: all are compared.
 */
#include "policy/address.h"
#include "policy/decide.h"

#include <time.h>

#include "../tools/common.h"

#define PIECES 20
#define TEXT_MAX 16384

static void parse(struct policy *policy, int rules)
{
    static char text[TEXT_MAX];
    struct policy_error error = {0};
    size_t length = 0;

    for (int i = 1; i < rules; i++)
        length +=
            snprintf(text + length, sizeof(text) - length,
                     "fin-rst peer=10.%d.0.0/16,192.168.%d.0/24,172.16.%d.1,[2001:db8:%x::]/48;", i,
                     i, i, i);
    length +=
        snprintf(text + length, sizeof(text) - length,
                 rules == 1 ? "rst" : "rst peer=10.0.0.0/16,192.168.0.0/24,[::1],203.0.113.0/24");
    check(length < sizeof(text), "too many rules");
    check(policy_parse(policy, POLICY_TEARDOWN, text, length, false, &error) == 0, error.what);
}

static double nanoseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e9 + now.tv_nsec;
}

int main(int argc, char **argv)
{
    static struct policy policy;
    struct facts facts = {.known =
                              FACT_ROLE | FACT_LOCAL_PORT | FACT_LOCAL_IP | FACT_PEER | FACT_COOKIE,
                          .role = ROLE_SERVER,
                          .local_port = 8080,
                          .peer_port = 40000,
                          .peer_ip = address_ip((const uint8_t[16]){0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                                                    255, 255, 203, 0, 113, 9})};
    double least = 1e18;

    check(argc == 3, "usage");
    parse(&policy, atoi(argv[1]));
    long count = atol(argv[2]) / PIECES;
    check(count > 0, "usage");
    for (int piece = 0; piece < PIECES; piece++) {
        double begin = nanoseconds();
        for (long i = 0; i < count; i++) {
            struct verdict verdict;
            facts.peer_port = (uint16_t)i;
            check(decide(&policy, &facts, &verdict) == DECIDE_VERDICT, "the verdict");
        }
        double mean = (nanoseconds() - begin) / count;
        if (mean < least)
            least = mean;
    }
    printf("%.1f\n", least);
    return 0;
}
