/* Sockets are known again by their cookies: numbers of descriptors are reused, cookies never. */
#include "attach/saved.h"

#include <netinet/tcp.h>

#include "sock.h"

static bool note_socket(int fd, int number, void *context)
{
    struct saved *saved = context;
    struct saved_socket *f = &saved->sockets[saved->count];
    struct facts facts = {0};

    (void)number;
    if (saved->count == SAVED_MAX || !sock_facts(fd, FACT_COOKIE | FACT_LOCAL_PORT, &facts) ||
        !sock_applied(fd, &f->verdict))
        return true;
    f->cookie = facts.cookie;
    f->port = facts.local_port;
    f->is_listener = facts.state == TCP_LISTEN;
    saved->count++;
    return true;
}

/* As it was found; a connection that was accepted since is as its listener was. */
static const struct saved_socket *find_former(const struct saved *saved, const struct facts *facts)
{
    const struct saved_socket *listener = NULL;

    for (size_t i = 0; i < saved->count; i++) {
        const struct saved_socket *f = &saved->sockets[i];
        if (f->cookie == facts->cookie)
            return f;
        if (f->is_listener && f->port == facts->local_port)
            listener = f;
    }
    return listener;
}

static bool restore_socket(int fd, int number, void *context)
{
    const struct saved *saved = context;
    struct facts facts = {0};

    (void)number;
    if (!sock_facts(fd, FACT_COOKIE | FACT_LOCAL_PORT, &facts))
        return true;
    const struct saved_socket *former = find_former(saved, &facts);
    if (former)
        (void)sock_apply(fd, &former->verdict, false);
    return true;
}

int saved_take(struct saved *saved, const struct target *target, char why[TARGET_WHY_MAX])
{
    saved->count = 0;
    return target_each_socket(target, note_socket, saved, why);
}

int saved_put_back(const struct saved *saved, const struct target *target, char why[TARGET_WHY_MAX])
{
    return target_each_socket(target, restore_socket, (void *)saved, why);
}

bool saved_has_listener(const struct saved *saved, long port)
{
    for (size_t i = 0; i < saved->count; i++) {
        if (saved->sockets[i].is_listener && saved->sockets[i].port == port)
            return true;
    }
    return false;
}
