/* SPDX-License-Identifier: MIT */
/* The kernel's list of TCP sockets, of this network namespace: other processes' are in it too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "loopback.h"
#include "socket/diag.h"

#define MANY 500 /* more than one part of a dump holds */

static void *buffer;

struct wanted {
    uint64_t cookie;
    unsigned met;
    struct diag_socket socket;
};

static bool meet(const struct diag_socket *socket, void *context)
{
    struct wanted *wanted = context;

    if (socket->cookie == wanted->cookie) {
        wanted->met++;
        wanted->socket = *socket;
    }
    return true;
}

static uint64_t cookie_of(int fd)
{
    uint64_t cookie = 0;
    socklen_t length = sizeof(cookie);

    assert_int_equal(getsockopt(fd, SOL_SOCKET, 57 /* SO_COOKIE */, &cookie, &length), 0);
    return cookie;
}

static struct diag_socket look_for(int fd)
{
    struct wanted wanted = {.cookie = cookie_of(fd)};
    struct stat status;

    assert_int_equal(diag_each(buffer, DIAG_EVERY_STATE, meet, &wanted), 0);
    assert_int_equal(wanted.met, 1);
    assert_int_equal(fstat(fd, &status), 0);
    assert_int_equal(wanted.socket.inode, status.st_ino);
    return wanted.socket;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_in6 address;
    socklen_t length = sizeof(address);

    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    return ntohs(address.sin6_port); /* where that of IPv4 is */
}

static void test_both_ends(void **state)
{
    struct diag_socket ours = look_for(client);
    struct diag_socket theirs = look_for(server);

    (void)state;
    assert_int_equal(ours.state, TCP_ESTABLISHED);
    assert_true(ours.local.is_ipv4);
    assert_int_equal((uint32_t)ours.local.low, INADDR_LOOPBACK);
    assert_int_equal((uint32_t)ours.peer.low, INADDR_LOOPBACK);
    assert_int_equal(ours.local_port, port_of(client));
    assert_int_equal(ours.peer_port, port_of(server));
    assert_int_equal(theirs.local_port, port_of(server));
    assert_int_equal(theirs.peer_port, port_of(client));
    assert_int_equal(theirs.state, TCP_ESTABLISHED);
}

static void test_a_listener(void **state)
{
    struct diag_socket before = look_for(listener);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int other = socket(AF_INET, SOCK_STREAM, 0);

    (void)state;
    assert_int_equal(before.state, TCP_LISTEN);
    assert_int_equal(before.waiting, 0);
    assert_int_equal(before.backlog, 5);
    address.sin_port = htons(port_of(listener));
    assert_int_equal(connect(other, (struct sockaddr *)&address, sizeof(address)), 0);
    await(listener, POLLIN);
    assert_int_equal(look_for(listener).waiting, 1);
    close(other);
}

static void test_ipv6(void **state)
{
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};

    (void)state;
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        skip();
    assert_int_equal(listen(fd, 1), 0);
    struct diag_socket found = look_for(fd);
    assert_false(found.local.is_ipv4);
    assert_int_equal(found.local.high, 0);
    assert_int_equal(found.local.low, 1);
    assert_int_equal(found.local_port, port_of(fd));
    close(fd);
}

/* Each is met once, though they come in several parts. */
static void test_many(void **state)
{
    static int fds[MANY];

    (void)state;
    for (size_t i = 0; i < MANY; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(listen(fds[i], 1), 0);
    }
    look_for(fds[0]);
    look_for(fds[MANY / 2]);
    look_for(fds[MANY - 1]);
    for (size_t i = 0; i < MANY; i++)
        close(fds[i]);
}

static bool stop(const struct diag_socket *socket, void *context)
{
    (void)socket;
    ++*(unsigned *)context;
    return false;
}

static void test_the_visitor_ends_it(void **state)
{
    unsigned visits = 0;

    (void)state;
    assert_int_equal(diag_each(buffer, DIAG_EVERY_STATE, stop, &visits), -1);
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(visits, 1);
}

static void test_no_descriptor_is_needed_afterwards(void **state)
{
    struct rlimit before;
    struct rlimit none;
    struct wanted nothing = {0};
    int lowest = dup(0);

    (void)state;
    close(lowest);
    assert_int_equal(diag_each(buffer, DIAG_EVERY_STATE, meet, &nothing), 0);
    int again = dup(0);
    close(again);
    assert_int_equal(again, lowest);
    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = 0;
    setrlimit(RLIMIT_NOFILE, &none);
    int status = diag_each(buffer, DIAG_EVERY_STATE, meet, &nothing);
    int error = errno;
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(status, -1);
    assert_int_equal(error, EMFILE);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(diag_state_name(TCP_ESTABLISHED), "established");
    assert_string_equal(diag_state_name(TCP_TIME_WAIT), "time-wait");
    assert_string_equal(diag_state_name(12), "new-syn-recv");
    assert_string_equal(diag_state_name(13), "none");
    assert_string_equal(diag_state_name(0), "none");
}

static int begin_all(void **state)
{
    (void)state;
    buffer = malloc(DIAG_BUFFER_SIZE);
    return buffer ? 0 : -1;
}

static int end_all(void **state)
{
    (void)state;
    free(buffer);
    return 0;
}

/* A program may have closed its standard input. */
static void test_at_descriptor_0(void **state)
{
    int kept = dup(0);

    (void)state;
    close(0);
    assert_int_equal(look_for(client).state, TCP_ESTABLISHED);
    assert_int_equal(fcntl(0, F_GETFD), -1);
    assert_int_equal(dup2(kept, 0), 0);
    close(kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_both_ends, begin, end),
        cmocka_unit_test_setup_teardown(test_a_listener, begin, end),
        cmocka_unit_test_setup_teardown(test_at_descriptor_0, begin, end),
        cmocka_unit_test(test_ipv6),
        cmocka_unit_test(test_many),
        cmocka_unit_test_setup_teardown(test_the_visitor_ends_it, begin, end),
        cmocka_unit_test(test_no_descriptor_is_needed_afterwards),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests_name("diag", tests, begin_all, end_all);
}
