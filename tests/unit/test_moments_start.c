/* SPDX-License-Identifier: MIT */
/* Which calls a policy needs to see, inside the program and by the supervisor: no more than it
 * needs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "core/moments.h"
#include "rows.h"

#define OWN (MOMENT_SETSOCKOPT | MOMENT_RECEIVE) /* what comes from elsewhere, or is set again */
#define BOTH (MOMENT_CONNECT | MOMENT_LISTEN)
#define LATE (MOMENT_CLOSE | MOMENT_EXIT)
#define SEEN (MOMENT_ACCEPT | MOMENT_BIND)

static const struct {
    const char *policy;
    unsigned preload;
    unsigned supervise;
} policies[] = {
    {"", 0, 0},
    {"off", 0, 0},
    {"off; rst", 0, 0},
    {"fin", OWN, MOMENT_SETSOCKOPT},
    {"fin-rst", OWN | MOMENT_SOCKET, MOMENT_SETSOCKOPT | BOTH},
    {"fin-rst; off port=22", OWN | MOMENT_SOCKET, MOMENT_SETSOCKOPT | BOTH},
    {"fin-rst overrule=no", MOMENT_RECEIVE | MOMENT_SOCKET, BOTH},
    {"rst", OWN | MOMENT_SOCKET | MOMENT_SHUTDOWN, MOMENT_SETSOCKOPT | BOTH | MOMENT_SHUTDOWN},
    {"fin-rst role=client", OWN | BOTH, MOMENT_SETSOCKOPT | BOTH},
    {"fin-rst role=server", OWN | BOTH, MOMENT_SETSOCKOPT | MOMENT_LISTEN},
    {"off role=client; fin-rst", OWN | BOTH, MOMENT_SETSOCKOPT | MOMENT_LISTEN},
    {"fin-rst role=server port=80", OWN | BOTH, MOMENT_SETSOCKOPT | MOMENT_LISTEN},
    {"fin-rst role=client peer=10.0.0.0/8", OWN | BOTH, MOMENT_SETSOCKOPT | BOTH},
    {"fin-rst peer=10.0.0.0/8", OWN | BOTH, MOMENT_SETSOCKOPT | BOTH | SEEN},
    {"fin-rst role=server peer=10.0.0.0/8", OWN | BOTH, MOMENT_SETSOCKOPT | MOMENT_LISTEN | SEEN},
    {"fin-rst; off peer=10.0.0.0/8", OWN | MOMENT_SOCKET, MOMENT_SETSOCKOPT | BOTH},
    {"fin-rst local=:8080", OWN | BOTH, MOMENT_SETSOCKOPT | BOTH},
    {"fin-rst local=10.0.0.0/8", OWN | BOTH, MOMENT_SETSOCKOPT | BOTH | SEEN},
    {"fin-rst share=1%", OWN | BOTH, MOMENT_SETSOCKOPT | BOTH | SEEN},
    {"fin-rst when=active", OWN | BOTH | MOMENT_CLOSE, MOMENT_SETSOCKOPT | BOTH | LATE},
};

static unsigned started(const char *policy, enum backend backend, bool makes_accept)
{
    static struct settings settings;
    struct policy_error error;

    memset(&settings, 0, sizeof(settings));
    settings.backend = backend;
    settings.makes_accept = makes_accept;
    assert_int_equal(
        policy_parse(&settings.mode, POLICY_TEARDOWN, policy, strlen(policy), false, &error), 0);
    moments_wanted = 0;
    moments_start(&settings, "test");
    /* What this process has open may ask for accept(). */
    return moments_wanted & ~(makes_accept ? 0 : MOMENT_ACCEPT);
}

static void test_moments(void **state)
{
    ROW_NAMED(i, policies, policy);

    unsigned preload = started(policies[i].policy, BACKEND_PRELOAD, false);
    unsigned supervise = started(policies[i].policy, BACKEND_SUPERVISE, true);
    unsigned older = started(policies[i].policy, BACKEND_SUPERVISE, false);
    unsigned accept = supervise & MOMENT_ACCEPT ? MOMENT_ACCEPT | MOMENT_BIND : 0;
    if (preload != policies[i].preload || supervise != policies[i].supervise)
        print_message("'%s': %#x, %#x\n", policies[i].policy, preload, supervise);
    assert_int_equal(preload, policies[i].preload);
    assert_int_equal(supervise, policies[i].supervise);
    assert_int_equal(older, accept ? (supervise & ~accept) | MOMENT_CONNECT | LATE : supervise);
}

static void test_switches_are_of_bind(void **state)
{
    static struct settings settings;

    (void)state;
    for (enum setting i = SETTING_REUSEADDR; i <= SETTING_BIND_NO_PORT; i++) {
        struct text complaint;
        char buffer[SETTINGS_COMPLAINT_MAX];
        memset(&settings, 0, sizeof(settings));
        text_begin(&complaint, buffer, sizeof(buffer));
        for (int rules = 0; rules < 2; rules++) {
            assert_int_equal(settings_take(&settings, i, "-", rules ? "on" : "", &complaint), 0);
            moments_wanted = 0;
            moments_start(&settings, "test");
            assert_int_equal(moments_wanted, rules ? MOMENT_BIND : 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_moments, ROWS),
        cmocka_unit_test(test_switches_are_of_bind),
    };

    return rows_run(tests, NULL, NULL);
}
