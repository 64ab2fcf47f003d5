#!/usr/bin/env bats
# linger states, against ss(8) in the same namespace.
load helper

LINGER=$ROOT/linger

# "established 3" ..., a line a state that is not empty.
by_ss() {
    ss -Htan | awk '
        BEGIN { split("ESTAB established SYN-SENT syn-sent SYN-RECV syn-recv FIN-WAIT-1 fin-wait-1 FIN-WAIT-2 fin-wait-2 TIME-WAIT time-wait CLOSE-WAIT close-wait LAST-ACK last-ack LISTEN listen CLOSING closing UNCONN closed", n)
                for (i = 1; i in n; i += 2) name[n[i]] = n[i + 1] }
        { count[name[$1]]++ }
        END { for (state in count) print state, count[state] }' | sort
}

by_json() {
    "$LINGER" states --json | python3 -c '
import json, sys
for state, count in sorted(json.load(sys.stdin)["states"].items()):
    if count:
        print(state, count)' | sort
}

by_table() {
    "$LINGER" states | awk '/^TCP states/ { on = 1; next } /^[^ ]/ { on = 0 } on { print $1, $2 }' | sort
}

with_each_state() {
    needs_namespace
    mkfifo "$BATS_TEST_TMPDIR/go"
    exec {GO}<>"$BATS_TEST_TMPDIR/go"
    start - python3 "$ROOT/tests/tools/each-state.py" <&"$GO"
    hear
    expect "each-state.py" "$REPLY" ready
}

@test "every state is counted as ss counts it" {
    with_each_state
    by_ss >"$BATS_TEST_TMPDIR/ss"
    cat "$BATS_TEST_TMPDIR/ss"
    expect "states at hand" "$(wc -l <"$BATS_TEST_TMPDIR/ss")" 10
    diff "$BATS_TEST_TMPDIR/ss" <(by_json)
    diff "$BATS_TEST_TMPDIR/ss" <(by_table)
    echo go >&"$GO"
    finish
}

@test "CLOSE_WAIT names the process that owes the close()" {
    with_each_state
    "$LINGER" states >"$BATS_TEST_TMPDIR/out"
    cat "$BATS_TEST_TMPDIR/out"
    grep -q '^CLOSE_WAIT: .*no socket option cures it' "$BATS_TEST_TMPDIR/out"
    grep -q "^ *1  python3 (pid $PID)" "$BATS_TEST_TMPDIR/out"
    expect "pid in JSON" "$("$LINGER" states -j | python3 -c 'import json, sys; print(json.load(sys.stdin)["close_wait"])')" \
        "[{'pid': $PID, 'program': 'python3', 'count': 1}]"
    echo go >&"$GO"
    finish
}

@test "-p: who holds a port, and how long TIME_WAIT lasts" {
    PORT=$("$TOOLS/free-port")
    start - "$TOOLS/subject" -p "$PORT" -n 2 -r close
    hear
    "$TOOLS/peer" -k connect "$PORT"
    time_wait "$PORT" >/dev/null
    "$LINGER" states -p "$PORT" >"$BATS_TEST_TMPDIR/out"
    cat "$BATS_TEST_TMPDIR/out"
    grep -q '^  listen  *1$' "$BATS_TEST_TMPDIR/out"
    grep -q '^  time-wait  *1$' "$BATS_TEST_TMPDIR/out"
    grep -q "^  held by subject (pid $PID)$" "$BATS_TEST_TMPDIR/out"
    seconds=$(sed -n 's/.*the last TIME_WAIT goes in \([0-9]*\) s$/\1/p' "$BATS_TEST_TMPDIR/out")
    [ "$seconds" -ge 50 ] && [ "$seconds" -le 60 ]
    "$TOOLS/peer" -k connect "$PORT"
    finish
    "$LINGER" states -p "$PORT" | grep -q 'until then bind() may fail'
    "$LINGER" states -p "$PORT" -j | python3 -c '
import json, sys
port = json.load(sys.stdin)
assert port["holders"] == [] and port["states"]["time-wait"] == 2, port
assert 50 <= port["time_wait_seconds"] <= 60, port'
    PORT=$("$TOOLS/free-port")
    "$LINGER" states -p "$PORT" | grep -q 'nobody holds it'
}

@test "the port wall is shown when it is near, with advice, and not before" {
    needs_namespace
    sysctl -qw net.ipv4.tcp_tw_reuse=0 net.ipv4.ip_local_port_range="40000 40099"
    start - "$TOOLS/peer" -s 1 -n 95 listen 80
    hear_port
    "$TOOLS/flood" 80 50
    time_wait 80 >/dev/null
    "$LINGER" states >"$BATS_TEST_TMPDIR/out"
    cat "$BATS_TEST_TMPDIR/out"
    grep -q 'to 127.0.0.1:80: 5[0-9] of 100 used' "$BATS_TEST_TMPDIR/out"
    run ! grep -q 'near the wall' "$BATS_TEST_TMPDIR/out"
    "$TOOLS/flood" 80 45
    finish
    time_wait 80 >/dev/null
    "$LINGER" states >"$BATS_TEST_TMPDIR/out"
    cat "$BATS_TEST_TMPDIR/out"
    grep -q 'to 127.0.0.1:80: 95 of 100 used (95 %), 95 of them by TIME_WAIT' "$BATS_TEST_TMPDIR/out"
    grep -q '5 left: 0 new connections a second' "$BATS_TEST_TMPDIR/out"
    grep -q 'ip_local_port_range 40000-40099  near the wall' "$BATS_TEST_TMPDIR/out"
    grep -q 'tcp_tw_reuse  *0  1 lets clients' "$BATS_TEST_TMPDIR/out"
    grep -q '^ *95  to 127.0.0.1:80$' "$BATS_TEST_TMPDIR/out"
}

@test "-w: a line each time where standard output is no terminal, and silent when the reader goes" {
    (timeout 20 "$LINGER" states -w || echo "status $?" >&2) 2>"$BATS_TEST_TMPDIR/stderr" | head -2 >"$BATS_TEST_TMPDIR/out"
    cat "$BATS_TEST_TMPDIR/out" "$BATS_TEST_TMPDIR/stderr"
    expect lines "$(grep -cE '^[0-9]{2}:[0-9]{2}:[0-9]{2}' "$BATS_TEST_TMPDIR/out")" 2
    expect "standard error" "$(cat "$BATS_TEST_TMPDIR/stderr")" "status 141"
}

@test "-w in a terminal is redrawn in place, with a bar for each state" {
    needs_terminal
    (TERM=xterm timeout 2 script -qec "env LC_ALL=C.UTF-8 $LINGER states -w" /dev/null || true) >"$BATS_TEST_TMPDIR/out"
    grep -q $'\e\[H' "$BATS_TEST_TMPDIR/out"
    (NO_COLOR=1 TERM=xterm timeout 2 script -qec "$LINGER states -w" /dev/null || true) >"$BATS_TEST_TMPDIR/plain"
    grep -q '^[0-9:]* ' "$BATS_TEST_TMPDIR/plain"
    run ! grep -q $'\e\[H' "$BATS_TEST_TMPDIR/plain"
}

@test "bad options are named" {
    for option in -p0 -p65536 -pfoo -w0 -wx; do
        run "$LINGER" states $option
        expect "status of $option" "$status" 125
        [[ $output == "linger states: ${option:0:2}: '${option:2}' is no"* ]]
    done
    run "$LINGER" states extra
    expect status "$status" 125
    [[ $output == *"unexpected argument 'extra'"* ]]
    run bash -c '"$1" states >/dev/full' _ "$LINGER"
    expect "status on a full disk" "$status" 125
}
