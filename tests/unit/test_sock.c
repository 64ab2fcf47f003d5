/* SPDX-License-Identifier: MIT */
/* What the kernel is asked, of real connections on the loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/tcp.h>

#include "loopback.h"
#include "socket/sock.h"

static void expect_when(int fd, uint8_t tcp_state, enum policy_when when)
{
    struct facts facts = {0};

    assert_true(sock_facts(fd, FACT_WHEN, &facts));
    assert_int_equal(facts.state, tcp_state);
    assert_int_equal(facts.known, FACT_WHEN);
    assert_int_equal(facts.when, when);
}

/* The peer does not read, so our FIN stays queued after the data, and LAST_ACK lasts. */
static void fill(int fd)
{
    static char block[65536];

    while (send(fd, block, sizeof(block), MSG_DONTWAIT) > 0)
        ;
    assert_int_equal(errno, EAGAIN);
}

static void test_who_closes_first(void **state)
{
    (void)state;
    expect_when(listener, TCP_LISTEN, WHEN_ACTIVE);
    expect_when(server, TCP_ESTABLISHED, WHEN_ACTIVE);
    assert_int_equal(shutdown(client, SHUT_WR), 0);
    await(server, POLLRDHUP);
    expect_when(server, TCP_CLOSE_WAIT, WHEN_PASSIVE);
    fill(server);
    assert_int_equal(shutdown(server, SHUT_WR), 0);
    expect_when(server, TCP_LAST_ACK, WHEN_PASSIVE);
}

static void test_our_own_fin_is_an_active_close(void **state)
{
    (void)state;
    fill(server);
    assert_int_equal(shutdown(server, SHUT_WR), 0);
    expect_when(server, TCP_FIN_WAIT1, WHEN_ACTIVE);
}

static void test_ends_and_cookie(void **state)
{
    struct facts ours = {0};
    struct facts theirs = {0};
    unsigned all = FACT_LOCAL_IP | FACT_LOCAL_PORT | FACT_PEER | FACT_COOKIE;

    (void)state;
    assert_true(sock_facts(server, all, &ours));
    assert_true(sock_facts(client, all, &theirs));
    assert_int_equal(ours.known, all);
    assert_int_equal(ours.local_port, theirs.peer_port);
    assert_int_equal(ours.peer_port, theirs.local_port);
    assert_true(ours.local_ip.is_ipv4);
    assert_int_equal((uint32_t)ours.local_ip.low, INADDR_LOOPBACK);
    assert_int_equal((uint32_t)ours.peer_ip.low, INADDR_LOOPBACK);
    assert_true(ours.cookie != theirs.cookie);
}

static void test_only_what_is_asked_for(void **state)
{
    static const unsigned each[] = {0, FACT_PEER, FACT_COOKIE, FACT_LOCAL_IP | FACT_LOCAL_PORT};
    struct facts facts = {.known = FACT_PEER | FACT_COOKIE, .peer_port = 1, .cookie = 2};

    (void)state;
    assert_true(sock_facts(server, FACT_PEER | FACT_COOKIE, &facts));
    assert_int_equal(facts.peer_port, 1); /* and what is known already stays */
    assert_int_equal(facts.cookie, 2);
    for (size_t i = 0; i < sizeof(each) / sizeof(each[0]); i++) {
        facts = (struct facts){0};
        assert_true(sock_facts(server, each[i], &facts));
        assert_int_equal(facts.known, each[i]);
    }
    facts = (struct facts){0};
    assert_true(sock_facts(listener, FACT_PEER, &facts));
    assert_int_equal(facts.known, 0);
}

/* What is known of the local end of a socket that is bound there. */
static unsigned bound_to(const char *address)
{
    struct sockaddr_in6 local = {.sin6_family = AF_INET6};
    struct facts facts = {0};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    int on = 1;

    assert_int_equal(inet_pton(AF_INET6, address, &local.sin6_addr), 1);
    setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on)); /* an address that nobody has */
    assert_int_equal(bind(fd, (struct sockaddr *)&local, sizeof(local)), 0);
    assert_true(sock_facts(fd, FACT_LOCAL_IP, &facts));
    close(fd);
    assert_true(facts.known & FACT_LOCAL_PORT);
    return facts.known & FACT_LOCAL_IP;
}

static void test_a_wildcard_is_no_address(void **state)
{
    struct facts facts = {0};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    (void)state;
    assert_true(sock_facts(fd, FACT_LOCAL_PORT, &facts));
    assert_int_equal(facts.known, 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_true(sock_facts(fd, FACT_LOCAL_PORT, &facts));
    assert_int_equal(facts.known, FACT_LOCAL_PORT);
    close(fd);
    fd = socket(AF_INET6, SOCK_STREAM, 0);
    if (fd < 0)
        skip();
    close(fd);
    assert_false(bound_to("::"));
    assert_false(bound_to("::ffff:0.0.0.0"));
    assert_true(bound_to("::1"));
    assert_true(bound_to("2001:db8::"));
    assert_true(bound_to("::ffff:127.0.0.1"));
}

static void test_which_states_are_connected(void **state)
{
    unsigned connected = 1 << TCP_ESTABLISHED | 1 << TCP_CLOSE_WAIT | 1 << TCP_FIN_WAIT1 |
                         1 << TCP_FIN_WAIT2; /* tcp_need_reset(), where an abort sends RST */

    (void)state;
    for (uint8_t i = TCP_ESTABLISHED; i <= TCP_CLOSING; i++)
        assert_int_equal(sock_is_connected(i), connected >> i & 1);
}

static void test_who_waits_to_be_accepted(void **state)
{
    struct sockaddr_in address;
    socklen_t length = sizeof(address);
    int other = socket(AF_INET, SOCK_STREAM, 0);

    (void)state;
    assert_int_equal(sock_waiting(listener), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    assert_int_equal(connect(other, (struct sockaddr *)&address, length), 0);
    await(listener, POLLIN);
    assert_int_equal(sock_waiting(listener), 1);
    close(other);
    assert_int_equal(sock_waiting(-1), -1);
}

static void test_what_is_no_tcp(void **state)
{
    struct facts facts = {0};
    int udp = socket(AF_INET, SOCK_DGRAM, 0);

    (void)state;
    assert_false(sock_facts(udp, 0, &facts));
    assert_false(sock_facts(-1, 0, &facts));
    close(udp);
    assert_true(sock_is_tcp_request(AF_INET, SOCK_STREAM, 0));
    assert_true(sock_is_tcp_request(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 6));
    assert_true(sock_is_tcp_request(AF_INET, SOCK_STREAM, 262));
    assert_false(sock_is_tcp_request(AF_INET, SOCK_RAW, IPPROTO_TCP));
    assert_false(sock_is_tcp_request(AF_INET, SOCK_DGRAM, 0));
    assert_false(sock_is_tcp_request(AF_INET, SOCK_STREAM, IPPROTO_SCTP));
    assert_false(sock_is_tcp_request(AF_UNIX, SOCK_STREAM, 0));
}

static void test_queues(void **state)
{
    uint32_t unsent = 1;
    uint32_t unread = 1;

    (void)state;
    sock_queues(listener, TCP_LISTEN, &unsent, &unread); /* it has no queue of bytes */
    assert_int_equal(unsent, 0);
    assert_int_equal(unread, 0);
    sock_queues(server, TCP_ESTABLISHED, &unsent, &unread);
    assert_int_equal(unsent, 0);
    assert_int_equal(unread, 0);
    assert_int_equal(send(client, "12345", 5, 0), 5);
    await(server, POLLIN);
    sock_queues(server, TCP_ESTABLISHED, &unsent, &unread);
    assert_int_equal(unread, 5);
    /* MSG_MORE keeps a byte back, for a while. */
    for (unsent = 0; unsent == 0;) {
        assert_int_equal(send(client, "1", 1, MSG_MORE), 1);
        sock_queues(client, TCP_ESTABLISHED, &unsent, &unread);
    }
    assert_int_equal(unsent, 1);
    fill(server);
    sock_queues(server, TCP_ESTABLISHED, &unsent, &unread);
    uint32_t before = unsent;
    assert_true(before > 0);
    assert_int_equal(shutdown(server, SHUT_WR), 0);
    sock_queues(server, TCP_FIN_WAIT1, &unsent, &unread);
    assert_int_equal(unsent, before); /* the FIN is none of them */
    for (int i = TCP_ESTABLISHED; i <= TCP_CLOSING; i++) {
        bool has_fin = i == TCP_FIN_WAIT1 || i == TCP_LAST_ACK || i == TCP_CLOSING;
        sock_queues(server, i, &unsent, &unread);
        assert_int_equal(unsent, has_fin ? before : before + 1);
    }
}

static void ask_info(int fd, struct tcp_info *info)
{
    socklen_t length = sizeof(*info);

    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &length), 0);
}

/* A connection that was silent for a while; then one side sends. */
static void test_idle(void **state)
{
    struct tcp_info info;
    uint32_t milliseconds = 0;

    (void)state;
    while (milliseconds < 40)
        assert_true(sock_idle(server, &milliseconds));
    assert_int_equal(send(server, "1", 1, 0), 1);
    await(client, POLLIN);
    assert_true(sock_idle(server, &milliseconds));
    ask_info(server, &info);
    assert_true(milliseconds < info.tcpi_last_data_recv);
    assert_true(sock_idle(client, &milliseconds));
    ask_info(client, &info);
    assert_true(milliseconds < info.tcpi_last_data_sent);
    assert_false(sock_idle(-1, &milliseconds));
}

static void test_abort(void **state)
{
    (void)state;
    assert_int_equal(sock_abort(server, false), 0);
    expect_reset(client);
    expect_end(server);
    assert_int_equal(send(server, "", 1, MSG_NOSIGNAL), -1);
    assert_int_equal(errno, EPIPE);
    assert_int_equal(sock_abort(-1, false), -1);
}

static void test_is_open(void **state)
{
    int pair[2];

    (void)state;
    assert_true(sock_is_open(server));
    assert_int_equal(pipe(pair), 0);
    assert_true(sock_is_open(pair[0]));
    close(pair[0]);
    assert_false(sock_is_open(pair[0]));
    close(pair[1]);
}

static void test_holds_back(void **state)
{
    (void)state;
    assert_false(sock_holds_back(client));
    assert_int_equal(setsockopt(client, IPPROTO_TCP, TCP_CORK, &(int){1}, sizeof(int)), 0);
    assert_true(sock_holds_back(client));
    assert_false(sock_holds_back(-1));
}

/* What was in errno before is nothing of it. */
static void test_lacks(void **state)
{
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in nobodys = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    (void)state;
    errno = EADDRNOTAVAIL;
    assert_int_equal(sock_lacks(client, (struct sockaddr *)&peer, sizeof(peer)), SOCK_LACKS_NONE);
    nobodys.sin_addr.s_addr = inet_addr("192.0.2.1");
    assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &(int){1}, sizeof(int)), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&nobodys, sizeof(nobodys)), 0);
    assert_int_equal(sock_lacks(fd, (struct sockaddr *)&peer, sizeof(peer)), SOCK_LACKS_LOCAL);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_who_closes_first, begin, end),
        cmocka_unit_test_setup_teardown(test_our_own_fin_is_an_active_close, begin, end),
        cmocka_unit_test_setup_teardown(test_ends_and_cookie, begin, end),
        cmocka_unit_test_setup_teardown(test_only_what_is_asked_for, begin, end),
        cmocka_unit_test(test_a_wildcard_is_no_address),
        cmocka_unit_test(test_which_states_are_connected),
        cmocka_unit_test_setup_teardown(test_who_waits_to_be_accepted, begin, end),
        cmocka_unit_test(test_what_is_no_tcp),
        cmocka_unit_test_setup_teardown(test_queues, begin, end),
        cmocka_unit_test_setup_teardown(test_idle, begin, end),
        cmocka_unit_test_setup_teardown(test_abort, begin, end),
        cmocka_unit_test_setup_teardown(test_is_open, begin, end),
        cmocka_unit_test_setup_teardown(test_holds_back, begin, end),
        cmocka_unit_test_setup_teardown(test_lacks, begin, end),
    };

    return cmocka_run_group_tests_name("sock", tests, NULL, NULL);
}
