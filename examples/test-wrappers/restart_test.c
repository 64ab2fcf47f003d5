/* SPDX-License-Identifier: MIT */
/*
 * Purpose: a test like those of many suites, used by make/ and ctest/ here: starts a server on a
 * port, talks to it, stops it, and does so again on the same port. The server closes first and does
 * not set SO_REUSEADDR, so the TIME_WAIT of the first round blocks the port for the second.
 *
 * Run:
 *
 *     cc -o restart_test restart_test.c && ./restart_test; linger run -r -- ./restart_test
 *
 * Expected output, of the first and of the second command:
 *
 *     round 2: bind: Address already in use
 *     2 rounds on one port
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in address = {.sin_family = AF_INET};

static int listen_here(int round)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(listener, 1) != 0) {
        fprintf(stderr, "round %d: ", round);
        perror("bind");
        exit(1);
    }
    return listener;
}

static void serve_once(int round)
{
    int listener = listen_here(round);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    char reply[8] = "";

    if (connect(client, (struct sockaddr *)&address, sizeof(address)) != 0)
        exit(1);
    int connection = accept(listener, NULL, NULL);
    if (write(connection, "hello", 5) != 5)
        exit(1);
    close(connection);
    if (read(client, reply, sizeof(reply)) != 5 || strcmp(reply, "hello") != 0)
        exit(1);
    if (read(client, reply, sizeof(reply)) != 0)
        exit(1);
    close(client);
    close(listener);
}

int main(void)
{
    socklen_t length = sizeof(address);

    /* A port that is free now, given by number from here on. */
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int finder = listen_here(0);
    if (getsockname(finder, (struct sockaddr *)&address, &length) != 0)
        return 1;
    close(finder);
    serve_once(1);
    serve_once(2);
    puts("2 rounds on one port");
    return 0;
}
