/* SPDX-License-Identifier: MIT */
/*
 * Many processes and threads that close connections: closer PROCESSES THREADS COUNT. Each thread
 * connects COUNT times to a listener of its own, and closes the accepted end and then its own.
 */
#include <pthread.h>
#include <sys/wait.h>

#include "common.h"

#define TIME_LIMIT 120 /* seconds */

static long count;

static void *close_many(void *unused)
{
    struct sockaddr_storage address;
    socklen_t length = test_address(AF_INET, 0, &address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    check(bind(listener, (struct sockaddr *)&address, length) == 0, "bind");
    check(listen(listener, 16) == 0, "listen");
    length = test_address(AF_INET, port_of(listener), &address);
    for (long i = 0; i < count; i++) {
        int own = socket(AF_INET, SOCK_STREAM, 0);
        check(own >= 0, "socket");
        check(connect(own, (struct sockaddr *)&address, length) == 0, "connect");
        int accepted = accept(listener, NULL, NULL);
        check(accepted >= 0, "accept");
        close(accepted);
        close(own);
    }
    return unused;
}

static void run_threads(int threads)
{
    pthread_t thread[64];

    for (int i = 0; i < threads; i++)
        check(pthread_create(&thread[i], NULL, close_many, NULL) == 0, "pthread_create");
    for (int i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
    exit(0);
}

int main(int argc, char **argv)
{
    int status;

    alarm(TIME_LIMIT);
    check(argc == 4 && atoi(argv[2]) <= 64, "usage");
    count = atol(argv[3]);
    for (int i = 0; i < atoi(argv[1]); i++) {
        pid_t child = fork();
        check(child >= 0, "fork");
        if (child == 0)
            run_threads(atoi(argv[2]));
    }
    while (wait(&status) > 0)
        check(status == 0, "child");
    return 0;
}
