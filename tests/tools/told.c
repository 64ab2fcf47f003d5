/* SPDX-License-Identifier: MIT */
/*
 * Says how often it was told: counts signals, and prints the counts, "TERM=1 INT=0 HUP=0 CONT=0",
 * when SIGRTMIN comes; then it ends. Prints "ready PID" first.
 */
#include <signal.h>

#include "common.h"

static const struct {
    int number;
    const char *name;
} counted[] = {{SIGTERM, "TERM"}, {SIGINT, "INT"}, {SIGHUP, "HUP"}, {SIGCONT, "CONT"}};

static volatile sig_atomic_t counts[65];

static void count(int number)
{
    counts[number] = counts[number] + 1;
}

int main(void)
{
    struct sigaction action = {.sa_handler = count};
    sigset_t all;
    sigset_t none;

    alarm(60);
    sigfillset(&all);
    sigemptyset(&none);
    sigprocmask(SIG_BLOCK, &all, NULL);
    sigaction(SIGRTMIN, &action, NULL);
    for (size_t i = 0; i < sizeof(counted) / sizeof(counted[0]); i++)
        sigaction(counted[i].number, &action, NULL);
    printf("ready %d\n", (int)getpid());
    fflush(stdout);
    while (counts[SIGRTMIN] == 0)
        sigsuspend(&none);
    for (size_t i = 0; i < sizeof(counted) / sizeof(counted[0]); i++)
        printf("%s=%d%s", counted[i].name, (int)counts[counted[i].number], i < 3 ? " " : "\n");
    return 0;
}
