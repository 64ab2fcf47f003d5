/* SPDX-License-Identifier: MIT */
/* A received message as no kernel writes it, which another preload may: nothing past its end
 * counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/moments.h"
#include "socket/sock.h"

#define DESCRIPTORS 2

static int listeners[DESCRIPTORS];

static int begin(void **state)
{
    static struct settings settings;
    static bool has_started;
    struct policy_error error;

    (void)state;
    if (!has_started &&
        policy_parse(&settings.mode, POLICY_TEARDOWN, "rst role=server", 15, false, &error) != 0)
        return -1;
    if (!has_started)
        moments_start(&settings, "test");
    has_started = true;
    for (int i = 0; i < DESCRIPTORS; i++) {
        listeners[i] = socket(AF_INET, SOCK_STREAM, 0);
        if (listen(listeners[i], 1) != 0)
            return -1;
    }
    return 0;
}

static int end(void **state)
{
    (void)state;
    for (int i = 0; i < DESCRIPTORS; i++)
        close(listeners[i]);
    return 0;
}

static void expect(int first, int second)
{
    struct verdict applied;

    assert_true(sock_applied(listeners[0], &applied));
    assert_int_equal(applied.mode, first);
    assert_true(sock_applied(listeners[1], &applied));
    assert_int_equal(applied.mode, second);
}

/* A header that says `told` bytes and has all descriptors after it, in a buffer of `room`. */
static void receive(int level, size_t told, size_t room)
{
    struct cmsghdr header = {.cmsg_len = told, .cmsg_level = level, .cmsg_type = SCM_RIGHTS};
    char whole[CMSG_LEN(sizeof(listeners))];
    char *buffer = malloc(room); /* of that size: the sanitizer sees who reads on */
    struct msghdr message = {.msg_control = buffer, .msg_controllen = room};

    assert_non_null(buffer);
    memcpy(whole, &header, sizeof(header));
    memcpy(whole + CMSG_LEN(0), listeners, sizeof(listeners));
    memcpy(buffer, whole, room);
    moments_receive(&message);
    free(buffer);
}

static void test_all_that_came(void **state)
{
    (void)state;
    expect(MODE_FIN, MODE_FIN);
    receive(SOL_SOCKET, CMSG_LEN(sizeof(int)), CMSG_LEN(sizeof(int)));
    expect(MODE_RST, MODE_FIN);
    receive(SOL_SOCKET, CMSG_LEN(sizeof(listeners)), CMSG_LEN(sizeof(listeners)));
    expect(MODE_RST, MODE_RST);
}

static void test_longer_than_its_buffer(void **state)
{
    (void)state;
    receive(SOL_SOCKET, CMSG_LEN(sizeof(listeners)), CMSG_LEN(sizeof(int)));
    receive(SOL_SOCKET, CMSG_LEN(sizeof(listeners)), CMSG_LEN(0));
    receive(SOL_SOCKET, SIZE_MAX, CMSG_LEN(sizeof(listeners)));
    receive(SOL_SOCKET, CMSG_LEN(sizeof(listeners)), sizeof(struct cmsghdr) - 1);
    expect(MODE_FIN, MODE_FIN);
}

static void test_shorter_than_a_header(void **state)
{
    (void)state;
    for (size_t told = 0; told < sizeof(struct cmsghdr); told++)
        receive(SOL_SOCKET, told, CMSG_LEN(sizeof(listeners)));
    expect(MODE_FIN, MODE_FIN);
}

static void test_a_part_of_a_descriptor_is_none(void **state)
{
    (void)state;
    receive(SOL_SOCKET, CMSG_LEN(sizeof(int) + 3), CMSG_LEN(sizeof(int) + 3));
    expect(MODE_RST, MODE_FIN);
}

static void test_what_brings_no_descriptors(void **state)
{
    struct msghdr message = {.msg_controllen = 100};

    (void)state;
    moments_receive(&message);
    receive(IPPROTO_IP, CMSG_LEN(sizeof(listeners)), CMSG_LEN(sizeof(listeners)));
    expect(MODE_FIN, MODE_FIN);
}

/* Each listener in a message of its own, after an empty one; `type` is the last one's. */
static void receive_several(int type)
{
    _Alignas(struct cmsghdr) char buffer[CMSG_SPACE(0) + 2 * CMSG_SPACE(sizeof(int))] = {0};
    struct msghdr message = {.msg_control = buffer, .msg_controllen = sizeof(buffer)};
    struct cmsghdr *header = (struct cmsghdr *)buffer;

    *header = (struct cmsghdr){.cmsg_len = CMSG_LEN(0), .cmsg_level = SOL_SOCKET};
    for (size_t i = 0; i < DESCRIPTORS; i++) {
        header = (struct cmsghdr *)(buffer + CMSG_SPACE(0) + i * CMSG_SPACE(sizeof(int)));
        header->cmsg_len = CMSG_LEN(sizeof(int));
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = i == 0 ? SCM_RIGHTS : type;
        memcpy(CMSG_DATA(header), &listeners[i], sizeof(int));
    }
    moments_receive(&message);
}

static void test_several_in_one(void **state)
{
    (void)state;
    receive_several(SCM_CREDENTIALS); /* which has numbers of another kind */
    expect(MODE_RST, MODE_FIN);
    receive_several(SCM_RIGHTS);
    expect(MODE_RST, MODE_RST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_that_came, begin, end),
        cmocka_unit_test_setup_teardown(test_longer_than_its_buffer, begin, end),
        cmocka_unit_test_setup_teardown(test_shorter_than_a_header, begin, end),
        cmocka_unit_test_setup_teardown(test_a_part_of_a_descriptor_is_none, begin, end),
        cmocka_unit_test_setup_teardown(test_several_in_one, begin, end),
        cmocka_unit_test_setup_teardown(test_what_brings_no_descriptors, begin, end),
    };

    return cmocka_run_group_tests_name("teardown", tests, NULL, NULL);
}
