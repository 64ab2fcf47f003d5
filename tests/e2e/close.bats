#!/usr/bin/env bats
# linger close: ends connections that a process has open.
load helper

LINGER=$ROOT/linger

# A small machine would keep no more TIME_WAIT than 10,000 connections leave, and 5.10 gives a port that waits
# in FIN_WAIT2 to the next connection, whose SYN ends what the server has in CLOSE_WAIT.
setup_file() {
    [ -z "${TESTS_IN_NAMESPACE:-}" ] || sysctl -qw net.ipv4.tcp_max_tw_buckets=65536 net.ipv4.tcp_tw_reuse=0
}

# A server with so many connections in CLOSE_WAIT; its standard input is $GO.
owing() { # COUNT
    mkfifo "$BATS_TEST_TMPDIR/go"
    exec {GO}<>"$BATS_TEST_TMPDIR/go"
    start - python3 "$ROOT/tests/tools/owing.py" "$@" <&"$GO"
    hear_port
}

# A connection to it that stays.
connected() {
    exec {CLIENT}<>"/dev/tcp/127.0.0.1/$PORT"
    read -r -t $((60 * SLOWER)) REPLY <&"$CLIENT"
    expect "the server" "$REPLY" hello
}

in_state() { # STATE
    ss -Htan state "$1" "sport = :$PORT" | wc -l
}

# A slow machine is still busy with the FINs, or ss misses some of thousands.
all_in_close_wait() { # COUNT
    [ "$(in_state close-wait)" = "$1" ]
}

# closes STATUS ARGUMENT...: the last line is SUM.
closes() {
    local expected=$1 status=0
    shift
    "$LINGER" close "$@" >"$BATS_TEST_TMPDIR/out" 2>&1 || status=$?
    tail -20 "$BATS_TEST_TMPDIR/out"
    [ $status != 125 ] || needs_destroy "$BATS_TEST_TMPDIR/out"
    expect status "$status" "$expected"
    SUM=$(tail -1 "$BATS_TEST_TMPDIR/out")
}

@test "10,000 in CLOSE_WAIT are gone, by rst and by fin, and nothing else is" {
    [ "$(ulimit -Hn)" -ge 10100 ] || skip "needs 10,100 descriptors"
    for mode in rst fin; do
        owing 10000
        connected
        eventually all_in_close_wait 10000
        begin=${EPOCHREALTIME/./}
        closes 0 -m "$mode" --state close-wait "$PID"
        echo "# $mode: 10,000 connections in $(((${EPOCHREALTIME/./} - begin) / 1000)) ms" >&3
        expect "the sum" "$SUM" "10000 connections of 1 process ended, 0 left alone, 0 failed"
        expect "in CLOSE_WAIT after" "$(in_state close-wait)" 0
        expect "a connection that was not in it" "$(in_state established)" 1
        expect "the listener" "$(ss -Htln "sport = :$PORT" | wc -l)" 1
        # The descriptors stay: a leak stays a leak.
        [ "$(find "/proc/$PID/fd" | wc -l)" -gt 10000 ]
        exec {CLIENT}>&-
        hear
        expect "the server saw" "$REPLY" eof
        kill "$PID"
        rm "$BATS_TEST_TMPDIR/go"
    done
}

@test "conditions, states, idle time: what is not selected is left alone" {
    owing 3
    connected
    closes 0 -n -m rst --all "$PID"
    expect "-n" "$SUM" "4 connections of 1 process would be ended, 0 left alone, 0 failed"
    closes 0 -m "off port=$PORT; rst" "$PID"
    expect "off" "$SUM" "0 connections of 1 process ended, 4 left alone, 0 failed"
    closes 0 -m "rst port=1" "$PID"
    expect "no rule" "$SUM" "0 connections of 1 process ended, 4 left alone, 0 failed"
    grep -q "^127.0.0.1:$PORT 127.0.0.1:[0-9]*  established, idle [0-9]* s  verdict none  left alone: no rule matches$" "$BATS_TEST_TMPDIR/out"
    closes 0 -m rst --idle 3600 --port "$PORT"
    expect "idle for an hour" "$SUM" "0 connections of 1 process ended, 0 left alone, 0 failed"
    expect "in CLOSE_WAIT" "$(in_state close-wait)" 3
    closes 0 -m "rst when=passive role=server" --port "$PORT"
    expect "passive" "$SUM" "3 connections of 1 process ended, 1 left alone, 0 failed"
    expect "established" "$(in_state established)" 1
    "$LINGER" close -m "fin peer=127.0.0.0/8" --state established,syn-sent --json "$PID" | python3 -c "
import json, sys
done = json.load(sys.stdin)
one, = done['connections']
assert one['pid'] == $PID and one['local'] == '127.0.0.1:$PORT' and one['state'] == 'established', one
assert one['verdict'] == 'fin' and one['result'] == 'ended' and one['idle'] < 3600, one
assert (done['ended'], done['left'], done['failed']) == (1, 0, 0), done"
    hear
    expect "the server saw" "$REPLY" eof
    expect "the peer read" "$(cat <&"$CLIENT")" ""
    closes 0 -q -m rst --all "$PID"
    expect "-q" "$SUM" ""
    kill "$PID"
}

@test "an idle connection, and one that is not" {
    owing 0
    connected
    idle=$CLIENT
    is_idle() { "$LINGER" close -n -m rst --idle 1 "$PID" | grep -q '^1 connection of 1 process would be ended'; }
    eventually is_idle
    connected
    closes 0 -m rst --idle 1 "$PID"
    expect "the sum" "$SUM" "1 connection of 1 process ended, 0 left alone, 0 failed"
    hear
    expect "the server saw" "$REPLY" ECONNRESET
    printf x >&"$CLIENT"
    hear
    expect "of the other" "$REPLY" data
    run ! cat <&"$idle"
    kill "$PID"
}

@test "the wire: rst is RST, fin is FIN, fin-rst leaves no TIME_WAIT where the program closes" {
    needs_namespace
    owing 0
    for mode in rst fin fin-rst; do
        connected
        watch_wire "$PORT"
        closes 0 -m "$mode" --all "$PID"
        hear
        saw=$REPLY
        case $mode in
        rst) expect "rst: the server saw, the wire" "$saw $(wire)" "ECONNRESET fin=0 rst=1" ;;
        fin) expect "fin: the server saw, the wire" "$saw $(wire)" "eof fin=1 rst=0" ;;
        fin-rst) # close() comes before the peer's FIN: RST at the acknowledgement, or at once after it
            time_wait "$PORT" >/dev/null
            expect "fin-rst: the server saw, the wire" "$saw $(wire)" "eof fin=1 rst=1" ;;
        esac
        exec {CLIENT}>&-
        expect "TIME_WAIT after $mode" "$(server_time_wait)" "$([ $mode = fin ] && echo 1 || echo "${former:-0}")"
        former=$(server_time_wait)
    done
    kill "$PID"
}

# sees_of MODE COMMAND...: what the program prints about its accepted connections, which are ended, in
# $BATS_TEST_TMPDIR/saw, sorted.
sees_of() {
    local mode=$1
    shift
    mkfifo "$BATS_TEST_TMPDIR/$mode"
    exec {GO}<>"$BATS_TEST_TMPDIR/$mode"
    start - "$@" <&"$GO"
    hear_port
    closes 0 -q -m "$mode role=server" --all "$PID"
    echo go >&"$GO"
    sort <&"$OUT" >"$BATS_TEST_TMPDIR/saw"
    finish
    echo "$mode:" && cat "$BATS_TEST_TMPDIR/saw"
}

saw() { # LINES, each a regular expression
    expect "lines" "$(wc -l <"$BATS_TEST_TMPDIR/saw")" "$(wc -l <<<"$1")"
    while read -r line; do
        grep -qxE "$line" "$BATS_TEST_TMPDIR/saw" || expect "a line" "" "$line"
    done <<<"$1"
}

@test "what a program sees: blocked and polling, reading and writing" {
    sees_of fin python3 "$ROOT/tests/tools/ended-view.py"
    saw "blocked-reader EOF EOF EPIPE
blocked-writer ([0-9]+|EPIPE) EPIPE EOF
late-reader abc EOF EPIPE
polling-reader POLLHUP\+POLLIN\+POLLRDHUP EOF EPIPE
polling-writer POLLHUP\+POLLOUT\+POLLRDHUP EPIPE EOF"
    # A call that is blocked just then may say EPIPE, and the one after it ECONNRESET. Some kernels abort
    # nothing that a call waits in: it is woken first, and what it was, and the one after it, may be done.
    linux_is 6.6 || woken="|EOF .*"
    sees_of rst python3 "$ROOT/tests/tools/ended-view.py"
    saw "blocked-reader ((EPIPE ECONNRESET|ECONNRESET (EOF|ENOTCONN)) EPIPE${woken:-})
blocked-writer (([0-9]+|EPIPE) ECONNRESET|([0-9]+|ECONNRESET) EPIPE) (EOF|ENOTCONN)
late-reader ECONNRESET EOF EPIPE
polling-reader POLLERR\+POLLHUP(\+POLLIN\+POLLRDHUP)? ECONNRESET EPIPE
polling-writer POLLERR\+POLLHUP\+POLLOUT(\+POLLRDHUP)? ECONNRESET (EOF|ENOTCONN)"
}

@test "what a Go program sees" {
    [ -x "$TOOLS/go/ended-view" ] || skip "no Go here"
    sees_of fin "$TOOLS/go/ended-view"
    saw "reader EOF
writer write tcp.*: broken pipe"
    sees_of rst "$TOOLS/go/ended-view"
    saw "reader read tcp.*: connection reset by peer
writer write tcp.*: (connection reset by peer|broken pipe)"
}

@test "what a Java program sees" {
    command -v javac >/dev/null || skip "no javac here"
    javac -d "$BATS_TEST_TMPDIR" "$ROOT/tests/tools/EndedView.java"
    sees_of fin java -cp "$BATS_TEST_TMPDIR" EndedView
    saw "reader -1
selector -1
writer Broken pipe"
    sees_of rst java -cp "$BATS_TEST_TMPDIR" EndedView
    saw "reader (Connection reset|Connection reset by peer|Broken pipe)
selector (Connection reset|Connection reset by peer)
writer (Connection reset|Connection reset by peer|Broken pipe)"
}

@test "nginx closes what was ended, logs no error, and serves on" {
    PORT=$("$TOOLS/free-port")
    start - bash -c "set -- \"\$1\" \"\$2\" 1; $NGINX" daemon "$PORT" "$BATS_TEST_TMPDIR"
    await_listener
    daemon=$PID
    worker=$(pgrep -P "$daemon")
    for mode in fin rst fin-rst; do
        exec {CLIENT}<>"/dev/tcp/127.0.0.1/$PORT"
        printf 'GET / HTTP/1.1\r\nHost: here\r\n\r\n' >&"$CLIENT"
        read -r -t $((60 * SLOWER)) REPLY <&"$CLIENT"
        expect "the answer" "${REPLY%$'\r'}" "HTTP/1.1 200 OK"
        former=$(find "/proc/$worker/fd" | wc -l)
        closes 0 -m "$mode role=server" --all --port "$PORT"
        expect "the sum" "${SUM#* of * ended, }" "0 left alone, 0 failed"
        has_one_less() { [ "$(find "/proc/$worker/fd" | wc -l)" -eq $((former - 1)) ]; }
        eventually has_one_less
        exec {CLIENT}>&-
        expect "the page" "$(curl -s "http://127.0.0.1:$PORT/")" "a page of nginx"
    done
    # Started by a user it says that it ignores its configuration's "user"; Debian 11's, without -e, that
    # it cannot write the system's log.
    expect "its log" "$(grep -vE '"user" directive|could not open error log' "$BATS_TEST_TMPDIR/stderr" || true)" ""
    kill "$daemon"
    wait "$daemon" || true
}

@test "connections accepted meanwhile, with reused numbers, are not hit" {
    start - python3 "$ROOT/tests/tools/reuser.py"
    hear_port
    ended=0
    for _ in {1..200}; do
        "$LINGER" close -m "rst role=server" --state close-wait --json "$PID" >"$BATS_TEST_TMPDIR/out"
        ended=$((ended + $(sed 's/.*"ended":\([0-9]*\).*/\1/' "$BATS_TEST_TMPDIR/out")))
    done
    kill "$PID"
    hear
    echo "ended in CLOSE_WAIT: $ended; $REPLY"
    [ $ended -gt 100 ]
    read -r _ whole _ all <<<"$REPLY"
    [ "$all" -gt 100 ]
    expect "conversations that were whole" "$whole" "$all"
}

@test "without privilege: your own are ended, and a message says that others are not" {
    needs_root
    chmod a+rx "$BATS_RUN_TMPDIR" "$BATS_TEST_TMPDIR" 2>/dev/null || true
    cp "$LINGER" "$TOOLS/subject" "$BATS_TEST_TMPDIR"
    nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    owing 2
    serve="import socket, sys
listener = socket.create_server(('127.0.0.2', $PORT))
client = socket.create_connection(listener.getsockname())
end, _ = listener.accept()
print('ready', flush=True)
print(end.recv(1), flush=True)"
    of_root=$PID
    start - "${nobody[@]}" python3 -c "$serve"
    hear
    run "${nobody[@]}" "$BATS_TEST_TMPDIR/linger" close -m "fin role=server" --port "$PORT"
    echo "$output"
    expect status "$status" 125
    [[ ${lines[0]} == "linger close: 3 sockets at port $PORT held by processes that this user may not inspect: root, or CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH, is needed"* ]]
    expect "the sum" "${lines[-1]}" "1 connection of 1 process ended, 0 left alone, 0 failed"
    hear
    expect "its own saw" "$REPLY" "b''"
    finish
    expect "those of root" "$(in_state close-wait)" 2
    run "${nobody[@]}" "$BATS_TEST_TMPDIR/linger" close -m fin --all "$of_root"
    expect status "$status" 125
    [[ $output == *"it belongs to user 0: root, or CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH, is needed" ]]
    kill "$of_root"
}

@test "each condition of the language selects" {
    owing 8
    local chosen=0
    closes 0 -n -m "rst share=50%" "$PID"
    chosen=${SUM%% *}
    closes 0 -n -m "off share=50%; rst" "$PID"
    expect "the shares" "$((chosen + ${SUM%% *}))" 8
    for policy in "port=$PORT" "local=127.0.0.1:$PORT" "peer=127.0.0.0/8" role=server when=passive; do
        closes 0 -n -m "rst $policy" "$PID"
        expect "$policy" "${SUM%% *}" 8
    done
    for policy in port=1 "local=127.0.0.2" peer=10.0.0.0/8 role=client when=active; do
        closes 0 -n -m "rst $policy" "$PID"
        expect "$policy" "${SUM%% *}" 0
    done
    expect "in CLOSE_WAIT" "$(in_state close-wait)" 8
    kill "$PID"
}

# refused MESSAGE ARGUMENT...
refused() {
    says_no "*$1*" "$LINGER" close "${@:2}"
}

@test "refusals name the cause, and nothing is ended" {
    owing 1
    refused "that is every connection: narrow it by a condition, --state, --idle or --stuck, or give --all" -m rst "$PID"
    refused "that is every connection" -m "rst prog=python*" --port "$PORT"
    refused "rule 1 (wait:5) ends nothing here: wait is for the process's own close()" -m wait:5 --all "$PID"
    refused "rule 1 (rst overrule=no) ends nothing here" -m "rst overrule=no" --all "$PID"
    refused "--state: 'listen': a listener is never ended" -m rst --state listen "$PID"
    refused "--state: no process has a socket in time-wait: leave out the pids" -m rst --state close-wait,time-wait "$PID"
    refused "--state: 'closewait': a state is one of: established, " -m rst --state closewait "$PID"
    refused "--state: '': a state is one of" -m rst --state "" "$PID"
    refused "--idle: '5min' is not a time from 1 to" -m rst --idle 5min "$PID"
    refused "a policy is missing: -m" --all "$PID"
    refused "a pid or --port is missing" -m rst --all
    refused "give either pids or --port, not both" -m rst --all --port 1 "$PID"
    refused "nobody has a connection at port" -m rst --all --port "$("$TOOLS/free-port")"
    refused "rule 1 (rst prog=nginx) is not for python3" -m "rst prog=nginx" --all "$PID"
    expect "in CLOSE_WAIT" "$(in_state close-wait)" 1
    kill "$PID"
}

@test "a connection that the kernel does not abort is named" {
    owing 1
    run "$TOOLS/refuse" 16 connect "$LINGER" close -m rst --all "$PID"
    echo "$output"
    expect status "$status" 125
    [[ ${lines[0]} == *"  verdict rst  failed: connect: Device or resource busy" ]]
    expect "the sum" "${lines[1]}" "0 connections of 1 process ended, 0 left alone, 1 failed"
    kill "$PID"
}

waiting() { # STATE
    ss -Htan state "$1" "dport = :$PORT" | wc -l
}

@test "FIN_WAIT2: fin says that it ends nothing, rst ends what a process holds, and as root what none does" {
    half_closed 10
    closes 0 -m fin --state fin-wait-2 "$PID"
    expect "by fin" "$SUM" "0 connections of 1 process ended, 10 left alone, 0 failed"
    grep -q "  fin-wait-2, idle .*  verdict fin  left alone: its FIN is sent already; rst ends it$" "$BATS_TEST_TMPDIR/out"
    expect "left" "$(waiting fin-wait-2)" 10
    closes 0 -m "rst peer=127.0.0.1:$PORT" --state fin-wait-2 "$PID"
    expect "by rst" "$SUM" "10 connections of 1 process ended, 0 left alone, 0 failed"
    expect "left" "$(waiting fin-wait-2)" 0
    kill "$PID"
    finish
    rm "$BATS_TEST_TMPDIR/half"
    half_closed 5
    echo >&"$HALF"
    hear
    expect "of nobody" "$(ss -Htaneo state fin-wait-2 "dport = :$PORT" | grep -vc "ino:[1-9]")" 5
    needs_root
    needs_namespace
    closes 0 -m "rst peer=127.0.0.1:$PORT" --state fin-wait-2
    # An earlier test's may be left alone: it is there for a minute.
    [[ $SUM == "5 that nobody held ended, "*" left alone, 0 failed" ]]
    expect "left" "$(waiting fin-wait-2)" 0
}

@test "TIME_WAIT is forgotten as root: of a port, by policy, and the port can be bound again" {
    needs_root
    needs_namespace
    for count in 1 2; do
        PEER="-n 4" meet fin -n 4 close
        served=$PORT
        expect "left by the server" "$LEFT" 4
        run python3 -c "import socket; socket.socket().bind(('127.0.0.1', $served))"
        [[ $output == *"Address already in use"* ]]
        run "$LINGER" close --state time-wait "$$"
        expect status "$status" 125
        [[ $output == *"--state: no process has a socket in time-wait: leave out the pids"* ]]
        run setpriv --reuid=65534 --clear-groups "$LINGER" close --state time-wait --port "$served"
        expect "status of a user" "$status" 125
        [[ $output == *"what nobody holds cannot be ended: root, or CAP_NET_ADMIN in this network namespace, is needed"* ]]
        closes 0 --state time-wait -m fin --port "$served"
        expect "by fin" "$SUM" "0 that nobody held ended, 4 left alone, 0 failed"
        closes 0 -n --state time-wait --port "$served"
        expect "-n" "$SUM" "4 that nobody held would be ended, 0 left alone, 0 failed"
        expect "left" "$(time_wait "$served")" 4
        if [ $count = 1 ]; then
            closes 0 --state time-wait --port "$served"
        else
            closes 0 --state time-wait -m "rst local=127.0.0.1:$served"
        fi
        [[ $SUM == "4 that nobody held ended, "*" left alone, 0 failed" ]]
        expect "left" "$(time_wait "$served")" 0
        python3 -c "import socket; socket.socket().bind(('127.0.0.1', $served))"
    done
    closes 0 --state time-wait --port "$served" --json
    expect "JSON" "$SUM" '{"connections":[],"ended":0,"left":0,"failed":0}'
}

@test "TIME_WAIT of clients: --port names the port of this end, so the rule that ends them is named" {
    needs_root
    needs_namespace
    PEER="-n 4" meet_as_client fin -n 4 close
    expect "left by the client" "$LEFT" 4
    local said="linger close: of what nobody holds, none has the local port $PORT, and 4 have it as the peer's port: -m 'rst peer=127.0.0.1:$PORT' in place of --port ends them"
    closes 0 --state time-wait --port "$PORT"
    expect said "$(head -1 "$BATS_TEST_TMPDIR/out")" "$said"
    closes 0 -q --state time-wait --port "$PORT"
    expect "-q" "$(wc -c <"$BATS_TEST_TMPDIR/out")" 0
    "$LINGER" close --help | grep -qx "If nothing matches, the status is 0."
    closes 0 --state time-wait -m "off local=192.0.2.1; rst role=client"
    expect "by role" "$(sed -n '1s/^[1-9][0-9]* //p; 2s/[1-9][0-9]* left/N left/p' "$BATS_TEST_TMPDIR/out")" \
        "that nobody held left alone: rule 2 (rst role=client): role=, port=, when= and prog= cannot be decided for them; local= and peer= can
0 that nobody held ended, N left alone, 0 failed"
    closes 0 --state time-wait -m "rst peer=127.0.0.1:$PORT"
    [[ $SUM == "4 that nobody held ended, "* ]]
    closes 0 --state time-wait --port "$PORT"
    expect "said of none" "$(cat "$BATS_TEST_TMPDIR/out")" "0 that nobody held ended, 0 left alone, 0 failed"
}

@test "--stuck: a peer that does not read, or is gone; not one that reads, and not an idle one" {
    needs_namespace
    mkfifo "$BATS_TEST_TMPDIR/go"
    exec {GO}<>"$BATS_TEST_TMPDIR/go"
    start - python3 "$ROOT/tests/tools/stuck.py" <&"$GO"
    declare -A port
    for name in unread trickle idle; do
        hear
        expect "a name" "${REPLY% *}" "$name"
        port[$name]=${REPLY#* }
    done
    stuck() { # NAME...: exactly those are, for a second
        "$LINGER" close -n -m rst --stuck 1 "$PID" >"$BATS_TEST_TMPDIR/out" 2>&1
        [ "$(grep -c 'stuck' "$BATS_TEST_TMPDIR/out")" = $# ] || return 1
        local name
        for name; do
            grep -qE "^127.0.0.1:([0-9]+ 127.0.0.1:)?${port[$name]} .*, idle [0-9]+ s, stuck [1-9][0-9]* s  verdict rst  would be ended$" "$BATS_TEST_TMPDIR/out" || return 1
        done
    }
    eventually stuck unread trickle
    closes 0 -n -m rst --stuck 3600 "$PID"
    expect "for an hour" "$SUM" "0 connections of 1 process would be ended, 0 left alone, 0 failed"
    spares_both() { "$LINGER" close -m fin --stuck 1 "$PID" | tee "$BATS_TEST_TMPDIR/out" | grep -qx "0 connections of 1 process ended, 2 left alone, 0 failed"; }
    eventually spares_both
    grep -q "  verdict fin  left alone: its FIN would wait behind the data; rst ends it$" "$BATS_TEST_TMPDIR/out"
    echo drain >&"$GO"
    hear
    expect "the client" "$REPLY" drained
    eventually stuck trickle
    closes 0 -m rst --stuck 1 "$PID"
    expect "the sum" "$SUM" "1 connection of 1 process ended, 0 left alone, 0 failed"
    expect "of the others" "$(ss -Htan state established "dport = :${port[unread]} or dport = :${port[idle]}" | wc -l)" 2
    expect "of that" "$(ss -Htan state established "sport = :${port[trickle]} or dport = :${port[trickle]}" | wc -l)" 0
    # The segments of one that was answered before are lost.
    echo lost >&"$GO"
    hear
    port[ack-lost]=${REPLY#* }
    drop
    echo send >&"$GO"
    hear
    expect "the client" "$REPLY" sent
    eventually stuck ack-lost
    "$LINGER" close -m rst --stuck 1 --json "$PID" | python3 -c "
import json, sys
one, = json.load(sys.stdin)['connections']
assert one['local'] == '127.0.0.1:${port[ack-lost]}' and one['stuck'] >= 1 and one['result'] == 'ended', one"
    nft delete table inet lost
    kill "$PID"
}

# Connects again each time that its connection ends; "ended N" for each of so many.
comes_back() { # COUNT
    timeout 60 python3 -c "
import socket, sys
for i in range($1):
    with socket.create_connection(('127.0.0.1', $PORT)) as client:
        try:
            while client.recv(100):
                pass
        except ConnectionResetError:
            pass
    print('ended', i + 1)"
}

@test "--watch: what comes back is ended again, of a restarted server too, until Ctrl-C" {
    PORT=$("$TOOLS/free-port")
    mkfifo "$BATS_TEST_TMPDIR/go"
    exec {GO}<>"$BATS_TEST_TMPDIR/go"
    start - "$LINGER" close -m "rst role=server" --watch 60 --port "$PORT" # nobody is there yet
    watch=$PID
    exec {LINES}<&"$OUT"
    for run in 1 2; do
        start - python3 "$ROOT/tests/tools/owing.py" 0 "$PORT" <&"$GO"
        hear
        expect "run $run" "$(comes_back 3 | tail -1)" "ended 3"
        for _ in 1 2 3; do
            read -r -t $((60 * SLOWER)) REPLY <&"$LINES"
            [[ $REPLY == "127.0.0.1:$PORT 127.0.0.1:"*"  verdict rst  ended" ]]
        done
        kill "$PID"
        finish
    done
    kill -INT "$watch"
    read -r -t $((60 * SLOWER)) REPLY <&"$LINES"
    expect "the sum" "$REPLY" "6 connections of 2 processes ended, 0 left alone, 0 failed"
    PID=$watch finish
    expect status "$STATUS" 0
}

@test "--watch ends when its time is over, or the process: each connection is named once" {
    owing 2
    closes 0 -n -m rst --state close-wait --watch 1 "$PID"
    expect "-n" "$SUM" "2 connections of 1 process would be ended, 0 left alone, 0 failed"
    closes 0 -m "off local=127.0.0.1:$PORT; rst" --watch 1 "$PID"
    expect "off" "$SUM" "0 connections of 1 process ended, 2 left alone, 0 failed"
    closes 0 -m fin --state close-wait,last-ack,fin-wait-1 --watch 1 --json "$PID"
    expect "JSON" "$(python3 -c 'import json, sys; s = json.loads(sys.argv[1]); print(len(s["connections"]), s["ended"], s["left"])' "$SUM")" "2 2 0"
    connected
    served=$PID
    start - "$LINGER" close -m "off peer=127.0.0.1" --watch 60 "$served"
    hear
    [[ $REPLY == *"  verdict off  left alone: off" ]]
    kill "$served"
    hear
    expect "the sum" "$REPLY" "0 connections of 1 process ended, 1 left alone, 0 failed"
    finish
    expect status "$STATUS" 0
    refused "--watch: '0' is not a time from" -m rst --all --watch 0 "$$"
}
