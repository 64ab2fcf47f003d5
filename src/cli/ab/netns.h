/* A network namespace of one's own, network_namespaces(7), with the sysctls of the host. */
#ifndef LINGER_AB_NETNS_H
#define LINGER_AB_NETNS_H

/*
 * Leaves for a new network namespace whose loopback is up and whose TCP sysctls (net.ipv4.tcp_*,
 * ip_local_port_range, somaxconn) are those of the one before; without root by way of a user
 * namespace in which the user stays who he is. Returns 0, or -1 and errno: not permitted.
 */
int netns_enter(void);

#endif
