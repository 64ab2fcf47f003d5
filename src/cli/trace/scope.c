/* SPDX-License-Identifier: MIT */
/*
 * Selects events by their process, if the socket is its own; else by address, and by the listeners
 * at the port. An event without such a process may belong to another namespace.
 */
#include "cli/trace/scope.h"

#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/pids.h"
#include "cli/process/holders.h"
#include "cli/process/target.h"
#include "cli/sockets/sockets.h"
#include "policy/address.h"
#include "socket/sock.h"

static void read_addresses(struct scope *s)
{
    struct ifaddrs *list = NULL;
    uint16_t port;

    (void)getifaddrs(&list);
    for (struct ifaddrs *one = list; one && s->address_count < SCOPE_ADDRESSES; one = one->ifa_next)
        s->address_count +=
            one->ifa_addr && sock_endpoint(one->ifa_addr, sizeof(struct sockaddr_in6), true,
                                           &s->addresses[s->address_count], &port);
    freeifaddrs(list);
}

static bool is_own_address(const struct scope *s, struct policy_ip ip)
{
    for (unsigned i = 0; i < s->address_count; i++) {
        if (address_is_same(s->addresses[i], ip))
            return true;
    }
    return address_is_loopback(ip);
}

/* Those of the processes that are watched. */
static void read_watched_listeners(struct scope *s, const struct sockets *sockets)
{
    size_t listeners;
    uint32_t *inodes = sockets_inodes(sockets, DIAG_EVERY_STATE, 0, &listeners);
    struct holder *holders = NULL;
    ssize_t count = inodes ? holders_find(inodes, listeners, &holders) : 0;

    for (ssize_t i = 0; i < count; i++) {
        const struct program *holder = programs_find(s->programs, holders[i].pid);
        for (size_t j = 0; holder && holder->is_selected && j < sockets->count; j++)
            s->was_listener[sockets->items[j].local_port] |=
                sockets->items[j].inode == holders[i].inode;
    }
    free(holders);
    free(inodes);
}

/* Those of the processes that are watched, or of the namespace. */
static void read_listeners(struct scope *s)
{
    struct sockets sockets = {NULL, 0};

    if (sockets_read(&sockets, 1u << TCP_LISTEN) != 0)
        return;
    for (size_t i = 0; i < sockets.count; i++) {
        s->listeners[sockets.items[i].local_port]++;
        s->was_listener[sockets.items[i].local_port] |= !s->has_pids;
    }
    if (s->has_pids)
        read_watched_listeners(s, &sockets);
    free(sockets.items);
}

/* Children of kthreadd: they work for the socket's owner, and are of no namespace. */
static bool is_kernel_thread(const struct program *program)
{
    return program->pid == 2 || program->parent == 2;
}

struct scope_actor scope_actor(const struct scope *s, const struct record *record)
{
    const struct program *program = programs_find(s->programs, record->pid);
    struct scope_actor actor = {program ? program->name : "", WHOSE_UNKNOWN};

    if (program && is_kernel_thread(program))
        actor.name = "the kernel";
    else if (program && s->has_pids)
        actor.whose = program->is_selected ? WHOSE_WANTED : WHOSE_OTHERS;
    else if (program && program->namespace != 0)
        actor.whose = program->namespace == s->namespace ? WHOSE_WANTED : WHOSE_OTHERS;
    return actor;
}

void scope_see_listener(struct scope *s, const struct record *record, struct scope_actor actor)
{
    uint16_t port = record->local_port;

    if (actor.whose != WHOSE_WANTED)
        return;
    if (record->to == TCP_LISTEN)
        s->listeners[port]++;
    else if (record->from == TCP_LISTEN && s->listeners[port] > 0)
        s->listeners[port]--;
    s->was_listener[port] = true;
}

static bool is_selected_port(const struct scope *s, const struct record *record)
{
    for (unsigned i = 0; i < s->port_count; i++) {
        if (s->ports[i] == record->local_port || s->ports[i] == record->peer_port)
            return true;
    }
    return s->port_count == 0;
}

/* Moves to the network namespace of the processes: what is there is listed there alone. */
static int enter_namespace(struct scope *s, const char *name, const struct program *program)
{
    const struct program *self = programs_find(s->programs, getpid());

    s->namespace = program->namespace;
    if (program->namespace == 0 || (self && self->namespace == program->namespace))
        return 0;
    int fd = open(target_path(program->pid, "ns/net"), O_RDONLY | O_CLOEXEC);
    int status = fd < 0 ? -1 : setns(fd, CLONE_NEWNET);
    if (status != 0)
        cli_error(s->self, "process %s: its network namespace cannot be entered: %s", name,
                  strerror(errno));
    if (fd >= 0)
        close(fd);
    return status;
}

static int select_pid(const char *name, pid_t pid, void *context)
{
    struct scope *s = context;
    const struct program *program = programs_find(s->programs, pid);

    if (!program)
        return cli_error(s->self, "process %s: no such process", name);
    if (s->namespace != 0 && program->namespace != s->namespace)
        return cli_error(s->self,
                         "process %s: it is in another network namespace than the first; watch "
                         "each namespace by itself",
                         name);
    programs_select(s->programs, pid);
    return enter_namespace(s, name, program);
}

int scope_begin(struct scope *s, char *const *pids)
{
    s->programs = programs_new();
    if (!s->programs)
        return cli_error(s->self, "out of memory");
    const struct program *self = programs_find(s->programs, getpid());
    s->has_pids = pids[0] != NULL;
    if (!s->has_pids && self)
        s->namespace = self->namespace;
    if (pids_each(s->self, pids, select_pid, s) != 0)
        return -1;
    read_addresses(s);
    read_listeners(s);
    return 0;
}

void scope_end(struct scope *s)
{
    if (s->programs)
        programs_free(s->programs);
}

bool scope_has(const struct scope *s, enum scope_whose whose, struct policy_ip local,
               uint16_t local_port, uint16_t peer_port, bool is_server)
{
    if (whose != WHOSE_UNKNOWN)
        return whose == WHOSE_WANTED;
    if (!is_own_address(s, local))
        return false;
    if (is_server || s->has_pids)
        return s->was_listener[local_port];
    /* Every namespace has such addresses. */
    return !address_is_loopback(local) || s->was_listener[peer_port];
}

/* On loopback the sender of the packet that it answers is running when it is sent. */
bool scope_has_stray(const struct scope *s, const struct record *record, struct scope_actor actor)
{
    bool is_elsewhere = address_is_loopback(record->local) && actor.whose == WHOSE_OTHERS;

    return is_selected_port(s, record) && is_own_address(s, record->local) && !is_elsewhere &&
           (!s->has_pids || s->was_listener[record->local_port]);
}
