/* SPDX-License-Identifier: MIT */
/* A duplicate of another process's socket is given back without waiting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/process/target.h"

#define TIME_LIMIT 60 /* seconds */

/* A connection whose peer does not read, with something left to send, and an hour of patience. */
static int make_stuck(int *peer)
{
    static char block[65536];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(address);
    struct linger hour = {1, 3600};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, length), 0);
    *peer = accept(listener, NULL, NULL);
    assert_true(*peer >= 0);
    close(listener);
    while (send(fd, block, sizeof(block), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        ;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hour, sizeof(hour)), 0);
    return fd;
}

static void the_last_reference_is_closed_without_waiting(void **state)
{
    int peer;
    int fd = make_stuck(&peer);

    (void)state;
    target_release(fd);
    close(peer); /* with unread data: a reset, which ends the wait */
}

static void another_reference_is_closed_when_it_returns(void **state)
{
    int peer;
    int fd = make_stuck(&peer);
    int other = dup(fd);

    (void)state;
    target_release(other);
    assert_int_equal(dup2(fd, other), other); /* its number is free */
    close(peer);
    close(fd);
    close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_reference_is_closed_without_waiting),
        cmocka_unit_test(another_reference_is_closed_when_it_returns),
    };

    alarm(TIME_LIMIT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
