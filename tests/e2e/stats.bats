#!/usr/bin/env bats
# LINGER_STATS, linger stats, linger run -s.
load helper

LINGER=$ROOT/linger

# counted KEY: a counter of $STATS.
counted() {
    "$LINGER" stats --json "$STATS" | python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

setup() {
    STATS=$BATS_TEST_TMPDIR/stats
    needs_what_it_names
}

counting() { # COMMAND...
    LINGER_STATS=$STATS "$@"
}

# bats test_tags=preload
@test "each counter moves with its event" {
    counting meet rst -o 0,0 close
    expect armed_rst "$(counted armed_rst)" 1
    expect closed_active_rst "$(counted closed_active_rst)" 1
    expect overridden "$(counted overridden)" 1
    counting meet "fin-rst role=server" close
    expect armed_fin_rst "$(counted armed_fin_rst)" 1
    expect closed_active_fin_rst "$(counted closed_active_fin_rst)" 1
    counting meet "rst role=client" close
    expect closed_active_none "$(counted closed_active_none)" 1
    counting meet "off role=server" close
    expect closed_active_off "$(counted closed_active_off)" 1
    PEER=-f counting meet wait:5 -w close
    expect closed_passive_wait "$(counted closed_passive_wait)" 1
    PEER="-s 1" counting meet fin close
    expect unread "$(counted unread)" 1
    counting meet rst -s rdwr close
    expect aborts "$(counted aborts)" 1
    expect closed_unconnected "$(counted closed_unconnected)" 1
    PORT=$("$TOOLS/free-port")
    LINGER_REUSEADDR=1 LINGER_REUSEPORT=0 counting start "" "$SUBJECT" -p "$PORT" -h
    hear
    expect reuseaddr_set "$(counted reuseaddr_set)" 1
    expect reuseport_cleared "$(counted reuseport_cleared)" 1
    (counting under "" "$SUBJECT" -p "$PORT" close) || true
    expect bind_failed "$(counted bind_failed)" 1
    kill "$PID"
    finish
    LINGER_LOG=/dev/full counting meet rst close
    [ "$(counted log_lost)" -ge 3 ]
}

# bats test_tags=preload
@test "8 processes x 8 threads close 10,000 connections each: exact, and every log line whole" {
    (LINGER_LOG=$BATS_TEST_TMPDIR/log counting under rst "$TOOLS/closer" 8 8 1250)
    total=0
    for key in closed_active_rst closed_passive_rst closed_unconnected; do
        total=$((total + $(counted $key)))
    done
    expect "closes" "$total" 160000
    [ "$(counted closed_active_rst)" -ge 80000 ]
    expect "armed" "$(counted armed_rst)" $((80000 + 64))
    expect "lines lost" "$(counted log_lost)" 0
    expect "log lines" "$(python3 "$ROOT/tests/tools/parse-log.py" <"$BATS_TEST_TMPDIR/log")" \
        "arm=80064 close=160000 load=1"
}

@test "the counters survive SIGKILL" {
    counting meet rst sigkill
    expect armed_rst "$(counted armed_rst)" 1
}

# bats test_tags=preload
@test "what a crash left beside the file disables nothing, even for a PID 1" {
    unshare -pf true 2>/dev/null || skip "needs a PID namespace"
    touch "$STATS.new.1"
    unshare -pf env LD_PRELOAD="$LIB" LINGER_MODE=rst LINGER_STATS="$STATS" "$SUBJECT" nothing 2>"$BATS_TEST_TMPDIR/said"
    expect said "$(cat "$BATS_TEST_TMPDIR/said")" ""
    [ -s "$STATS" ]
    expect "left beside it" "$(cd "$BATS_TEST_TMPDIR" && echo stats.new.*)" stats.new.1
}

@test "a connect() that is called again arms once" {
    needs_namespace
    start - "$TOOLS/peer" -n 20 listen
    hear_port
    (counting under "fin-rst role=client" python3 -c '
import select, socket, sys
for _ in range(20):
    s = socket.socket()
    s.setblocking(False)
    where = ("127.0.0.1", int(sys.argv[1]))
    s.connect_ex(where)
    select.select([], [s], [])
    s.connect_ex(where)
    s.close()' "$PORT")
    finish
    expect armed "$(counted armed_fin_rst)" 20
}

@test "a file that is not ours is refused and left as it is" {
    for content in "" "something else" "$(head -c 300 /dev/zero | tr '\0' x)"; do
        printf %s "$content" >"$STATS"
        counting meet rst close
        sees 5 0 1 0
        expect content "$(cat "$STATS")" "$content"
        expect warning "$(cat "$BATS_TEST_TMPDIR/stderr")" \
            "liblinger: LINGER_STATS: '$STATS' is not a file of counters of this version, so nothing is written there"
        run "$LINGER" stats "$STATS"
        expect status "$status" 125
        expect message "$output" "linger stats: $STATS: not a file of counters of linger $("$LINGER" --version | cut -d' ' -f2)"
    done
    rm "$STATS"
    mkfifo "$STATS"
    counting meet rst close
    sees 5 0 1 0
    rm "$STATS"
    mkdir "$STATS"
    counting meet rst close
    sees 5 0 1 0
    run "$LINGER" stats "$BATS_TEST_TMPDIR/none"
    expect status "$status" 125
}

@test "a file of another version is refused" {
    counting meet rst close
    printf '\x63' | dd of="$STATS" bs=1 seek=7 conv=notrunc status=none
    before=$(md5sum "$STATS")
    counting meet rst close
    expect content "$(md5sum "$STATS")" "$before"
    run "$LINGER" stats "$STATS"
    expect status "$status" 125
}

# bats test_tags=preload
@test "nginx with 4 workers under wrk: the counters are the connections that stub_status reports" {
    PORT=$("$TOOLS/free-port")
    counting start fin-rst bash -c "set -- \"\$1\" \"\$2\" 4; $NGINX" daemon "$PORT" "$BATS_TEST_TMPDIR"
    await_listener
    wrk -t1 -c16 -d2s -H "Connection: close" "http://127.0.0.1:$PORT/" >"$BATS_TEST_TMPDIR/wrk"
    cat "$BATS_TEST_TMPDIR/wrk"
    accepted=$(curl -s "http://127.0.0.1:$PORT/status" | awk 'NR == 3 { print $1 }')
    kill -QUIT "$PID"
    finish
    total=0
    for key in closed_active_fin_rst closed_passive_fin_rst closed_unconnected; do
        total=$((total + $(counted $key)))
    done
    [ "$accepted" -ge 500 ]
    expect "connections closed" "$total" "$accepted"
}

@test "counters on: a closed file costs one system call more; with log and counters off, none" {
    calls() {
        strace -f -qq -o "$BATS_TEST_TMPDIR/strace" -E LD_PRELOAD="$LIB" -E LINGER_MODE=rst "$@" \
            python3 -c "
import os
for _ in range(1000):
    os.close(os.dup(0))"
        wc -l <"$BATS_TEST_TMPDIR/strace"
    }
    off=$(calls)
    on=$(calls -E LINGER_STATS="$STATS")
    [ $((on - off)) -ge 1000 ] && [ $((on - off)) -le 1100 ]
    [ "$(grep -c getsockopt "$BATS_TEST_TMPDIR/strace")" -ge 1000 ]
    calls >/dev/null
    [ "$(grep -c getsockopt "$BATS_TEST_TMPDIR/strace")" -le 100 ]
}

# bats test_tags=preload
@test "linger stats: a table, JSON, Prometheus, watch" {
    counting meet rst close
    run "$LINGER" stats "$STATS"
    expect table "$output" "           1  sockets armed with rst
           1  closed first, rst"
    "$LINGER" stats -j "$STATS" | python3 -m json.tool >/dev/null
    "$LINGER" stats --prometheus "$STATS" >"$BATS_TEST_TMPDIR/metrics"
    promtool check metrics <"$BATS_TEST_TMPDIR/metrics"
    grep -qx 'linger_closed_total{when="active",verdict="rst"} 1' "$BATS_TEST_TMPDIR/metrics"
    (timeout 60 "$LINGER" stats -w "$STATS" || true) | head -3 >"$BATS_TEST_TMPDIR/watch"
    expect watch "$(cat "$BATS_TEST_TMPDIR/watch")" "$output"
    run "$LINGER" stats -j -P "$STATS"
    expect status "$status" 125
}

@test "linger run -s: a summary on standard error, the status, and no file left" {
    export TMPDIR=$BATS_TEST_TMPDIR/tmp
    mkdir "$TMPDIR"
    run --separate-stderr "$LINGER" run -m rst -s -- python3 -c '
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
listener.accept()[0].close()
print("output")
sys.exit(3)'
    echo "$stderr"
    expect status "$status" 3
    expect output "$output" output
    [[ $stderr == *"closed first, rst"* ]]
    run "$LINGER" run -s -- sh -c 'kill -TERM $$'
    expect "status of a signal" "$status" 143
    status=0
    "$LINGER" run -s -- no-such-program || status=$?
    expect "status of a missing program" "$status" 127
    expect "files left" "$(find "$TMPDIR" -mindepth 1)" ""
}

@test "linger run -s passes signals on, and ends as its program does" {
    passes_signals_on start - "$LINGER" run -s -- sh
    start - "$LINGER" run -s -- sleep 100
    until keeper=$(pgrep -P "$PID") && pgrep -P "$keeper" -x sleep >/dev/null; do :; done
    kill -TERM "$PID"
    finish
    expect status "$STATUS" 143
}

@test "linger run -l and -s with a file" {
    "$LINGER" run -l -s="$STATS" -- true 2>"$BATS_TEST_TMPDIR/stderr"
    grep -q event=load "$BATS_TEST_TMPDIR/stderr"
    [ -s "$STATS" ]
    "$LINGER" run --log="$BATS_TEST_TMPDIR/log" -- true
    grep -q event=load "$BATS_TEST_TMPDIR/log"
}

# Where an instruction that touched the mapped file would raise SIGBUS.
# bats test_tags=preload
@test "a file that is cut short, and one on a btrfs that fills up: counts are lost, and nothing else" {
    closes='import os, socket, sys
socket.socket().close()
if sys.argv[1] == "truncate":
    os.truncate(os.environ["LINGER_STATS"], 0)
else:
    for size in (1 << 20, 4096):
        try:
            with open(f"{sys.argv[1]}/fill.{size}", "wb", buffering=0) as file:
                while file.write(bytes(size)):
                    pass
        except OSError as error:
            print(error.strerror)
    os.sync()
for _ in range(5):
    socket.socket().close()
print("done")'
    run --separate-stderr env LD_PRELOAD="$LIB" LINGER_STATS="$STATS" python3 -c "$closes" truncate
    expect "status $stderr" "$status" 0
    expect said "$(grep -c "LINGER_STATS: the file cannot be written any more, so counts are lost" <<<"$stderr")" 1
    needs_mount_namespace
    truncate -s 120M "$BATS_TEST_TMPDIR/image"
    mkfs.btrfs -q -M "$BATS_TEST_TMPDIR/image"
    mkdir "$BATS_TEST_TMPDIR/full"
    run --separate-stderr unshare -m sh -c 'mount -o loop "$1/image" "$1/full" || exit 77
LD_PRELOAD=$2 LINGER_STATS=$1/full/stats python3 -c "$3" "$1/full"' - "$BATS_TEST_TMPDIR" "$LIB" "$closes"
    [ "$status" != 77 ] || skip "no btrfs can be mounted here"
    echo "$output $stderr"
    expect "last output" "${lines[*]: -2}" "No space left on device done"
    expect said "$(grep -c "counts are lost" <<<"$stderr")" 1
}
