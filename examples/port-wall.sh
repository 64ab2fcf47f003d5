#!/bin/bash
# Purpose: the wall that a load generator hits: each connection that the client closes leaves a
# TIME_WAIT socket, which holds one ephemeral port towards that destination for 60 s. By default that
# is 28,232 connections; here the range is 1,000 ports, so it takes a second.
#
# Run: make examples && examples/port-wall.sh
# It needs a network namespace of its own (root, or user namespaces), whose settings it changes.
#
# Expected output:
#
#   mode     connections  TIME_WAIT  why it stopped
#   plain           1000       1000  connect: Cannot assign requested address
#   fin-rst         3000          0  all done
#   rst             3000          0  all done
#
#   linger states said of the first:
#     to 127.0.0.1:81: 1000 of 1000 used (100 %), 1000 of them by TIME_WAIT
#     0 left; at most 16 new connections a second, as TIME_WAIT holds a port for 60 s
. "$(dirname "$0")/lib.sh"
own_namespace "$@"

# Clients over loopback may reuse a port in TIME_WAIT after a second, unless told otherwise.
sysctl -qw net.ipv4.tcp_tw_reuse=0 net.ipv4.ip_local_port_range="32768 33767"

# The client: connects and closes, over and over, as load generators without keep-alive do.
client='
    for ((made = 0; made < 3000; made++)); do
        : <>/dev/tcp/127.0.0.1/$1 || break
    done
    echo $made'
port=80

row() {
    printf '%-8s%12s%11s  %s\n' "$@"
}

hit() { # MODE COMMAND...: COMMAND runs the client under that mode
    local mode=$1 made why left
    shift
    port=$((port + 1)) # a destination to which all ports are free
    start "$programs/echo-server" $port || die "the server does not start: $complaint"
    made=$("$@" bash -c "$client" bash $port 2>"$work/errors") || die "$(cat "$work/errors")"
    stop "$pid"
    why=$(sed -n 's/^.*bash: \(connect: \)/\1/p' "$work/errors")
    left=$(ss -Htan state time-wait "dport = :$port" | wc -l)
    row "$mode" "$made" "$left" "${why:-all done}"
}

row mode connections TIME_WAIT "why it stopped"
hit plain env
states=$("$linger" states | grep -A 1 "^  to 127.0.0.1:$port:") || true
for mode in fin-rst rst; do
    hit $mode "$linger" run -m $mode --
done
printf '\nlinger states said of the first:\n%s\n' "$states"
