/* SPDX-License-Identifier: MIT */
/*
 * A program that stands in a system call, or elsewhere, until a byte comes from standard input:
 * held NAME [COUNT]
 *
 * Prints "ready N", where N is the number of the call, makes it, and prints what it returned and
 * errno. Another thread, or a child, does then what the call waits for. The names are those of the
 * table at the end. Ends with status 7.
 */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/rseq.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/wait.h>
#include <time.h>

#include "common.h"

#ifndef SYS_poll /* aarch64, riscv64 */
#define SYS_poll SYS_ppoll
#define SYS_epoll_wait SYS_epoll_pwait
#endif

#define TIME_LIMIT 120      /* seconds */
#define NOBODYS_NUMBER 2000 /* the call that the filter of tests/tools/inject.c tells of */

static volatile sig_atomic_t handled;
static int count;

static void await_byte(void)
{
    char byte;

    check(read(STDIN_FILENO, &byte, 1) == 1, "standard input");
}

static void ready(long number)
{
    printf("ready %ld\n", number);
    fflush(stdout);
}

static void report(long result)
{
    printf("%ld %d\n", result, result < 0 ? errno : 0);
}

/* Calls that when the byte has come. */
static void *when_told(void *what)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    await_byte();
    (*(void (**)(void))what)();
    return NULL;
}

static void later(void (*what)(void))
{
    static void (*kept)(void);
    pthread_t thread;

    kept = what;
    check(pthread_create(&thread, NULL, when_told, &kept) == 0, "a thread");
}

static void handle(int number)
{
    handled = number;
}

static void with_handler(int flags)
{
    struct sigaction action = {.sa_handler = handle, .sa_flags = flags};

    check(sigaction(SIGUSR1, &action, NULL) == 0, "sigaction");
}

static void block(int number)
{
    sigset_t one;

    sigemptyset(&one);
    sigaddset(&one, number);
    check(sigprocmask(SIG_BLOCK, &one, NULL) == 0, "sigprocmask");
}

static void signal_all(void)
{
    kill(getpid(), SIGUSR1);
}

static void hold_read(void)
{
    char byte;

    ready(SYS_read);
    report(read(STDIN_FILENO, &byte, 1));
}

static void hold_poll(void)
{
    struct pollfd input = {STDIN_FILENO, POLLIN, 0};

    ready(SYS_poll);
    report(poll(&input, 1, 60000));
}

/* The signal may come only in the call. */
static void hold_ppoll(void)
{
    sigset_t none;

    sigemptyset(&none);
    block(SIGUSR1);
    with_handler(SA_RESTART);
    later(signal_all);
    ready(SYS_ppoll);
    report(ppoll(NULL, 0, NULL, &none));
    check(handled == SIGUSR1, "the handler");
}

static void wait_for_event(int limit)
{
    struct epoll_event event = {.events = EPOLLIN};
    int set = epoll_create1(0);

    check(epoll_ctl(set, EPOLL_CTL_ADD, STDIN_FILENO, &event) == 0, "epoll_ctl");
    ready(SYS_epoll_wait);
    report(epoll_wait(set, &event, 1, limit));
}

static void hold_epoll(void)
{
    wait_for_event(-1);
}

static void hold_epoll_limit(void)
{
    wait_for_event(60000);
}

static void hold_nanosleep(void)
{
    const struct timespec seconds = {10, 0};
    struct timespec before;
    struct timespec after;

    ready(SYS_clock_nanosleep);
    clock_gettime(CLOCK_MONOTONIC, &before);
    int result = clock_nanosleep(CLOCK_REALTIME, 0, &seconds, NULL);
    clock_gettime(CLOCK_MONOTONIC, &after);
    check((after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec > 9999000000,
          "slept too short a time");
    report(result);
}

uint32_t word;

static void wake(void)
{
    __atomic_store_n(&word, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void hold_futex(void)
{
    later(wake);
    ready(SYS_futex);
    report(syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0));
}

static void hold_futex_limit(void)
{
    const struct timespec limit = {60, 0};

    later(wake);
    ready(SYS_futex);
    report(syscall(SYS_futex, &word, FUTEX_WAIT, 0, &limit, NULL, 0));
}

static int listener;
static struct sockaddr_storage address;
static socklen_t length;

static void listen_for(int backlog)
{
    length = test_address(AF_INET, 0, &address);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    check(bind(listener, (struct sockaddr *)&address, length) == 0, "bind");
    check(listen(listener, backlog) == 0, "listen");
    length = test_address(AF_INET, port_of(listener), &address);
}

static void connect_to_it(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    check(connect(fd, (struct sockaddr *)&address, length) == 0, "connect");
    check(send(fd, "hello", 5, 0) == 5, "send");
}

static void hold_accept(void)
{
    listen_for(5);
    later(connect_to_it);
    ready(SYS_accept);
    report(accept(listener, NULL, NULL) > 0 ? 0 : -1);
}

static void make_room(void)
{
    while (accept(listener, NULL, NULL) >= 0)
        ;
}

/* The queue is full, so the kernel drops the SYN, and sends another one later. */
static void connect_with(long limit)
{
    const struct timeval wait = {limit, 0};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    listen_for(0);
    for (int i = 0; i < 8; i++)
        connect(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), (struct sockaddr *)&address,
                length);
    check(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) == 0, "SO_SNDTIMEO");
    later(make_room);
    ready(SYS_connect);
    report(connect(fd, (struct sockaddr *)&address, length));
}

static void hold_connect(void)
{
    connect_with(0);
}

static void hold_connect_limit(void)
{
    connect_with(60);
}

static void say_hello(void)
{
    check(send(listener, "hello", 5, 0) == 5, "send");
}

static void hold_recv_limit(void)
{
    const struct timeval wait = {60, 0};
    char bytes[8];

    listen_for(5);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    check(connect(fd, (struct sockaddr *)&address, length) == 0, "connect");
    check(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) == 0, "SO_RCVTIMEO");
    listener = accept(listener, NULL, NULL);
    later(say_hello);
    ready(SYS_recvfrom);
    report(recv(fd, bytes, sizeof(bytes), 0));
}

static void hold_sigtimedwait(void)
{
    const struct timespec limit = {60, 0};
    sigset_t one;

    block(SIGUSR1);
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    later(signal_all);
    ready(SYS_rt_sigtimedwait);
    report(sigtimedwait(&one, NULL, &limit));
}

static int semaphores;

static void up(void)
{
    struct sembuf one = {0, 1, 0};

    semop(semaphores, &one, 1);
}

static void hold_semop(void)
{
    struct sembuf one = {0, -1, 0};

    semaphores = semget(IPC_PRIVATE, 1, 0600);
    later(up);
    ready(SYS_semtimedop);
    long result = semop(semaphores, &one, 1);
    semctl(semaphores, 0, IPC_RMID);
    report(result);
}

static void hold_sigsuspend(void)
{
    sigset_t none;

    sigemptyset(&none);
    block(SIGUSR1);
    with_handler(0);
    later(signal_all);
    ready(SYS_rt_sigsuspend);
    report(sigsuspend(&none));
    check(handled == SIGUSR1, "the handler");
}

static void hold_wait(void)
{
    pid_t child = fork();

    if (child == 0) {
        await_byte();
        _exit(0);
    }
    ready(SYS_wait4);
    report(waitpid(child, NULL, 0) == child ? 0 : -1);
}

static void hold_vfork(void)
{
    char byte;

    ready(-1);
    if (vfork() == 0)
        _exit(read(STDIN_FILENO, &byte, 1) != 1);
    report(0);
}

/* Signals that wait: SIGUSR1 for the process, SIGUSR2 for the thread, and one with a value. */
static void hold_signals(void)
{
    const union sigval value = {42};
    siginfo_t info;
    sigset_t one;

    for (int number = SIGUSR1; number <= SIGRTMIN + 1; number++) {
        if (number == SIGUSR1 || number == SIGUSR2 || number == SIGRTMIN + 1)
            block(number);
    }
    signal(SIGTRAP, SIG_IGN);
    signal(SIGCHLD, SIG_IGN);
    kill(getpid(), SIGUSR1);
    pthread_kill(pthread_self(), SIGUSR2);
    sigqueue(getpid(), SIGRTMIN + 1, value);
    hold_read();
    sigemptyset(&one);
    sigaddset(&one, SIGRTMIN + 1);
    check(sigwaitinfo(&one, &info) == SIGRTMIN + 1 && info.si_value.sival_int == 42, "the value");
}

/* Goes on in its filter, which ends it for what an injection calls. */
static void hold_filtered(void)
{
    static const int deadly[] = {SYS_seccomp, SYS_prctl, SYS_mmap, SYS_munmap, 436};
    struct sock_filter code[16] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
    struct sock_fprog program = {1, code};

    for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++) {
        code[program.len++] =
            (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, deadly[i], 0, 1);
        code[program.len++] =
            (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    }
    code[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "the filter");
    hold_read();
}

/* SIGSYS in place of the calls that are made from its vDSO. */
static void hold_dispatched(void)
{
    static char blocks = 1;

    check(prctl(59 /* PR_SET_SYSCALL_USER_DISPATCH */, 1, 0, getauxval(AT_SYSINFO_EHDR), &blocks) ==
              0,
          "prctl");
    hold_read();
}

/* read() and write() are all that it permits. */
static void hold_strict(void)
{
    char byte;

    ready(SYS_read);
    check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0, "strict mode");
    syscall(SYS_exit, read(STDIN_FILENO, &byte, 1) == 1 ? 7 : 1);
}

static pthread_barrier_t told;
static int served;

static void *call_number(void *unused)
{
    pthread_barrier_wait(&told);
    __atomic_add_fetch(&served, syscall(NOBODYS_NUMBER) == 42, __ATOMIC_SEQ_CST);
    return unused;
}

/* Then each thread, and a child, makes the call: prints how many were answered. */
static void hold_threads(void)
{
    pthread_t *threads = calloc((size_t)count, sizeof(*threads));
    int status;

    pthread_barrier_init(&told, NULL, (unsigned)count + 1);
    for (int i = 0; i < count; i++)
        check(pthread_create(&threads[i], NULL, call_number, NULL) == 0, "a thread");
    ready(SYS_read);
    await_byte();
    pthread_barrier_wait(&told);
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(syscall(NOBODYS_NUMBER) == 42 ? 42 : 1);
    check(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 42, "the child");
    report(served);
}

#ifdef __x86_64__
/*
 * Fill all registers, and the red zone below the stack, with values of their own, and wait; then
 * store the registers to `out`: spin() until *flag is set, patterned_read() in read(0, &word, 1).
 */
void spin(volatile int *flag, uint64_t out[14]);
void patterned_read(volatile int *unused, uint64_t out[14]);

/* Saves what a function keeps, and fills every register but those of a system call's arguments. */
#define FILL                                                                                       \
    "push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; push %rsi\n"                \
    "movabs $0x225a5a5a5a5a5a01, %rbx\n"                                                           \
    "movabs $0x335a5a5a5a5a5a02, %rcx\n"                                                           \
    "movabs $0x665a5a5a5a5a5a05, %rbp\n"                                                           \
    "movabs $0x775a5a5a5a5a5a06, %r8\n"                                                            \
    "movabs $0x885a5a5a5a5a5a07, %r9\n"                                                            \
    "movabs $0x995a5a5a5a5a5a08, %r10\n"                                                           \
    "movabs $0xaa5a5a5a5a5a5a09, %r11\n"                                                           \
    "movabs $0xbb5a5a5a5a5a5a0a, %r12\n"                                                           \
    "movabs $0xcc5a5a5a5a5a5a0b, %r13\n"                                                           \
    "movabs $0xdd5a5a5a5a5a5a0c, %r14\n"                                                           \
    "movabs $0xee5a5a5a5a5a5a0d, %r15\n"                                                           \
    "mov %r15, -8(%rsp); mov %r14, -64(%rsp); mov %r13, -128(%rsp)\n"

__asm__("spin:\n" FILL "movabs $0x115a5a5a5a5a5a00, %rax\n"
        "movabs $0x445a5a5a5a5a5a03, %rdx\n"
        "movabs $0x555a5a5a5a5a5a04, %rsi\n"
        "1: cmpl $0, (%rdi); je 1b\n"
        "store:\n"
        "mov -8(%rsp), %rdi; cmp %rdi, %r15; jne broken; mov -64(%rsp), %rdi; cmp %rdi, %r14\n"
        "jne broken; mov -128(%rsp), %rdi; cmp %rdi, %r13; jne broken\n"
        "push %rax; push %rbx; push %rcx; push %rdx; push %rsi; push %rbp; push %r8\n"
        "push %r9; push %r10; push %r11; push %r12; push %r13; push %r14; push %r15\n"
        "mov 112(%rsp), %rdi\n"
        "popq 104(%rdi); popq 96(%rdi); popq 88(%rdi); popq 80(%rdi); popq 72(%rdi)\n"
        "popq 64(%rdi); popq 56(%rdi); popq 48(%rdi); popq 40(%rdi); popq 32(%rdi)\n"
        "popq 24(%rdi); popq 16(%rdi); popq 8(%rdi); popq 0(%rdi)\n"
        "pop %rsi; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret\n"
        "broken: ud2\n"
        "patterned_read:\n" FILL
        "xor %eax, %eax; xor %edi, %edi; lea word(%rip), %rsi; mov $1, %edx; syscall; jmp store\n");

static void check_registers(const uint64_t *out, unsigned clobbered)
{
    for (unsigned i = 0; i < 14; i++) {
        uint64_t value = (uint64_t)(0x11 * (i + 1)) << 56 | 0x5a5a5a5a5a5a00 | i;
        check(clobbered >> i & 1 || out[i] == value, "a register");
    }
}

static void hold_registers(void)
{
    uint64_t out[14];

    ready(SYS_read);
    patterned_read(NULL, out);
    check(out[0] == 1 && out[3] == 1 && out[4] == (uint64_t)(uintptr_t)&word, "the call's own");
    check_registers(out, 0x21d); /* rax, rcx, rdx, rsi, r11 */
    report(0);
}

/* What is set when the byte has come. */
static int *make_flag(void)
{
    int *flag = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (fork() == 0) {
        await_byte();
        *flag = 1;
        _exit(0);
    }
    return flag;
}

static void hold_spin(void)
{
    int *flag = make_flag();
    uint64_t out[14];

    ready(-1);
    spin(flag, out);
    check_registers(out, 0);
    report(0);
}

/*
 * Is in a restartable sequence, rseq(2), until *flag is set, and begins it anew when it is aborted.
 * 1 if it goes on in the middle of one that the kernel knows nothing of: an abort was lost.
 */
int sequence(volatile int *flag, struct rseq *area);

__asm__(".pushsection .data\n"
        ".balign 32\n"
        "described: .long 0, 0; .quad 1f, 2f - 1f, 4f\n"
        ".popsection\n"
        "sequence: lea described(%rip), %rax; mov %rax, 8(%rsi)\n"
        "1: cmpq $0, 8(%rsi); je 3f; cmpl $0, (%rdi); je 1b\n"
        "2: movq $0, 8(%rsi); xor %eax, %eax; ret\n"
        "3: mov $1, %eax; ret\n"
        ".long 0x53053053\n"
        "4: jmp sequence\n");

extern const ptrdiff_t __rseq_offset __attribute__((weak)); /* glibc 2.35: it has one already */

static void hold_sequence(void)
{
    static struct rseq own;
    struct rseq *area = &own;
    int *flag = make_flag();

    if (syscall(SYS_rseq, &own, sizeof(own), 0, 0x53053053) != 0)
        area = (struct rseq *)((char *)pthread_self() + __rseq_offset);
    ready(-1);
    report(sequence(flag, area));
}
#endif

static const struct {
    const char *name;
    void (*hold)(void);
} names[] = {
    {"read", hold_read},
    {"poll", hold_poll},
    {"ppoll", hold_ppoll},
    {"epoll", hold_epoll},
    {"epoll-limit", hold_epoll_limit},
    {"nanosleep", hold_nanosleep},
    {"futex", hold_futex},
    {"futex-limit", hold_futex_limit},
    {"accept", hold_accept},
    {"connect", hold_connect},
    {"connect-limit", hold_connect_limit},
    {"recv-limit", hold_recv_limit},
    {"sigtimedwait", hold_sigtimedwait},
    {"semop", hold_semop},
    {"sigsuspend", hold_sigsuspend},
    {"wait", hold_wait},
    {"vfork", hold_vfork},
    {"signals", hold_signals},
    {"filtered", hold_filtered},
    {"strict", hold_strict},
    {"dispatched", hold_dispatched},
    {"threads", hold_threads},
#ifdef __x86_64__
    {"registers", hold_registers},
    {"spin", hold_spin},
    {"sequence", hold_sequence},
#endif
};

int main(int argc, char **argv)
{
    alarm(TIME_LIMIT);
    check(argc >= 2, "usage");
    count = argc > 2 ? atoi(argv[2]) : 1;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i].name, argv[1]) == 0) {
            names[i].hold();
            return 7;
        }
    }
    check(false, "no such name");
}
