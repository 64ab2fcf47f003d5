/* receiver [many]: takes a connection out of a control message from standard input, by recvmsg() or
 * recvmmsg(), says hello on it and closes it. The message itself may be empty. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char data;
    int fd = -1;
    struct iovec iov = {&data, 1};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    struct mmsghdr message = {.msg_hdr = {.msg_iov = &iov,
                                          .msg_iovlen = 1,
                                          .msg_control = control,
                                          .msg_controllen = sizeof(control)}};
    int failed = argc == 2 && strcmp(argv[1], "many") == 0 ? recvmmsg(0, &message, 1, 0, NULL) != 1
                                                           : recvmsg(0, &message.msg_hdr, 0) < 0;

    if (failed || message.msg_hdr.msg_controllen < CMSG_LEN(sizeof(int)))
        return 1;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message.msg_hdr)), sizeof(fd));
    return send(fd, "hello", 5, MSG_NOSIGNAL) != 5 || close(fd) != 0;
}
