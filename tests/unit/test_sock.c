/* What the kernel is asked, of real connections on the loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "sock.h"

#define TIME_LIMIT 10000 /* ms */

static int listener;
static int client;
static int server;

static int begin(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);

    (void)state;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    client = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 5) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0 ||
        connect(client, (struct sockaddr *)&address, length) != 0)
        return -1;
    server = accept(listener, NULL, NULL);
    return server < 0 ? -1 : 0;
}

static int end(void **state)
{
    (void)state;
    close(client);
    close(server);
    close(listener);
    return 0;
}

static void await(int fd, short event)
{
    struct pollfd ready = {.fd = fd, .events = event};

    assert_int_equal(poll(&ready, 1, TIME_LIMIT), 1);
}

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

static void test_each_mode_is_read_back(void **state)
{
    struct verdict applied;
    struct verdict verdict = {.seconds = 7};

    (void)state;
    for (enum policy_mode mode = MODE_FIN; mode < MODE_TEARDOWNS; mode++) {
        verdict.mode = (uint8_t)mode;
        verdict.seconds = mode == MODE_WAIT ? 7 : 0;
        assert_null(sock_apply(server, &verdict, false));
        assert_true(sock_applied(server, &applied));
        assert_int_equal(applied.mode, mode);
        assert_int_equal(applied.seconds, verdict.seconds);
        verdict.mode = MODE_OFF;
        assert_null(sock_apply(server, &verdict, false));
        assert_true(sock_applied(server, &applied));
        assert_int_equal(applied.mode, mode);
    }
}

static void test_at_birth_only_what_differs_is_set(void **state)
{
    struct verdict verdict = {.mode = MODE_FIN};
    struct verdict applied;

    (void)state;
    for (enum policy_mode mode = MODE_FIN; mode < MODE_TEARDOWNS; mode++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        verdict.mode = (uint8_t)mode;
        verdict.seconds = mode == MODE_WAIT ? 7 : 0;
        assert_null(sock_apply(fd, &verdict, true));
        assert_true(sock_applied(fd, &applied));
        assert_int_equal(applied.mode, mode);
        close(fd);
    }
    /* Already RST: nothing that fin would have to take back is there at birth. */
    verdict = (struct verdict){.mode = MODE_RST};
    assert_null(sock_apply(server, &verdict, false));
    verdict.mode = MODE_FIN;
    assert_null(sock_apply(server, &verdict, true));
    assert_true(sock_applied(server, &applied));
    assert_int_equal(applied.mode, MODE_RST);
}

/* getsockopt() says 0 where net.ipv4.tcp_fin_timeout is 0 (do_tcp_getsockopt()). */
static void test_the_mode_of_a_linger(void **state)
{
    struct sock_linger linger = {.has_linger2 = true};

    (void)state;
    assert_int_equal(sock_linger_mode(&linger).mode, MODE_FIN);
    linger.linger2 = -1;
    assert_int_equal(sock_linger_mode(&linger).mode, MODE_FIN_RST);
    linger.on = 1;
    assert_int_equal(sock_linger_mode(&linger).mode, MODE_RST);
    linger.seconds = 1;
    assert_int_equal(sock_linger_mode(&linger).mode, MODE_WAIT);
    assert_int_equal(sock_linger_mode(&linger).seconds, 1);
    linger.seconds = UINT16_MAX + 1;
    assert_int_equal(sock_linger_mode(&linger).seconds, UINT16_MAX);
}

static void test_queues(void **state)
{
    uint32_t unsent = 1;
    uint32_t unread = 1;

    (void)state;
    sock_queues(server, TCP_ESTABLISHED, &unsent, &unread);
    assert_int_equal(unsent, 0);
    assert_int_equal(unread, 0);
    assert_int_equal(send(client, "12345", 5, 0), 5);
    await(server, POLLIN);
    sock_queues(server, TCP_ESTABLISHED, &unsent, &unread);
    assert_int_equal(unread, 5);
    fill(server);
    sock_queues(server, TCP_ESTABLISHED, &unsent, &unread);
    uint32_t before = unsent;
    assert_true(before > 0);
    assert_int_equal(shutdown(server, SHUT_WR), 0);
    sock_queues(server, TCP_FIN_WAIT1, &unsent, &unread);
    assert_int_equal(unsent, before); /* the FIN is none of them */
}

static void test_abort(void **state)
{
    char byte;

    (void)state;
    assert_int_equal(sock_abort(server, false), 0);
    await(client, POLLIN);
    assert_int_equal(recv(client, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    assert_int_equal(recv(server, &byte, 1, 0), 0);
    assert_int_equal(send(server, &byte, 1, MSG_NOSIGNAL), -1);
    assert_int_equal(errno, EPIPE);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_who_closes_first, begin, end),
        cmocka_unit_test_setup_teardown(test_our_own_fin_is_an_active_close, begin, end),
        cmocka_unit_test_setup_teardown(test_ends_and_cookie, begin, end),
        cmocka_unit_test(test_what_is_no_tcp),
        cmocka_unit_test_setup_teardown(test_each_mode_is_read_back, begin, end),
        cmocka_unit_test_setup_teardown(test_at_birth_only_what_differs_is_set, begin, end),
        cmocka_unit_test(test_the_mode_of_a_linger),
        cmocka_unit_test_setup_teardown(test_queues, begin, end),
        cmocka_unit_test_setup_teardown(test_abort, begin, end),
        cmocka_unit_test_setup_teardown(test_is_open, begin, end),
    };

    return cmocka_run_group_tests_name("sock", tests, NULL, NULL);
}
