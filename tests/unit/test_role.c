/* SPDX-License-Identifier: MIT */
/* Server or client, by state and local port. */
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
#include <unistd.h>

#include "socket/role.h"

static struct role_ports ports;

static int begin(void **state)
{
    (void)state;
    ports = (struct role_ports){.low = 32768, .high = 60999};
    return 0;
}

static struct facts met(uint8_t tcp_state, uint16_t local_port)
{
    struct facts facts = {
        .state = tcp_state, .known = FACT_LOCAL_PORT | FACT_COOKIE, .local_port = local_port};

    role_complete(&ports, &facts, FACT_ROLE);
    return facts;
}

static void test_the_range(void **state)
{
    (void)state;
    assert_true(role_is_served(&ports, 32767));
    assert_false(role_is_served(&ports, 32768));
    assert_false(role_is_served(&ports, 60999));
    assert_true(role_is_served(&ports, 61000));
    assert_true(role_is_served(&ports, 1));
    assert_true(role_is_served(&ports, 65535));
}

static void test_a_port_that_was_listened_on(void **state)
{
    (void)state;
    role_note_served(&ports, 40000);
    assert_true(role_is_served(&ports, 40000));
    for (unsigned port = 32768; port <= 60999; port++)
        assert_int_equal(role_is_served(&ports, (uint16_t)port), port == 40000);
}

/* What connect() and accept() showed of the port counts before the range does. */
static void test_a_port_whose_role_was_seen(void **state)
{
    struct facts client = {
        .role = ROLE_CLIENT, .known = FACT_ROLE | FACT_LOCAL_PORT, .local_port = 80};
    struct facts server = {
        .role = ROLE_SERVER, .known = FACT_ROLE | FACT_LOCAL_PORT, .local_port = 50000};

    (void)state;
    role_note(&ports, &client);
    assert_false(role_is_served(&ports, 80));
    role_note(&ports, &server);
    assert_true(role_is_served(&ports, 50000));
    client.local_port = 50000;
    role_note(&ports, &client);
    assert_true(role_is_served(&ports, 50000));
    client.local_port = 81;
    client.known = FACT_ROLE;
    role_note(&ports, &client);
    client.known = FACT_LOCAL_PORT;
    role_note(&ports, &client);
    assert_true(role_is_served(&ports, 81));
}

static void test_role_by_state(void **state)
{
    static const uint8_t connected[] = {TCP_ESTABLISHED, TCP_CLOSE_WAIT, TCP_FIN_WAIT1,
                                        TCP_LAST_ACK,    TCP_CLOSING,    TCP_SYN_RECV};

    (void)state;
    for (size_t i = 0; i < sizeof(connected); i++) {
        struct facts client = met(connected[i], 50000);
        struct facts server = met(connected[i], 80);
        assert_int_equal(client.role, ROLE_CLIENT);
        assert_int_equal(server.role, ROLE_SERVER);
        assert_int_equal(client.known & server.known, FACT_ROLE | FACT_LOCAL_PORT | FACT_COOKIE);
    }
}

/* bind() to a service's port, then connect(): on its way it is a client's whatever its port. */
static void test_a_connection_being_made_is_a_clients(void **state)
{
    struct facts facts;

    (void)state;
    facts = met(TCP_SYN_SENT, 80);
    assert_int_equal(facts.role, ROLE_CLIENT);
    assert_true(facts.known & FACT_ROLE);
    role_note_served(&ports, 50000);
    facts = met(TCP_SYN_SENT, 50000);
    assert_int_equal(facts.role, ROLE_CLIENT);
}

static void test_a_listener_is_a_servers_and_is_noted(void **state)
{
    struct facts facts;

    (void)state;
    facts = met(TCP_LISTEN, 50001);
    assert_int_equal(facts.role, ROLE_SERVER);
    assert_int_equal(facts.known, FACT_ROLE | FACT_LOCAL_PORT); /* no share of a listener */
    facts = met(TCP_ESTABLISHED, 50001);
    assert_int_equal(facts.role, ROLE_SERVER);
}

static void test_a_listener_whose_port_nobody_asked_for_is_not_noted(void **state)
{
    struct facts facts = {.state = TCP_LISTEN};

    (void)state;
    ports.low = 0;
    role_complete(&ports, &facts, 0);
    assert_int_equal(facts.known, 0);
    assert_false(role_is_served(&ports, 0));
}

static void test_unconnected_has_no_role_yet(void **state)
{
    struct facts facts;

    (void)state;
    facts = met(TCP_CLOSE, 80);
    assert_int_equal(facts.known, FACT_LOCAL_PORT);
}

static void test_what_nobody_asked_for_is_not_told(void **state)
{
    struct facts facts = {.state = TCP_ESTABLISHED, .known = FACT_COOKIE};

    (void)state;
    role_complete(&ports, &facts, FACT_COOKIE);
    assert_int_equal(facts.known, FACT_COOKIE);
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
    ports.low = ports.high = 1;
    role_read_range(&ports);
    assert_int_equal(ports.low, low);
    assert_int_equal(ports.high, high);
}

static void write_to(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);

    if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        _exit(77); /* /proc is read-only */
    close(fd);
}

/* In a process of its own: 0 if that is the range, and no descriptor is left open. */
static int read_in_child(const char *root, const char *range, uint16_t low, uint16_t high)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        if (root ? chroot(root) != 0 : unshare(CLONE_NEWNET) != 0)
            _exit(77); /* not root */
        if (range) {
            write_to("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
            write_to("/proc/sys/net/ipv4/ip_local_port_range", range);
        }
        close(0); /* A program may run without standard input: the file is descriptor 0 then. */
        ports.low = ports.high = 1;
        role_read_range(&ports);
        _exit(ports.low == low && ports.high == high && dup(STDERR_FILENO) == 0 ? 0 : 1);
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

/* As in a container without /proc. */
static void test_the_range_where_it_cannot_be_read(void **state)
{
    (void)state;
    assert_int_equal(read_in_child("/dev", NULL, 32768, 60999), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_the_range, begin),
        cmocka_unit_test_setup(test_a_port_that_was_listened_on, begin),
        cmocka_unit_test_setup(test_a_port_whose_role_was_seen, begin),
        cmocka_unit_test_setup(test_role_by_state, begin),
        cmocka_unit_test_setup(test_a_connection_being_made_is_a_clients, begin),
        cmocka_unit_test_setup(test_a_listener_is_a_servers_and_is_noted, begin),
        cmocka_unit_test_setup(test_a_listener_whose_port_nobody_asked_for_is_not_noted, begin),
        cmocka_unit_test_setup(test_unconnected_has_no_role_yet, begin),
        cmocka_unit_test_setup(test_what_nobody_asked_for_is_not_told, begin),
        cmocka_unit_test_setup(test_the_range_of_this_namespace, begin),
        cmocka_unit_test_setup(test_ranges, begin),
        cmocka_unit_test_setup(test_the_range_where_it_cannot_be_read, begin),
    };

    return cmocka_run_group_tests_name("role", tests, NULL, NULL);
}
