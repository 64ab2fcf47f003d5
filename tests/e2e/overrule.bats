#!/usr/bin/env bats
# overrule=no: where the program itself has set SO_LINGER or TCP_LINGER2, that stands.
load helper

LINGER=$ROOT/linger

@test "the program's own abort is one under fin-rst overrule=no, and not under fin-rst" {
    for conditions in "" " role=server" " role=server peer=127.0.0.1" " when=active"; do
        echo "conditions '$conditions'"
        meet "fin-rst$conditions" -o 1,0 close
        sees 5 1 0 0
        meet "fin-rst overrule=no$conditions" -o 1,0 close
        sees 5 0 1 0
        meet "fin-rst$conditions overrule=no" close
        sees 5 1 0 0
    done
    meet_as_client "fin-rst overrule=no peer=127.0.0.1" -o 1,0 close
    sees 5 0 1 0
    meet_as_client "fin-rst role=client overrule=no" close
    sees 5 1 0 0
}

@test "what the program switches off stays off: a FIN under rst overrule=no" {
    for conditions in "" " role=server"; do
        meet "rst$conditions" -o 0,0 close
        sees 5 0 1 0
        meet "rst overrule=no$conditions" -o 0,0 close
        sees 5 1 0 1
        meet "rst overrule=no$conditions" close
        sees 5 0 1 0
        meet "rst overrule=no$conditions" -o 0,0 -s rdwr close
        sees 5 1 0 1
        meet "rst overrule=no$conditions" -s rdwr close
        sees 5 0 1 0
    done
}

# own POLICY PYTHON: a client `s` that sets options before it connects to $PORT and closes.
own() {
    start - "$TOOLS/peer" listen
    hear_port
    (under "$1" python3 -c "
import socket, struct, sys
s = socket.socket()
$2
s.connect(('127.0.0.1', int(sys.argv[1])))
s.send(b'hello')
s.close()" "$PORT" 3>&-)
    hear
    SEEN=$REPLY
    finish
    LEFT=$(time_wait "$PORT")
}

@test "what was set before the rule could be decided stands, too" {
    abort="s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))"
    short="s.setsockopt(socket.IPPROTO_TCP, socket.TCP_LINGER2, -1)"
    for conditions in "" " peer=127.0.0.1"; do
        own "fin$conditions overrule=no" "$abort"
        sees 5 0 1 0
        own "fin-rst$conditions overrule=no" "$abort"
        sees 5 0 1 0
        own "fin$conditions overrule=no" "$short"
        sees 5 1 0 0
        own "fin$conditions" "$short"
        sees 5 1 0 1
    done
}

@test "each rule has its own word" {
    meet "fin-rst overrule=no port=1; fin" -o 1,0 close
    sees 5 1 0 1
    meet "fin port=1; fin-rst overrule=no" -o 1,0 close
    sees 5 0 1 0
}

# bats test_tags=preload
@test "the log's close line and the counters say what stands" {
    LINGER_LOG=$BATS_TEST_TMPDIR/log LINGER_STATS=$BATS_TEST_TMPDIR/stats meet "fin-rst overrule=no" -o 1,0 close
    grep 'event=close .* verdict=rst rule=1 why="fin-rst overrule=no"$' "$BATS_TEST_TMPDIR/log"
    run ! grep event=override "$BATS_TEST_TMPDIR/log"
    "$LINGER" stats "$BATS_TEST_TMPDIR/stats" | grep '^ *1  closed first, rst$'
}

# ends WORD...: how the server at $PORT ends a connection for each word.
ends() {
    SEEN=$(python3 "$ROOT/tests/tools/ends.py" "$PORT" "$@")
    LEFT=$(server_time_wait)
}

# ends_by_itself COMMAND...: the server aborts for "a" and closes for "c", under no policy, fin-rst
# and fin-rst overrule=no.
ends_by_itself() {
    local mode
    for mode in - fin-rst "fin-rst overrule=no"; do
        PORT=$("$TOOLS/free-port")
        if [ "$mode" = - ]; then
            start - "$@" "$PORT"
        else
            start - "$LINGER" run -m "$mode" -- "$@" "$PORT"
        fi
        await_listener
        ends a c a c
        kill "$PID"
        finish
        echo "$mode: $SEEN, TIME_WAIT $LEFT"
        case $mode in
        -) expect "$mode" "$SEEN$LEFT" "reset eof reset eof 2" ;;
        fin-rst) expect "$mode" "$SEEN$LEFT" "eof eof eof eof 0" ;;
        *) expect "$mode" "$SEEN$LEFT" "reset eof reset eof 0" ;;
        esac
    done
}

# bats test_tags=preload
@test "Node: resetAndDestroy()" {
    node -e 'process.exit(require("net").Socket.prototype.resetAndDestroy ? 0 : 1)' || skip "this node has no resetAndDestroy()"
    ends_by_itself node -e '
require("net").createServer(socket => socket.once("data", data => {
    socket.write("hello", () => data[0] == 97 ? socket.resetAndDestroy() : socket.destroy());
})).listen(process.argv[1], "127.0.0.1")'
}

# bats test_tags=preload
@test "Go, by the supervisor: SetLinger(0)" {
    ends_by_itself "$TOOLS/go/aborter"
}

# behind_haproxy POLICY: haproxy under the policy, from $PORT to $SERVED with nolinger and health checks.
behind_haproxy() {
    PORT=$("$TOOLS/free-port")
    cat >"$BATS_TEST_TMPDIR/haproxy.cfg" <<END
defaults
    mode tcp
    timeout client 10s
    timeout server 10s
    timeout connect 10s
    option nolinger
listen site
    bind 127.0.0.1:$PORT
    server s 127.0.0.1:$SERVED ${CHECK:-}
END
    start "$1" /usr/sbin/haproxy -db -f "$BATS_TEST_TMPDIR/haproxy.cfg"
    await_listener
}

# aborted_under POLICY: two clients close first; SEEN is what the server behind haproxy saw.
aborted_under() {
    start - "$TOOLS/peer" -n 2 -s 1 listen
    hear_port
    SERVED=$PORT
    local server=$PID out=$OUT
    behind_haproxy "$1"
    local haproxy=$PID haproxy_out=$OUT
    for _ in 1 2; do
        python3 -c "
import socket, sys
with socket.create_connection(('127.0.0.1', int(sys.argv[1])), timeout=60) as client:
    client.recv(1)" "$PORT"
    done
    PID=$server OUT=$out
    hear
    SEEN=$REPLY
    finish
    PID=$haproxy OUT=$haproxy_out
    kill "$PID"
    finish
}

@test "haproxy: nolinger" {
    aborted_under -
    expect plain "$SEEN" "bytes=0 eof=0 reset=2"
    aborted_under fin-rst
    expect fin-rst "$SEEN" "bytes=0 eof=2 reset=0"
    aborted_under "fin-rst overrule=no"
    expect overrule=no "$SEEN" "bytes=0 eof=0 reset=2"
}

# checked_under POLICY: WIRE is what health checks end with, once there were ten.
checked_under() {
    SERVED=$("$TOOLS/free-port")
    start - python3 -c "
import signal, socket, sys
listener = socket.create_server(('127.0.0.1', int(sys.argv[1])))
print('ready', flush=True)
signal.pause()" "$SERVED"
    hear
    local server=$PID out=$OUT
    watch_wire "$SERVED" dport
    CHECK="check inter 20ms" behind_haproxy "$1"
    local ends=0
    while [ "$ends" -lt 10 ]; do
        WIRE=$(wire)
        [[ $WIRE =~ fin=([0-9]+)\ rst=([0-9]+) ]]
        ends=$((BASH_REMATCH[1] > BASH_REMATCH[2] ? BASH_REMATCH[1] : BASH_REMATCH[2]))
    done
    kill "$PID"
    finish
    PID=$server OUT=$out
    kill "$PID"
    finish
    echo "$1: $WIRE"
}

@test "haproxy: its health checks" {
    needs_namespace
    checked_under -
    [[ $WIRE == "fin=0 "* ]]
    checked_under fin-rst
    [[ $WIRE != "fin=0 "* ]]
    checked_under "fin-rst overrule=no"
    [[ $WIRE == "fin=0 "* ]]
}

@test "attach leaves what the program has set, and says so" {
    start - python3 -c "
import signal, socket, struct
listener = socket.create_server(('127.0.0.1', 0))
print('port', listener.getsockname()[1], flush=True)
kept = [listener.accept()[0] for _ in range(2)]
kept[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
print('ready', flush=True)
signal.pause()"
    hear_port
    exec {CLIENT}<>"/dev/tcp/127.0.0.1/$PORT"
    exec {OTHER}<>"/dev/tcp/127.0.0.1/$PORT"
    hear
    for dry in -n ""; do
        "$LINGER" attach -m "fin-rst overrule=no" $dry "$PID" >"$BATS_TEST_TMPDIR/out"
        cat "$BATS_TEST_TMPDIR/out"
        expect "left alone" "$(grep -c '^connection .* before rst  verdict fin-rst  left alone: SO_LINGER is set already (overrule=no)$' "$BATS_TEST_TMPDIR/out")" 1
        expect "changed" "$(grep -c '^[cl].* before fin  verdict fin-rst  \(would be \)*applied$' "$BATS_TEST_TMPDIR/out")" 2
    done
    expect "before, again" "$("$LINGER" attach -n -m fin "$PID" | grep -c '^connection .* before rst ')" 1
    kill "$PID"
    exec {CLIENT}<&- {OTHER}<&-
}
