/* A parent that is not to be noticed: passes signals on, stops and goes on with its child. */
#ifndef LINGER_PARENT_H
#define LINGER_PARENT_H

#include <signal.h>
#include <sys/types.h>

struct parent {
    pid_t child;     /* 0 in the child */
    sigset_t before; /* the signal mask, which the child gets back */
};

/* fork(2). In the child signals are as they were; returns 0, or -1 and errno. */
int parent_begin(struct parent *parent);

/* Waits for the child's end, forwarding signals meanwhile; returns its wait status, wait(2). */
int parent_wait(const struct parent *parent);

/* The exit status that says the same; where a signal ended the child, the same one ends us. */
int parent_exit(int status);

#endif
