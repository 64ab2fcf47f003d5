#!/usr/bin/env bats
# The wall: how many connections a client makes to one address and port in a minute.
BATS_TEST_TIMEOUT=600
load helper

flood_under() { # MODE COUNT
    sysctl -qw net.ipv4.tcp_tw_reuse=0 net.ipv4.ip_local_port_range="32768 60999" net.ipv4.tcp_max_tw_buckets=262144
    # A destination that earlier floods in this namespace did not use.
    OCTET=$((${OCTET:-1} + 1))
    export TEST_ADDRESS=127.0.0.$OCTET
    start - "$TOOLS/peer" -s 1 -n "$2" listen 80 # outside of the range
    hear_port
    SEEN=$(under "$1" "$TOOLS/flood" "$PORT" "$2")
    kill -KILL "$PID" 2>/dev/null || true
    finish
    echo "$1: $SEEN"
}

@test "100,000 connections to one destination: 28,232 without a policy, all under rst and fin-rst" {
    needs_namespace
    started=$SECONDS
    flood_under - 100000
    minutes=$(((SECONDS - started) / 60)) # a slow machine sees the first TIME_WAIT go meanwhile
    # 28,232 ports, give or take a connection of which both ends closed at once.
    [[ $SEEN == "Cannot assign requested address"* ]]
    made=${SEEN##* }
    [ "$made" -ge 28200 ] && [ "$made" -le $((28260 * (minutes + 1))) ]
    flood_under rst 100000
    expect "under rst" "$SEEN" "connected 100000"
    flood_under fin-rst 100000
    expect "under fin-rst" "$SEEN" "connected 100000"
}
