/* The front of a program, a parent that is not to be noticed: passes signals on, stops and goes on
 * with its child. */
#ifndef LINGER_LAUNCH_FRONT_H
#define LINGER_LAUNCH_FRONT_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

struct front {
    pid_t child;     /* 0 in the child */
    sigset_t before; /* the signal mask, which the child gets back */
};

/* fork(2). In the child signals are as they were; returns 0, or -1 and errno. */
int front_begin(struct front *front);

/* Has the child ended or stopped? Then its wait status, wait(2). */
typedef bool front_look(pid_t child, int *status);
front_look front_look_at_child;

/*
 * Waits for the end, forwarding signals and stopping with the child meanwhile; returns its wait
 * status. `look` is asked at first and at each SIGCHLD.
 */
int front_wait(const struct front *front, front_look *look);

/* Passes on a signal that came with that si_code, if the child does not have it already. */
void front_forward(pid_t child, int number, int code);

/* The exit status that says the same; where a signal ended the child, the same one ends us. */
int front_exit(int status);

/*
 * Closes every descriptor but standard error and `kept` (-1 for none): a connection that a parent
 * holds open does not end when its child closes it. Standard input and output become /dev/null,
 * and so does standard error where it is a TCP socket.
 */
void front_release(int kept);

#endif
