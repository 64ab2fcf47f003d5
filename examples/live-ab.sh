#!/bin/bash
# Purpose: a live A/B test: two instances of one server share a port by LINGER_REUSEPORT=1, one closes
# with FIN and one with RST. The kernel spreads the clients over them; each instance counts in a file.
#
# Run: make examples && examples/live-ab.sh
# It needs a network namespace of its own (root, or user namespaces).
#
# Expected output, in which the halves differ from run to run:
#
#   400 connections to port 8080
#   the client     4800 bytes, then 203 times EOF, 197 times ECONNRESET
#   instance fin   203 closed first, fin
#   instance rst   197 closed first, rst
#   left behind    203 TIME_WAIT
#
# linger ab measures the modes one after another instead, and compares them: linger ab --help.
. "$(dirname "$0")/lib.sh"
own_namespace "$@"
port=8080

instances=()
for mode in fin rst; do
    # The same as LINGER_MODE=$mode LINGER_REUSEPORT=1 LINGER_STATS=$work/$mode
    start "$linger" run -m $mode -R -s="$work/$mode" -- "$programs/echo-server" $port ||
        die "the server does not start: $complaint"
    instances+=("$pid")
done

echo "400 connections to port $port"
printf '%-15s' "the client"
"$programs/echo-client" $port 400
for pid in "${instances[@]}"; do
    stop "$pid"
done
for mode in fin rst; do
    printf '%-15s%s\n' "instance $mode" "$("$linger" stats "$work/$mode" | sed -n 's/^ *\([0-9]* \) *closed/\1closed/p')"
done
printf '%-15s%s\n' "left behind" "$(ss -Htan state time-wait "sport = :$port" | wc -l) TIME_WAIT"
