/* SPDX-License-Identifier: MIT */
/* What is counted together, and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/watch/findings.h"
#include "cli/watch/groups.h"
#include "cli/watch/table.h"

static struct groups *groups;

static int begin(void **state)
{
    (void)state;
    groups = calloc(1, sizeof(*groups));
    return groups ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    free(groups);
    return 0;
}

static struct connection server(uint16_t port)
{
    struct connection c = {
        .role = END_SERVER,
        .first = FIRST_HERE,
        .how = HOW_FIN,
        .left = LEFT_TIME_WAIT,
        .local_port = port,
        .peer_port = 40000,
        .peer = {.low = 7},
        .pid = 41,
        .program = "nginx",
    };

    return c;
}

static void add(struct connection c)
{
    groups_add(groups, &c);
}

static void test_alike_are_one_group(void **state)
{
    struct connection c = server(80);

    (void)state;
    add(c);
    c.peer_port = 40001;
    c.local.low = 9;
    add(c);
    assert_int_equal(groups->count, 1);
    assert_int_equal(groups->items[0].count, 2);
    assert_int_equal(groups->ended, 2);
    assert_true(groups->items[0].is_one_process);
    assert_true(groups->items[0].is_one_peer);
    c.pid = 42;
    c.peer.low = 8;
    add(c);
    assert_int_equal(groups->count, 1);
    assert_false(groups->items[0].is_one_process);
    assert_false(groups->items[0].is_one_peer);
}

static void test_each_difference_is_a_group(void **state)
{
    struct connection c = server(80);

    (void)state;
    add(c);
    add(server(81));
    strcpy(c.program, "apache2");
    add(c);
    c.left = LEFT_NOTHING;
    add(c);
    c.then = THEN_SENT_RST;
    add(c);
    c.reason = REASON_ORPHAN;
    add(c);
    c.first = FIRST_PEER;
    add(c);
    c.role = END_CLIENT;
    add(c);
    c.peer.low++; /* another destination */
    add(c);
    c.local_port++; /* and a client's port is no difference */
    add(c);
    assert_int_equal(groups->count, 9);
}

static void test_the_largest_comes_first_and_more_can_be_added(void **state)
{
    (void)state;
    add(server(80));
    add(server(81));
    add(server(81));
    groups_sort(groups);
    assert_int_equal(groups->order[0]->like.local_port, 81);
    for (unsigned i = 0; i < 3; i++)
        add(server(80));
    assert_int_equal(groups->count, 2);
    groups_sort(groups);
    assert_int_equal(groups->order[0]->like.local_port, 80);
    assert_int_equal(groups->order[0]->count, 4);
}

static void test_more_groups_than_there_is_room_for(void **state)
{
    (void)state;
    for (unsigned i = 0; i < GROUPS_MAX + 10; i++)
        add(server((uint16_t)(i + 1)));
    assert_int_equal(groups->count, GROUPS_MAX);
    assert_int_equal(groups->others, 10);
    assert_int_equal(groups->ended, GROUPS_MAX + 10);
    add(server(1));
    assert_int_equal(groups->items[0].count, 2);
}

static void test_connects_that_failed_are_no_connections(void **state)
{
    struct connection c = server(80);

    (void)state;
    for (enum connection_how how = HOW_REFUSED; how <= HOW_NO_PORT; how++) {
        c.how = how;
        add(c);
    }
    assert_int_equal(groups->ended, 0);
    assert_int_equal(groups->failed, 4);
}

static void test_brief_lives_are_counted(void **state)
{
    struct connection c = server(80);

    (void)state;
    c.ended = 5 * (uint64_t)GROUPS_BRIEF;
    add(c); /* its begin was not seen */
    c.began = c.ended - GROUPS_BRIEF;
    add(c);
    c.began++;
    add(c);
    assert_int_equal(groups->items[0].brief, 1);
}

static void test_resets_without_a_connection(void **state)
{
    struct record record = {.local_port = 81, .reason = REASON_NO_SOCKET};

    (void)state;
    groups_add_reset(groups, &record, false);
    groups_add_reset(groups, &record, true);
    groups_add_reset(groups, &record, true);
    record.reason = REASON_TIME_WAIT;
    groups_add_reset(groups, &record, true);
    assert_int_equal(groups->port_count, 1);
    assert_int_equal(groups->ports[0].port, 81);
    assert_int_equal(groups->ports[0].nobody, 1);
    assert_int_equal(groups->ports[0].late, 2);
    assert_int_equal(groups->ports[0].time_wait, 1);
    for (unsigned i = 0; i < 2 * GROUPS_PORTS; i++) {
        record.local_port = (uint16_t)(1000 + i);
        groups_add_reset(groups, &record, false);
    }
    assert_int_equal(groups->port_count, GROUPS_PORTS);
}

static void test_rows_that_read_alike_are_one(void **state)
{
    struct connection c = server(80);
    char text[512] = "";
    FILE *out = tmpfile();

    (void)state;
    assert_non_null(out);
    c.first = FIRST_PEER;
    c.how = HOW_RST;
    add(c);
    c.program[0] = 'N';
    add(c);
    assert_int_equal(groups->count, 2);
    table_print(out, groups);
    rewind(out);
    assert_true(fread(text, 1, sizeof(text) - 1, out) > 0);
    fclose(out);
    const char *row = strstr(text, "server at port 80");
    assert_non_null(row);
    assert_null(strstr(row + 1, "server at port 80"));
    assert_non_null(strstr(row, " 2\n"));
}

static unsigned lines_of_advice_on(const uint64_t growth[COUNTER_COUNT], bool has_reasons)
{
    struct advice advice = {.out = tmpfile()};

    assert_non_null(advice.out);
    groups_sort(groups);
    findings_print(&advice, groups, 0, growth, has_reasons);
    fclose(advice.out);
    return advice.lines;
}

static unsigned lines_of_advice(void)
{
    return lines_of_advice_on((uint64_t[COUNTER_COUNT]){0}, true);
}

/* Under fin-rst, too, both ends may close at the same moment. */
static void test_one_time_wait_in_a_hundred_calls_for_nothing(void **state)
{
    struct connection c = server(80);

    (void)state;
    add(c);
    assert_int_equal(lines_of_advice(), 1);
    c.left = LEFT_NOTHING;
    for (int i = 0; i < 199; i++)
        add(c);
    assert_int_equal(lines_of_advice(), 0);
}

/* Before Linux 6.10 its RST are seen nowhere else. */
static void test_a_refused_connect_on_an_old_kernel_calls_for_a_word(void **state)
{
    const uint64_t growth[COUNTER_COUNT] = {[COUNTER_SENT_RESETS] = 1};

    (void)state;
    assert_int_equal(lines_of_advice_on(growth, false), 1);
    assert_int_equal(lines_of_advice_on(growth, true), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_alike_are_one_group),
        TEST(test_each_difference_is_a_group),
        TEST(test_the_largest_comes_first_and_more_can_be_added),
        TEST(test_more_groups_than_there_is_room_for),
        TEST(test_connects_that_failed_are_no_connections),
        TEST(test_brief_lives_are_counted),
        TEST(test_resets_without_a_connection),
        TEST(test_rows_that_read_alike_are_one),
        TEST(test_one_time_wait_in_a_hundred_calls_for_nothing),
        TEST(test_a_refused_connect_on_an_old_kernel_calls_for_a_word),
    };

    return cmocka_run_group_tests_name("groups", tests, NULL, NULL);
}
