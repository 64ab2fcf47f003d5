/* SPDX-License-Identifier: MIT */
/*
 * Purpose: a client that says what it saw: sends a line and reads until the connection ends, COUNT
 * times (default: once).
 *
 * Run, with the port of an echo server:
 *
 *     make examples
 *     build/examples/echo-client PORT [COUNT]
 *
 * Expected output, for all connections together, from a server under fin and from one under rst:
 *
 *     12 bytes, then EOF
 *     12 bytes, then ECONNRESET (Connection reset by peer)
 */
#include <arpa/inet.h>
#include <errno.h>
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
    int count = argc > 2 ? atoi(argv[2]) : 1;
    long bytes = 0;
    int eof = 0;
    int reset = 0;

    if (argc < 2) {
        fprintf(stderr, "usage: echo-client PORT [COUNT]\n");
        return 2;
    }
    address.sin_port = htons((unsigned short)atoi(argv[1]));
    for (int i = 0; i < count; i++) {
        char reply[256];
        ssize_t got;
        int connection = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(connection, (struct sockaddr *)&address, sizeof(address)) != 0)
            die("connect");
        if (write(connection, "hello, world", 12) != 12)
            die("write");
        while ((got = read(connection, reply, sizeof(reply))) > 0)
            bytes += got;
        if (got == 0)
            eof++;
        else if (errno == ECONNRESET)
            reset++;
        else
            die("read");
        close(connection);
    }
    printf("%ld bytes, then ", bytes);
    if (eof > 0 && reset > 0)
        printf("%d times EOF, %d times ECONNRESET\n", eof, reset);
    else
        printf("%s\n", reset > 0 ? "ECONNRESET (Connection reset by peer)" : "EOF");
    return 0;
}
