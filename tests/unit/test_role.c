/* SPDX-License-Identifier: MIT */
/* Server or client: who connected. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "loopback.h"
#include "socket/role.h"
#include "socket/sock.h"

static struct role_range range;

static struct facts met(int fd)
{
    struct facts facts = {0};

    assert_true(sock_facts(fd, FACT_COOKIE, &facts));
    sock_withhold_share(&facts);
    role_add(fd, &facts, FACT_ROLE);
    return facts;
}

/* Of both ends; before both have closed. */
static void expect_roles(void)
{
    struct facts one = met(client);
    struct facts other = met(server);

    assert_int_equal(one.known & other.known, FACT_ROLE | FACT_COOKIE);
    assert_int_equal(one.role, ROLE_CLIENT);
    assert_int_equal(other.role, ROLE_SERVER);
}

static void send_all(int from, size_t size)
{
    static char bytes[100000];

    assert_int_equal(send(from, bytes, size, 0), (ssize_t)size);
}

static void fill(int from)
{
    static char bytes[100000];

    while (send(from, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
        ;
}

static void test_data(void **state)
{
    (void)state;
    expect_roles();
    send_all(client, 1);
    expect_roles();
    send_all(server, 1);
    send_all(server, 70000);
    expect_roles();
    assert_int_equal(send(client, "!", 1, MSG_OOB), 1);
    expect_roles();
}

/* Part of it acknowledged, part in flight, part not sent. */
static void test_a_peer_that_does_not_read(void **state)
{
    (void)state;
    fill(client);
    expect_roles();
    fill(server);
    expect_roles();
}

static void test_the_end(void **state)
{
    int *const ends[] = {&client, &server};

    (void)state;
    for (int i = 0; i < 8; i++) {
        assert_int_equal(begin(NULL), 0);
        int first = *ends[i & 1];
        int second = *ends[!(i & 1)];
        if (i & 2)
            fill(first);
        if (i & 4)
            fill(second);
        shutdown(first, SHUT_WR);
        expect_roles();
        if (i & 2) /* the FIN waits behind the data: else both have closed */
            shutdown(second, SHUT_WR);
        expect_roles();
        end(NULL);
    }
}

/* While data comes and goes the numbers change between two calls. */
static void test_a_busy_connection(void **state)
{
    static char bytes[100000];
    pid_t child = fork();

    (void)state;
    if (child == 0) {
        alarm(60);
        while (recv(server, bytes, sizeof(bytes), 0) > 0 || 1)
            send(server, bytes, 1, MSG_DONTWAIT);
    }
    for (int i = 0; i < 1000; i++) {
        (void)send(client, bytes, sizeof(bytes), MSG_DONTWAIT);
        expect_roles();
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void test_a_connection_being_made(void **state)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    (void)state;
    struct facts facts = met(fd);
    assert_int_equal(facts.known, 0); /* it has no role yet, and the share is not drawn */
    facts.state = TCP_SYN_SENT;
    role_add(fd, &facts, FACT_ROLE);
    assert_int_equal(facts.role, ROLE_CLIENT);
    close(fd);
}

static void test_a_listener(void **state)
{
    struct facts facts = met(listener);

    (void)state;
    assert_int_equal(facts.role, ROLE_SERVER);
    assert_int_equal(facts.known, FACT_ROLE);
}

static void test_what_nobody_asked_for_is_not_told(void **state)
{
    struct facts facts = {.state = TCP_ESTABLISHED, .known = FACT_COOKIE};

    (void)state;
    role_add(client, &facts, FACT_COOKIE);
    assert_int_equal(facts.known, FACT_COOKIE);
}

/* -1 stands for a kernel that does not show it. */
static void test_the_port_decides_else(void **state)
{
    static const struct {
        int beyond; /* the range's ends */
        int of_high;
        uint8_t role;
    } ports[] = {
        {-1, 0, ROLE_SERVER}, {0, 0, ROLE_CLIENT}, {0, 1, ROLE_CLIENT}, {1, 1, ROLE_SERVER}};

    (void)state;
    role_read_range(&range);
    for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
        struct facts facts = {.state = TCP_ESTABLISHED, .known = FACT_LOCAL_PORT};
        facts.local_port =
            (uint16_t)((ports[i].of_high ? range.high : range.low) + ports[i].beyond);
        role_add(-1, &facts, FACT_ROLE);
        assert_int_equal(facts.role, ports[i].role);
        assert_true(facts.known & FACT_ROLE);
    }
}

static void test_the_range_of_this_namespace(void **state)
{
    FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "r");
    unsigned low = 32768;
    unsigned high = 60999;

    (void)state;
    if (file) {
        assert_int_equal(fscanf(file, "%u %u", &low, &high), 2);
        fclose(file);
    }
    range.low = range.high = 1;
    role_read_range(&range);
    assert_int_equal(range.low, low);
    assert_int_equal(range.high, high);
}

static void write_to(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    ssize_t length;

    for (size_t at = 0; at < strlen(text); at += (size_t)length) {
        length = write(fd, text + at, strlen(text + at)); /* it takes no more than a page */
        if (length <= 0)
            _exit(77); /* /proc is read-only */
    }
    close(fd);
}

/* In a process of its own: 0 if that is the range, and no descriptor is left open. */
static int read_in_child(const char *root, const char *text, uint16_t low, uint16_t high)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        if (root ? chroot(root) != 0 : unshare(CLONE_NEWNET) != 0)
            _exit(77); /* not root */
        if (text) {
            write_to("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
            write_to("/proc/sys/net/ipv4/ip_local_port_range", text);
        }
        close(0); /* A program may run without standard input: the file is descriptor 0 then. */
        range.low = range.high = 1;
        role_read_range(&range);
        _exit(range.low == low && range.high == high && dup(STDERR_FILENO) == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WEXITSTATUS(status) == 77)
        skip();
    return status;
}

static void test_ranges(void **state)
{
    (void)state;
    assert_int_equal(read_in_child(NULL, "20000 20001", 20000, 20001), 0);
    assert_int_equal(read_in_child(NULL, "40001 40001", 40001, 40001), 0);
    assert_int_equal(read_in_child(NULL, "1 65535", 1, 65535), 0);
}

/* What the kernel answers for `text`: which of the ports 1000 to 1009 are reserved. */
static int reserved_in_child(const char *text, const char *marks)
{
    static bool reserved[10];
    int status;
    pid_t child = fork();

    if (child == 0) {
        bool same = true;
        if (unshare(CLONE_NEWNET) != 0)
            _exit(77); /* not root */
        write_to("/proc/sys/net/ipv4/ip_local_reserved_ports", text);
        close(0);
        role_read_reserved((struct role_range){1000, 1009}, reserved);
        for (int i = 0; i < 10; i++)
            same = same && reserved[i] == (marks[i] == 'x');
        _exit(same && dup(STDERR_FILENO) == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WEXITSTATUS(status) == 77)
        skip();
    return status;
}

static void test_reserved_ports(void **state)
{
    static char every_other[200000];
    size_t length = 0;

    (void)state;
    assert_int_equal(reserved_in_child("\n", ".........."), 0);
    assert_int_equal(reserved_in_child("1003", "...x......"), 0);
    assert_int_equal(reserved_in_child("1000,1009", "x........x"), 0);
    assert_int_equal(reserved_in_child("999,1010", ".........."), 0);
    assert_int_equal(reserved_in_child("1,80-1001,1004-1006,1008-65535", "xx..xxx.xx"), 0);
    for (int port = 1; port < 65535; port += 2)
        length += (size_t)sprintf(every_other + length, "%d,", port);
    assert_int_equal(reserved_in_child(every_other, ".x.x.x.x.x"), 0);
}

/* As in a container without /proc. */
static void test_the_range_where_it_cannot_be_read(void **state)
{
    (void)state;
    assert_int_equal(read_in_child("/dev", NULL, 32768, 60999), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_data, begin, end),
        cmocka_unit_test_setup_teardown(test_a_peer_that_does_not_read, begin, end),
        cmocka_unit_test(test_the_end),
        cmocka_unit_test_setup_teardown(test_a_busy_connection, begin, end),
        cmocka_unit_test(test_a_connection_being_made),
        cmocka_unit_test_setup_teardown(test_a_listener, begin, end),
        cmocka_unit_test_setup_teardown(test_what_nobody_asked_for_is_not_told, begin, end),
        cmocka_unit_test(test_the_port_decides_else),
        cmocka_unit_test(test_the_range_of_this_namespace),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_reserved_ports),
        cmocka_unit_test(test_the_range_where_it_cannot_be_read),
    };

    return cmocka_run_group_tests_name("role", tests, NULL, NULL);
}
