/* SPDX-License-Identifier: MIT */
/*
 * READ FIRST. How a policy gets from the environment to the wire.
 *
 * Each function below is one moment of a connection's life, and each is the same sentence:
 *
 *     facts -> decide -> apply -> report
 *
 * facts: what is known of the socket at that moment (sock_facts() asks the kernel for no more than
 * the policy needs). decide: decide() finds the first rule that matches, or says that this
 * depends on a fact still to come. apply: sock_apply() sets the options; from then on the kernel
 * itself tears the connection down that way, whoever closes it and however: close(), exit(), a
 * crash, SIGKILL, another process. That is why everything is decided as early as possible:
 *
 *     socket()   a policy without conditions. This alone covers every way out.
 *     connect()  role=client, the peer, the share
 *     listen()   role=server, the local end; accepted connections inherit it (sk_clone_lock())
 *     accept()   what listen() could not decide or could not apply
 *     close()    when=, which is not known earlier
 *
 * The supervisor (cli/supervise/) sees a program from outside, before its calls and not after
 * them, when socket() has no descriptor yet. It arms at connect() and listen(), and makes accept()
 * itself (cli/notify/accept.c); without that, before Linux 5.14, it decides at close() and
 * exit_group() what accept() would have decided. It asks for close() only where a rule needs it,
 * not for a log or counters: the close() of a file, or of no descriptor at all, would be as slow.
 *
 * moments_start() works out once which moments matter, so that a hook whose moment does not costs
 * one branch. There is no table of sockets: descriptors are duplicated, passed and reused behind
 * our backs, so each moment asks the kernel anew. All that is kept is the policy.
 *
 * Must never allocate, lock, keep a descriptor, change errno, or touch what is not TCP.
 */
#include "core/moments.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>

#include "base/errno.h"
#include "report/report.h"
#include "socket/descriptors.h"
#include "socket/role.h"
#include "socket/sock.h"

unsigned moments_wanted = MOMENT_LOAD;

static const struct settings *settings;
static struct plan plan;  /* of LINGER_MODE */
static unsigned reported; /* enum fact: those that the log and the counters need */

/* From now on accept() decides: some listener could not be armed. Never taken back. */
static void ask_at_accept(void)
{
    __atomic_fetch_or(&moments_wanted, MOMENT_ACCEPT, __ATOMIC_RELAXED);
}

/* apply, or report why not: false where the kernel refused. */
static bool apply(int fd, const struct verdict *verdict, bool at_birth)
{
    const char *refused = sock_apply(fd, verdict, at_birth);

    if (refused)
        report_failed(fd, refused, errno, verdict);
    return !refused;
}

/* apply -> report. `at` is the call that the log names. */
static bool arm(int fd, const char *at, const struct facts *facts, const struct verdict *verdict,
                bool at_birth)
{
    bool applied = apply(fd, verdict, at_birth);

    if (applied && verdict->mode != MODE_OFF)
        report_armed(fd, at, facts, verdict);
    return applied;
}

/* decide -> apply. False if undecided or refused by the kernel: a later moment decides again. */
static bool settle(int fd, const char *at, const struct facts *facts, bool at_birth)
{
    struct verdict verdict;

    switch (decide(&settings->mode, facts, &verdict)) {
    case DECIDE_NOT_YET:
        return false;
    case DECIDE_NO_RULE:
        break;
    case DECIDE_VERDICT:
        return arm(fd, at, facts, &verdict, at_birth);
    }
    return true;
}

/* The facts of a socket that is met in the middle of its life. False where it is not TCP. */
static bool facts_of(int fd, unsigned wanted, struct facts *facts)
{
    *facts = (struct facts){0};
    if (!sock_facts(fd, wanted, facts))
        return false;
    sock_withhold_share(facts);
    role_add(fd, facts, wanted);
    return true;
}

/* The facts that are asked for before the end: of the policy, and those that the log shows then. */
static unsigned asked_early(void)
{
    return (plan.needs & ~FACT_WHEN) | (reported & (FACT_ROLE | FACT_LOCAL_PORT));
}

/* A socket that exists already: inherited over exec, or made by another process. */
static void settle_existing(int fd, const char *at)
{
    struct facts facts;

    if (!facts_of(fd, asked_early(), &facts))
        return;
    bool settled = settle(fd, at, &facts, false);
    if (facts.state == TCP_LISTEN && (!settled || sock_waiting(fd) > 0))
        ask_at_accept();
}

static void settle_inherited(int fd)
{
    settle_existing(fd, "load");
}

void moments_inherit(void)
{
    uint64_t buffer[128] = {0};
    KEEP_ERRNO;

    descriptors_each(0, UINT_MAX, settle_inherited, buffer, sizeof(buffer));
}

static void start_report(const char *program)
{
    const struct report_policy policies[] = {
        {"reuseaddr", &settings->reuseaddr},
        {"reuseport", &settings->reuseport},
        {"bind_no_port", &settings->bind_no_port},
        {"mode", &settings->mode},
    };

    report_open(settings_path(settings, SETTING_STATS), settings_path(settings, SETTING_LOG),
                settings->log_events);
    report_load(settings->backend == BACKEND_SUPERVISE ? "supervise" : "preload", program, policies,
                sizeof(policies) / sizeof(policies[0]));
}

void moments_start(const struct settings *s, const char *program)
{
    KEEP_ERRNO;

    settings = s;
    start_report(program);
    plan_make(&plan, &s->mode, s->backend == BACKEND_SUPERVISE, s->makes_accept);
    unsigned moments = plan.moments;
    if (report_is_on()) {
        reported = FACT_END - 1;
        moments |= MOMENT_BIND;
        if (s->backend == BACKEND_PRELOAD)
            moments |= MOMENT_CLOSE | MOMENT_CONNECT_FAILED;
    }
    if (settings_has_switch(s))
        moments |= MOMENT_BIND;
    /* Before looking at what is open: another thread's socket is seen by its hook, or here. */
    __atomic_store_n(&moments_wanted, moments, __ATOMIC_RELEASE);
    if (plan.moments && plan.decides_early)
        moments_inherit();
}

void moments_switch(const struct settings *s)
{
    settings = s;
}

void moments_socket(int fd, int domain, int type, int protocol)
{
    static const struct facts nothing;
    KEEP_ERRNO;

    if (sock_is_tcp_request(domain, type, protocol) &&
        !arm(fd, "socket", &nothing, &plan.whole, true))
        ask_at_accept();
}

bool moments_asks_peer(void)
{
    return (plan.needs | reported) & FACT_PEER;
}

/* A policy that needs no fact is applied by moments_socket(), and again after setsockopt(). */
static bool is_armed_at_birth(void)
{
    return !plan.needs && settings->backend == BACKEND_PRELOAD;
}

/* Only TCP_LINGER2 is refused like that; where events are reported, it is asked what they show. */
bool moments_asks_nothing(void)
{
    return !plan.needs && !reported && plan.whole.mode == MODE_FIN_RST && !plan.whole.gives_way;
}

enum moments_connecting moments_connect(int fd, const struct sockaddr *peer, socklen_t length)
{
    struct facts facts = {.known = FACT_ROLE, .role = ROLE_CLIENT};
    KEEP_ERRNO;

    if (peer && sock_endpoint(peer, length, settings->backend == BACKEND_SUPERVISE, &facts.peer_ip,
                              &facts.peer_port))
        facts.known |= FACT_PEER;
    bool is_wanted = !peer || facts.known & FACT_PEER;
    bool is_first = is_wanted && (moments_asks_nothing() ||
                                  (sock_facts(fd, asked_early(), &facts) &&
                                   facts.state == TCP_CLOSE)); /* else it asks how that went */
    if (!is_first)
        return MOMENTS_PASSED_OVER;
    bool open = !is_armed_at_birth() && !settle(fd, "connect", &facts, !plan.needs);

    return open && plan.needs & (FACT_LOCAL_IP | FACT_LOCAL_PORT) ? MOMENTS_OPEN : MOMENTS_SETTLED;
}

void moments_connected(int fd)
{
    struct facts facts = {.known = FACT_ROLE, .role = ROLE_CLIENT};
    KEEP_ERRNO;

    if (sock_facts(fd, asked_early(), &facts))
        settle(fd, "connect", &facts, false);
}

/* One that goes on in the background has not failed. The reason is asked for only to report it. */
void moments_connect_failed(int fd, const struct sockaddr *peer, socklen_t length, int error)
{
    struct facts facts = {.known = FACT_ROLE, .role = ROLE_CLIENT};
    enum sock_lack lack = SOCK_LACKS_NONE;
    KEEP_ERRNO;

    if (!report_is_on() || error == EINPROGRESS || error == EALREADY || error == EISCONN ||
        error == EINTR || !sock_endpoint(peer, length, false, &facts.peer_ip, &facts.peer_port) ||
        !sock_facts(fd, FACT_LOCAL_IP | FACT_LOCAL_PORT | FACT_COOKIE, &facts))
        return;
    facts.known |= FACT_PEER;
    if (error == EADDRNOTAVAIL || error == ENETUNREACH)
        lack = sock_lacks(fd, peer, length);
    report_connect_failed(fd, &facts, error, lack);
}

bool moments_listen(int fd)
{
    struct facts facts = {.known = FACT_ROLE, .role = ROLE_SERVER};
    KEEP_ERRNO;

    return is_armed_at_birth() ||
           (sock_facts(fd, FACT_LOCAL_IP | FACT_LOCAL_PORT, &facts) &&
            facts.known & FACT_LOCAL_PORT && settle(fd, "listen", &facts, !plan.needs));
}

void moments_listening(int fd)
{
    KEEP_ERRNO;

    settle_existing(fd, "listen");
}

void moments_accept(int fd, const struct sockaddr *peer, socklen_t length)
{
    struct facts facts = {.known = FACT_ROLE, .role = ROLE_SERVER};
    KEEP_ERRNO;

    if (peer && sock_endpoint(peer, length, true, &facts.peer_ip, &facts.peer_port))
        facts.known |= FACT_PEER;
    bool is_known = facts.known & FACT_PEER && !(asked_early() & ~facts.known);
    if (is_known || sock_facts(fd, asked_early(), &facts))
        settle(fd, "accept", &facts, false);
}

static void settle_received(int fd)
{
    settle_existing(fd, "receive");
}

void moments_receive(const struct msghdr *message)
{
    KEEP_ERRNO;

    descriptors_received(message, settle_received);
}

static void switch_option(int fd, const struct policy *policy, enum sock_switch option,
                          const struct facts *facts)
{
    struct verdict verdict;
    bool on;

    if (decide(policy, facts, &verdict) != DECIDE_VERDICT)
        return;
    on = verdict.mode == MODE_SET;
    if (sock_switch(fd, option, on) == 0)
        report_bind(fd, facts, option, on);
    else
        report_failed(fd, sock_switch_name(option), errno, &verdict);
}

/* What is known of a TCP socket that is about to be bound; false for any other. */
static bool bind_facts(int fd, const struct sockaddr *local, socklen_t length, struct facts *facts)
{
    *facts = (struct facts){.role = ROLE_SERVER};
    if (!sock_endpoint(local, length, false, &facts->local_ip, &facts->local_port))
        return false;
    facts->known = FACT_ROLE | FACT_LOCAL_IP | (facts->local_port != 0 ? FACT_LOCAL_PORT : 0);
    return sock_facts(fd, 0, facts);
}

/* For port 0 the kernel chooses a free one, and LINGER_BIND_NO_PORT says when. */
void moments_bind(int fd, const struct sockaddr *local, socklen_t length)
{
    struct facts facts;
    KEEP_ERRNO;

    if (bind_facts(fd, local, length, &facts)) {
        if (facts.local_port != 0) {
            switch_option(fd, &settings->reuseaddr, SOCK_REUSEADDR, &facts);
            switch_option(fd, &settings->reuseport, SOCK_REUSEPORT, &facts);
        } else {
            switch_option(fd, &settings->bind_no_port, SOCK_BIND_NO_PORT, &facts);
        }
    }
}

void moments_bind_fails(int fd, const struct sockaddr *local, socklen_t length, int error)
{
    struct facts facts;
    KEEP_ERRNO;

    if ((error != 0 && error != EADDRINUSE && error != EADDRNOTAVAIL) || !report_is_on() ||
        !bind_facts(fd, local, length, &facts))
        return;
    if (error == EADDRNOTAVAIL)
        report_no_address(fd, &facts);
    else if (facts.local_port != 0)
        report_port_held(fd, &facts, error);
}

void moments_setsockopt(int fd, int level, int option)
{
    struct facts facts;
    struct verdict verdict;
    KEEP_ERRNO;
    bool is_ours = (level == SOL_SOCKET && option == SO_LINGER) ||
                   (level == IPPROTO_TCP && option == TCP_LINGER2);
    if (is_ours && facts_of(fd, plan.needs & ~FACT_WHEN, &facts) &&
        decide(&settings->mode, &facts, &verdict) == DECIDE_VERDICT && verdict.mode != MODE_OFF &&
        !verdict.gives_way && apply(fd, &verdict, false))
        report_overridden(fd, &verdict);
}

/*
 * The verdict as the connection ends. If it gives way (overrule=no) or the kernel refuses it, then
 * what is set on the socket, by the program or earlier, is the verdict.
 */
static bool decide_end(int fd, const struct facts *facts, struct verdict *verdict)
{
    if (decide(&settings->mode, facts, verdict) != DECIDE_VERDICT)
        return false;
    if ((plan.moments & MOMENT_CLOSE && !apply(fd, verdict, false)) ||
        (verdict->gives_way && verdict->mode != MODE_OFF))
        (void)sock_applied(fd, verdict);
    return true;
}

bool moments_shutdown(int fd, int how)
{
    struct facts facts;
    struct verdict verdict;
    KEEP_ERRNO;

    if (how != SHUT_RDWR || !facts_of(fd, plan.needs | reported, &facts) ||
        !sock_is_connected(facts.state) || !decide_end(fd, &facts, &verdict) ||
        verdict.mode != MODE_RST)
        return false;
    if (sock_abort(fd, settings->backend == BACKEND_SUPERVISE) != 0) {
        report_failed(fd, "connect", errno, &verdict); /* in a sandbox: shutdown() sends FIN */
        return false;
    }
    report_aborted(fd, &facts, &verdict);
    return true;
}

/*
 * A listener is left alone: the connections that others accept from it inherit what it carries. A
 * verdict from birth is not applied again: the program may be in a sandbox by now.
 */
void moments_close(int fd)
{
    struct facts facts;
    struct verdict verdict;
    KEEP_ERRNO;

    if (facts_of(fd, plan.needs | reported, &facts) && facts.state != TCP_LISTEN) {
        bool decided = decide_end(fd, &facts, &verdict);
        if (reported)
            report_closed(fd, &facts, &settings->mode, decided ? &verdict : NULL);
    }
}

void moments_exit(int fd)
{
    struct facts facts;
    KEEP_ERRNO;

    if (facts_of(fd, plan.needs, &facts) && facts.state != TCP_LISTEN)
        settle(fd, "exit", &facts, false);
}

void moments_replace(int from, int target)
{
    KEEP_ERRNO;

    if (from != target && sock_is_open(from) && descriptors_is_permitted(0, target))
        moments_close(target);
}
