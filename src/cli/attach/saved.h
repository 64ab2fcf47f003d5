/* SPDX-License-Identifier: MIT */
/*
 * SO_LINGER and TCP_LINGER2 of sockets before they were changed, to be put back; and the file of
 * `linger attach --save`: a heading, a line for the boot, a line for each socket. Cookies are
 * unique within one boot, so a file is useless after the next.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/attach/selection.h"
#include "socket/sock.h"

#define SAVED_ENDPOINT_MAX 64

struct saved_socket {
    uint64_t cookie;
    uint32_t inode;
    uint16_t port;
    bool is_listener;
    char local[SAVED_ENDPOINT_MAX];
    char peer[SAVED_ENDPOINT_MAX]; /* "-": none */
    struct sock_linger linger;

    uint64_t network; /* sockets_network(); not in a file */

    /* Of saved_put_back(). */
    bool is_there; /* a process that we may inspect still has it */
    struct saved_socket *next_listener;
    struct sock_linger now; /* before it was put back */
    const char *refused;    /* the option that the kernel refused, with `error`, or NULL */
    int error;
};

/* Must be zeroed at first. */
struct saved {
    struct saved_socket *sockets;
    size_t count;

    /* Of saved_put_back(). */
    bool dry_run;
    struct saved_socket *listeners; /* those that still exist */
    size_t inherited; /* connections accepted since, and put back like their listeners */
};

/* Fills an entry from a duplicate of a socket; false if it is not a TCP socket. */
bool saved_look(int fd, struct saved_socket *socket);

/* Adds a copy. False: out of memory. */
bool saved_add(struct saved *saved, const struct saved_socket *socket);

/* Notes each TCP socket of the process. Returns 0, or -1 and `why`. */
int saved_take(struct saved *saved, const struct target *target, struct error *why);

/* Drops the sockets that no process has any longer. */
void saved_drop_gone(struct saved *saved);

/*
 * Puts everything back, whoever holds the sockets now, and fills in each outcome. Connections that
 * were accepted since and have what their listener had until now get what it gets. With `dry_run`
 * nothing is changed. Returns 0, or -1 and `why` if a holder could not be inspected.
 */
int saved_put_back(struct saved *saved, bool dry_run, struct error *why);

/* Prints what saved_put_back() did, as the selection's options say; false if something failed. */
bool saved_report(const struct saved *saved, const struct selection *s);

bool saved_has_listener(const struct saved *saved, long port);

void saved_free(struct saved *saved);

/* Makes the file, which must not exist yet. -1 on failure; `why` follows the file's name. */
int saved_create(const char *path, struct error *why);

/* Writes a socket to the file. Returns 0, or -1 and errno. */
int saved_write(int file, const struct saved_socket *socket);

/* Reads it all. Returns 0, or -1; `why` follows the file's name. */
int saved_read(struct saved *saved, const char *path, struct error *why);
