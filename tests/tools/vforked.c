/* SPDX-License-Identifier: MIT */
/*
 * A server of one connection. A vfork()ed child, which lives in its parent's memory, closes its
 * copy of it with close(); a posix_spawn()ed one has it closed by a file action. Then the parent
 * sends more, and closes: vforked
 */
#include <spawn.h>
#include <sys/wait.h>

#include "common.h"

extern char **environ;

int main(void)
{
    static char *const nothing[] = {"true", NULL};
    struct sockaddr_storage address;
    socklen_t length = test_address(AF_INET, 0, &address);
    posix_spawn_file_actions_t actions;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    char knock;
    pid_t child;
    int status;

    alarm(100);
    check(bind(listener, (struct sockaddr *)&address, length) == 0, "bind");
    check(listen(listener, 1) == 0, "listen");
    printf("port %d\n", port_of(listener));
    fflush(stdout);
    int fd = accept(listener, NULL, NULL);
    check(fd >= 0 && recv(fd, &knock, 1, 0) == 1, "recv");
    errno = 7;
    child = vfork();
    if (child == 0)
        _exit(close(fd));
    check(child > 0 && errno == 7, "vfork");
    check(waitpid(child, &status, 0) == child && status == 0, "the child");
    check(send(fd, "hello", 5, MSG_NOSIGNAL) == 5, "send");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addclose(&actions, fd);
    check(posix_spawnp(&child, "true", &actions, NULL, nothing, environ) == 0, "posix_spawn");
    check(waitpid(child, &status, 0) == child && status == 0, "the spawned child");
    check(send(fd, "again", 5, MSG_NOSIGNAL) == 5, "send");
    check(close(fd) == 0, "close");
    return 0;
}
