/* SPDX-License-Identifier: MIT */
/* Which calls the filter reports, by each moment, and how it is installed on older kernels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/supervise/filter.h"
#include "core/moments.h"
#include "socket/sock.h"

#define TIME_LIMIT 60 /* seconds */
#define NUMBERS 512   /* of system calls */
#define REFUSED (SECCOMP_RET_ERRNO | EPROTONOSUPPORT)

#if defined(__x86_64__)
#define OURS AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OURS AUDIT_ARCH_AARCH64
#else
#define OURS AUDIT_ARCH_RISCV64
#endif

/* What decides in any call, and something that does not. */
static const uint32_t values[] = {0,           SOL_SOCKET,  SHUT_RDWR, 3,         4,
                                  IPPROTO_TCP, TCP_LINGER2, AF_INET6,  SO_LINGER, 262};
#define VALUES (sizeof(values) / sizeof(values[0]))

/* As the kernel runs it, of the instructions that there are in one. */
static uint32_t run(const struct filter *f, const struct seccomp_data *data)
{
    uint32_t loaded = 0;

    for (unsigned at = 0; at < f->length; at++) {
        const struct sock_filter *i = &f->code[at];
        switch (i->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            memcpy(&loaded, (const char *)data + i->k, sizeof(loaded));
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            at += loaded == i->k ? i->jt : i->jf;
            break;
        case BPF_JMP | BPF_JA:
            at += i->k;
            break;
        case BPF_RET | BPF_K:
            return i->k;
        default:
            fail_msg("instruction %u: %#x", at, i->code);
        }
    }
    fail_msg("it does not return");
    return 0;
}

/* The moment at which a call of this architecture is one. */
static unsigned moment_of(const struct seccomp_data *data)
{
    uint32_t second = (uint32_t)data->args[1];
    uint32_t third = (uint32_t)data->args[2];

    switch (data->nr) {
    case SYS_connect:
        return MOMENT_CONNECT;
    case SYS_listen:
        return MOMENT_LISTEN;
    case SYS_bind:
        return MOMENT_BIND;
#ifdef SYS_accept
    case SYS_accept:
#endif
    case SYS_accept4:
        return MOMENT_ACCEPT;
    case SYS_setsockopt:
        return (second == SOL_SOCKET && third == SO_LINGER) ||
                       (second == IPPROTO_TCP && third == TCP_LINGER2)
                   ? MOMENT_SETSOCKOPT
                   : 0;
    case SYS_shutdown:
        return second == SHUT_RDWR ? MOMENT_SHUTDOWN : 0;
    case SYS_close:
#ifdef SYS_dup2
    case SYS_dup2:
#endif
    case SYS_dup3:
        return MOMENT_CLOSE;
    case SYS_exit_group:
        return MOMENT_EXIT;
    default:
        return 0;
    }
}

/* Of one for 32 bits only what gives it a connection. */
static unsigned foreign_moment_of(const struct seccomp_data *data)
{
#if defined(__x86_64__)
    uint32_t first = (uint32_t)data->args[0];

    if (data->nr == 362 || (data->nr == 102 && first == 3))
        return MOMENT_CONNECT;
    return data->nr == 363 || (data->nr == 102 && first == 4) ? MOMENT_LISTEN : 0;
#elif defined(__aarch64__)
    return data->nr == 283 ? MOMENT_CONNECT : data->nr == 284 ? MOMENT_LISTEN : 0;
#else
    (void)data;
    return 0;
#endif
}

static bool is_foreign(uint32_t arch)
{
    return arch == AUDIT_ARCH_I386 ? OURS == AUDIT_ARCH_X86_64
                                   : arch == AUDIT_ARCH_ARM && OURS == AUDIT_ARCH_AARCH64;
}

static uint32_t expected(const struct seccomp_data *data, unsigned moments, bool refuses_mptcp)
{
    uint32_t family = (uint32_t)data->args[0];
    unsigned moment = data->arch == OURS       ? moment_of(data)
                      : is_foreign(data->arch) ? foreign_moment_of(data)
                                               : 0;

    if (refuses_mptcp && data->arch == OURS && data->nr == SYS_socket &&
        (family == AF_INET || family == AF_INET6) && (uint32_t)data->args[2] == SOCK_IPPROTO_MPTCP)
        return REFUSED;
    return moment & moments ? SECCOMP_RET_USER_NOTIF : SECCOMP_RET_ALLOW;
}

static void check_arguments(const struct filter *f, struct seccomp_data *data, unsigned moments,
                            bool refuses_mptcp)
{
    for (unsigned i = 0; i < VALUES * VALUES * VALUES; i++) {
        uint64_t upper = (uint64_t)i << 32; /* the kernel's ints have none */
        data->args[0] = values[i % VALUES] | upper;
        data->args[1] = values[i / VALUES % VALUES] | upper;
        data->args[2] = values[i / VALUES / VALUES] | upper;
        uint32_t said = run(f, data);
        if (said != expected(data, moments, refuses_mptcp))
            fail_msg("call %d(%u, %u, %u) of %#x: %#x, moments %#x", data->nr,
                     (unsigned)data->args[0], (unsigned)data->args[1], (unsigned)data->args[2],
                     data->arch, said, moments);
    }
}

/* Those with arguments that decide; of all others one. */
static bool has_arguments(int number)
{
    return number == SYS_setsockopt || number == SYS_shutdown || number == SYS_socket ||
           number == SYS_close || number == 102;
}

static void check(unsigned moments, bool refuses_mptcp)
{
    static const uint32_t archs[] = {OURS, AUDIT_ARCH_I386, AUDIT_ARCH_ARM, AUDIT_ARCH_PPC64};
    struct filter f;
    struct seccomp_data data = {0};

    filter_build(&f, moments, refuses_mptcp);
    assert_int_equal(f.may_wait, (moments & MOMENT_ACCEPT) != 0);
    for (size_t i = 0; i < sizeof(archs) / sizeof(archs[0]); i++) {
        data.arch = archs[i];
        for (data.nr = 0; data.nr < NUMBERS; data.nr++) {
            memset(data.args, 0, sizeof(data.args));
            assert_int_equal(run(&f, &data), expected(&data, moments, refuses_mptcp));
            if (has_arguments(data.nr))
                check_arguments(&f, &data, moments, refuses_mptcp);
        }
    }
}

static void test_each_moment_has_its_calls(void **state)
{
    (void)state;
    for (unsigned moment = MOMENT_SOCKET; moment <= MOMENT_EXIT; moment <<= 1)
        check(moment, false);
}

static void test_all_moments(void **state)
{
    (void)state;
    check(~0u, true);
}

static void test_mptcp_is_refused(void **state)
{
    (void)state;
    check(0, true);
}

/* seccomp() with that flag fails, as in kernels that do not know it. */
static int refuse_flag(uint32_t flag, int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, flag, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

enum privilege { PRIVILEGED, UNPRIVILEGED };

struct trial {
    enum privilege privilege;
    unsigned moments;
    uint32_t refused; /* a flag */
    int error;        /* by which it is */
    int before;       /* errno */
};

/* Where descriptor 0 is free. */
static int install(const struct trial *trial)
{
    static struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    static struct __user_cap_data_struct none[2];
    static struct filter filter;

    filter_build(&filter, trial->moments, false);
    if (trial->refused && refuse_flag(trial->refused, trial->error) != 0)
        return -1;
    if (trial->privilege == UNPRIVILEGED && syscall(SYS_capset, &header, none) != 0)
        return -1;
    close(STDIN_FILENO);
    errno = trial->before;
    return filter_install(&filter);
}

/* In a process of its own, which has no_new_privs only where it needs it; `error` or 0. */
static void gives(int error, struct trial trial)
{
    int status;

    if (geteuid() != 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 0)
        skip();
    pid_t pid = fork();
    if (pid == 0) {
        int listener = install(&trial);
        bool is_right = error ? listener == -1 && errno == error : listener == 0;
        int has_lost = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
        _exit(!is_right || has_lost != (trial.privilege == UNPRIVILEGED));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_the_listener_may_be_descriptor_0(void **state)
{
    (void)state;
    gives(0, (struct trial){.before = EINVAL});
    gives(0, (struct trial){.before = EACCES, .moments = MOMENT_ACCEPT});
}

static void test_unprivileged(void **state)
{
    (void)state;
    gives(0, (struct trial){.privilege = UNPRIVILEGED});
    gives(0, (struct trial){.privilege = UNPRIVILEGED, .moments = MOMENT_ACCEPT});
}

#define WAITS SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV

static void test_before_linux_5_19(void **state)
{
    (void)state;
    gives(0, (struct trial){.refused = WAITS, .error = EINVAL});
    gives(0, (struct trial){.privilege = UNPRIVILEGED, .refused = WAITS, .error = EINVAL});
}

static void test_signals_interrupt_only_a_call_that_waits(void **state)
{
    (void)state;
    gives(EBUSY, (struct trial){.refused = WAITS, .error = EBUSY});
    gives(0, (struct trial){.refused = WAITS, .error = EBUSY, .moments = MOMENT_ACCEPT});
}

static void test_where_another_one_supervises(void **state)
{
    (void)state;
    gives(EBUSY, (struct trial){.refused = SECCOMP_FILTER_FLAG_NEW_LISTENER, .error = EBUSY});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_moment_has_its_calls),
        cmocka_unit_test(test_all_moments),
        cmocka_unit_test(test_mptcp_is_refused),
        cmocka_unit_test(test_the_listener_may_be_descriptor_0),
        cmocka_unit_test(test_unprivileged),
        cmocka_unit_test(test_before_linux_5_19),
        cmocka_unit_test(test_signals_interrupt_only_a_call_that_waits),
        cmocka_unit_test(test_where_another_one_supervises),
    };

    alarm(TIME_LIMIT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
