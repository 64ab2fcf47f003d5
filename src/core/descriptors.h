/* The descriptors that are open in this process. */
#ifndef LINGER_DESCRIPTORS_H
#define LINGER_DESCRIPTORS_H

/* Calls `visit` for each of these numbers; without /proc for some that may not be open, too. */
void descriptors_each(unsigned first, unsigned last, void (*visit)(int fd));

#endif
