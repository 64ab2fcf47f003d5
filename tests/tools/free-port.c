/* SPDX-License-Identifier: MIT */
/* Prints a port of 127.0.0.1 that nobody holds. */
#include "common.h"

int main(void)
{
    struct sockaddr_storage address;
    socklen_t length = test_address(AF_INET, 0, &address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    check(bind(fd, (struct sockaddr *)&address, length) == 0, "bind");
    printf("%d\n", port_of(fd));
    return 0;
}
