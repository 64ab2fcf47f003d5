#!/usr/bin/env bats
# linger states, against ss(8) in the same namespace.
load helper

LINGER=$ROOT/linger

forget_time_wait() {
    "$LINGER" close -q --state time-wait 2>"$BATS_TEST_TMPDIR/forget" || {
        cat "$BATS_TEST_TMPDIR/forget"
        needs_destroy "$BATS_TEST_TMPDIR/forget"
        return 1
    }
}

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
    seconds=$(sed -n 's/.*the last TIME_WAIT ends in \([0-9]*\) s$/\1/p' "$BATS_TEST_TMPDIR/out")
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
    "$LINGER" states -p "$PORT" | grep -q 'nobody holds it in this network namespace'
}

# waits_towards COUNT: so many TIME_WAIT more towards 127.0.0.1:80, or $TEST_ADDRESS; OUT is then what
# is said, and in JSON.
waits_towards() {
    start - "$TOOLS/peer" -s 1 -n "$1" listen 80
    hear_port
    "$TOOLS/flood" 80 "$1"
    finish
    time_wait 80 >/dev/null
    "$LINGER" states >"$BATS_TEST_TMPDIR/out"
    "$LINGER" states -j >"$BATS_TEST_TMPDIR/json"
    cat "$BATS_TEST_TMPDIR/out"
}

says() { # REGEX
    grep -q "$1" "$BATS_TEST_TMPDIR/out"
}

says_not() {
    run ! grep "$1" "$BATS_TEST_TMPDIR/out"
}

json() { # EXPRESSION
    python3 -c 'import json, sys; s = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$BATS_TEST_TMPDIR/json" "$1"
}

@test "past half of the ports on there is advice, and not before" {
    needs_namespace
    sysctl -qw net.ipv4.tcp_tw_reuse=0 net.ipv4.ip_local_port_range="40000 40099"
    waits_towards 48
    says 'to 127.0.0.1:80: 4[78] of 100 used'
    says_not '^  ports to'
    waits_towards 47
    says 'to 127.0.0.1:80: 95 of 100 used (95 %), 95 of them by TIME_WAIT'
    says '5 left; at most 1 new connections a second, as TIME_WAIT holds a port for 60 s'
    says '^  ports to 127.0.0.1:80: past half of them connect() walks over all that are taken, .* use fin-rst, which leaves no TIME_WAIT (.linger watch -p 80. names the program, .linger supervise -m .fin-rst role=client. PID. changes it while it runs), or tcp_tw_reuse=1, or a wider'
    says '^ *95  to 127.0.0.1:80$'
    expect "JSON of the port" "$("$LINGER" states -jp 80 | grep -o '"towards.*_wait":[0-9]*')" '"towards":95,"towards_time_wait":95'
    "$LINGER" states -p 80 | grep -x "  connections from here to port 80: 95, of them in TIME_WAIT: 95"
    expect "JSON" "$(json '(s["ephemeral"]["left"], s["ephemeral"]["per_second"], len([a for a in s["advice"] if "past half" in a]))')" "(5, 1, 1)"
}

@test "tcp_tw_reuse=2 reuses on loopback: nothing to do there, but elsewhere" {
    needs_namespace
    sysctl -qw net.ipv4.tcp_tw_reuse=2 net.ipv4.ip_local_port_range="40000 40099"
    TEST_ADDRESS=127.0.0.2 waits_towards 60 # where earlier tests left nothing
    says '^  ports to 127.0.0.[12]:80: nothing to do; with tcp_tw_reuse=2 '
    says_not 'past half'
    delay=$(cat /proc/sys/net/ipv4/tcp_tw_reuse_delay 2>/dev/null || echo 1000)
    expect rate "$(json 's["ephemeral"]["per_second"]')" $((100 * 1000 / delay))
    [ ! -e /proc/sys/net/ipv4/tcp_tw_reuse_delay ] || says "^  tcp_tw_reuse_delay  *$delay$"
    # Without timestamps no port is reused.
    sysctl -qw net.ipv4.tcp_timestamps=0
    "$LINGER" states >"$BATS_TEST_TMPDIR/out"
    says '^  ports to 127.0.0.[12]:80: past half .* or tcp_timestamps=1 and tcp_tw_reuse=1'
    sysctl -qw net.ipv4.tcp_timestamps=1
    # An address of this host that is none of loopback; more of it shows than of what needs nothing.
    ip address add 192.0.2.1/32 dev lo
    TEST_ADDRESS=192.0.2.1 waits_towards 55
    says '^  ports to 192.0.2.1:80: past half .* or tcp_tw_reuse=1'
    sysctl -qw net.ipv4.tcp_tw_reuse=1
    "$LINGER" states >"$BATS_TEST_TMPDIR/out"
    says '^  ports to .* nothing to do; with tcp_tw_reuse=1 '
    says_not 'past half'
}

@test "TIME_WAIT of a server: no harm while it runs, and then bind() may fail" {
    needs_namespace
    # More than what clients of other tests left at the other end, where both closed at once.
    start - "$TOOLS/subject" -p 71 -n 51 -r close
    hear
    "$TOOLS/peer" -k -n 50 connect 71
    time_wait 71 >/dev/null
    "$LINGER" states >"$BATS_TEST_TMPDIR/out"
    cat "$BATS_TEST_TMPDIR/out"
    says '^  TIME_WAIT at our port 71 does no harm while the server runs; .*linger run -r'
    "$TOOLS/peer" -k connect 71
    finish
    time_wait 71 >/dev/null
    "$LINGER" states >"$BATS_TEST_TMPDIR/out"
    says '^  TIME_WAIT at our port 71, which nobody listens on: bind() may fail there, .*linger run -r'
    sysctl -qw net.ipv4.tcp_max_tw_buckets=2
    "$LINGER" states >"$BATS_TEST_TMPDIR/out"
    says '^  [0-9]* of the 2 TIME_WAIT that tcp_max_tw_buckets allows'
}

@test "peers that do not answer, and a listener whose queue is full" {
    needs_namespace
    mkfifo "$BATS_TEST_TMPDIR/go"
    exec {GO}<>"$BATS_TEST_TMPDIR/go"
    sysctl -qw net.ipv4.ip_local_port_range="32768 60999"
    start - python3 "$ROOT/tests/tools/unanswered.py" fin-wait-1 100 <&"$GO"
    hear
    drop
    echo go >&"$GO"
    hear
    "$LINGER" states >"$BATS_TEST_TMPDIR/out"
    cat "$BATS_TEST_TMPDIR/out"
    says '^  1[0-9][0-9] peers do not acknowledge our FIN'
    start - python3 "$ROOT/tests/tools/unanswered.py" syn-sent 100
    hear
    "$LINGER" states >"$BATS_TEST_TMPDIR/out"
    says '^  100 connect() wait'
    start - python3 -c "
import signal, socket
listener = socket.create_server(('127.0.0.1', 82), backlog=1)
clients = [socket.create_connection(('127.0.0.1', 82)) for _ in range(2)]
print('full', flush=True)
signal.pause()"
    hear
    "$LINGER" states >"$BATS_TEST_TMPDIR/out"
    cat "$BATS_TEST_TMPDIR/out"
    says '^  the queue of 127.0.0.1:82 is full (1)'
}

@test "who may not inspect other users' processes is told how many sockets they hold" {
    needs_root
    with_each_state
    setpriv --reuid=65534 --regid=65534 --clear-groups "$LINGER" states >"$BATS_TEST_TMPDIR/out"
    cat "$BATS_TEST_TMPDIR/out"
    says '^ *1  of processes that this user may not inspect$'
    says_not '^  CLOSE_WAIT: ' # one socket is no symptom
    port=$(ss -Htln | awk 'NR == 1 { sub(".*:", "", $4); print $4 }')
    setpriv --reuid=65534 --regid=65534 --clear-groups "$LINGER" states -p "$port" >"$BATS_TEST_TMPDIR/out"
    says '^  [0-9]* sockets\{0,1\} held by processes that this user may not inspect$'
    "$LINGER" states >"$BATS_TEST_TMPDIR/out"
    says_not 'may not inspect'
    echo go >&"$GO"
    finish
}

@test "FIN_WAIT2 and CLOSE_WAIT: who holds them, and what ends them; those of nobody are told apart" {
    needs_namespace
    sysctl -q net.ipv4.tcp_max_tw_buckets=10000 # which also limits orphans in FIN_WAIT2
    half_closed 100
    COLUMNS=500 "$LINGER" states >"$BATS_TEST_TMPDIR/out"
    cat "$BATS_TEST_TMPDIR/out"
    says "^ *100  python3 (pid $PID)$"
    says '^FIN_WAIT2: the program has sent its FIN, and holds the socket until the peer closes$'
    "$LINGER" states -j >"$BATS_TEST_TMPDIR/json"
    python3 - "$PID" "$BATS_TEST_TMPDIR/json" <<'END'
import json, sys
states = json.load(open(sys.argv[2]))
for key in "fin_wait2", "close_wait":
    mine = [entry for entry in states[key] if entry["pid"] == int(sys.argv[1])]
    assert mine == [{"pid": int(sys.argv[1]), "program": "python3", "count": 100}], mine
advice = "\n".join(states["advice"])
assert "100 in FIN_WAIT2 are held by their program: it must call close(), or `linger close -m rst --state fin-wait-2 PID` ends them" in advice, advice
assert "CLOSE_WAIT: the peer has closed; the program must call close(), or `linger close -m fin --state close-wait PID` ends the connections, though not the descriptors" in advice, advice
assert "tcp_fin_timeout" not in advice, advice
END
    "$LINGER" close -q -m rst --state fin-wait-2 "$PID"
    "$LINGER" states >"$BATS_TEST_TMPDIR/out"
    says_not '^FIN_WAIT2: '
    kill "$PID"
    finish
    rm "$BATS_TEST_TMPDIR/half"
    half_closed 1001
    echo >&"$HALF"
    hear
    expect "the client" "$REPLY" closed
    "$LINGER" states -j >"$BATS_TEST_TMPDIR/json"
    python3 - "$PID" "$BATS_TEST_TMPDIR/json" <<'END'
import json, sys
states = json.load(open(sys.argv[2]))
assert not [entry for entry in states["fin_wait2"] if entry["pid"] == int(sys.argv[1])]
assert states["fin_wait2_orphans"] >= 1001, states["fin_wait2_orphans"] # other tests may have left some
advice = "\n".join(states["advice"])
assert " that nobody holds wait for the peer's FIN: a lower tcp_fin_timeout frees them earlier, fin-rst at once" in advice, advice
assert "fin-wait-2 PID" not in advice, advice
END
}

@test "what has no connection any more, and whose program still holds it, is shown; what never had one is not" {
    needs_namespace
    start - python3 -c "
import ctypes, os, signal, socket
libc = ctypes.CDLL(None, use_errno=True)
fresh, bound = socket.socket(), socket.socket()
bound.bind(('127.0.0.1', 0))
listener = socket.create_server(('127.0.0.1', 0))
pairs = []
for _ in range(5):
    pairs += [socket.create_connection(listener.getsockname()), listener.accept()[0]]
for end in pairs[:8]:
    end.shutdown(socket.SHUT_RDWR)
os.dup(pairs[0].fileno())
assert libc.unshare(0x40000000) == 0, os.strerror(ctypes.get_errno()) # CLONE_NEWNET
os.system('ip link set lo up')
there = socket.create_server(('127.0.0.1', 0))
live = socket.create_connection(there.getsockname()), there.accept()[0]
gone = socket.create_connection(there.getsockname()), there.accept()[0]
for end in gone:
    end.shutdown(socket.SHUT_RDWR)
print('ready', flush=True)
signal.pause()"
    hear
    holds() { # COUNT; the last ACK may be under way still
        COLUMNS=500 "$LINGER" states >"$BATS_TEST_TMPDIR/out"
        says "^ *$1  python3 (pid $PID)$"
    }
    eventually holds 8
    cat "$BATS_TEST_TMPDIR/out"
    says '^closed: no connection is left, and the program still holds the socket; only its close() frees it$'
    "$LINGER" states -j >"$BATS_TEST_TMPDIR/json"
    expect "JSON" "$(json "[e for e in s['closed'] if e['pid'] == $PID]")" "[{'pid': $PID, 'program': 'python3', 'count': 8}]"
    kill "$PID"
    finish
    "$LINGER" states >"$BATS_TEST_TMPDIR/out"
    says_not '^closed: '
    half_closed 101
    "$LINGER" close -q -m fin --state close-wait "$PID"
    eventually holds 202 # the clients' FIN_WAIT2 ended with it
    cat "$BATS_TEST_TMPDIR/out"
    says_not '^CLOSE_WAIT: '
    says '^  202 closed sockets are still held by their programs: each counts against RLIMIT_NOFILE until close(), or the end of the program'
}

@test "a listener whose port a client may get is named, and one whose port is reserved is not" {
    needs_namespace
    sysctl -qw net.ipv4.ip_local_port_range="21000 21099" net.ipv4.ip_local_reserved_ports=21020-21029,21060
    start - python3 -c "
import signal, socket
listeners = [socket.create_server(('127.0.0.1', port)) for port in (83, 21019, 21020, 21029, 21030, 21060)]
print('ready', flush=True)
signal.pause()"
    hear
    COLUMNS=500 "$LINGER" states >"$BATS_TEST_TMPDIR/out"
    "$LINGER" states -j >"$BATS_TEST_TMPDIR/json"
    cat "$BATS_TEST_TMPDIR/out"
    says '^  listeners at 21019, 21030 lie in ip_local_port_range: while nobody listens there, a client may get the port; add it to ip_local_reserved_ports$'
    expect "JSON" "$(json 's["listeners_in_range"]')" "[21019, 21030]"
    "$LINGER" states -p 21019 | grep -q 'lies in net.ipv4.ip_local_port_range: a client may get it'
    expect "JSON of a port" "$("$LINGER" states -jp 21019 | grep -o '"in_range":[a-z]*')" '"in_range":true'
    expect "of a reserved port" "$("$LINGER" states -p 21020 | grep -c ip_local_port_range)" 0
    expect "its JSON" "$("$LINGER" states -jp 21020 | grep -o '"in_range":[a-z]*')" '"in_range":false'
    kill "$PID"
    finish
    sysctl -qw net.ipv4.ip_local_reserved_ports=21000-65535
    start - python3 -c "
import signal, socket
listeners = [socket.create_server(('127.0.0.1', 21000 + port)) for port in range(9)]
print('ready', flush=True)
signal.pause()"
    hear
    "$LINGER" states >"$BATS_TEST_TMPDIR/out"
    says_not ip_local_reserved_ports
    sysctl -qw net.ipv4.ip_local_reserved_ports=
    COLUMNS=500 "$LINGER" states >"$BATS_TEST_TMPDIR/out"
    says '^  listeners at 21000, 21001, 21002, 21003, 21004 and 4 more lie in '
}

@test "a client that chose its own port is a client, there and elsewhere" {
    needs_namespace
    forget_time_wait # more of earlier tests than the ten that are shown
    sysctl -qw net.ipv4.ip_local_port_range="40000 40099"
    start - "$TOOLS/peer" -n 1 listen 84
    hear_port
    python3 -c "
import socket
client = socket.create_connection(('127.0.0.1', 84), source_address=('127.0.0.1', 85))
client.shutdown(socket.SHUT_WR)
client.recv(1)"
    finish
    time_wait 84 >/dev/null
    "$LINGER" states >"$BATS_TEST_TMPDIR/out"
    "$LINGER" states -j >"$BATS_TEST_TMPDIR/json"
    cat "$BATS_TEST_TMPDIR/out"
    says '^ *1  to 127.0.0.1:84, from our port 85$'
    says_not 'at our port 85'
    expect "JSON" "$(json '[e for e in s["time_wait"] if e.get("port") == 85]')" \
        "[{'direction': 'to', 'peer': '127.0.0.1:84', 'port': 85, 'count': 1}]"
    "$LINGER" states -p 85 | grep -q "^  a client's connection to 127.0.0.1:84 holds the port$"
    expect "JSON of the port" "$("$LINGER" states -jp 85 | grep -o '"client_of":[^,}]*')" '"client_of":"127.0.0.1:84"'
    expect "JSON of the other" "$("$LINGER" states -jp 84 | grep -c client_of)" 0
}

# "established RECV-Q SEND-Q", a line a state with connections.
queues_by_ss() { # [FILTER]
    ss -Htan "$@" | awk '{ name = tolower($1); sub("estab", "established", name); received[name] += $2; sent[name] += $3 }
        END { for (name in received) if (name !~ /listen|time-wait|unconn/) print name, received[name], sent[name] }' | sort
}

@test "Recv-Q and Send-Q: the bytes of each state, as ss adds them up, of all and of a port" {
    needs_namespace
    forget_time_wait
    start - python3 -c "
import signal, socket
listener = socket.create_server(('127.0.0.1', 0))
pairs = [(socket.create_connection(listener.getsockname()), listener.accept()[0]) for _ in range(3)]
pairs[0][1].send(b'unread') # the client's
pairs[1][0].send(b'unread at its end')
pairs[1][0].shutdown(socket.SHUT_WR)
pairs[2][1].setblocking(False)
try: # until nothing moves any more
    while True:
        pairs[2][1].send(b'x' * 65536)
except BlockingIOError:
    pass
print('port', listener.getsockname()[1], flush=True)
signal.pause()"
    hear_port
    same() { # what both say, while nothing has changed in between
        queues_by_ss "${1:-}" >"$BATS_TEST_TMPDIR/ss"
        "$LINGER" states ${2:-} >"$BATS_TEST_TMPDIR/out"
        "$LINGER" states -j ${2:-} >"$BATS_TEST_TMPDIR/json"
        queues_by_ss "${1:-}" | cmp -s - "$BATS_TEST_TMPDIR/ss"
    }
    eventually same
    cat "$BATS_TEST_TMPDIR/ss" "$BATS_TEST_TMPDIR/out"
    says '^TCP states  *sockets  *Recv-Q  *Send-Q$'
    awk '/^[^ ]/ { on = /^TCP states/ } on && NF == 4 && !/^TCP/ { print $1, $3, $4 }' "$BATS_TEST_TMPDIR/out" | sort |
        diff "$BATS_TEST_TMPDIR/ss" -
    json '"\n".join(f"{k} {s['"'recv_q'][k]} {s['send_q'][k]}"'" for k in sorted(s["states"]) if s["states"][k] and k in s["recv_q"])' |
        diff "$BATS_TEST_TMPDIR/ss" -
    [ "$(awk '$1 == "established" { print ($2 > 65536 && $3 > 65536) }' "$BATS_TEST_TMPDIR/ss")" = 1 ]
    [ "$(awk '$1 == "close-wait" { print $2 }' "$BATS_TEST_TMPDIR/ss")" = 18 ] # its FIN counts as one
    eventually same "sport = :$PORT" "-p$PORT"
    cat "$BATS_TEST_TMPDIR/ss" "$BATS_TEST_TMPDIR/out"
    awk 'NF == 4 && !/^port/ { print $1, $3, $4 }' "$BATS_TEST_TMPDIR/out" | sort | diff "$BATS_TEST_TMPDIR/ss" -
    json '"\n".join(f"{k} {s['"'recv_q'][k]} {s['send_q'][k]}"'" for k in sorted(s["states"]) if s["states"][k] and k in s["recv_q"])' |
        diff "$BATS_TEST_TMPDIR/ss" -
}

@test "-w: a line each time if standard output is not a terminal, and silent when the reader goes" {
    (timeout 60 "$LINGER" states -w || echo "status $?" >&2) 2>"$BATS_TEST_TMPDIR/stderr" | head -2 >"$BATS_TEST_TMPDIR/out"
    cat "$BATS_TEST_TMPDIR/out" "$BATS_TEST_TMPDIR/stderr"
    expect lines "$(grep -cE '^[0-9]{2}:[0-9]{2}:[0-9]{2}' "$BATS_TEST_TMPDIR/out")" 2
    expect "standard error" "$(cat "$BATS_TEST_TMPDIR/stderr")" "status 141"
}

@test "-w in a terminal is redrawn in place, with a bar for each state" {
    needs_terminal
    start - env TERM=xterm LC_ALL=C.UTF-8 script -qefc "$LINGER states -w" /dev/null
    grep -q -m 1 $'\e\[H' <&"$OUT"
    start - env NO_COLOR=1 TERM=xterm script -qefc "$LINGER states -w" /dev/null
    sed '/^[0-9]/q' <&"$OUT" >"$BATS_TEST_TMPDIR/plain"
    grep -q '^[0-9:]*[[:space:]]' "$BATS_TEST_TMPDIR/plain"
    run ! grep -q $'\e\[H' "$BATS_TEST_TMPDIR/plain"
}

words_of() {
    tr -s ' ' '\n' | sort -u
}

@test "-w fits the terminal: from the top, every state with its bar, lines broken between words" {
    [ -z "${TESTS_IN_NAMESPACE:-}" ] || sysctl -qw net.ipv4.ip_local_port_range="32768 60999"
    half_closed 200
    for size in "80 24" "40 15" "120 60"; do
        # shellcheck disable=SC2086 # two words
        python3 "$ROOT/tests/tools/screen.py" $size 2 "$LINGER" states -w >"$BATS_TEST_TMPDIR/screen"
        "$LINGER" states >"$BATS_TEST_TMPDIR/out"
        cat "$BATS_TEST_TMPDIR/screen"
        also expect "the first row at $size" "$(head -1 "$BATS_TEST_TMPDIR/screen" | cut -d' ' -f1-2)" "TCP states"
        # shellcheck disable=SC2013  # a word a line
        for state in $(sed -n '2,/^[^ ]/s/^  \([^ ]*\) .*/\1/p' "$BATS_TEST_TMPDIR/out"); do
            also grep -q "^  $state  *[0-9].*  [▁▂▃▄▅▆▇█]*$" "$BATS_TEST_TMPDIR/screen"
        done
        also expect "words at $size that linger states does not have" \
            "$(comm -23 <(words_of <"$BATS_TEST_TMPDIR/screen") <(words_of <"$BATS_TEST_TMPDIR/out") | grep -v '^[▁▂▃▄▅▆▇█]*$' | paste -sd' ')" \
            "$([ "$size" = "120 60" ] || echo ...)"
        rows=$(grep -c . "$BATS_TEST_TMPDIR/screen")
        also expect "rows at $size" "$((rows == ${size#* } - 1))" "$([ "$size" = "120 60" ] && echo 0 || echo 1)"
    done
    echo >&"$HALF"
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
