#!/usr/bin/env bats
# linger watch: what it says of a connection is what the test did with it.
load helper

LINGER=$ROOT/linger
MANY=$((100 / SLOWER))
EACH_NEEDS=needs_events

# A machine of a gigabyte has room for 4,096.
setup_file() {
    [ -z "${TESTS_IN_NAMESPACE:-}" ] || sysctl -qw net.ipv4.tcp_max_tw_buckets=65536
}

# Its handler of SIGINT is there when everything else is; until exec the shell's own may be.
watch_begins() {
    "$LINGER" watch "$@" >"$BATS_TEST_TMPDIR/watch" 2>"$BATS_TEST_TMPDIR/stderr" 3>&- &
    WATCH=$!
    STARTED+=("$WATCH")
    until awk '/^Name:/ && $2 != "linger" { exit 1 } /^SigCgt:/ { exit $2 !~ /[2367abef]$/ }' "/proc/$WATCH/status"; do
        kill -0 "$WATCH"
    done
}

watch_ends() {
    kill -INT "$WATCH"
    wait "$WATCH"
    cat "$BATS_TEST_TMPDIR/watch" "$BATS_TEST_TMPDIR/stderr"
}

# prepare WAY COUNT: connections that will end that way, after a line to $GO.
prepare() {
    rm -f "$BATS_TEST_TMPDIR/go"
    mkfifo "$BATS_TEST_TMPDIR/go"
    exec {GO}<>"$BATS_TEST_TMPDIR/go"
    start - ${WRAPPED:-} python3 "$ROOT/tests/tools/endings.py" ${FAMILY:-} "$@" <&"$GO"
    hear_port
}

# ends WAY COUNT: that, under watch with the options $WATCHED.
ends() {
    prepare "$@"
    ${BEFORE:-:}
    watch_begins ${WATCHED--e -j} -p "$PORT"
    echo go >&"$GO"
    hear
    if [ "$REPLY" = held ]; then
        until "$LINGER" states -j | grep -q '"fin-wait-2":1'; do :; done
        # Its line comes while it is held, if no event of it was lost.
        local late=$((SECONDS + 30))
        until [ -s "$BATS_TEST_TMPDIR/watch" ] || [ $SECONDS -gt $late ]; do :; done
        echo go >&"$GO"
        hear
    fi
    expect "endings.py" "$REPLY" "done"
    finish
    exec {GO}>&-
    time_wait "$PORT" >/dev/null # the last FIN may be on its way
    watch_ends >"$BATS_TEST_TMPDIR/all"
}

# "100 server: this end, FIN; left TIME_WAIT", a line for each kind, sorted.
kinds() {
    python3 -c '
import collections, json, sys
kinds = collections.Counter()
for line in sys.stdin:
    c = json.loads(line)
    words = c["role"] + ": " + c["first"] + ", " + c["how"]
    words += ", then " + c["then"] if c.get("then") else ""
    words += " (" + c["reason"] + ")" if c.get("reason") else ""
    kinds[words + "; left " + c["left"]] += 1
for kind, count in sorted(kinds.items()):
    print(count, kind)' <"$BATS_TEST_TMPDIR/watch"
}

# What is expected, with the reasons that this kernel gives.
as_given() {
    if ! linux_is 6.10; then
        sed -E 's/\((unread data|SO_LINGER 0|not accepted|TCP_LINGER2 < 0)\)/(no reason given)/'
    elif ! linux_is 6.12; then
        sed 's/(unread data)/(no reason given)/'
    else
        cat
    fi
}

# are COUNT WAY EXPECTED EXPECTED: of each kind as many as there were, and nothing else. Where the
# kernel has not delivered an event, and linger says so, once more; and where the way RACES.
are() {
    local count=$1 way=$2 expected tries
    shift 2
    expected=$(printf "$count %s\n" "$@" | as_given | sort -k2)
    for ((tries = 0; tries < 8; tries++)); do
        ends "$way" "$count"
        [ -z "${RACES:-}" ] || [ "$(kinds | sort -k2)" = "$expected" ] || continue
        grep -q "events lost" "$BATS_TEST_TMPDIR/all" || break
    done
    diff <(echo "$expected") <(kinds | sort -k2) || {
        echo "$way is shown as above (>), not as it was (<)"
        return 1
    }
}

each_quick_way() {
    also are $MANY close "server: this end, FIN; left TIME_WAIT" "client: the peer, FIN; left nothing"
    also are $MANY client-close "client: this end, FIN; left TIME_WAIT" "server: the peer, FIN; left nothing"
    also are $MANY exit "server: this end, FIN; left TIME_WAIT" "client: the peer, FIN; left nothing"
    also are $MANY sigkill "server: this end, FIN; left TIME_WAIT" "client: the peer, FIN; left nothing"
    also are $MANY half-close "server: this end, FIN; left TIME_WAIT" "client: the peer, FIN; left nothing"
    also are $MANY unread "server: this end, RST (unread data); left nothing" "client: the peer, RST; left nothing"
    also are $MANY client-unread "client: this end, RST (unread data); left nothing" "server: the peer, RST; left nothing"
    also are $MANY linger0 "server: this end, RST (SO_LINGER 0); left nothing" "client: the peer, RST; left nothing"
    also are $MANY client-linger0 "client: this end, RST (SO_LINGER 0); left nothing" "server: the peer, RST; left nothing"
    also are $MANY unspec "server: this end, RST (SO_LINGER 0); left nothing" "client: the peer, RST; left nothing"
    also are $MANY fin-rst "server: this end, FIN, then RST sent (after close()); left nothing" \
        "client: the peer, FIN, then RST received; left nothing"
    also are $MANY client-fin-rst "client: this end, FIN, then RST sent (after close()); left nothing" \
        "server: the peer, FIN, then RST received; left nothing"
    also are $MANY half-close-fin-rst "server: this end, FIN, then RST sent (TCP_LINGER2 < 0); left nothing" \
        "client: the peer, FIN, then RST received; left nothing"
    also are $MANY answered-by-linger0 "server: the peer, FIN, then RST sent (SO_LINGER 0); left nothing" \
        "client: this end, FIN, then RST received; left nothing"
    also are $MANY answered-by-unread "server: the peer, FIN, then RST sent (unread data); left nothing" \
        "client: this end, FIN, then RST received; left nothing"
    also are $MANY orphan-before-ack "server: this end, FIN, then RST sent (data after close()); left nothing" \
        "client: the peer, RST; left nothing"
    also are $MANY unaccepted "server: this end, RST (not accepted); left nothing" "client: the peer, RST; left nothing"
    also are $MANY reset-before-accept "server: the peer, RST; left nothing" "client: this end, RST (SO_LINGER 0); left nothing"
    also are $MANY fast-open "server: this end, FIN; left TIME_WAIT" "client: the peer, FIN; left nothing"
    also are $MANY port-again "server: this end, FIN; left TIME_WAIT" "client: the peer, FIN; left nothing" \
        "client: this end, FIN; left TIME_WAIT" "server: the peer, FIN; left nothing"
    also are $MANY refused "client: nobody, refused; left nothing"
    also are $MANY given-up "client: nobody, given up; left nothing"
    also are 20 destroyed "server: this end, RST (SOCK_DESTROY); left nothing" "client: the peer, RST; left nothing"
}

@test "each way to end, from both ends: IPv4" {
    each_quick_way
}

@test "each way to end, from both ends: IPv6" {
    FAMILY=-6 each_quick_way
}

each_slow_way() {
    # Both FINs are lost, and sent again by timers: the later one may be sent after the earlier has come.
    RACES=yes also are 1 simultaneous "server: both at once, FIN; left TIME_WAIT" "client: both at once, FIN; left TIME_WAIT"
    also are 1 timeout "server: nobody, timeout; left nothing" "client: this end, RST (SO_LINGER 0); left nothing"
    also are 1 keepalive "server: nobody, timeout (keepalive); left nothing" "client: this end, RST (SO_LINGER 0); left nothing"
    also are 1 unacknowledged "server: this end, FIN, then timeout; left nothing" \
        "client: this end, RST (SO_LINGER 0); left nothing"
    also are 1 last-ack-lost "server: this end, FIN; left TIME_WAIT" "client: the peer, FIN; left nothing"
    also are 1 unanswered "client: nobody, unanswered; left nothing"
    also are 1 held "server: this end, FIN; left FIN_WAIT2" "client: the peer, FIN; left nothing"
}

@test "ends that take time: both at once, no answer, FIN_WAIT2 that is held" {
    each_slow_way
    FAMILY=-6 each_slow_way
}

@test "the closer is named, with its pid, though it has ended" {
    WATCHED="-e -j" ends exit 1
    python3 - "$BATS_TEST_TMPDIR/watch" "$PID" <<'EOF'
import json, sys
for line in open(sys.argv[1]):
    c = json.loads(line)
    assert c["program"] == "python3", c
    # The server's end is a child of its own.
    assert (c["pid"] == int(sys.argv[2])) == (c["role"] == "client"), c
    assert 0 < c["seconds"] < 10, c
EOF
}

@test "the table: who, how, what it left, and sums" {
    WATCHED="" ends close 30
    cat "$BATS_TEST_TMPDIR/all"
    grep -qE "^[0-9]+ s at port $PORT: 60 connections ended$" "$BATS_TEST_TMPDIR/watch"
    grep -qE "^  server at port $PORT +this end +FIN, python3 \(pid $PID\) +TIME_WAIT +30$" "$BATS_TEST_TMPDIR/watch"
    grep -qE "^  client of 127.0.0.1:$PORT +the peer +FIN +nothing +30$" "$BATS_TEST_TMPDIR/watch"
}

@test "-j: one object, the sums of the table" {
    WATCHED=-j ends close 7
    python3 - "$BATS_TEST_TMPDIR/watch" "$PORT" <<'EOF'
import json, sys
lines = open(sys.argv[1]).readlines()
assert len(lines) == 1, lines
w = json.loads(lines[0])
assert (w["ended"], w["failed"], w["others"]) == (14, 0, 0), w
server, client = sorted(w["groups"], key=lambda g: g["role"], reverse=True)
assert server["port"] == int(sys.argv[2]) and server["left"] == "TIME_WAIT" and server["count"] == 7, w
assert client["to"] == "127.0.0.1:" + sys.argv[2] and client["left"] == "nothing", w
assert len(w["advice"]) == 1 and w["seconds"] > 0, w
EOF
}

@test "-v: the states it was in, and for how long" {
    WATCHED=-v ends half-close 1
    cat "$BATS_TEST_TMPDIR/watch"
    expect states "$(grep -oE '^    [a-z0-9-]+' "$BATS_TEST_TMPDIR/watch" | xargs)" \
        "established fin-wait-1 fin-wait-2 syn-sent established close-wait last-ack"
    WATCHED="-v -j" ends client-close 1
    python3 - "$BATS_TEST_TMPDIR/watch" <<'EOF'
import json, sys
for line in open(sys.argv[1]):
    c = json.loads(line)
    lived = sum(v for k, v in c["states"].items() if k != "syn-sent")
    assert abs(lived - c["seconds"]) < 0.000001, c
EOF
}

# A kernel that shows no RST without a connection.
shows_sums_alone() {
    run linux_is 6.10
    expect status "$status" 1
    grep -q "before Linux 6.10 .* none is seen that belongs to no connection; .* 5 RST were sent" "$BATS_TEST_TMPDIR/watch"
}

@test "connects that are refused, and the RST of a port where nobody listens" {
    WATCHED="" ends refused 5
    cat "$BATS_TEST_TMPDIR/all"
    grep -q "^5 connect() by python3 (pid $PID) were refused: the answer was RST, to 127.0.0.1:$PORT$" "$BATS_TEST_TMPDIR/watch"
    grep -q "^5 RST in answer to a packet for port $PORT: nobody listens there$" "$BATS_TEST_TMPDIR/watch" || shows_sums_alone
    grep -q " 0 connections ended$" "$BATS_TEST_TMPDIR/watch"
}

@test "connects that find no local port left" {
    needs_namespace
    sysctl -qw net.ipv4.ip_local_port_range="31000 31009" # where no server of another test has left TIME_WAIT
    PORT=86
    watch_begins -p "$PORT"
    python3 -c "
import errno, socket
listener = socket.create_server(('127.0.0.1', $PORT))
clients = [socket.create_connection(listener.getsockname()) for _ in range(10)]
for _ in range(2):
    try:
        socket.create_connection(listener.getsockname())
    except OSError as error:
        assert error.errno == errno.EADDRNOTAVAIL, error"
    sysctl -qw net.ipv4.ip_local_port_range="32768 60999"
    watch_ends
    grep -q "^2 connect() by python3 (pid [0-9]*) failed: no local port was left (.linger states.), to 127.0.0.1:$PORT$" "$BATS_TEST_TMPDIR/watch"
    grep -q "^  no local port: connect() to 127.0.0.1:$PORT failed (EADDRNOTAVAIL)" "$BATS_TEST_TMPDIR/watch"
}

@test "what comes for a socket in FIN_WAIT2 that its program has closed is answered by RST" {
    WATCHED=-j ends orphan-late 5
    grep -q '"resets":\[{"port":[0-9]*,"nobody_listens":0,"connection_gone":0,"time_wait":5}\]' "$BATS_TEST_TMPDIR/watch" ||
        shows_sums_alone
}

# Events of others may be lost, and are counted.
@test "-t ends it; SIGTERM does, with the table" {
    run timeout 60 "$LINGER" watch -t 1 -p 1
    expect status "$status" 0
    expect output "$(grep -v "^events lost: " <<<"$output")" "1 s at port 1: 0 connections ended"
    watch_begins -p 1
    kill -TERM "$WATCH"
    wait "$WATCH"
    grep -q "^[0-9]* s at port 1: 0 connections ended$" "$BATS_TEST_TMPDIR/watch"
}

@test "after SIGKILL nothing is left: no mount, no instance of tracefs, no process" {
    local before after
    looks() { cat /proc/self/mountinfo && find /sys/kernel/tracing/instances 2>/dev/null | sort; }
    before=$(looks)
    watch_begins -p 1
    run ! pgrep -P "$WATCH" # a child of it could be left
    kill -KILL "$WATCH"
    wait "$WATCH" || true
    after=$(looks)
    expect "mounts and instances" "$after" "$before"
}

@test "PIDs: these processes and their descendants, and nobody else" {
    prepare exit 3
    local go=$GO pid=$PID port=$PORT out=$OUT
    prepare close 3
    watch_begins -e -j "$pid"
    echo go >&"$GO"
    hear
    echo go >&"$go"
    OUT=$out hear
    PID=$pid OUT=$out finish
    time_wait "$port" >/dev/null # the last FIN may be on its way
    watch_ends >/dev/null
    python3 - "$BATS_TEST_TMPDIR/watch" "$port" <<'EOF'
import json, sys
ends = [json.loads(line) for line in open(sys.argv[1])]
assert len(ends) == 6, ends
for c in ends:
    assert sys.argv[2] in c["local"] + c["peer"], c
EOF
}

@test "PIDs: a server whose connections only its peers end" {
    prepare client-linger0 3
    watch_begins -e -j "$PID"
    echo go >&"$GO"
    hear
    watch_ends >/dev/null
    kinds | grep -qx "3 server: the peer, RST; left nothing"
}

@test "mistakes: a pid that is none, or nobody's; ports" {
    says_no "linger watch: 'x' is not a process: *--port PORT*" "$LINGER" watch x
    says_no "linger watch: process 2147483646: no such process" "$LINGER" watch 2147483646
    says_no "linger watch: -p: '0' is not a port*" "$LINGER" watch -p 0
    says_no "linger watch: -t: 'x' is not a time from 1 to 86400 seconds*" "$LINGER" watch -t x
}

@test "a name of a process cannot write to the terminal" {
    export NAME=$'\e[31mred"'
    WATCHED="-e" ends close 1
    run ! grep -q $'\e' "$BATS_TEST_TMPDIR/watch"
    grep -q 'FIN, ?\[31mred" (pid' "$BATS_TEST_TMPDIR/watch"
    WATCHED="-e -j" ends close 1
    run ! grep -q $'\e' "$BATS_TEST_TMPDIR/watch"
    grep -qF '"program":"\u001b[31mred\""' "$BATS_TEST_TMPDIR/watch"
}

@test "a terminal is redrawn, and what comes later still counts" {
    needs_terminal
    prepare close 3
    TERM=xterm script -qefc "stty cols 200 rows 50; exec $LINGER watch -p $PORT" "$BATS_TEST_TMPDIR/typed" >/dev/null 2>&1 3>&- &
    local script=$!
    STARTED+=("$script")
    until [ "$(grep -c "connections ended" "$BATS_TEST_TMPDIR/typed")" -ge 2 ]; do kill -0 $script; done
    echo go >&"$GO"
    hear
    until grep -q "TIME_WAIT  *3" "$BATS_TEST_TMPDIR/typed"; do kill -0 $script; done
    kill -INT "$(pgrep -P $script linger || pgrep -f "linger watch -p $PORT" | tail -1)"
    wait $script || true
    grep -q $'\e\[H.*: 6 connections ended' "$BATS_TEST_TMPDIR/typed"
}

# Before Linux 5.18 the kernel counts TIME_WAIT when it ends: then this says nothing.
begin_is_counted() {
    ! linux_is 5.18 || echo yes
}

@test "another user gets the counters, and is not refused without a reason" {
    needs_root
    local as_nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    prepare close 20
    "${as_nobody[@]}" "$LINGER" watch -j >"$BATS_TEST_TMPDIR/watch" 2>&1 3>&- &
    WATCH=$!
    STARTED+=("$WATCH")
    until awk '/^Name:/ && $2 != "linger" { exit 1 } /^SigCgt:/ { exit $2 !~ /[2367abef]$/ }' "/proc/$WATCH/status"; do
        kill -0 "$WATCH"
    done
    echo go >&"$GO"
    hear
    watch_ends
    python3 - "$BATS_TEST_TMPDIR/watch" "$(begin_is_counted)" <<'EOF'
import json, sys
c = json.load(open(sys.argv[1]))["counters"]
assert c["connected"] == c["accepted"] == 20, c
assert c.get("time_wait") == (20 if sys.argv[2] else None), c
assert c["rst_sent"] == c["unread_data"] == 0, c
EOF
    "${as_nobody[@]}" setarch --uname-2.6 "$LINGER" watch -j -t 1 >"$BATS_TEST_TMPDIR/older"
    expect "an older kernel's counters" "$(grep -c '"connected":[0-9]' "$BATS_TEST_TMPDIR/older") $(grep -c time_wait "$BATS_TEST_TMPDIR/older")" "1 0"
    run "${as_nobody[@]}" "$LINGER" watch -t 1
    expect status "$status" 0
    [[ $output == "1 s, by the counters of this network namespace ("*"ermi"*"); root sees each connection"* ]]
    says_no "linger watch: -e needs the kernel's events: *ermi*" "${as_nobody[@]}" "$LINGER" watch -e
}

@test "events that are lost are counted" {
    WRAPPED="taskset -c 0" prepare close 12000
    watch_begins -j -p "$PORT"
    kill -STOP "$WATCH"
    echo go >&"$GO"
    WITHIN=90 hear
    kill -CONT "$WATCH"
    watch_ends >/dev/null
    python3 - "$BATS_TEST_TMPDIR/watch" <<'EOF'
import json, sys
w = json.load(open(sys.argv[1]))
assert w["lost"] > 0 and 10000 < w["ended"] < 24000 <= w["ended"] + w["lost"], (w["ended"], w["lost"])
EOF
}

# -------- other namespaces --------

@test "a PID in another network namespace: what it has there, and without it nothing" {
    other_network
    WRAPPED="nsenter -t $OTHER -n" prepare close 3
    watch_begins -e -j "$PID"
    echo go >&"$GO"
    hear
    watch_ends >/dev/null
    expect kinds "$(kinds)" "3 client: the peer, FIN; left nothing
3 server: this end, FIN; left TIME_WAIT"
    WRAPPED="nsenter -t $OTHER -n" prepare close 3
    watch_begins -e -j -p "$PORT"
    echo go >&"$GO"
    hear
    watch_ends >/dev/null
    expect "of another namespace" "$(kinds)" ""
}

@test "over veth: this end is one, the other end is somebody else's" {
    other_network
    ip link add here type veth peer name there netns $OTHER
    ip address add 10.77.0.1/24 dev here
    ip link set here up
    nsenter -t $OTHER -n sh -c "ip address add 10.77.0.2/24 dev there; ip link set there up"
    for way in "close: server: this end, FIN; left TIME_WAIT" "reset: server: this end, RST (SO_LINGER 0); left nothing" \
        "peer: server: the peer, RST; left nothing"; do
        start - python3 -c '
import socket, struct, sys
RST = struct.pack("ii", 1, 0)
listener = socket.create_server(("10.77.0.1", 0))
print("port", listener.getsockname()[1], flush=True)
for i in range(10):
    end, _ = listener.accept()
    end.recv(1)
    if sys.argv[1] == "reset":
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
    if sys.argv[1] == "peer":
        try:
            end.send(b"x")
            end.recv(1)
        except ConnectionError:
            pass
    end.close()' "${way%%:*}"
        hear_port
        watch_begins -e -j -p "$PORT"
        nsenter -t $OTHER -n python3 -c '
import socket, struct, sys
for i in range(10):
    end = socket.create_connection(("10.77.0.1", int(sys.argv[2])))
    end.send(b"x")
    try:
        end.recv(1)
    except ConnectionError:
        pass
    if sys.argv[1] == "peer":
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()' "${way%%:*}" "$PORT"
        finish
        watch_ends >/dev/null
        expect "${way%%:*}" "$(kinds)" "$(as_given <<<"10 ${way#*: }")"
    done
}

# -------- the advice, and that it cures --------

# advises PATTERN: in the table that was printed last.
advises() {
    sed -n '/^advice$/,$p' "$BATS_TEST_TMPDIR/watch" | grep -q -- "$1" || {
        cat "$BATS_TEST_TMPDIR/watch"
        expect advice "" "$1"
    }
}

# advises_reason KERNEL PATTERN COUNTERS: the latter where the kernel, older than that, gives no reason.
advises_reason() {
    if linux_is "$1"; then
        advises "$2"
    else
        advises "before Linux 6.10 no reason of a RST is known, .*; by the counters of this namespace [0-9]* RST were sent, $3"
    fi
}

advises_not() {
    run ! grep -q -- "$1" "$BATS_TEST_TMPDIR/watch" || {
        cat "$BATS_TEST_TMPDIR/watch"
        expect "no advice" "$1" ""
    }
}

@test "advice: TIME_WAIT of a server, and linger attach leaves none" {
    WATCHED="" ends close 5
    advises "python3 closes first at port $PORT: .*linger attach -m fin-rst -p $PORT. leaves none"
    attach_it() { "$LINGER" attach -q -m fin-rst -p "$PORT"; }
    BEFORE=attach_it WATCHED="" ends close 5
    grep -qE "FIN, python3 \(pid $PID\); then RST: after close\(\) +nothing +5$" "$BATS_TEST_TMPDIR/watch"
    advises "RST after close() is normal under fin-rst: "
    advises_not "data after close()"
    advises_not "leaves none"
}

@test "advice: TIME_WAIT of a client, and linger run leaves none" {
    WATCHED="" ends client-close 5
    advises "python3 closes first: each connection to 127.0.0.1:$PORT holds a port for 60 s; .*linger supervise -m 'fin-rst role=client' $PID., or start it by .linger run -m 'fin-rst role=client'."
    WRAPPED="$LINGER run -m fin-rst --" WATCHED="" ends client-close 5
    advises_not "closes first: "
    grep -qE "client of .* then RST: after close\(\) +nothing +5$" "$BATS_TEST_TMPDIR/watch"
}

@test "advice: unread data, and a server that reads first" {
    WATCHED="" ends unread 5
    advises_reason 6.12 "unread data: python3 closes before it has read what came" "5 for unread data, 0 by SO_LINGER 0"
    WATCHED="" ends read-first 5
    advises_not "unread data"
    advises_not RST
}

@test "advice: a program that aborts, and linger run -m fin" {
    WATCHED="" ends linger0 5
    advises_reason 6.10 \
        "SO_LINGER 0: python3 aborts its connections itself.*fin overrules the program: .linger supervise -m fin $PID., or start it by .linger run -m fin." \
        "0 for unread data, 5 by SO_LINGER 0"
    WRAPPED="$LINGER run -m fin --" WATCHED="" ends linger0 5
    advises_not "SO_LINGER"
    grep -qE "FIN, python3 \(pid $PID\) +TIME_WAIT +5$" "$BATS_TEST_TMPDIR/watch"
}

@test "advice: a program that aborts, and linger supervise -m fin while it runs" {
    needs_no_filter
    supervise_it() { "$LINGER" supervise -y -q -m fin "$PID"; }
    BEFORE=supervise_it WATCHED="" ends linger0 5
    advises_not "SO_LINGER"
    grep -qE "FIN, python3 \(pid $PID\) +TIME_WAIT +5$" "$BATS_TEST_TMPDIR/watch"
}

@test "advice: data for a closed socket, and a server that reads until EOF" {
    WATCHED="" ends orphan-before-ack 5
    advises "data after close(): it came for a connection that python3 had closed"
    advises_not "fin-rst"
    WATCHED="" ends half-close 5
    advises_not RST
}

@test "advice: a health check" {
    WATCHED="" ends client-linger0 5
    advises_reason 6.10 "SO_LINGER 0: python3 connects to 127.0.0.1:$PORT and resets at once, as a health check does" \
        "0 for unread data, 5 by SO_LINGER 0"
    advises_not "overrules"
}

@test "advice: a listener's full queue, and a longer one" {
    WATCHED="" ends overflow 1
    advises "SYN or ACK were dropped as the queue of a listener was full"
    WATCHED="" ends close 5
    advises_not "queue"
}

@test "advice: CLOSE_WAIT that lasts, and linger close" {
    prepare forgotten 1
    watch_begins -t 12 -p "$PORT"
    echo go >&"$GO"
    hear
    expect endings.py "$REPLY" held
    wait "$WATCH"
    advises "1 in CLOSE_WAIT for more than 10 s"
    watch_begins -e -j -p "$PORT"
    "$LINGER" close -q -m fin --state close-wait "$PID"
    watch_ends
    grep -q '"role":"server","first":"the peer"' "$BATS_TEST_TMPDIR/watch"
}

@test "Multipath TCP: its subflows are connections, which the kernel closes" {
    PORT=$("$TOOLS/free-port")
    watch_begins -e -j -p "$PORT"
    python3 -c '
import socket, struct, sys
def new():
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
listener = new()
listener.bind(("127.0.0.1", int(sys.argv[1])))
listener.listen()
for abort in (0, 1):
    client = new()
    client.connect(listener.getsockname())
    server, _ = listener.accept()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", abort, 0))
    server.close()
    try:
        client.recv(1)
    except ConnectionError:
        pass
    client.close()' "$PORT" || skip "this kernel has no MPTCP"
    time_wait "$PORT" >/dev/null
    watch_ends >/dev/null
    kinds
    kinds | grep -x "1 server: this end, RST ($(linux_is 6.10 && echo MPTCP || echo SOCK_DESTROY)); left nothing"
    kinds | grep -x "1 client: the peer, RST; left nothing"
    # The first connection ends by FIN, though the kernel's worker may reset its other end before.
    kinds | grep "FIN; left"
}

# serve_at COMMAND...: at a port of its own, which is PORT in the command, and one of $PORTS.
serve_at() {
    PORT=$("$TOOLS/free-port")
    start - "${@//PORT/$PORT}"
    await_listener
    PORTS+=("$PORT")
}

# load_by COMMAND...: watch and nstat over the same time, anew where the kernel has dropped an event.
load_by() {
    local tries
    for ((tries = 0; tries < 8; tries++)); do
        NSTAT_HISTORY=$BATS_TEST_TMPDIR/history nstat -n
        watch_begins -j
        "$@" >/dev/null
        for PORT in "${PORTS[@]}"; do time_wait "$PORT" >/dev/null; done
        NSTAT_HISTORY=$BATS_TEST_TMPDIR/history nstat -jsz >"$BATS_TEST_TMPDIR/nstat"
        watch_ends >/dev/null
        ! grep -q '"lost":0,' "$BATS_TEST_TMPDIR/watch" || break
    done
}

sums_are_nstats() { # LEAST
    python3 - "$BATS_TEST_TMPDIR/watch" "$BATS_TEST_TMPDIR/nstat" "$1" "$(begin_is_counted)" <<'EOF'
import json, sys
w = json.load(open(sys.argv[1]))
n = json.load(open(sys.argv[2]))["kernel"]
def of(**what):
    return sum(g["count"] for g in w["groups"] if all(g.get(k) == v for k, v in what.items()))
pairs = {
    "connected": (n["TcpActiveOpens"], of(role="client")),
    "accepted": (n["TcpPassiveOpens"], of(role="server")),
    "aborted": (n["TcpExtTCPAbortOnData"] + n["TcpExtTCPAbortOnClose"], sum(of(reason=reason) for reason in
        ("SO_LINGER 0", "after close()", "data after close()", "unread data", "no reason given"))),
}
if sys.argv[4]:
    pairs["closed first"] = n["TcpExtTW"] + n["TcpExtTWKilled"], of(left="TIME_WAIT")
print(pairs)
for name, (theirs, ours) in pairs.items():
    assert abs(theirs - ours) <= theirs / 100, name
assert pairs["connected"][0] >= int(sys.argv[3]), pairs
EOF
}

PORTS=()

@test "the sums are nstat's: nginx, redis and a server that aborts, under load" {
    serve_at bash -c "$NGINX" _ PORT "$BATS_TEST_TMPDIR" 1
    serve_at redis-server --port PORT --save ""
    WRAPPED="" prepare linger0 500
    at_work() {
        ab -q -n 2000 -c 8 "http://127.0.0.1:${PORTS[0]}/"
        redis-benchmark -k 0 -n 1000 -t ping_inline -q -p "${PORTS[1]}"
        [ "$tries" -gt 0 ] || { echo go >&"$GO" && hear; }
    }
    load_by at_work
    sums_are_nstats 3000
}

@test "the sums are nstat's: haproxy before a Go server" {
    serve_at "$TOOLS/go/pages" PORT 100
    printf '%s\n' "defaults" "mode http" "timeout connect 10s" "timeout client 10s" "timeout server 10s" \
        "option httpclose" "listen front" "bind 127.0.0.1:\${FRONT}" "server back 127.0.0.1:$PORT" >"$BATS_TEST_TMPDIR/haproxy.cfg"
    serve_at env FRONT=PORT haproxy -db -f "$BATS_TEST_TMPDIR/haproxy.cfg"
    load_by ab -q -n 2000 -c 8 "http://127.0.0.1:$PORT/"
    sums_are_nstats 4000
}

@test "the sums are nstat's: a Java server" {
    command -v javac >/dev/null || skip "no javac here"
    javac -d "$BATS_TEST_TMPDIR" "$ROOT/tests/tools/JvmServer.java"
    serve_at java -cp "$BATS_TEST_TMPDIR" JvmServer channel PORT
    load_by ab -q -n 2000 -c 8 "http://127.0.0.1:$PORT/"
    sums_are_nstats 2000
}
