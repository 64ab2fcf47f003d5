#!/usr/bin/env bats
# The wall: how many connections a client makes to one address and port in a minute.
load helper

# flood_under MODE COUNT FLOOD: FLOOD is flood, or a Go program under the supervisor. There are $PORTS
# ephemeral ports.
flood_under() {
    sysctl -qw net.ipv4.tcp_tw_reuse=0 net.ipv4.ip_local_port_range="32768 $((32767 + PORTS))" net.ipv4.tcp_max_tw_buckets=262144
    # A destination that earlier floods in this namespace did not use.
    OCTET=$((${OCTET:-1} + 1))
    export TEST_ADDRESS=127.0.0.$OCTET
    start - "$TOOLS/peer" -s 1 -n "$2" listen 80 # outside of the range
    hear_port
    SEEN=$("$3" "$1" "$2")
    kill -KILL "$PID" 2>/dev/null || true
    finish
    echo "$1: $SEEN"
}

flood() { # MODE COUNT
    under "$1" "$TOOLS/flood" "$PORT" "$2"
}

go_flood() { # MODE COUNT
    if [ "$1" = - ] || [ -n "${WITHOUT_LIBRARY:-}" ]; then
        "$TOOLS/go/client" "$TEST_ADDRESS:$PORT" "$2"
    else
        "$ROOT/linger" run -m "$1" -- "$TOOLS/go/client" "$TEST_ADDRESS:$PORT" "$2"
    fi
}

# hits_the_wall FLOOD COUNT PORTS...: a connection for each port without a policy, all COUNT under rst and
# fin-rst. A machine that makes less than 470 connections a second sees TIME_WAIT of 28,232 ports go as
# fast as it comes: it meets the next, lower wall.
hits_the_wall() {
    needs_namespace
    shopt -s nocasematch
    for PORTS in "${@:3}"; do
        started=$SECONDS
        flood_under - $((PORTS + 12000)) "$1"
        minutes=$(((SECONDS - started) / 60)) # in which the first TIME_WAIT go
        [[ $SEEN != *"Cannot assign requested address"* ]] || break
    done
    [[ $SEEN == *"Cannot assign requested address"* ]]
    made=$(grep -o "connected [0-9]*" <<<"$SEEN" | cut -d" " -f2)
    # Where both ends closed at once TIME_WAIT may be the server's, and the port is free again: on a
    # busy machine two of a thousand.
    [ "$made" -ge $((PORTS - 32)) ] && [ "$made" -le $((PORTS * (minutes + 1) * 101 / 100)) ]
    for mode in rst fin-rst; do
        flood_under $mode "$2" "$1"
        grep -qx "connected $2" <<<"$SEEN"
    done
}

@test "14,000 connections to one destination: 4,000 without a policy, all under rst and fin-rst" {
    hits_the_wall flood 14000 4000
}

@test "a static Go client, under the supervisor: the same" {
    hits_the_wall go_flood 14000 4000
}

# bats test_tags=long
@test "100,000 connections to one destination: 28,232 without a policy, all under rst and fin-rst" {
    hits_the_wall flood 100000 28232 4000
}

# bats test_tags=long
@test "a static Go client, under the supervisor: 28,232 and 100,000" {
    hits_the_wall go_flood 100000 28232 4000
}
