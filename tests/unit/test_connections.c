/* SPDX-License-Identifier: MIT */
/*
 * What sequences of events mean. They were recorded on Linux 6.18, with one process at both ends
 * over loopback; each test has the events of one end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "cli/watch/connections.h"

#define SOCKET 0xffff888004a06900u
#define CLOSER 41 /* the process that has the connection */
#define OTHER 42  /* one that an interrupt interrupts */

static struct connections *all;
static uint64_t now;

static int begin(void **state)
{
    (void)state;
    now = 1000;
    all = connections_new();
    return all ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    connections_free(all);
    return 0;
}

static void see(struct record record)
{
    const struct scope_actor actor = {record.pid == CLOSER ? "closer" : "other", WHOSE_UNKNOWN};

    record.time = now += 1000;
    if (record.socket == 0)
        record.socket = SOCKET;
    if (record.local_port == 0)
        record.local_port = 80;
    if (record.peer_port == 0)
        record.peer_port = 40000;
    assert_true(connections_see(all, &record, actor));
}

static void by_call(unsigned from, unsigned to)
{
    see((struct record){.kind = RECORD_STATE,
                        .pid = CLOSER,
                        .is_call = true,
                        .from = (uint8_t)from,
                        .to = (uint8_t)to});
}

static void by_packet(unsigned from, unsigned to)
{
    see((struct record){
        .kind = RECORD_STATE, .pid = OTHER, .from = (uint8_t)from, .to = (uint8_t)to});
}

static void sends_reset(enum record_reason reason, bool is_call)
{
    see((struct record){.kind = RECORD_SENT_RESET,
                        .pid = is_call ? CLOSER : OTHER,
                        .is_call = is_call,
                        .reason = reason});
}

static void gets_reset(void)
{
    see((struct record){.kind = RECORD_GOT_RESET, .pid = OTHER});
}

static void accepted(void)
{
    by_packet(TCP_SYN_RECV, TCP_ESTABLISHED);
}

static void connected(void)
{
    by_call(TCP_CLOSE, TCP_SYN_SENT);
    by_packet(TCP_SYN_SENT, TCP_ESTABLISHED);
}

/* The connection that has ended, for as long as the test lasts. */
static struct connection take(void)
{
    struct connection *one = connections_next_ended(all, UINT64_MAX);
    struct connection copy;

    assert_non_null(one);
    assert_null(connections_next_ended(all, UINT64_MAX));
    copy = *one;
    free(one);
    return copy;
}

static void is(enum connection_first first, enum connection_how how, enum connection_then then,
               enum record_reason reason, enum connection_left left)
{
    struct connection c = take();

    assert_int_equal(c.first, first);
    assert_int_equal(c.how, how);
    assert_int_equal(c.then, then);
    assert_int_equal(c.reason, reason);
    assert_int_equal(c.left, left);
    if (first == FIRST_HERE) {
        assert_int_equal(c.pid, CLOSER);
        assert_string_equal(c.program, "closer");
        assert_true(c.is_closer);
    }
}

static void test_closes_first(void **state)
{
    (void)state;
    accepted();
    by_call(TCP_ESTABLISHED, TCP_FIN_WAIT1);
    by_packet(TCP_FIN_WAIT1, TCP_FIN_WAIT2);
    by_packet(TCP_FIN_WAIT2, TCP_CLOSE);
    is(FIRST_HERE, HOW_FIN, THEN_NOTHING, REASON_UNKNOWN, LEFT_TIME_WAIT);
}

static void test_closes_second(void **state)
{
    (void)state;
    connected();
    by_packet(TCP_ESTABLISHED, TCP_CLOSE_WAIT);
    by_call(TCP_CLOSE_WAIT, TCP_LAST_ACK);
    by_packet(TCP_LAST_ACK, TCP_CLOSE);
    is(FIRST_PEER, HOW_FIN, THEN_NOTHING, REASON_UNKNOWN, LEFT_NOTHING);
}

static void test_role_is_seen_at_birth(void **state)
{
    (void)state;
    accepted();
    by_call(TCP_ESTABLISHED, TCP_CLOSE);
    assert_int_equal(take().role, END_SERVER);
    connected();
    by_call(TCP_ESTABLISHED, TCP_CLOSE);
    assert_int_equal(take().role, END_CLIENT);
    by_call(TCP_ESTABLISHED, TCP_FIN_WAIT1); /* older than we */
    by_packet(TCP_FIN_WAIT1, TCP_CLOSE);
    assert_int_equal(take().role, END_UNSEEN);
}

static void test_both_fins_cross(void **state)
{
    (void)state;
    accepted();
    by_call(TCP_ESTABLISHED, TCP_FIN_WAIT1);
    by_packet(TCP_FIN_WAIT1, TCP_CLOSING);
    by_packet(TCP_CLOSING, TCP_CLOSE);
    is(FIRST_BOTH, HOW_FIN, THEN_NOTHING, REASON_UNKNOWN, LEFT_TIME_WAIT);
}

static void test_unread_data(void **state)
{
    (void)state;
    accepted();
    by_call(TCP_ESTABLISHED, TCP_CLOSE);
    sends_reset(REASON_UNREAD, true);
    is(FIRST_HERE, HOW_RST, THEN_NOTHING, REASON_UNREAD, LEFT_NOTHING);
}

static void test_so_linger_zero(void **state)
{
    (void)state;
    accepted();
    by_call(TCP_ESTABLISHED, TCP_CLOSE);
    sends_reset(REASON_ABORTED, true);
    is(FIRST_HERE, HOW_RST, THEN_NOTHING, REASON_ABORTED, LEFT_NOTHING);
}

static void test_listener_closed_before_accept(void **state)
{
    const struct record end = {.kind = RECORD_STATE,
                               .pid = CLOSER,
                               .is_call = true,
                               .no_softirq = true,
                               .from = TCP_ESTABLISHED,
                               .to = TCP_CLOSE};
    struct record reset = end;

    (void)state;
    reset.kind = RECORD_SENT_RESET;
    reset.reason = REASON_ABORTED;
    accepted();
    see(end);
    see(reset);
    is(FIRST_HERE, HOW_RST, THEN_NOTHING, REASON_UNACCEPTED, LEFT_NOTHING);
}

static void test_destroyed_by_ss(void **state)
{
    (void)state;
    accepted();
    sends_reset(REASON_ABORTED, true);
    by_call(TCP_ESTABLISHED, TCP_CLOSE);
    is(FIRST_HERE, HOW_RST, THEN_NOTHING, REASON_DESTROYED, LEFT_NOTHING);
}

/* A subflow of Multipath TCP is reset before it is closed, too. */
static void test_mptcp_resets(void **state)
{
    (void)state;
    accepted();
    sends_reset(REASON_UNREAD, true);
    by_call(TCP_ESTABLISHED, TCP_CLOSE);
    is(FIRST_HERE, HOW_RST, THEN_NOTHING, REASON_MPTCP, LEFT_NOTHING);
    accepted();
    sends_reset(REASON_MPTCP, true);
    by_call(TCP_ESTABLISHED, TCP_CLOSE);
    is(FIRST_HERE, HOW_RST, THEN_NOTHING, REASON_MPTCP, LEFT_NOTHING);
}

static void test_peer_resets(void **state)
{
    (void)state;
    accepted();
    gets_reset();
    by_packet(TCP_ESTABLISHED, TCP_CLOSE);
    is(FIRST_PEER, HOW_RST, THEN_NOTHING, REASON_UNKNOWN, LEFT_NOTHING);
}

/* The RST was in the backlog of a socket that a system call had locked. */
static void test_peer_resets_during_a_call(void **state)
{
    (void)state;
    accepted();
    gets_reset();
    by_call(TCP_ESTABLISHED, TCP_CLOSE);
    is(FIRST_PEER, HOW_RST, THEN_NOTHING, REASON_UNKNOWN, LEFT_NOTHING);
}

static void test_fin_rst(void **state)
{
    (void)state;
    accepted();
    by_call(TCP_ESTABLISHED, TCP_FIN_WAIT1);
    by_packet(TCP_FIN_WAIT1, TCP_FIN_WAIT2);
    by_packet(TCP_FIN_WAIT2, TCP_CLOSE);
    sends_reset(REASON_ORPHAN, false);
    is(FIRST_HERE, HOW_FIN, THEN_SENT_RST, REASON_ORPHAN, LEFT_NOTHING);
}

static void test_fin_rst_after_shutdown(void **state)
{
    (void)state;
    accepted();
    by_call(TCP_ESTABLISHED, TCP_FIN_WAIT1);
    by_packet(TCP_FIN_WAIT1, TCP_FIN_WAIT2);
    by_call(TCP_FIN_WAIT2, TCP_FIN_WAIT2);
    by_call(TCP_FIN_WAIT2, TCP_CLOSE);
    sends_reset(REASON_LINGER2, true);
    is(FIRST_HERE, HOW_FIN, THEN_SENT_RST, REASON_LINGER2, LEFT_NOTHING);
}

/* tcp_reset() is called for data that comes for an orphan: no RST came. */
static void test_data_for_an_orphan(void **state)
{
    (void)state;
    accepted();
    by_call(TCP_ESTABLISHED, TCP_FIN_WAIT1);
    gets_reset();
    by_packet(TCP_FIN_WAIT1, TCP_CLOSE);
    sends_reset(REASON_ORPHAN, false);
    is(FIRST_HERE, HOW_FIN, THEN_SENT_RST, REASON_LATE, LEFT_NOTHING);
}

static void test_fin_answered_by_reset(void **state)
{
    (void)state;
    accepted();
    by_call(TCP_ESTABLISHED, TCP_FIN_WAIT1);
    gets_reset();
    by_packet(TCP_FIN_WAIT1, TCP_CLOSE);
    is(FIRST_HERE, HOW_FIN, THEN_GOT_RST, REASON_UNKNOWN, LEFT_NOTHING);
}

static void test_peers_fin_answered_by_our_reset(void **state)
{
    (void)state;
    accepted();
    by_packet(TCP_ESTABLISHED, TCP_CLOSE_WAIT);
    by_call(TCP_CLOSE_WAIT, TCP_CLOSE);
    sends_reset(REASON_UNREAD, true);
    struct connection c = take();
    assert_int_equal(c.first, FIRST_PEER);
    assert_int_equal(c.then, THEN_SENT_RST);
    assert_int_equal(c.reason, REASON_UNREAD);
    assert_string_equal(c.program, "closer");
    assert_true(c.is_closer);
}

static void test_peers_fin_then_its_reset(void **state)
{
    (void)state;
    connected();
    by_packet(TCP_ESTABLISHED, TCP_CLOSE_WAIT);
    gets_reset();
    by_packet(TCP_CLOSE_WAIT, TCP_CLOSE);
    is(FIRST_PEER, HOW_FIN, THEN_GOT_RST, REASON_UNKNOWN, LEFT_NOTHING);
}

static void test_peer_is_gone(void **state)
{
    (void)state;
    accepted();
    by_packet(TCP_ESTABLISHED, TCP_CLOSE);
    is(FIRST_NOBODY, HOW_TIMEOUT, THEN_NOTHING, REASON_UNKNOWN, LEFT_NOTHING);
}

static void test_keepalive_is_not_answered(void **state)
{
    (void)state;
    accepted();
    sends_reset(REASON_KEEPALIVE, false);
    by_packet(TCP_ESTABLISHED, TCP_CLOSE);
    is(FIRST_NOBODY, HOW_TIMEOUT, THEN_NOTHING, REASON_KEEPALIVE, LEFT_NOTHING);
}

static void test_fin_is_not_acknowledged(void **state)
{
    (void)state;
    accepted();
    by_call(TCP_ESTABLISHED, TCP_FIN_WAIT1);
    by_packet(TCP_FIN_WAIT1, TCP_CLOSE);
    is(FIRST_HERE, HOW_FIN, THEN_TIMEOUT, REASON_UNKNOWN, LEFT_NOTHING);
}

static void test_connect_is_refused(void **state)
{
    (void)state;
    by_call(TCP_CLOSE, TCP_SYN_SENT);
    gets_reset();
    by_call(TCP_SYN_SENT, TCP_CLOSE); /* the RST was in the backlog of connect() */
    is(FIRST_NOBODY, HOW_REFUSED, THEN_NOTHING, REASON_UNKNOWN, LEFT_NOTHING);
}

static void test_connect_is_not_answered(void **state)
{
    (void)state;
    by_call(TCP_CLOSE, TCP_SYN_SENT);
    by_packet(TCP_SYN_SENT, TCP_CLOSE);
    is(FIRST_NOBODY, HOW_UNANSWERED, THEN_NOTHING, REASON_UNKNOWN, LEFT_NOTHING);
}

static void test_connect_is_given_up(void **state)
{
    (void)state;
    by_call(TCP_CLOSE, TCP_SYN_SENT);
    by_call(TCP_SYN_SENT, TCP_CLOSE);
    is(FIRST_NOBODY, HOW_GIVEN_UP, THEN_NOTHING, REASON_UNKNOWN, LEFT_NOTHING);
}

static void test_connect_finds_no_port(void **state)
{
    const struct scope_actor actor = {"closer", WHOSE_UNKNOWN};
    struct record record = {.kind = RECORD_STATE,
                            .socket = SOCKET,
                            .pid = CLOSER,
                            .is_call = true,
                            .peer_port = 80,
                            .time = 1};

    (void)state;
    record.from = TCP_CLOSE;
    record.to = TCP_SYN_SENT;
    assert_true(connections_see(all, &record, actor));
    record.from = TCP_SYN_SENT;
    record.to = TCP_CLOSE;
    assert_true(connections_see(all, &record, actor));
    is(FIRST_NOBODY, HOW_NO_PORT, THEN_NOTHING, REASON_UNKNOWN, LEFT_NOTHING);
}

/* Before Linux 6.10 there is no reason: where it was sent and when says some of it. */
static void test_without_reasons(void **state)
{
    (void)state;
    accepted();
    by_call(TCP_ESTABLISHED, TCP_CLOSE);
    sends_reset(REASON_UNKNOWN, true);
    is(FIRST_HERE, HOW_RST, THEN_NOTHING, REASON_UNKNOWN, LEFT_NOTHING);
    accepted();
    sends_reset(REASON_UNKNOWN, false);
    by_packet(TCP_ESTABLISHED, TCP_CLOSE);
    is(FIRST_NOBODY, HOW_TIMEOUT, THEN_NOTHING, REASON_KEEPALIVE, LEFT_NOTHING);
    accepted();
    by_call(TCP_ESTABLISHED, TCP_FIN_WAIT1);
    by_packet(TCP_FIN_WAIT1, TCP_FIN_WAIT2);
    by_packet(TCP_FIN_WAIT2, TCP_CLOSE);
    sends_reset(REASON_UNKNOWN, false);
    is(FIRST_HERE, HOW_FIN, THEN_SENT_RST, REASON_ORPHAN, LEFT_NOTHING);
}

static void test_older_than_the_watch(void **state)
{
    (void)state;
    by_packet(TCP_FIN_WAIT2, TCP_CLOSE);
    struct connection c = take();
    assert_int_equal(c.first, FIRST_HERE);
    assert_int_equal(c.left, LEFT_TIME_WAIT);
    assert_int_equal(c.pid, 0);
    assert_int_equal(c.began, 0);
}

/* struct sock is used again at once; with -p its next life may not be shown. */
static void test_an_address_is_used_again(void **state)
{
    (void)state;
    accepted();
    by_call(TCP_ESTABLISHED, TCP_FIN_WAIT1);
    by_packet(TCP_FIN_WAIT1, TCP_FIN_WAIT2);
    by_packet(TCP_FIN_WAIT2, TCP_CLOSE);
    see((struct record){
        .kind = RECORD_SENT_RESET, .local_port = 81, .is_call = true, .reason = REASON_UNREAD});
    accepted();
    by_call(TCP_ESTABLISHED, TCP_CLOSE);
    sends_reset(REASON_ABORTED, true);
    struct connection *first = connections_next_ended(all, UINT64_MAX);
    assert_int_equal(first->left, LEFT_TIME_WAIT);
    assert_int_equal(first->then, THEN_NOTHING);
    free(first);
    is(FIRST_HERE, HOW_RST, THEN_NOTHING, REASON_ABORTED, LEFT_NOTHING);
}

/* Its end was among events that were lost. */
static void test_an_end_is_lost(void **state)
{
    (void)state;
    accepted();
    by_call(TCP_CLOSE, TCP_SYN_SENT);
    by_packet(TCP_SYN_SENT, TCP_ESTABLISHED);
    by_call(TCP_ESTABLISHED, TCP_CLOSE);
    assert_int_equal(take().role, END_CLIENT);
}

static void test_listeners_are_no_connections(void **state)
{
    (void)state;
    by_call(TCP_CLOSE, TCP_LISTEN);
    by_call(TCP_LISTEN, TCP_CLOSE);
    assert_null(connections_next_ended(all, UINT64_MAX));
}

static void test_close_wait_that_lasts(void **state)
{
    (void)state;
    accepted();
    by_packet(TCP_ESTABLISHED, TCP_CLOSE_WAIT);
    assert_int_equal(connections_unclosed(all, now), 0);
    assert_int_equal(connections_unclosed(all, now + 1), 1);
    by_call(TCP_CLOSE_WAIT, TCP_LAST_ACK);
    assert_int_equal(connections_unclosed(all, now + 1), 0);
}

static void test_what_comes_late_is_recognised(void **state)
{
    const struct record late = {.local_port = 80, .peer_port = 40000};
    const struct record other = {.local_port = 80, .peer_port = 40001};

    (void)state;
    accepted();
    assert_false(connections_is_former(all, &late));
    by_call(TCP_ESTABLISHED, TCP_CLOSE);
    assert_true(connections_is_former(all, &late));
    assert_false(connections_is_former(all, &other));
}

/* More than the table has places for at first. */
static void test_many_at_once(void **state)
{
    const unsigned count = 10000;
    unsigned ended = 0;
    struct connection *one;

    (void)state;
    for (unsigned i = 0; i < count; i++)
        see((struct record){.kind = RECORD_STATE,
                            .socket = SOCKET + 0x940ul * i,
                            .from = TCP_SYN_RECV,
                            .to = TCP_ESTABLISHED});
    for (unsigned i = 0; i < count; i++)
        see((struct record){.kind = RECORD_STATE,
                            .socket = SOCKET + 0x940ul * i,
                            .from = TCP_ESTABLISHED,
                            .to = TCP_CLOSE});
    while ((one = connections_next_ended(all, UINT64_MAX))) {
        assert_int_equal(one->role, END_SERVER);
        ended++;
        free(one);
    }
    assert_int_equal(ended, count);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_closes_first),
        TEST(test_closes_second),
        TEST(test_role_is_seen_at_birth),
        TEST(test_both_fins_cross),
        TEST(test_unread_data),
        TEST(test_so_linger_zero),
        TEST(test_listener_closed_before_accept),
        TEST(test_destroyed_by_ss),
        TEST(test_mptcp_resets),
        TEST(test_peer_resets),
        TEST(test_peer_resets_during_a_call),
        TEST(test_fin_rst),
        TEST(test_fin_rst_after_shutdown),
        TEST(test_data_for_an_orphan),
        TEST(test_fin_answered_by_reset),
        TEST(test_peers_fin_answered_by_our_reset),
        TEST(test_peers_fin_then_its_reset),
        TEST(test_peer_is_gone),
        TEST(test_keepalive_is_not_answered),
        TEST(test_fin_is_not_acknowledged),
        TEST(test_connect_is_refused),
        TEST(test_connect_is_not_answered),
        TEST(test_connect_is_given_up),
        TEST(test_connect_finds_no_port),
        TEST(test_without_reasons),
        TEST(test_older_than_the_watch),
        TEST(test_an_address_is_used_again),
        TEST(test_an_end_is_lost),
        TEST(test_listeners_are_no_connections),
        TEST(test_close_wait_that_lasts),
        TEST(test_what_comes_late_is_recognised),
        TEST(test_many_at_once),
    };

    return cmocka_run_group_tests_name("connections", tests, NULL, NULL);
}
