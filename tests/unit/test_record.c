/* SPDX-License-Identifier: MIT */
/* The formats of three kernels: 4.18 and 6.8, as their sources have it, and 6.18, as it is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "cli/trace/record.h"

#define COMMON                                                                                     \
    "format:\n"                                                                                    \
    "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"                         \
    "\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n"                         \
    "\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n"                 \
    "\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n"

#define STATE(protocol, size, base)                                                                \
    "name: inet_sock_set_state\nID: 1234\n" COMMON                                                 \
    "\tfield:const void * skaddr;\toffset:8;\tsize:8;\tsigned:0;\n"                                \
    "\tfield:int oldstate;\toffset:16;\tsize:4;\tsigned:1;\n"                                      \
    "\tfield:int newstate;\toffset:20;\tsize:4;\tsigned:1;\n"                                      \
    "\tfield:__u16 sport;\toffset:24;\tsize:2;\tsigned:0;\n"                                       \
    "\tfield:__u16 dport;\toffset:26;\tsize:2;\tsigned:0;\n"                                       \
    "\tfield:__u16 family;\toffset:28;\tsize:2;\tsigned:0;\n"                                      \
    "\tfield:" protocol " protocol;\toffset:30;\tsize:" size ";\tsigned:0;\n" base                 \
    "\nprint fmt: \"family=%s protocol=%s sport=%hu\", REC->family, REC->protocol, REC->sport\n"

/* Linux 4.16 to 5.5: protocol is a byte, and the addresses follow it. */
static const char state_4_18[] =
    STATE("__u8", "1",
          "\tfield:__u8 saddr[4];\toffset:31;\tsize:4;\tsigned:0;\n"
          "\tfield:__u8 daddr[4];\toffset:35;\tsize:4;\tsigned:0;\n"
          "\tfield:__u8 saddr_v6[16];\toffset:39;\tsize:16;\tsigned:0;\n"
          "\tfield:__u8 daddr_v6[16];\toffset:55;\tsize:16;\tsigned:0;\n");

static const char state_6_18[] =
    STATE("__u16", "2",
          "\tfield:__u8 saddr[4];\toffset:32;\tsize:4;\tsigned:0;\n"
          "\tfield:__u8 daddr[4];\toffset:36;\tsize:4;\tsigned:0;\n"
          "\tfield:__u8 saddr_v6[16];\toffset:40;\tsize:16;\tsigned:0;\n"
          "\tfield:__u8 daddr_v6[16];\toffset:56;\tsize:16;\tsigned:0;\n");

static const char sent_6_8[] =
    "name: tcp_send_reset\nID: 1111\n" COMMON
    "\tfield:const void * skbaddr;\toffset:8;\tsize:8;\tsigned:0;\n"
    "\tfield:const void * skaddr;\toffset:16;\tsize:8;\tsigned:0;\n"
    "\tfield:int state;\toffset:24;\tsize:4;\tsigned:1;\n"
    "\tfield:__u16 sport;\toffset:28;\tsize:2;\tsigned:0;\n"
    "\tfield:__u16 dport;\toffset:30;\tsize:2;\tsigned:0;\n"
    "\tfield:__u16 family;\toffset:32;\tsize:2;\tsigned:0;\n"
    "\tfield:__u8 saddr[4];\toffset:34;\tsize:4;\tsigned:0;\n"
    "\tfield:__u8 daddr[4];\toffset:38;\tsize:4;\tsigned:0;\n"
    "\tfield:__u8 saddr_v6[16];\toffset:42;\tsize:16;\tsigned:0;\n"
    "\tfield:__u8 daddr_v6[16];\toffset:58;\tsize:16;\tsigned:0;\n"
    "\nprint fmt: \"skbaddr=%p skaddr=%p family=%s\", REC->skbaddr, REC->skaddr, REC->family\n";

/* The reasons have the numbers that this text gives them, whatever the kernel's header says. */
#define SENT(reasons)                                                                              \
    "name: tcp_send_reset\nID: 2280\n" COMMON                                                      \
    "\tfield:const void * skbaddr;\toffset:8;\tsize:8;\tsigned:0;\n"                               \
    "\tfield:const void * skaddr;\toffset:16;\tsize:8;\tsigned:0;\n"                               \
    "\tfield:int state;\toffset:24;\tsize:4;\tsigned:1;\n"                                         \
    "\tfield:enum sk_rst_reason reason;\toffset:28;\tsize:4;\tsigned:0;\n"                         \
    "\tfield:__u8 saddr[28];\toffset:32;\tsize:28;\tsigned:0;\n"                                   \
    "\tfield:__u8 daddr[28];\toffset:60;\tsize:28;\tsigned:0;\n"                                   \
    "\nprint fmt: \"state=%s reason=%s\", REC->state ? __print_symbolic(REC->state, "              \
    "{ TCP_ESTABLISHED, \"TCP_ESTABLISHED\" }) : \"UNKNOWN\", "                                    \
    "__print_symbolic(REC->reason, " reasons ")\n"

static const char sent_6_18[] =
    SENT("{ 0, \"NOT_SPECIFIED\" }, { 1, \"NO_SOCKET\" }, { 8, \"TCP_ABORT_ON_DATA\" }, "
         "{ 9, \"TCP_TIMEWAIT_SOCKET\" }, { 11, \"TCP_ABORT_ON_CLOSE\" }, { 14, \"TCP_STATE\" }, "
         "{ 15, \"TCP_KEEPALIVE_TIMEOUT\" }, { 17, \"MPTCP_RST_EUNSPEC\" }");
static const char sent_renumbered[] =
    SENT("{ 0, \"NOT_SPECIFIED\" }, { 5, \"TCP_ABORT_ON_CLOSE\" }, { 11, \"TCP_STATE\" }");

static uint8_t bytes[128];
static struct format format;
static struct record record;

static void put(unsigned offset, const void *value, size_t size)
{
    memcpy(bytes + offset, value, size);
}

static void put16(unsigned offset, uint16_t value)
{
    put(offset, &value, sizeof(value));
}

static void put32(unsigned offset, uint32_t value)
{
    put(offset, &value, sizeof(value));
}

static void put_state(unsigned protocol_offset, unsigned addresses)
{
    const uint8_t local[16] = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 1};
    const uint8_t peer[16] = {0x20, 1, 0xd, 0xb8, [15] = 7};
    uint64_t socket = 0xffff888004a06900u;

    memset(bytes, 0, sizeof(bytes));
    put(8, &socket, sizeof(socket));
    put32(16, TCP_ESTABLISHED);
    put32(20, TCP_FIN_WAIT1);
    put16(24, 80);
    put16(26, 40000);
    bytes[protocol_offset] = IPPROTO_TCP;
    put(addresses + 8, local, sizeof(local));
    put(addresses + 24, peer, sizeof(peer));
}

static void is_state(void)
{
    assert_int_equal(record.kind, RECORD_STATE);
    assert_int_equal(record.socket, 0xffff888004a06900u);
    assert_int_equal(record.from, TCP_ESTABLISHED);
    assert_int_equal(record.to, TCP_FIN_WAIT1);
    assert_int_equal(record.local_port, 80);
    assert_int_equal(record.peer_port, 40000);
    assert_true(record.local.is_ipv4);
    assert_int_equal(record.local.low & UINT32_MAX, 0xc0000201);
    assert_false(record.peer.is_ipv4);
    assert_int_equal(record.peer.low, 7);
}

static void test_states_of_old_and_new_kernels(void **state)
{
    (void)state;
    assert_true(format_read(&format, RECORD_STATE, state_4_18));
    assert_int_equal(format.id, 1234);
    put_state(30, 31);
    assert_true(record_read(&record, &format, RECORD_STATE, bytes, 71));
    is_state();
    assert_true(format_read(&format, RECORD_STATE, state_6_18));
    put_state(30, 32);
    assert_true(record_read(&record, &format, RECORD_STATE, bytes, 72));
    is_state();
}

static void test_flags_say_whose_moment_it_is(void **state)
{
    (void)state;
    assert_true(format_read(&format, RECORD_STATE, state_6_18));
    put_state(30, 32);
    assert_true(record_read(&record, &format, RECORD_STATE, bytes, 72));
    assert_true(record.is_call);
    assert_false(record.no_softirq);
    bytes[2] = 0x10;
    assert_true(record_read(&record, &format, RECORD_STATE, bytes, 72));
    assert_false(record.is_call);
    bytes[2] = 0x84;
    assert_true(record_read(&record, &format, RECORD_STATE, bytes, 72));
    assert_true(record.is_call);
    assert_true(record.no_softirq);
}

static void test_other_protocols_are_left_out(void **state)
{
    (void)state;
    assert_true(format_read(&format, RECORD_STATE, state_6_18));
    put_state(30, 32);
    put16(30, 262); /* IPPROTO_MPTCP, whose subflows are TCP */
    assert_false(record_read(&record, &format, RECORD_STATE, bytes, 72));
}

static void put_ends_of_reset(void)
{
    const struct sockaddr_in local = {AF_INET, htons(8081), {htonl(0x7f000001)}, {0}};
    const struct sockaddr_in6 peer = {
        .sin6_family = AF_INET6, .sin6_port = htons(5), .sin6_addr = IN6ADDR_LOOPBACK_INIT};

    memset(bytes, 0, sizeof(bytes));
    put(32, &local, sizeof(local));
    put(60, &peer, sizeof(peer));
}

static void test_a_reset_with_its_reason(void **state)
{
    (void)state;
    assert_true(format_read(&format, RECORD_SENT_RESET, sent_6_18));
    put_ends_of_reset();
    put32(28, 11);
    assert_true(record_read(&record, &format, RECORD_SENT_RESET, bytes, 88));
    assert_int_equal(record.reason, REASON_UNREAD);
    assert_int_equal(record.socket, 0);
    assert_int_equal(record.local_port, 8081);
    assert_int_equal(record.local.low & UINT32_MAX, 0x7f000001);
    assert_int_equal(record.peer_port, 5);
    assert_int_equal(record.peer.low, 1);
    assert_false(record.peer.is_ipv4);
}

static void test_reasons_are_numbered_by_the_kernel(void **state)
{
    (void)state;
    assert_true(format_read(&format, RECORD_SENT_RESET, sent_renumbered));
    put_ends_of_reset();
    put32(28, 11);
    assert_true(record_read(&record, &format, RECORD_SENT_RESET, bytes, 88));
    assert_int_equal(record.reason, REASON_ABORTED);
    put32(28, 5);
    assert_true(record_read(&record, &format, RECORD_SENT_RESET, bytes, 88));
    assert_int_equal(record.reason, REASON_UNREAD);
    assert_true(format_read(&format, RECORD_SENT_RESET, sent_6_18));
    put32(28, 17);
    assert_true(record_read(&record, &format, RECORD_SENT_RESET, bytes, 88));
    assert_int_equal(record.reason, REASON_MPTCP);
    put32(28, 60);
    assert_true(record_read(&record, &format, RECORD_SENT_RESET, bytes, 88));
    assert_int_equal(record.reason, REASON_OTHER);
    put32(28, 1000);
    assert_true(record_read(&record, &format, RECORD_SENT_RESET, bytes, 88));
    assert_int_equal(record.reason, REASON_OTHER);
}

static void test_a_reset_before_linux_6_10(void **state)
{
    const uint8_t local[16] = {[10] = 0xff, [11] = 0xff, 127, 0, 0, 1};

    (void)state;
    assert_true(format_read(&format, RECORD_SENT_RESET, sent_6_8));
    assert_int_equal(format.reason.size, 0);
    memset(bytes, 0, sizeof(bytes));
    put16(28, 80);
    put16(30, 40000);
    put(42, local, sizeof(local));
    assert_true(record_read(&record, &format, RECORD_SENT_RESET, bytes, 74));
    assert_int_equal(record.reason, REASON_UNKNOWN);
    assert_int_equal(record.local_port, 80);
    assert_int_equal(record.local.low & UINT32_MAX, 0x7f000001);
}

/* AddressSanitizer sees a read beyond the array. */
static void test_short_events_are_not_read_beyond(void **state)
{
    (void)state;
    assert_true(format_read(&format, RECORD_SENT_RESET, sent_6_18));
    for (size_t size = 0; size <= 88; size++) {
        uint8_t some[88];
        memset(some, 0xff, sizeof(some));
        (void)record_read(&record, &format, RECORD_SENT_RESET, some + sizeof(some) - size, size);
    }
    assert_true(format_read(&format, RECORD_STATE, state_6_18));
    for (size_t size = 0; size <= 72; size++) {
        uint8_t some[72] = {0};
        (void)record_read(&record, &format, RECORD_STATE, some + sizeof(some) - size, size);
    }
}

static void test_texts_that_are_no_formats(void **state)
{
    static const char *const texts[] = {
        "",
        "ID: 5",
        "ID: 0\nprint fmt: ",
        "ID: 5\n" COMMON "print fmt: \"\"",
        "ID: 5\n\tfield:int oldstate;\toffset:x;\tsize:4;\nprint fmt: ",
        "ID: 5\nprint fmt: __print_symbolic(REC->reason, {",
        "ID: 5\nprint fmt: __print_symbolic(REC->reason, { 1, \"",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_false(format_read(&format, RECORD_STATE, texts[i]));
    assert_false(format_read(&format, RECORD_STATE, sent_6_18)); /* has no states to go to */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states_of_old_and_new_kernels),
        cmocka_unit_test(test_flags_say_whose_moment_it_is),
        cmocka_unit_test(test_other_protocols_are_left_out),
        cmocka_unit_test(test_a_reset_with_its_reason),
        cmocka_unit_test(test_reasons_are_numbered_by_the_kernel),
        cmocka_unit_test(test_a_reset_before_linux_6_10),
        cmocka_unit_test(test_short_events_are_not_read_beyond),
        cmocka_unit_test(test_texts_that_are_no_formats),
    };

    return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
