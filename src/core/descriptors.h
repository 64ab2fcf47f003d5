/* The descriptors that are open in this process. */
#ifndef LINGER_DESCRIPTORS_H
#define LINGER_DESCRIPTORS_H

/* Calls `visit` for each of these numbers, and for some that are not open. */
void descriptors_each(unsigned first, unsigned last, void (*visit)(int fd));

#endif
