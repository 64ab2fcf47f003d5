/* SPDX-License-Identifier: MIT */
/*
 * Socket calls with every length and pointer that a program may pass: prints a line for each, with
 * what it returned and errno, so that two runs can be compared: odd [threads | linger2]
 *
 * With "threads" another thread changes the address while it is used; then only "done" is printed.
 * With "linger2" TCP_LINGER2 is set from memory that ends before the length does, of which the
 * kernel reads an int; then only what the socket has is printed.
 */
#include <netinet/tcp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include "common.h"

#define TIME_LIMIT 100 /* seconds */
#define PAGE ((size_t)4096)
#define CHANGES 3000 /* calls with an address that changes */

static const unsigned lengths[] = {0,   1,    2,    4,    7,     8,           9,           15,
                                   16,  17,   27,   28,   29,    127,         128,         129,
                                   256, 1000, 4096, 8192, 65536, 0x7fffffffu, 0x80000000u, ~0u};

static struct sockaddr_storage nobody; /* an address that refuses connections */
static char *page;                     /* one that may be used, before one that may not */
static bool is_over;

/* `size` bytes at the end of the page. */
static void *last_bytes(const void *from, size_t size)
{
    return memcpy(page + PAGE - size, from, size);
}

static void say(const char *call, const char *where, long length, long result)
{
    int error = errno;

    printf("%s %s %ld: %ld %d\n", call, where, length, result, result < 0 ? error : 0);
}

static void try_address(long number, const char *call, int family, const char *where,
                        const void *address)
{
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        int fd = socket(family, SOCK_STREAM, 0);
        say(call, where, (int)lengths[i], syscall(number, fd, address, lengths[i]));
        close(fd);
    }
}

static void try_addresses(long number, const char *call)
{
    struct sockaddr_storage six = nobody;
    struct sockaddr_storage wrong = nobody;

    six.ss_family = AF_INET6;
    wrong.ss_family = AF_UNIX;
    try_address(number, call, AF_INET, "good", &nobody);
    try_address(number, call, AF_INET6, "family", &six);
    try_address(number, call, AF_INET, "wrong", &wrong);
    try_address(number, call, AF_INET, "null", NULL);
    try_address(number, call, AF_INET, "unmapped", page + PAGE);
    try_address(number, call, AF_INET, "kernel", (void *)~(uintptr_t)0xfff);
    try_address(number, call, AF_INET, "exact", last_bytes(&nobody, sizeof(struct sockaddr_in)));
    try_address(number, call, AF_INET, "short", last_bytes(&nobody, 15));
    try_address(number, call, AF_INET, "byte", last_bytes(&nobody, 1));
}

static void try_option(int fd, int level, int option, const char *where, const void *value)
{
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
        say(option == SO_LINGER ? "linger" : "linger2", where, (int)lengths[i],
            syscall(SYS_setsockopt, fd, level, option, value, lengths[i]));
}

static void try_options(void)
{
    static const char value[65536];
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    for (int i = 0; i < 2; i++) {
        int level = i ? IPPROTO_TCP : SOL_SOCKET;
        int option = i ? TCP_LINGER2 : SO_LINGER;
        try_option(fd, level, option, "good", value);
        try_option(fd, level, option, "null", NULL);
        try_option(fd, level, option, "unmapped", page + PAGE);
        try_option(fd, level, option, "exact", last_bytes(value, i ? 4 : 8));
        try_option(fd, level, option, "byte", last_bytes(value, 1));
    }
    close(fd);
}

static void try_descriptors(void)
{
    static const int numbers[] = {-1, 999, 0x7fffffff, (int)0x80000000u};

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        int fd = numbers[i];
        say("listen", "fd", fd, syscall(SYS_listen, fd, 1));
        say("shutdown", "fd", fd, syscall(SYS_shutdown, fd, SHUT_RDWR));
        say("connect", "fd", fd, syscall(SYS_connect, fd, &nobody, sizeof(struct sockaddr_in)));
        say("dup3", "fd", fd, syscall(SYS_dup3, fd, 5, 0));
        say("dup3", "target", fd, syscall(SYS_dup3, 0, fd == 999 ? -1 : fd, 0));
        say("close", "fd", fd, syscall(SYS_close, fd));
    }
}

static void *change(void *unused)
{
    struct sockaddr_storage *address = (struct sockaddr_storage *)page;

    for (unsigned i = 0; !__atomic_load_n(&is_over, __ATOMIC_RELAXED); i++) {
        address->ss_family = (sa_family_t)(i % 3 == 0 ? AF_INET6 : i % 3 == 1 ? AF_INET : AF_UNIX);
        if (i % 64 == 0)
            mprotect(page, PAGE, PROT_NONE);
        if (i % 64 == 0)
            mprotect(page, PAGE, PROT_READ | PROT_WRITE);
    }
    return unused;
}

static void try_changing(void)
{
    pthread_t thread;

    memcpy(page, &nobody, sizeof(nobody));
    check(pthread_create(&thread, NULL, change, NULL) == 0, "a thread");
    for (unsigned i = 0; i < CHANGES; i++) {
        int fd = socket(i % 2 ? AF_INET : AF_INET6, SOCK_STREAM, 0);
        syscall(i % 4 < 2 ? SYS_connect : SYS_bind, fd, page, i % 3 ? 16 : 28);
        close(fd);
    }
    __atomic_store_n(&is_over, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    puts("done");
}

static void try_linger2(void)
{
    const int seconds = 5;
    int now = 0;
    socklen_t size = sizeof(now);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    check(setsockopt(fd, IPPROTO_TCP, TCP_LINGER2, last_bytes(&seconds, sizeof(seconds)), 8) == 0 &&
              getsockopt(fd, IPPROTO_TCP, TCP_LINGER2, &now, &size) == 0,
          "TCP_LINGER2");
    printf("%d\n", now);
}

int main(int argc, char **argv)
{
    int holder = socket(AF_INET, SOCK_STREAM, 0);

    alarm(TIME_LIMIT);
    socklen_t length = test_address(AF_INET, 0, &nobody);
    check(bind(holder, (struct sockaddr *)&nobody, length) == 0, "bind");
    length = test_address(AF_INET, port_of(holder), &nobody);
    page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(page != MAP_FAILED && mprotect(page + PAGE, PAGE, PROT_NONE) == 0, "a page");
    if (argc > 1) {
        strcmp(argv[1], "linger2") == 0 ? try_linger2() : try_changing();
        return 0;
    }
    try_addresses(SYS_connect, "connect");
    try_addresses(SYS_bind, "bind");
    try_options();
    try_descriptors();
    return 0;
}
