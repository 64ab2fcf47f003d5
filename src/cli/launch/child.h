/* SPDX-License-Identifier: MIT */
/* The process that becomes the program. */
#ifndef LINGER_CLI_LAUNCH_CHILD_H
#define LINGER_CLI_LAUNCH_CHILD_H

/* Before the first fork(2): blocks all signals, and makes children waitable. */
void child_prepare(void);

#endif
