/* The next definition of each hooked function, in the program, in another preload or in libc. */
#include "real.h"

#include <dlfcn.h>
#include <string.h>

struct real real;

#if __SIZEOF_POINTER__ == 4
/* Came to glibc with the names for a time of 64 bits, and is in no other libc. */
extern int __sendmsg64(void) __attribute__((weak));
#endif

/* ISO C has no cast from void * to a function pointer; POSIX gives both one representation. */
static void resolve(void *slot, const char *name)
{
    void *symbol = dlsym(RTLD_NEXT, name);

    memcpy(slot, &symbol, sizeof(symbol));
}

#define RESOLVE(type, name, arguments) resolve(&real.name, #name);
#define RESOLVE_TIME64(type, name, arguments) resolve(&real.name, "__" #name);

void real_resolve(void)
{
    REAL_FUNCTIONS(RESOLVE)
#if __SIZEOF_POINTER__ == 4
    /* What a program that was built with -D_TIME_BITS=64 calls instead. */
    if (__sendmsg64) {
        REAL_FUNCTIONS_TIME64(RESOLVE_TIME64)
    }
#endif
}
