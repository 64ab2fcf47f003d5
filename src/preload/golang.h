/* Is the program one that the library is loaded into and does not reach? */
#ifndef LINGER_GOLANG_H
#define LINGER_GOLANG_H

#include <stdbool.h>

/* By the note with Go's build ID, elf(5), among the segments of the running program. */
bool golang_is_program(void);

#endif
