/* SPDX-License-Identifier: MIT */
/* The part of a dump of TCP sockets that concerns one port: `linger states -p`. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "cli/sockets/sockets.h"

/* Prints it, as JSON if asked for. Returns 0, or -1 if memory ran out. */
int port_show(FILE *out, const struct sockets *sockets, long port, bool json);
