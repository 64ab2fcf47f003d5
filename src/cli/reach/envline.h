/* What env(1) does with its argument in a #! line. */
#ifndef LINGER_REACH_ENVLINE_H
#define LINGER_REACH_ENVLINE_H

#include <stdbool.h>

struct envline {
    const char *program; /* NULL where it runs nothing */
    bool drops;          /* it takes LD_PRELOAD or a LINGER_ variable away */
};

/* Reads the argument, which is changed and kept. False where env does not take its options. */
bool envline_read(char *argument, struct envline *line);

#endif
