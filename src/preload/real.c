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

/* What a program for 32 bits that was built with -D_TIME_BITS=64 calls instead. */
static void resolve_time64(void)
{
#if __SIZEOF_POINTER__ == 4
    if (!__sendmsg64)
        return;
    resolve(&real.setsockopt64, "__setsockopt64");
    resolve(&real.recvmsg64, "__recvmsg64");
    resolve(&real.recvmmsg64, "__recvmmsg64");
#endif
}

void real_resolve(void)
{
    resolve(&real.close, "close"); /* first: another library's dlsym() may call it */
    resolve(&real.socket, "socket");
    resolve(&real.connect, "connect");
    resolve(&real.listen, "listen");
    resolve(&real.accept, "accept");
    resolve(&real.accept4, "accept4");
    resolve(&real.recvmsg, "recvmsg");
    resolve(&real.recvmmsg, "recvmmsg");
    resolve(&real.bind, "bind");
    resolve(&real.setsockopt, "setsockopt");
    resolve(&real.shutdown, "shutdown");
    resolve(&real.fclose, "fclose");
    resolve(&real.dup2, "dup2");
    resolve(&real.dup3, "dup3");
    resolve_time64();
}
