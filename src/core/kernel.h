/*
 * System calls without libc's syscall(3), which is a name like any other: torsocks, preloaded
 * beside this library, puts its own in that place, which knows a few calls and crashes on the
 * others. On architectures that are not written down here it is libc's.
 */
#ifndef LINGER_KERNEL_H
#define LINGER_KERNEL_H

#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel's answer: a result, or a negated errno, syscall(2) "Architecture calling conventions".
 */
static inline long kernel_raw(long number, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__) && defined(__LP64__)
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;

    __asm__ volatile("svc #0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
#elif defined(__riscv) && __riscv_xlen == 64
    register long a7 __asm__("a7") = number;
    register long a0 __asm__("a0") = a;
    register long a1 __asm__("a1") = b;
    register long a2 __asm__("a2") = c;
    register long a3 __asm__("a3") = d;
    register long a4 __asm__("a4") = e;
    register long a5 __asm__("a5") = f;

    __asm__ volatile("ecall"
                     : "+r"(a0)
                     : "r"(a7), "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5)
                     : "memory");
    return a0;
#else
    long result = syscall(number, a, b, c, d, e, f);

    return result == -1 ? -errno : result;
#endif
}

/* As syscall(3) answers: a result, or -1 and errno. */
static inline long kernel_call(long number, long a, long b, long c, long d, long e, long f)
{
    long result = kernel_raw(number, a, b, c, d, e, f);

    if (result >= 0 || result < -4095) /* MAX_ERRNO, linux/err.h */
        return result;
    errno = (int)-result;
    return -1;
}

#endif
