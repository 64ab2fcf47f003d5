/* The descriptors that are open in this process. */
#ifndef LINGER_DESCRIPTORS_H
#define LINGER_DESCRIPTORS_H

/* Calls `visit` for each; without /proc for numbers that may not be open, too. */
void descriptors_each(void (*visit)(int fd));

#endif
