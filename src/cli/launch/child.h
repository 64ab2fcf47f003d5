/* The program's process until it is the program. */
#ifndef LINGER_LAUNCH_CHILD_H
#define LINGER_LAUNCH_CHILD_H

/* Before the first fork(2): blocks all signals, and lets children be waited for. */
void child_prepare(void);

#endif
