/* SPDX-License-Identifier: MIT */
/* Each moment of a connection's life, by its own function: what the socket carries afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>

#include "core/moments.h"
#include "loopback.h"
#include "rows.h"
#include "socket/sock.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static struct settings settings[2];

static void parse(struct settings *s, const char *policy)
{
    struct policy_error error;

    memset(s, 0, sizeof(*s));
    assert_int_equal(policy_parse(&s->mode, POLICY_TEARDOWN, policy, strlen(policy), false, &error),
                     0);
}

static void start(const char *policy, enum backend backend)
{
    parse(&settings[0], policy);
    settings[0].backend = backend;
    moments_wanted = 0;
    moments_start(&settings[0], "test");
}

/* A new connection under the policy, of which no moment has been seen yet. */
static void connect_under(const char *policy)
{
    start(policy, BACKEND_PRELOAD);
    assert_int_equal(begin(NULL), 0);
}

static int mode_of(int fd)
{
    struct verdict applied;

    assert_true(sock_applied(fd, &applied));
    return applied.mode;
}

/* As a program does it: {1, 0} or off. */
static void set_linger(int fd, bool on)
{
    struct linger linger = {on, 0};

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
}

static struct sockaddr_in address_of(int fd)
{
    struct sockaddr_in address;
    socklen_t length = sizeof(address);

    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    return address;
}

/* The first test: what it makes accept() do is never taken back. */
static void test_accept(void **state)
{
    int udp = socket(AF_INET, SOCK_DGRAM, 0);

    (void)state;
    start("rst", BACKEND_PRELOAD);
    assert_false(moments_wanted & MOMENT_ACCEPT);
    moments_socket(udp, AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(mode_of(udp), MODE_FIN);
    moments_socket(-1, AF_INET, SOCK_STREAM, 0); /* as one that refuses */
    assert_true(moments_wanted & MOMENT_ACCEPT);
    connect_under("rst role=server");
    moments_accept(server, NULL, 0);
    assert_int_equal(mode_of(server), MODE_RST);
    moments_accept(udp, NULL, 0);
    assert_int_equal(mode_of(udp), MODE_FIN);
    end(NULL);
    close(udp);
}

static void test_socket(void **state)
{
    static const enum policy_mode modes[] = {MODE_RST, MODE_FIN_RST};
    static const char *const policies[] = {"rst", "fin-rst; rst port=80"};

    (void)state;
    for (size_t i = 0; i < COUNT(policies); i++) {
        start(policies[i], BACKEND_PRELOAD);
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        moments_socket(fd, AF_INET, SOCK_STREAM, 0);
        assert_int_equal(mode_of(fd), modes[i]);
        assert_false(moments_wanted & MOMENT_ACCEPT);
        close(fd);
    }
}

/* What was there before the library: a listener on descriptor 0, a connection, and a socket. */
static void test_at_load(void **state)
{
    static const struct {
        const char *policy;
        enum policy_mode of_listener, of_server, of_client, of_unconnected;
        bool accept_decides;
    } cases[] = {
        {"", MODE_FIN, MODE_FIN, MODE_FIN, MODE_FIN, false},
        {"off", MODE_FIN, MODE_FIN, MODE_FIN, MODE_FIN, false},
        {"rst", MODE_RST, MODE_RST, MODE_RST, MODE_RST, false},
        {"rst role=server", MODE_RST, MODE_RST, MODE_FIN, MODE_FIN, false},
        {"rst role=client", MODE_FIN, MODE_FIN, MODE_RST, MODE_FIN, false},
        {"rst peer=127.0.0.1", MODE_FIN, MODE_RST, MODE_RST, MODE_FIN, true},
        {"rst local=127.0.0.1", MODE_RST, MODE_RST, MODE_RST, MODE_FIN, false},
        {"rst when=active", MODE_FIN, MODE_FIN, MODE_FIN, MODE_FIN,
         false}, /* nothing is looked at */
    };

    ROW_NAMED(i, cases, policy);
    int standard_input = dup(0);

    assert_int_equal(begin(NULL), 0);
    int unconnected = socket(AF_INET, SOCK_STREAM, 0);
    dup2(listener, 0);
    close(listener);
    start(cases[i].policy, BACKEND_PRELOAD);
    assert_int_equal(mode_of(0), cases[i].of_listener);
    assert_int_equal(mode_of(server), cases[i].of_server);
    assert_int_equal(mode_of(client), cases[i].of_client);
    assert_int_equal(mode_of(unconnected), cases[i].of_unconnected);
    assert_int_equal((moments_wanted & MOMENT_ACCEPT) != 0, cases[i].accept_decides);
    dup2(standard_input, 0);
    close(unconnected);
    close(server);
    close(client);
    close(standard_input);
}

static void test_a_listener_alone_at_load(void **state)
{
    int standard_input = dup(0);
    int other = socket(AF_INET, SOCK_STREAM, 0);

    (void)state;
    assert_int_equal(begin(NULL), 0);
    dup2(listener, 0);
    end(NULL);
    struct sockaddr_in address = address_of(0);
    close(other);
    start("rst role=server", BACKEND_PRELOAD);
    assert_int_equal(mode_of(0), MODE_RST);
    assert_false(moments_wanted & MOMENT_ACCEPT);
    /* Whoever waits already has inherited what the listener had before. */
    other = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(other, (struct sockaddr *)&address, sizeof(address)), 0);
    await(0, POLLIN);
    start("rst role=server", BACKEND_PRELOAD);
    assert_true(moments_wanted & MOMENT_ACCEPT);
    close(other);
    dup2(standard_input, 0);
    close(standard_input);
}

static void test_connect(void **state)
{
    static const struct {
        const char *policy;
        enum backend backend;
        bool asks_peer, asks_again;
        enum policy_mode before, after;
    } cases[] = {
        {"rst", BACKEND_PRELOAD, false, false, MODE_FIN, MODE_RST}, /* socket() did it */
        {"rst", BACKEND_SUPERVISE, false, false, MODE_RST, MODE_RST},
        {"fin-rst", BACKEND_SUPERVISE, false, false, MODE_FIN_RST, MODE_FIN_RST},
        {"rst role=client", BACKEND_PRELOAD, false, false, MODE_RST, MODE_RST},
        {"rst role=server", BACKEND_PRELOAD, false, false, MODE_FIN, MODE_FIN},
        {"rst peer=127.0.0.1", BACKEND_PRELOAD, true, false, MODE_RST, MODE_RST},
        {"rst peer=10.0.0.1", BACKEND_PRELOAD, true, false, MODE_FIN, MODE_FIN},
        {"rst port=1-65535", BACKEND_PRELOAD, true, false, MODE_RST, MODE_RST},
        {"rst local=127.0.0.1", BACKEND_PRELOAD, false, true, MODE_FIN, MODE_RST},
        {"rst local=:1-65535", BACKEND_PRELOAD, false, true, MODE_FIN, MODE_RST},
        {"rst local=10.0.0.1", BACKEND_PRELOAD, false, true, MODE_FIN, MODE_FIN},
        {"rst when=active", BACKEND_PRELOAD, false, false, MODE_FIN, MODE_FIN},
    };

    ROW_NAMED(i, cases, policy);

    start(cases[i].policy, cases[i].backend);
    assert_int_equal(begin(NULL), 0);
    struct sockaddr_in peer = address_of(listener);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(moments_asks_peer(), cases[i].asks_peer);
    assert_int_equal(moments_connect(fd, (struct sockaddr *)&peer, sizeof(peer)) == MOMENTS_OPEN,
                     cases[i].asks_again);
    assert_int_equal(mode_of(fd), cases[i].before);
    assert_int_equal(connect(fd, (struct sockaddr *)&peer, sizeof(peer)), 0);
    moments_connected(fd);
    assert_int_equal(mode_of(fd), cases[i].after);
    close(fd);
    end(NULL);
}

static void test_asks_nothing(void **state)
{
    (void)state;
    start("fin-rst", BACKEND_SUPERVISE);
    assert_true(moments_asks_nothing());
    start("fin-rst overrule=no", BACKEND_SUPERVISE); /* what is set already? */
    assert_false(moments_asks_nothing());
    start("fin-rst role=client", BACKEND_SUPERVISE);
    assert_false(moments_asks_nothing());
    start("rst", BACKEND_SUPERVISE); /* SO_LINGER is an option of any socket */
    assert_false(moments_asks_nothing());
}

/* The supervisor passes no address where the policy does not need it. */
static void test_connect_to_whom(void **state)
{
    static const struct sockaddr_in nobody = {.sin_family = AF_UNSPEC};
    static const struct sockaddr_in somebody = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    (void)state;
    connect_under("rst role=client");
    assert_int_equal(moments_connect(fd, (const struct sockaddr *)&nobody, sizeof(nobody)),
                     MOMENTS_PASSED_OVER);
    assert_int_equal(mode_of(fd), MODE_FIN);
    assert_int_equal(moments_connect(fd, NULL, 0), MOMENTS_SETTLED);
    assert_int_equal(mode_of(fd), MODE_RST);
    /* That asks for the result of the first one. */
    assert_int_equal(moments_connect(client, (const struct sockaddr *)&somebody, sizeof(somebody)),
                     MOMENTS_PASSED_OVER);
    assert_int_equal(mode_of(client), MODE_FIN);
    close(fd);
    end(NULL);
}

static void test_listen(void **state)
{
    static const struct {
        const char *policy;
        enum backend backend;
        bool is_bound, settled;
        enum policy_mode before, after;
        bool accept_decides;
    } cases[] = {
        {"rst", BACKEND_PRELOAD, true, true, MODE_FIN, MODE_FIN, false}, /* socket() did it */
        {"rst", BACKEND_SUPERVISE, true, true, MODE_RST, MODE_RST, false},
        {"rst role=server", BACKEND_PRELOAD, true, true, MODE_RST, MODE_RST, false},
        {"rst role=server", BACKEND_PRELOAD, false, false, MODE_FIN, MODE_RST, false},
        {"rst role=client", BACKEND_PRELOAD, true, true, MODE_FIN, MODE_FIN, false},
        {"rst port=1-65535", BACKEND_PRELOAD, true, true, MODE_RST, MODE_RST, false},
        {"rst local=127.0.0.1", BACKEND_PRELOAD, true, true, MODE_RST, MODE_RST, false},
        {"rst peer=127.0.0.1", BACKEND_PRELOAD, true, false, MODE_FIN, MODE_FIN, true},
    };

    ROW_NAMED(i, cases, policy);

    static const struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = 0x0100007f};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (cases[i].is_bound)
        assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
    parse(&settings[0], "");
    start(cases[i].policy, cases[i].backend);
    set_linger(fd, false);
    moments_wanted = 0;
    assert_int_equal(moments_listen(fd), cases[i].settled);
    assert_int_equal(mode_of(fd), cases[i].before);
    assert_int_equal(listen(fd, 1), 0);
    if (!cases[i].settled)
        moments_listening(fd);
    assert_int_equal(mode_of(fd), cases[i].after);
    assert_int_equal((moments_wanted & MOMENT_ACCEPT) != 0, cases[i].accept_decides);
    close(fd);
}

static void test_the_program_sets_an_option(void **state)
{
    static const struct {
        const char *policy;
        int level;
        int option;
        bool is_ours;
    } cases[] = {
        {"rst", SOL_SOCKET, SO_LINGER, true},
        {"rst", IPPROTO_TCP, TCP_LINGER2, true},
        {"rst", IPPROTO_TCP, SO_LINGER, false},
        {"rst", SOL_SOCKET, TCP_LINGER2, false},
        {"rst", SOL_SOCKET, SO_KEEPALIVE, false},
        {"rst overrule=no", SOL_SOCKET, SO_LINGER, false},
        {"off port=1-65535; rst", SOL_SOCKET, SO_LINGER, false},
        {"rst role=client", SOL_SOCKET, SO_LINGER, true},
        {"rst role=server", SOL_SOCKET, SO_LINGER, false},
        {"rst when=active", SOL_SOCKET, SO_LINGER, false}, /* close() decides */
    };

    ROW_NAMED(i, cases, policy);
    connect_under(cases[i].policy);
    moments_setsockopt(client, cases[i].level, cases[i].option);
    assert_int_equal(mode_of(client), cases[i].is_ours ? MODE_RST : MODE_FIN);
    end(NULL);
}

static void test_the_program_sets_an_option_of_a_new_socket(void **state)
{
    (void)state;
    start("rst role=client", BACKEND_PRELOAD);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    moments_setsockopt(fd, SOL_SOCKET, SO_LINGER);
    assert_int_equal(mode_of(fd), MODE_FIN); /* it may become a listener */
    close(fd);
}

static void test_shutdown(void **state)
{
    static const struct {
        const char *policy;
        int how;
        bool sets_abort, peer_has_closed, is_aborted;
    } cases[] = {
        {"rst", SHUT_RDWR, false, false, true},
        {"rst", SHUT_WR, false, false, false},
        {"rst", SHUT_RD, false, false, false},
        {"fin", SHUT_RDWR, true, false, false},
        {"rst port=1-65535", SHUT_RDWR, false, false, true},
        {"rst role=client", SHUT_RDWR, false, false, true},
        {"rst role=server", SHUT_RDWR, false, false, false},
        {"rst when=passive", SHUT_RDWR, false, false, false},
        {"rst when=passive", SHUT_RDWR, false, true, true},
        {"rst overrule=no", SHUT_RDWR, false, false, false},
        {"rst overrule=no", SHUT_RDWR, true, false, true},
        {"off port=1-65535 overrule=no; rst", SHUT_RDWR, true, false, false},
    };

    ROW_NAMED(i, cases, policy);

    connect_under(cases[i].policy);
    set_linger(client, cases[i].sets_abort);
    if (cases[i].peer_has_closed) {
        assert_int_equal(shutdown(server, SHUT_WR), 0);
        await(client, POLLRDHUP);
    }
    assert_int_equal(moments_shutdown(client, cases[i].how), cases[i].is_aborted);
    if (cases[i].is_aborted)
        expect_reset(server);
    assert_false(moments_shutdown(listener, SHUT_RDWR));
    end(NULL);
}

static void test_close(void **state)
{
    static const struct {
        const char *policy;
        bool sets_abort;
        enum policy_mode is;
    } cases[] = {
        {"rst when=active", false, MODE_RST},
        {"rst when=passive", false, MODE_FIN},
        {"fin when=active", true, MODE_FIN},
        {"fin when=active overrule=no", true, MODE_RST},
        {"rst role=client when=active", false, MODE_RST},
        {"rst", false, MODE_FIN}, /* birth's verdict: the program may be in a sandbox by now */
        {"rst role=client", false, MODE_FIN},
    };

    ROW_NAMED(i, cases, policy);

    connect_under(cases[i].policy);
    int unconnected = socket(AF_INET, SOCK_STREAM, 0);
    set_linger(client, cases[i].sets_abort);
    moments_close(client);
    assert_int_equal(mode_of(client), cases[i].is);
    moments_close(listener);
    assert_int_equal(mode_of(listener), MODE_FIN);
    if (i == 4) {
        moments_close(unconnected);
        assert_int_equal(mode_of(unconnected), MODE_FIN);
    }
    close(unconnected);
    end(NULL);
}

static void test_exit(void **state)
{
    (void)state;
    start("rst local=127.0.0.1 role=client", BACKEND_SUPERVISE);
    assert_int_equal(begin(NULL), 0);
    int unconnected = socket(AF_INET, SOCK_STREAM, 0);
    moments_exit(client);
    moments_exit(server);
    moments_exit(unconnected);
    assert_int_equal(mode_of(client), MODE_RST);
    assert_int_equal(mode_of(server), MODE_FIN);
    assert_int_equal(mode_of(unconnected), MODE_FIN);
    end(NULL);
    close(unconnected);
    start("rst local=127.0.0.1", BACKEND_SUPERVISE);
    assert_int_equal(begin(NULL), 0);
    moments_exit(listener);
    assert_int_equal(mode_of(listener), MODE_FIN);
    end(NULL);
}

static void test_replace(void **state)
{
    struct rlimit limit;

    (void)state;
    connect_under("rst when=active");
    moments_replace(server, server);
    moments_replace(-1, server);
    assert_int_equal(mode_of(server), MODE_FIN);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    struct rlimit less = {(rlim_t)server, limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &less), 0);
    moments_replace(0, server); /* no dup2() can */
    assert_int_equal(mode_of(server), MODE_FIN);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    moments_replace(0, server);
    assert_int_equal(mode_of(server), MODE_RST);
    end(NULL);
}

/* prog=, when a process has become another program. */
static void test_switch(void **state)
{
    (void)state;
    connect_under("rst");
    parse(&settings[1], "fin-rst");
    moments_switch(&settings[1]);
    moments_setsockopt(server, SOL_SOCKET, SO_LINGER);
    assert_int_equal(mode_of(server), MODE_FIN_RST);
    end(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accept),
        cmocka_unit_test(test_socket),
        cmocka_unit_test_prestate(test_at_load, ROWS),
        cmocka_unit_test(test_a_listener_alone_at_load),
        cmocka_unit_test_prestate(test_connect, ROWS),
        cmocka_unit_test(test_asks_nothing),
        cmocka_unit_test(test_connect_to_whom),
        cmocka_unit_test_prestate(test_listen, ROWS),
        cmocka_unit_test_prestate(test_the_program_sets_an_option, ROWS),
        cmocka_unit_test(test_the_program_sets_an_option_of_a_new_socket),
        cmocka_unit_test_prestate(test_shutdown, ROWS),
        cmocka_unit_test_prestate(test_close, ROWS),
        cmocka_unit_test(test_exit),
        cmocka_unit_test(test_replace),
        cmocka_unit_test(test_switch),
    };

    return rows_run(tests, NULL, NULL);
}
