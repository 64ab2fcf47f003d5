/* SPDX-License-Identifier: MIT */
/*
 * Purpose: a server that does not know SO_LINGER or SO_REUSEADDR: echoes one line of each
 * connection and closes it. It closes first, so each connection leaves a TIME_WAIT socket here.
 *
 * Run:
 *
 *     make examples
 *     ./linger run -m fin-rst -- build/examples/echo-server [PORT]
 *
 * Expected output, with a free port if none is given:
 *
 *     listening on 37125
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void die(const char *what)
{
    perror(what);
    exit(1);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_port = htons((unsigned short)(argc > 1 ? atoi(argv[1]) : 0));
    if (bind(listener, (struct sockaddr *)&address, length) != 0)
        die("bind");
    if (listen(listener, SOMAXCONN) != 0)
        die("listen");
    if (getsockname(listener, (struct sockaddr *)&address, &length) != 0)
        die("getsockname");
    printf("listening on %d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        char line[256];
        int connection = accept(listener, NULL, NULL);
        if (connection < 0)
            die("accept");
        ssize_t got = read(connection, line, sizeof(line));
        if (got > 0 && write(connection, line, (size_t)got) != got)
            perror("write");
        close(connection);
    }
}
