#!/usr/bin/env bats
# The wire: thousands of teardowns across a veth pair, counted by nft at the server's end.
load helper

COUNT=2000

setup_file() {
    [ -n "${TESTS_IN_NAMESPACE:-}" ] || return 0
    other_network
    echo "$OTHER" >"$BATS_FILE_TMPDIR/other"
    ip link add name near type veth peer name far netns "$OTHER"
    ip addr add 10.201.0.1/24 dev near
    ip link set near up
    nsenter -t "$OTHER" -n ip addr add 10.201.0.2/24 dev far
    nsenter -t "$OTHER" -n ip link set far up
}

teardown_file() {
    [ -z "${TESTS_IN_NAMESPACE:-}" ] || kill "$(cat "$BATS_FILE_TMPDIR/other")"
}

teardowns_under() { # MODE
    needs_namespace
    export TEST_ADDRESS=10.201.0.1
    start "$1" "$TOOLS/subject" -o "${LINGER_SET:-0,0}" -n $COUNT -r close
    hear_port
    watch_wire "$PORT"
    RESETS=$(counter TcpOutRsts)
    RESENT=$(counter TcpRetransSegs)
    ABORTS=$(counter TcpExtTCPAbortOnData)
    SEEN=$(nsenter -t "$(cat "$BATS_FILE_TMPDIR/other")" -n "$TOOLS/peer" -k -n $COUNT connect "$PORT")
    finish
    time_wait "$PORT" >/dev/null
    WIRE=$(wire)
    RESETS=$(($(counter TcpOutRsts) - RESETS))
    ABORTS=$(($(counter TcpExtTCPAbortOnData) - ABORTS))
    RESENT=$(($(counter TcpRetransSegs) - RESENT))
    LEFT=$(awk '/^TCP:/ { print $7 }' /proc/net/sockstat) # ss can be a few short at thousands
    echo "$1: $SEEN, $WIRE, TcpOutRsts $RESETS, TCPAbortOnData $ABORTS, retransmitted $RESENT, TIME_WAIT $LEFT"
}

# On a slow machine one that is not acknowledged within 200 ms goes again.
a_fin_each() {
    FINS=${WIRE%% *}
    [ "${FINS#fin=}" -ge $COUNT ] && [ "${FINS#fin=}" -le $((COUNT + RESENT)) ]
}

@test "2,000 under fin, of a program that asks for an abort: 2,000 FIN, no RST, 2,000 TIME_WAIT" {
    LINGER_SET=1,0 teardowns_under fin
    a_fin_each
    expect RST "${WIRE#*rst=}" 0
    expect peer "$SEEN" "bytes=$((5 * COUNT)) eof=$COUNT reset=0"
    expect TcpOutRsts "$RESETS" 0
    # A port that the peer happens to use again ends the TIME_WAIT of its last use.
    [ "$LEFT" -ge $((COUNT * 95 / 100)) ]
}

# An ACK of the peer's that crosses the RST meets no socket any more, and is answered by another RST:
# of next to none here, of nearly all in a slow machine with Linux 5.10.
@test "2,000 under rst: no FIN, an RST for each, nothing left" {
    teardowns_under rst
    expect peer "$SEEN" "bytes=$((5 * COUNT)) eof=0 reset=$COUNT"
    expect TCPAbortOnData "$ABORTS" $COUNT
    expect wire "$WIRE" "fin=0 rst=$RESETS"
    [ "$RESETS" -ge $COUNT ] && [ "$RESETS" -le $((COUNT * 2)) ]
    expect TIME_WAIT "$(count_time_wait "sport = :$PORT")" 0
}

@test "2,000 under fin-rst: 2,000 FIN, the RST that answer their ACKs, nothing left" {
    teardowns_under fin-rst
    expect peer "$SEEN" "bytes=$((5 * COUNT)) eof=$COUNT reset=0"
    a_fin_each
    [ "${WIRE#*rst=}" -ge $((COUNT * 99 / 100)) ]
    [ "$ABORTS" -ge $((COUNT * 99 / 100)) ]
    [ "$(count_time_wait "sport = :$PORT")" -le $((COUNT / 100)) ]
}

# A client that closes before the server's FIN has come, as it may where it knows the reply's length;
# with "lost" that FIN comes late.
met_by_a_hasty_client() { # LOST-OR-NOT
    start fin-rst "$TOOLS/subject" -r close
    hear_port
    nft add table inet late
    nft add chain inet late leaving '{ type filter hook output priority 0; }'
    [ "$1" != lost ] || nft add rule inet late leaving tcp sport "$PORT" tcp flags \& fin == fin drop
    exec {GO}> >(exec python3 -c '
import socket, sys
connection = socket.create_connection(("10.201.0.1", int(sys.argv[1])))
connection.send(b"k")
assert connection.recv(5) == b"hello"
sys.stdin.readline()
connection.close()' "$PORT" 3>&-)
    client=$!
    hear # closed
    echo go >&"$GO"
    exec {GO}>&-
    wait "$client"
    finish
    nft delete table inet late
    LEFT=$(time_wait "$PORT")
}

@test "fin-rst: where the FINs cross both ends keep TIME_WAIT, and nowhere else" {
    needs_namespace
    export TEST_ADDRESS=10.201.0.1
    met_by_a_hasty_client not
    expect "TIME_WAIT left" "$LEFT" 0
    met_by_a_hasty_client lost
    expect "TIME_WAIT left" "$LEFT" 2
}
