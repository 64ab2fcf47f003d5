/*
 * A client that says what it saw: sends a line and reads until the connection ends.
 *
 *     echo-client PORT [COUNT]
 *
 * Prints for all COUNT connections together how many bytes came back and how they ended:
 * "12 bytes, then EOF" or "12 bytes, then ECONNRESET (Connection reset by peer)".
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
    printf("%ld bytes", bytes);
    if (eof > 0)
        printf(", then EOF%s", count > 1 ? " each" : "");
    if (reset > 0)
        printf(", then ECONNRESET%s (Connection reset by peer)", count > 1 ? " each" : "");
    printf("\n");
    return 0;
}
