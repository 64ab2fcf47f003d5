/* SPDX-License-Identifier: MIT */
/* A connection on the loopback, and its listener, for each test that asks for one. */
#pragma once

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define TIME_LIMIT 60000 /* ms */

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

static inline void await(int fd, short event)
{
    struct pollfd ready = {.fd = fd, .events = event};

    assert_int_equal(poll(&ready, 1, TIME_LIMIT), 1);
}

static inline void expect_reset(int fd)
{
    char byte;

    await(fd, POLLIN);
    assert_int_equal(recv(fd, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
}

static inline void expect_end(int fd)
{
    char byte;

    await(fd, POLLIN);
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
}
