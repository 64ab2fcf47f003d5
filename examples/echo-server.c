/*
 * A server that knows nothing of SO_LINGER: echoes one line of each connection and closes it.
 *
 *     echo-server [PORT]
 *
 * Prints "listening on PORT". It closes first, so under the default teardown each connection
 * leaves a TIME_WAIT socket here.
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
    if (listen(listener, 128) != 0)
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
