#!/bin/bash
# Purpose: "Address already in use" when a server that does not set SO_REUSEADDR is killed and started
# again while a client is still connected, and what cures it.
#
# Run: make examples && examples/restart.sh
# It needs a network namespace of its own (root, or user namespaces).
#
# Expected output; each line is `linger run OPTIONS -- echo-server PORT`, or plainly the server:
#
#   first start  second start  left at the port  the second start says         the client saw
#   plain        plain         FIN-WAIT-2        bind: Address already in use  EOF
#   plain        -r            FIN-WAIT-2        bind: Address already in use  EOF
#   -r           -r            FIN-WAIT-2        listening on 8003             EOF
#   -m rst       -m rst        nothing           listening on 8004             Connection reset by peer
#   -m fin-rst   -m fin-rst    nothing           listening on 8005             EOF
#
# -r is LINGER_REUSEADDR=1. It helps only if the first start had it too: what a run without
# SO_REUSEADDR leaves blocks the port for everybody, and for another minute after the client closes.
. "$(dirname "$0")/lib.sh"
own_namespace "$@"

port=8000

row() {
    printf '%-13s%-14s%-18s%-30s%s\n' "$@"
}

# serve OPTIONS: starts the server, by `linger run OPTIONS` unless that is "plain".
serve() {
    local options
    if [ "$1" = plain ]; then
        start "$programs/echo-server" $port
    else
        read -ra options <<<"$1"
        start "$linger" run "${options[@]}" -- "$programs/echo-server" $port
    fi
}

restart() { # OPTIONS OPTIONS
    local client left saw
    port=$((port + 1))
    serve "$1" || die "the server does not start: $complaint"
    exec {client}<>/dev/tcp/127.0.0.1/$port
    until ss -Htnp "sport = :$port" | grep -q "pid=$pid,"; do kill -0 "$pid"; done # it has accepted
    stop "$pid"
    # Under fin-rst the port is free when the client's kernel has acknowledged the FIN.
    while [ -n "$(ss -Htan state fin-wait-1 "sport = :$port")" ]; do :; done
    left=$(ss -Htan "sport = :$port" | awk '{ print $1 }')

    if serve "$2"; then
        stop "$pid"
    else
        said=$complaint
    fi
    # The client has held its end all the time. Now it reads: nothing, until EOF or an error.
    saw=$(cat <&"$client" 2>&1) || true
    exec {client}>&-
    saw=${saw#cat: -: }
    row "$1" "$2" "${left:-nothing}" "$said" "${saw:-EOF}"
}

row "first start" "second start" "left at the port" "the second start says" "the client saw"
restart plain plain
restart plain -r
restart -r -r
restart "-m rst" "-m rst"
restart "-m fin-rst" "-m fin-rst"
