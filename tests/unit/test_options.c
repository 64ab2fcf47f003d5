/* SPDX-License-Identifier: MIT */
/* The options that sock.c sets, and reads back: each mode, on what the program may have set. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loopback.h"
#include "rows.h"
#include "socket/sock.h"

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

static void set(int fd, int on, int seconds, int linger2)
{
    struct linger linger = {on, seconds};

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_LINGER2, &linger2, sizeof(linger2)), 0);
}

static void test_each_mode_takes_back_the_other(void **state)
{
    (void)state;
    for (enum policy_mode mode = MODE_FIN; mode < MODE_TEARDOWNS; mode++) {
        struct verdict verdict = {.mode = (uint8_t)mode};
        struct sock_linger now;
        set(server, mode != MODE_RST && mode != MODE_WAIT, 9, mode == MODE_FIN_RST ? 0 : -1);
        assert_null(sock_apply(server, &verdict, false));
        assert_true(sock_linger(server, &now));
        assert_int_equal(now.on, mode == MODE_RST || mode == MODE_WAIT);
        assert_int_equal(now.linger2 < 0, mode == MODE_FIN_RST);
    }
}

/* overrule=no: what a program has set, the verdict, and what comes of them. */
static void test_what_the_program_set_stands(void **state)
{
    static const struct {
        struct sock_linger set;
        enum policy_mode mode;
        struct sock_linger is;
    } cases[] = {
        {{.on = 1}, MODE_FIN, {.on = 1}},
        {{.on = 1}, MODE_FIN_RST, {.on = 1, .linger2 = -1}},
        {{.on = 1}, MODE_WAIT, {.on = 1}},
        {{.on = 1, .seconds = 3}, MODE_RST, {.on = 1, .seconds = 3}},
        {{.on = 1, .seconds = 3}, MODE_WAIT, {.on = 1, .seconds = 3}},
        {{.linger2 = -1}, MODE_FIN, {.linger2 = -1}},
        {{.linger2 = -1}, MODE_RST, {.on = 1, .linger2 = -1}},
        {{0}, MODE_RST, {.on = 1}},
        {{0}, MODE_WAIT, {.on = 1, .seconds = 7}},
        {{0}, MODE_FIN_RST, {.linger2 = -1}},
    };

    ROW(i, cases);

    struct verdict verdict = {.mode = (uint8_t)cases[i].mode, .gives_way = true};
    struct sock_linger now;
    verdict.seconds = cases[i].mode == MODE_WAIT ? 7 : 0;
    set(server, cases[i].set.on, cases[i].set.seconds, cases[i].set.linger2);
    assert_null(sock_apply(server, &verdict, i % 2));
    assert_true(sock_linger(server, &now));
    assert_int_equal(now.on, cases[i].is.on);
    assert_int_equal(now.on ? now.seconds : 0, cases[i].is.seconds);
    assert_int_equal(now.linger2 < 0, cases[i].is.linger2 < 0);
}

/* Neither has TCP_LINGER2, as MPTCP has not; they differ in the error. */
static void test_what_the_kernel_refuses(void **state)
{
    static const struct verdict fin = {.mode = MODE_FIN};
    static const struct verdict fin_rst = {.mode = MODE_FIN_RST};
    int others[] = {socket(AF_INET, SOCK_DGRAM, 0), socket(AF_UNIX, SOCK_STREAM, 0)};
    struct sock_linger linger;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_null(sock_apply(others[i], &fin, false));
        assert_string_equal(sock_apply(others[i], &fin_rst, false), "TCP_LINGER2");
        assert_string_equal(sock_apply(others[i], &fin_rst, true), "TCP_LINGER2");
        assert_true(sock_linger(others[i], &linger));
        assert_false(linger.has_linger2);
        assert_int_equal(linger.linger2, 0);
        assert_null(sock_put_back(others[i], &linger));
        linger.has_linger2 = true;
        assert_string_equal(sock_put_back(others[i], &linger), "TCP_LINGER2");
        close(others[i]);
    }
    assert_string_equal(sock_apply(-1, &fin, false), "SO_LINGER");
    assert_string_equal(sock_put_back(-1, &linger), "SO_LINGER");
    assert_false(sock_linger(-1, &linger));
}

/* setsockopt() of TCP's own options is EPERM from now on, others are as before. */
static bool forbid_tcp_options(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setsockopt, 0, 2),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    };
    const struct sock_fprog filter = {sizeof(code) / sizeof(code[0]), code};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

/* TCP_LINGER2 may hold fin-rst: that it cannot be taken back is told. */
static void test_what_a_sandbox_refuses(void **state)
{
    struct verdict verdict = {.mode = MODE_RST};
    int status = -1;

    (void)state;
    pid_t child = fork();
    if (child == 0) {
        const char *refused =
            forbid_tcp_options() ? sock_apply(server, &verdict, false) : "seccomp";
        _exit(!refused || strcmp(refused, "TCP_LINGER2") != 0 || errno != EPERM);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* One that falls back to TCP would take the option, and keep TIME_WAIT. */
static void test_mptcp_has_no_fin_rst(void **state)
{
    static const struct verdict fin = {.mode = MODE_FIN};
    static const struct verdict fin_rst = {.mode = MODE_FIN_RST};
    int fd = socket(AF_INET, SOCK_STREAM, SOCK_IPPROTO_MPTCP);
    struct sockaddr_in address;
    socklen_t length = sizeof(address);

    (void)state;
    if (fd < 0)
        skip();
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, length), 0);
    assert_string_equal(sock_apply(fd, &fin_rst, false), "TCP_LINGER2");
    assert_int_equal(errno, EOPNOTSUPP);
    assert_null(sock_apply(fd, &fin, false));
    close(fd);
}

static void test_put_back(void **state)
{
    static const struct sock_linger as[] = {{1, 0, true, -1}, {0, 0, true, 17}, {1, 9, true, 60}};

    (void)state;
    for (size_t i = 0; i < sizeof(as) / sizeof(as[0]); i++) {
        struct sock_linger before;
        struct sock_linger now;
        set(server, as[i].on, as[i].seconds, as[i].linger2);
        assert_true(sock_linger(server, &before));
        assert_int_equal(before.linger2, as[i].linger2);
        set(server, !as[i].on, 5, as[i].linger2 == -1 ? 20 : -1);
        assert_null(sock_put_back(server, &before));
        assert_true(sock_linger(server, &now));
        assert_int_equal(now.on, as[i].on);
        assert_int_equal(now.on ? now.seconds : 0, as[i].seconds);
        assert_true(now.has_linger2);
        assert_int_equal(now.linger2, as[i].linger2);
    }
}

static void test_who_waits_at_close(void **state)
{
    (void)state;
    set(server, 1, 0, 0);
    assert_false(sock_waits(server));
    set(server, 1, 1, 0);
    assert_true(sock_waits(server));
    set(server, 0, 1, 0); /* the kernel keeps the seconds */
    assert_false(sock_waits(server));
    assert_false(sock_waits(-1));
}

static void test_switches(void **state)
{
    static const struct {
        const char *name;
        int level;
        int option;
    } switches[] = {
        {"SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR},
        {"SO_REUSEPORT", SOL_SOCKET, SO_REUSEPORT},
        {"IP_BIND_ADDRESS_NO_PORT", IPPROTO_IP, 24},
    };

    (void)state;
    for (enum sock_switch i = SOCK_REUSEADDR; i <= SOCK_BIND_NO_PORT; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        for (int on = 1; on >= 0; on--) {
            int value = -1;
            socklen_t length = sizeof(value);
            assert_int_equal(sock_switch(fd, i, on), 0);
            getsockopt(fd, switches[i].level, switches[i].option, &value, &length);
            assert_int_equal(value, on);
        }
        assert_string_equal(sock_switch_name(i), switches[i].name);
        close(fd);
    }
}

/* `linger close`: what both ends see of each mode. */
static void test_a_connection_is_ended(void **state)
{
    static const struct verdict rst = {.mode = MODE_RST};
    static const struct verdict fin = {.mode = MODE_FIN};
    struct sock_linger linger;

    (void)state;
    set(server, 1, 0, 0);
    assert_null(sock_end(server, &fin));
    assert_true(sock_linger(server, &linger));
    assert_false(linger.on);
    expect_end(client);
    expect_end(server);
    end(NULL);
    begin(NULL);
    assert_null(sock_end(server, &rst));
    expect_reset(client);
    expect_reset(server);
    expect_end(server);
    assert_int_equal(send(server, "", 1, MSG_NOSIGNAL), -1);
    assert_int_equal(errno, EPIPE);
}

static void test_what_cannot_be_ended_is_named(void **state)
{
    static const struct verdict rst = {.mode = MODE_RST};
    static const struct verdict fin = {.mode = MODE_FIN};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    (void)state;
    assert_string_equal(sock_end(fd, &fin), "shutdown");
    close(fd);
    assert_string_equal(sock_end(fd, &fin), "SO_LINGER");
    assert_string_equal(sock_end(fd, &rst), "connect");
}

/* The address at the end of what can be read; `size` bytes of it are there. */
static bool endpoint_at_end(sa_family_t family, size_t size, socklen_t length, struct policy_ip *ip,
                            uint16_t *port)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(80)};
    struct sockaddr_in four = {.sin_family = family, .sin_port = htons(80)};
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool is_known;

    six.sin6_addr = in6addr_loopback;
    four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    memset(four.sin_zero, 0xff, sizeof(four.sin_zero));
    assert_ptr_not_equal(memory, MAP_FAILED);
    assert_int_equal(mprotect(memory + page, page, PROT_NONE), 0);
    memcpy(memory + page - size, family == AF_INET6 ? (void *)&six : (void *)&four,
           size < sizeof(four) || family == AF_INET6 ? size : sizeof(four));
    is_known = sock_endpoint((struct sockaddr *)(memory + page - size), length, false, ip, port);
    munmap(memory, 2 * page);
    return is_known;
}

static void test_the_programs_address(void **state)
{
    static const struct {
        sa_family_t family;
        size_t size;
        socklen_t length;
        bool is_known;
    } cases[] = {
        {AF_INET, 16, 16, true},   {AF_INET, 16, 128, true},   {AF_INET, 16, 15, false},
        {AF_INET, 8, 16, false},   {AF_INET, 7, 16, false},    {AF_INET, 16, 0, false},
        {AF_INET6, 28, 28, true},  {AF_INET6, 28, 128, true},  {AF_INET6, 28, 27, false},
        {AF_INET6, 28, 16, false}, {AF_INET6, 27, 28, false},  {AF_INET6, 20, 28, false},
        {AF_UNIX, 28, 28, false},  {AF_UNSPEC, 16, 16, false},
    };

    ROW(i, cases);

    struct policy_ip ip = {0};
    uint16_t port = 0;
    assert_int_equal(endpoint_at_end(cases[i].family, cases[i].size, cases[i].length, &ip, &port),
                     cases[i].is_known);
    assert_int_equal(port, cases[i].is_known ? 80 : 0);
    assert_int_equal(ip.is_ipv4, cases[i].is_known && cases[i].family == AF_INET);
    if (cases[i].is_known)
        assert_int_equal((uint32_t)ip.low, ip.is_ipv4 ? INADDR_LOOPBACK : 1);
}

/* The kernel answers EFAULT; we do not look. */
static void test_no_address(void **state)
{
    struct policy_ip ip;
    uint16_t port;

    (void)state;
    assert_false(sock_endpoint(NULL, sizeof(struct sockaddr_in), false, &ip, &port));
    assert_false(sock_endpoint(NULL, 0, false, &ip, &port));
    assert_false(
        sock_endpoint((const struct sockaddr *)8, sizeof(struct sockaddr_in), false, &ip, &port));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_mode_is_read_back, begin, end),
        cmocka_unit_test_setup_teardown(test_at_birth_only_what_differs_is_set, begin, end),
        cmocka_unit_test(test_the_mode_of_a_linger),
        cmocka_unit_test_setup_teardown(test_each_mode_takes_back_the_other, begin, end),
        cmocka_unit_test_prestate_setup_teardown(test_what_the_program_set_stands, begin, end,
                                                 ROWS),
        cmocka_unit_test(test_what_the_kernel_refuses),
        cmocka_unit_test_setup_teardown(test_what_a_sandbox_refuses, begin, end),
        cmocka_unit_test_setup_teardown(test_mptcp_has_no_fin_rst, begin, end),
        cmocka_unit_test_setup_teardown(test_put_back, begin, end),
        cmocka_unit_test_setup_teardown(test_who_waits_at_close, begin, end),
        cmocka_unit_test(test_switches),
        cmocka_unit_test_setup_teardown(test_a_connection_is_ended, begin, end),
        cmocka_unit_test(test_what_cannot_be_ended_is_named),
        cmocka_unit_test_prestate(test_the_programs_address, ROWS),
        cmocka_unit_test(test_no_address),
    };

    return rows_run(tests, NULL, NULL);
}
