/* SPDX-License-Identifier: MIT */
/* Who holds a port, counted among real sockets of the loopback; and in words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "rows.h"
#include "socket/diag.h"
#include "socket/portholders.h"
#include "socket/role.h"

#define TIME_LIMIT 60 /* s */

static int connect_to(const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(connect(fd, (const struct sockaddr *)address, sizeof(*address)), 0);
    return fd;
}

static struct portholders find(uint16_t port)
{
    struct portholders use = {.port = port};

    assert_true(portholders_find(&use));
    return use;
}

/* Pages that this process has mapped. */
static long mapped(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long pages = -1;

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%ld", &pages), 1);
    fclose(file);
    return pages;
}

static bool ignore(const struct diag_socket *socket, void *context)
{
    (void)socket;
    (void)context;
    return true;
}

static void test_what_is_counted(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t length = sizeof(address);
    static uint64_t buffer[DIAG_BUFFER_SIZE / sizeof(uint64_t)];
    struct portholders use;
    time_t limit = time(NULL) + TIME_LIMIT;
    int server[3];
    int client[3];
    char end;

    (void)state;
    if (diag_each(buffer, DIAG_EVERY_STATE, ignore, NULL) != 0)
        skip(); /* this kernel has no sock_diag(7) */
    assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    uint16_t port = ntohs(address.sin_port);
    use = find(port);
    assert_int_equal(use.listeners + use.time_wait + use.others, 0);
    assert_int_equal(listen(listener, 5), 0);
    for (int i = 0; i < 3; i++) {
        client[i] = connect_to(&address);
        server[i] = accept(listener, NULL, NULL);
        /* Its timer runs for two hours, and is not that of a TIME_WAIT. */
        setsockopt(server[i], SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int));
    }
    use = find(port);
    assert_int_equal(use.listeners, 1);
    assert_int_equal(use.time_wait, 0);
    assert_int_equal(use.others, 3);
    assert_int_equal(use.last, 0);
    for (int i = 1; i < 3; i++) {
        close(server[i]);
        assert_int_equal(read(client[i], &end, 1), 0);
        close(client[i]);
    }
    do
        use = find(port);
    while (use.time_wait < 2 && time(NULL) < limit);
    assert_int_equal(use.listeners, 1);
    assert_int_equal(use.time_wait, 2);
    assert_int_equal(use.others, 1);
    assert_in_range(use.last, 30000, 61000);
    long before = mapped();
    for (int i = 0; i < 100; i++)
        (void)find(port);
    assert_true(mapped() < before + 100);
    close(server[0]);
    close(client[0]);
    close(listener);
}

static void test_in_words(void **state)
{
    static const struct {
        struct portholders use;
        const char *said;
    } rows[] = {
        {{.listeners = 1}, "a listener holds the port"},
        {{.listeners = 2, .time_wait = 1, .others = 1}, "a listener holds the port"},
        {{.time_wait = 1}, "TIME_WAIT sockets hold the port unless both runs set SO_REUSEADDR"},
        {{.time_wait = 2, .others = 1},
         "TIME_WAIT sockets hold the port unless both runs set SO_REUSEADDR"},
        {{.others = 1}, "connections hold the port unless both runs set SO_REUSEADDR"},
        {{.others = 2}, "connections hold the port unless both runs set SO_REUSEADDR"},
        {{0}, "a bound socket that does not listen holds the port"},
        {{.time_wait = 1,
          .is_clients = true,
          .first = {.low = 0xffff7f000001, .is_ipv4 = true},
          .first_port = 8000},
         "a client's connection to 127.0.0.1:8000 holds the port"},
        {{.others = 1,
          .is_clients = true,
          .is_in_range = true,
          .first = {.low = 0xffff7f000001, .is_ipv4 = true},
          .first_port = 8000},
         "a client's connection to 127.0.0.1:8000 holds the port; reserve it by "
         "net.ipv4.ip_local_reserved_ports"},
    };

    ROW_NAMED(i, rows, said);

    char buffer[256];
    struct text said;

    text_begin(&said, buffer, sizeof(buffer));
    portholders_say(&rows[i].use, &said);
    assert_string_equal(buffer, rows[i].said);
}

/* At both ends of the range clients get, and one past it. */
static void test_whose_it_is(void **state)
{
    struct role_range range;

    (void)state;
    role_read_range(&range);
    assert_in_range(range.high, range.low + 1, 65534);
    const struct {
        struct portholders use;
        bool peer_listens, is_clients, is_in_range;
    } cases[] = {
        {{.port = range.low, .first_port = 600}, false, true, true},
        {{.port = range.high, .first_port = 600}, false, true, true},
        {{.port = range.low - 1, .first_port = 600}, false, false, false},
        {{.port = range.high + 1, .first_port = 600}, false, false, false},
        {{.port = range.low, .first_port = range.low}, false, false, true},
        {{.port = 80, .first_port = 1}, false, true, false},
        {{.port = 80, .first_port = 600}, true, true, false},
        {{.port = range.low, .first_port = 600, .listeners = 1}, true, false, true},
        {{.port = range.low}, true, false, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct portholders use = cases[i].use;
        portholders_judge(&use, cases[i].peer_listens);
        assert_int_equal(use.is_clients, cases[i].is_clients);
        assert_int_equal(use.is_in_range, cases[i].is_in_range);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_counted),
        cmocka_unit_test(test_whose_it_is),
        cmocka_unit_test_prestate(test_in_words, ROWS),
    };

    return rows_run(tests, NULL, NULL);
}
