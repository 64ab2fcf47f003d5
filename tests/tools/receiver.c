/* SPDX-License-Identifier: MIT */
/* receiver [many]: takes a connection out of a control message from standard input, by recvmsg() or
 * recvmmsg(), says hello on it and closes it. */
#include "common.h"

int main(int argc, char **argv)
{
    int fd = receive_descriptor(0, argc == 2 && strcmp(argv[1], "many") == 0);

    check(send(fd, "hello", 5, MSG_NOSIGNAL) == 5, "send");
    check(close(fd) == 0, "close");
    return 0;
}
