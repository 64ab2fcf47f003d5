/* The next definition of each hooked function, in the program, in another preload or in libc. */
#include "real.h"

#include <dlfcn.h>
#include <string.h>

struct real real;

/* In every glibc, and in those that have close_range(); in no musl. Of these nothing is called. */
extern const char *gnu_get_libc_version(void) __attribute__((weak));
extern int execveat(int, const char *, char *const[], char *const[], int) __attribute__((weak));

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
    if (gnu_get_libc_version) {
        REAL_FUNCTIONS_GLIBC(RESOLVE)
    }
    if (execveat) {
        REAL_FUNCTIONS_RANGE(RESOLVE)
    }
#if __SIZEOF_POINTER__ == 4
    /* What a program that was built with -D_TIME_BITS=64 calls instead. */
    if (__sendmsg64) {
        REAL_FUNCTIONS_TIME64(RESOLVE_TIME64)
    }
#endif
}
