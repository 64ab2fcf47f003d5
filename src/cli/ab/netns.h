/* SPDX-License-Identifier: MIT */
/* A private network namespace, network_namespaces(7), with the sysctls of the host. */
#pragma once

/*
 * Moves to a new network namespace whose loopback is up and whose TCP sysctls (net.ipv4.tcp_*,
 * ip_local_port_range, somaxconn) are those of the previous one; without root, through a user
 * namespace in which the user keeps the same id. Returns 0, or -1 and errno: not permitted.
 */
int netns_enter(void);
