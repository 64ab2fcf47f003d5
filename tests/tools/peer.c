/* SPDX-License-Identifier: MIT */
/*
 * The other end, and the witness: what does the peer of a teardown see?
 *
 *     peer [-6] [-n COUNT] [-kg] [-s BYTES] [-f] connect PORT
 *     peer [-6] [-n COUNT] [-kg] [-s BYTES] [-f] listen [PORT] prints "port N" first
 *
 * Prints "bytes=N eof=N reset=N", summed up over COUNT connections, and each other end as
 * "error=ERRNO". -k knocks: sends a byte as soon as it is connected (a server that sends and closes
 * within microseconds can be gone before connect() returns: a reset). -g waits for a line
 * on standard input before it reads, -s sends that many bytes before it reads, -f sends its FIN
 * first and then reads.
 */
#include "common.h"

#define TIME_LIMIT 300 /* seconds */

struct seen {
    long bytes;
    long eof;
    long reset;
};

static void read_to_the_end(int fd, struct seen *seen)
{
    static char block[65536];
    ssize_t length;

    while ((length = recv(fd, block, sizeof(block), 0)) > 0)
        seen->bytes += length;
    if (length == 0)
        seen->eof++;
    else if (errno == ECONNRESET)
        seen->reset++;
    else
        printf("error=%d\n", errno);
}

int main(int argc, char **argv)
{
    struct sockaddr_storage address;
    struct seen seen = {0, 0, 0};
    int family = AF_INET;
    long count = 1;
    int bytes = 0;
    bool knocks = false;
    bool waits = false;
    bool closes_first = false;
    int option;

    alarm(TIME_LIMIT);
    while ((option = getopt(argc, argv, "6n:kgs:f")) != -1) {
        if (option == '6')
            family = AF_INET6;
        else if (option == 'n')
            count = atol(optarg);
        else if (option == 'k')
            knocks = true;
        else if (option == 'g')
            waits = true;
        else if (option == 's')
            bytes = atoi(optarg);
        else if (option == 'f')
            closes_first = true;
        else
            return 99;
    }
    check(optind < argc, "usage");
    bool listens = strcmp(argv[optind], "listen") == 0;
    int port = optind + 1 < argc ? atoi(argv[optind + 1]) : 0;
    socklen_t length = test_address(family, port, &address);
    int listener = socket(family, SOCK_STREAM, 0);
    if (listens) {
        check(bind(listener, (struct sockaddr *)&address, length) == 0, "bind");
        check(listen(listener, 4096) == 0, "listen");
        printf("port %d\n", port_of(listener));
        fflush(stdout);
    }
    for (long i = 0; i < count; i++) {
        int fd = listens ? accept(listener, NULL, NULL) : socket(family, SOCK_STREAM, 0);
        check(fd >= 0, "socket");
        int with_knock = knocks && !waits ? bytes : 0;
        if ((!listens && connect(fd, (struct sockaddr *)&address, length) != 0) ||
            (knocks && send(fd, "kyyyyyyy", 1 + with_knock, MSG_NOSIGNAL) != 1 + with_knock)) {
            check(errno == ECONNRESET, "connect"); /* the other end was as fast as that */
            seen.reset++;
            close(fd);
            continue;
        }
        if (waits)
            check(getchar() != EOF, "standard input");
        for (int sent = with_knock; sent < bytes; sent++)
            check(send(fd, "y", 1, MSG_NOSIGNAL) == 1, "send");
        if (closes_first)
            check(shutdown(fd, SHUT_WR) == 0, "shutdown");
        read_to_the_end(fd, &seen);
        close(fd);
    }
    printf("bytes=%ld eof=%ld reset=%ld\n", seen.bytes, seen.eof, seen.reset);
    return 0;
}
