#!/usr/bin/env bats
# linger watch: what it says of a connection is what the test did with it.
load helper

LINGER=$ROOT/linger
EACH_NEEDS=needs_events

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

# ends WAY COUNT [ADDRESS]: connections that end that way, under watch with the options $WATCHED.
ends() {
    rm -f "$BATS_TEST_TMPDIR/go"
    mkfifo "$BATS_TEST_TMPDIR/go"
    exec {GO}<>"$BATS_TEST_TMPDIR/go"
    start - python3 "$ROOT/tests/tools/endings.py" ${FAMILY:-} "$@" <&"$GO"
    hear_port
    watch_begins ${WATCHED--e -j} -p "$PORT"
    echo go >&"$GO"
    hear
    if [ "$REPLY" = held ]; then
        until "$LINGER" states -j | grep -q '"fin-wait-2":1'; do :; done
        # Its line comes while it is held.
        until [ -s "$BATS_TEST_TMPDIR/watch" ]; do :; done
        echo go >&"$GO"
        hear
    fi
    expect "endings.py" "$REPLY" "done"
    finish
    exec {GO}>&-
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

# are COUNT WAY EXPECTED EXPECTED: of each kind as many as there were, and nothing else. Where the
# kernel has not delivered an event, and linger says so, once more.
are() {
    local count=$1 way=$2 expected tries
    shift 2
    for ((tries = 0; tries < 5; tries++)); do
        ends "$way" "$count" ${ADDRESS:-}
        grep -q "events were lost" "$BATS_TEST_TMPDIR/all" || break
    done
    expected=$(printf "$count %s\n" "$@" | sort -k2)
    diff <(echo "$expected") <(kinds | sort -k2) || {
        echo "$way is shown as above (>), not as it was (<)"
        return 1
    }
}

each_quick_way() {
    are 100 close "server: this end, FIN; left TIME_WAIT" "client: the peer, FIN; left nothing"
    are 100 client-close "client: this end, FIN; left TIME_WAIT" "server: the peer, FIN; left nothing"
    are 100 exit "server: this end, FIN; left TIME_WAIT" "client: the peer, FIN; left nothing"
    are 100 sigkill "server: this end, FIN; left TIME_WAIT" "client: the peer, FIN; left nothing"
    are 100 half-close "server: this end, FIN; left TIME_WAIT" "client: the peer, FIN; left nothing"
    are 100 unread "server: this end, RST (unread data); left nothing" "client: the peer, RST; left nothing"
    are 100 client-unread "client: this end, RST (unread data); left nothing" "server: the peer, RST; left nothing"
    are 100 linger0 "server: this end, RST (SO_LINGER 0); left nothing" "client: the peer, RST; left nothing"
    are 100 client-linger0 "client: this end, RST (SO_LINGER 0); left nothing" "server: the peer, RST; left nothing"
    are 100 unspec "server: this end, RST (SO_LINGER 0); left nothing" "client: the peer, RST; left nothing"
    are 100 fin-rst "server: this end, FIN, then RST sent (after close()); left nothing" \
        "client: the peer, FIN, then RST received; left nothing"
    are 100 client-fin-rst "client: this end, FIN, then RST sent (after close()); left nothing" \
        "server: the peer, FIN, then RST received; left nothing"
    are 100 half-close-fin-rst "server: this end, FIN, then RST sent (TCP_LINGER2 < 0); left nothing" \
        "client: the peer, FIN, then RST received; left nothing"
    are 100 answered-by-linger0 "server: the peer, FIN, then RST sent (SO_LINGER 0); left nothing" \
        "client: this end, FIN, then RST received; left nothing"
    are 100 answered-by-unread "server: the peer, FIN, then RST sent (unread data); left nothing" \
        "client: this end, FIN, then RST received; left nothing"
    are 100 orphan-before-ack "server: this end, FIN, then RST sent (after close()); left nothing" \
        "client: the peer, RST; left nothing"
    are 100 unaccepted "server: this end, RST (not accepted); left nothing" "client: the peer, RST; left nothing"
    are 100 refused "client: nobody, refused; left nothing"
    are 100 given-up "client: nobody, given up; left nothing"
    are 20 destroyed "server: this end, RST (SOCK_DESTROY); left nothing" "client: the peer, RST; left nothing"
}

@test "each way to end, from both ends: IPv4" {
    each_quick_way
}

@test "each way to end, from both ends: IPv6" {
    FAMILY=-6 each_quick_way
}

each_slow_way() {
    are 1 simultaneous "server: both at once, FIN; left TIME_WAIT" "client: both at once, FIN; left TIME_WAIT"
    are 1 timeout "server: nobody, timeout; left nothing" "client: this end, RST (SO_LINGER 0); left nothing"
    are 1 keepalive "server: nobody, timeout (keepalive); left nothing" "client: this end, RST (SO_LINGER 0); left nothing"
    are 1 unacknowledged "server: this end, FIN, then timeout; left nothing" \
        "client: this end, RST (SO_LINGER 0); left nothing"
    are 1 unanswered "client: nobody, unanswered; left nothing"
    are 1 held "server: this end, FIN; left FIN_WAIT2" "client: the peer, FIN; left nothing"
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
