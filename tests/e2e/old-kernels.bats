#!/usr/bin/env bats
# Older kernels, as tests/tools/oldkernel plays them: what is asked for works, or is refused by the name of
# what is missing, with status 125 and nothing half done.
load helper

LINGER=$ROOT/linger
STATIC=$TOOLS/static/subject
VERSIONS="4.18 5.4 5.6 5.8 5.10"

# The same on each of them: it is $KERNEL in old().
on_each() { # COMMAND...
    for KERNEL in $VERSIONS; do
        echo "Linux $KERNEL:"
        "$@"
    done
}

old() { # COMMAND...
    "$TOOLS/oldkernel" "$KERNEL" "$@"
}

# Has $KERNEL what came with that version?
has() { # VERSION
    printf '%s\n' "$1" "$KERNEL" | sort -VC
}

# As helper.bash has it, for $BACKEND on $KERNEL.
under() {
    local mode=$1
    shift
    if [ "$mode" = - ] || [ -n "${WITHOUT_LIBRARY:-}" ]; then
        exec "$@"
    fi
    exec "$TOOLS/oldkernel" "$KERNEL" "$LINGER" run -b "${BACKEND:-auto}" -m "$mode" -- "$@"
}

# refused VERSION WAY COMMAND...: 125, and a message that names the version and the way out.
refused() {
    local version=$1 way=$2
    shift 2
    run timeout 60 "$TOOLS/oldkernel" "$KERNEL" "$@"
    echo "$output"
    expect status "$status" 125
    [[ $output == *"Linux $version"*"$way"* ]]
}

# Every mode, both roles; and ways out that differ in who does the work.
keeps_it() {
    local role way
    for role in meet meet_as_client; do
        $role fin close
        sees 5 1 0 1
        $role rst close
        sees 5 0 1 0
        $role fin-rst close
        sees 5 1 0 0
        $role wait:2 close
        sees 5 1 0 1
        $role off close
        sees 5 1 0 1
    done
    for way in exec _exit sigkill; do
        meet rst $way
        sees 5 0 1 0
    done
    for way in close dup2; do
        meet "fin when=passive; rst" $way
        sees 5 0 1 0
    done
}

@test "the preload: each mode by both roles, and ways out" {
    BACKEND=preload on_each keeps_it
}

supervised() {
    if has 5.6; then
        keeps_it
    else
        refused 5.6 dynamically "$LINGER" run -m rst -- "$STATIC" -h close
        [[ $output != *port* ]] # it would say that first
        refused 5.6 preload "$LINGER" run -b supervise -m rst -- "$TOOLS/subject" -h close
        [[ $output != *port* ]]
    fi
}

@test "the supervisor: each mode by both roles, and ways out, or a refusal and no program" {
    SUBJECT=$STATIC
    on_each supervised
}

judges() {
    run old "$LINGER" check "$STATIC"
    echo "$output"
    if has 5.6; then
        expect status "$status" 1
        [[ $output == *"reached by  supervisor"* ]]
    else
        expect status "$status" 2
        [[ $output == *"reached by  not at all"*"Linux 5.6"* ]]
    fi
    run old "$LINGER" check "$TOOLS/subject"
    expect status "$status" 0
}

@test "check: the supervisor is named only where run would start it" {
    on_each judges
}

# A server without a policy, that waits for its one connection.
serve_plainly() {
    start - "$TOOLS/subject" -r close
    hear_port
}

# What the peer of that server sees, as sees() has it.
ends_as() {
    SEEN=$("$TOOLS/peer" -k connect "$PORT")
    finish
    LEFT=$(time_wait "$PORT")
    sees "$@"
}

attaches() {
    serve_plainly
    if has 5.6; then
        old "$LINGER" attach -q -m rst "$PID"
        ends_as 5 0 1 0
    else
        refused 5.6 "linger run" "$LINGER" attach -m rst "$PID"
        ends_as 5 1 0 1
    fi
}

@test "attach" {
    on_each attaches
}

# Its client connects when it reads a line.
stays() {
    rm -f "$BATS_TEST_TMPDIR/go"
    mkfifo "$BATS_TEST_TMPDIR/go"
    exec {go}<>"$BATS_TEST_TMPDIR/go"
    start - "$TOOLS/peer" listen
    hear_port
    local peer=$PID peer_out=$OUT
    start - python3 -c "
import socket, sys
print('ready', flush=True)
sys.stdin.readline()
client = socket.create_connection(('127.0.0.1', $PORT))
client.send(b'hello')
client.close()" <&"$go"
    hear
    if has 5.9; then
        old "$LINGER" supervise -y -q -m rst "$PID"
    else
        refused 5.9 "linger run" "$LINGER" supervise -y -m rst "$PID"
        grep -qx "Seccomp:[[:space:]]*0" "/proc/$PID/status"
    fi
    echo >&"$go"
    finish
    exec {go}>&-
    PID=$peer OUT=$peer_out
    hear
    SEEN=$REPLY
    finish
    LEFT=$(time_wait "$PORT")
    if has 5.9; then sees 5 0 1 0; else sees 5 1 0 1; fi
}

# What it would do now; keep.bats has the rest.
shows_what_it_keeps() {
    serve_plainly
    if has 5.6; then
        old "$LINGER" keep -n -m "rst port=$PORT" | grep -q ":$PORT .*  verdict rst  would be applied  rule 1, subject (pid $PID)$"
    else
        refused 5.6 "linger run" "$LINGER" keep -m rst
    fi
    ends_as 5 1 0 1
}

@test "keep" {
    on_each shows_what_it_keeps
}

@test "supervise" {
    needs_no_filter
    on_each stays
}

# By close() where accept() cannot be made.
decides_by_peer() {
    serve_plainly
    old "$LINGER" supervise -y -m "rst peer=127.0.0.0/8" "$PID" 2>"$BATS_TEST_TMPDIR/said"
    expect warnings "$(grep -c "warning: before Linux 5.14 a server's peer=" "$BATS_TEST_TMPDIR/said" || true)" "$(has 5.14 && echo 0 || echo 1)"
    ends_as 5 0 1 0
}

@test "supervise: what depends on the peer" {
    needs_no_filter
    VERSIONS="5.10 5.14" on_each decides_by_peer
}

closes() {
    start - "$TOOLS/subject" -n 2 -h
    hear_port
    exec {client}<>"/dev/tcp/127.0.0.1/$PORT"
    if has 5.6; then
        until old "$LINGER" close -m rst --all --port "$PORT" | grep -q "1 connection of 1 process ended"; do :; done
        expect connections "$(ss -Htan state established "sport = :$PORT" | wc -l)" 0
    else
        refused 5.6 "ss -K" "$LINGER" close -m rst --all "$PID"
        expect connections "$(ss -Htan state established "sport = :$PORT" | wc -l)" 1
    fi
    exec {client}>&-
    kill "$PID"
}

@test "close" {
    on_each closes
}

lists() {
    serve_plainly
    old "$LINGER" states -p "$PORT" | grep -q subject
    SEEN=$("$TOOLS/peer" -k connect "$PORT")
    finish
    old "$LINGER" states --json | python3 -m json.tool >/dev/null
}

@test "states" {
    on_each lists
}

# Where tracefs is not mounted, linger mounts it for itself by calls of Linux 5.2; before, it says what to do
# and counts.
watches() {
    local server=$PORT events client
    start - unshare -m sh -c 'mount --make-rprivate / && { mountpoint -q /sys/kernel/tracing || mount -t tracefs none /sys/kernel/tracing; } && exec "$@"' sh \
        "$TOOLS/oldkernel" "$KERNEL" "$LINGER" watch -e -j -p "$server"
    events=$OUT client=$PID
    until read -r -t 0.1 REPLY <&"$events" && echo "$REPLY" && [[ $REPLY == *'"first":"this end","how":"FIN"'* ]]; do
        kill -0 "$client"
        "$TOOLS/peer" -k connect "$server"
    done # the first may have begun before it watched
    kill -INT "$client"
    run unshare -m sh -c '! mountpoint -q /sys/kernel/tracing || umount /sys/kernel/tracing; exec "$@"' sh \
        "$TOOLS/oldkernel" "$KERNEL" "$LINGER" watch -t 1 -p "$server"
    echo "$output"
    expect status "$status" 0
    expect "a word about tracefs" "$(grep -c "mount -t tracefs none /sys/kernel/tracing" <<<"${lines[0]}")" "$(has 5.2 && echo 0 || echo 1)"
}

@test "watch" {
    needs_events
    start - "$TOOLS/subject" -r -n 100000 close
    hear_port
    on_each watches
}

counts() {
    local file=$BATS_TEST_TMPDIR/stats.$KERNEL
    start - "$TOOLS/oldkernel" "$KERNEL" "$LINGER" run -b preload -m rst -s="$file" -- "$TOOLS/subject" -r close
    hear_port
    SEEN=$("$TOOLS/peer" -k connect "$PORT")
    finish
    old "$LINGER" stats -j "$file" | python3 -c '
import json, sys
counters = json.load(sys.stdin)
print(counters)
assert counters["closed_active_rst"] == 1, counters'
}

@test "stats" {
    on_each counts
}

compares() {
    PORT=$("$TOOLS/free-port")
    old "$LINGER" ab -j -p "$PORT" -m fin -m rst -r 1 -l "'$TOOLS/peer' -n 5 -k connect $PORT" -- \
        "$TOOLS/subject" -p "$PORT" -r -n 5 close | python3 -c '
import json, sys
fin, rst = (mode["median"]["time_wait"] for mode in json.load(sys.stdin)["modes"])
print("TIME_WAIT", fin, rst)
assert (fin, rst) == (5, 0)'
    has 5.6 || refused 5.6 dynamically "$LINGER" ab -p "$PORT" -m fin -m rst -r 1 -l "'$TOOLS/peer' -n 5 -k connect $PORT" -- \
        "$STATIC" -p "$PORT" -r -n 5 close
}

@test "ab" {
    on_each compares
}

# Before Linux 5.9 there is no close_range(2), and Python closes one after another.
says_once() {
    local log=$BATS_TEST_TMPDIR/log.$KERNEL
    start - env LINGER_LOG="$log" "$TOOLS/oldkernel" "$KERNEL" "$LINGER" run -m "rst when=active" -- python3 -c "
import os, socket
listener = socket.create_server(('127.0.0.1', 0))
print('port', listener.getsockname()[1], flush=True)
connection, _ = listener.accept()
connection.recv(1)
connection.send(b'hello')
os.closerange(connection.fileno(), connection.fileno() + 1)"
    hear_port
    SEEN=$("$TOOLS/peer" -k connect "$PORT")
    finish
    cat "$log"
    expect "the peer saw" "$SEEN" "bytes=5 eof=0 reset=1"
    expect "lines about it" "$(grep -c " event=close .* state=established " "$log")" 1
}

@test "a log line for each close, where close_range() is not there" {
    on_each says_once
}

# musl has no closefrom(), nor had glibc before 2.34: the library's own.
closes_from() {
    meet rst closefrom
    expect "its status" "$STATUS" 0
    sees 5 0 1 0
}

@test "closefrom() in a program of musl" {
    SUBJECT=$BATS_TEST_TMPDIR/subject
    musl-gcc -D_GNU_SOURCE -o "$SUBJECT" -idirafter /usr/include -idirafter "/usr/include/$(gcc -dumpmachine)" "$ROOT/tests/tools/subject.c"
    on_each closes_from
}

# Its own namespace is not the supervisor's, where the port is taken.
binds() {
    has 5.6 || return 0
    local log=$BATS_TEST_TMPDIR/log.$KERNEL
    LINGER_LOG=$log old "$LINGER" run -b supervise -m rst -- unshare -n sh -c "ip link set lo up
        '$TOOLS/subject' -p $PORT -r close & until '$TOOLS/peer' -k connect $PORT; do :; done; wait"
    cat "$log"
    grep -q " event=arm at=listen " "$log"
    expect "failures of bind()" "$(grep -c " event=bind " "$log" || true)" 0
}

@test "a program in another network namespace: no failure that never happened" {
    needs_namespace
    start - "$TOOLS/subject" close
    hear_port
    on_each binds
}

@test "each subcommand is among these tests" {
    for command in $("$LINGER" --help | awk 'NF == 0 { part++ } part == 2 && NF { print $1 }'); do
        grep -q "\"\$LINGER\" $command " "$ROOT/tests/e2e/old-kernels.bats" || expect "a test of" "" "$command"
    done
}

@test "what an older kernel answers: of each table a row, before and after it was known" {
    for row in "5.5 5.6 pidfd_getfd ENOSYS" "5.13 5.14 SO_NETNS_COOKIE ENOPROTOOPT" "5.18 5.19 WAIT_KILLABLE_RECV EINVAL"; do
        read -r before after what error <<<"$row"
        for KERNEL in "$before" "$after"; do
            REPLY=$(old python3 -c "
import ctypes, errno, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
room = ctypes.create_string_buffer(8)
size = ctypes.c_int(8)
calls = {
    'pidfd_getfd': lambda: libc.syscall(438, -1, 0, 0),
    'SO_NETNS_COOKIE': lambda: libc.getsockopt(socket.socket().detach(), 1, 71, room, ctypes.byref(size)),
    'WAIT_KILLABLE_RECV': lambda: libc.prctl(38, 1, 0, 0, 0) or libc.syscall(317, 1, 1 << 3 | 1 << 5, None),
}
print('nothing' if calls['$what']() >= 0 else errno.errorcode[ctypes.get_errno()])")
            expect "$what on $KERNEL: $error" "$([ "$REPLY" = "$error" ] && echo unknown || echo known)" \
                "$([ "$KERNEL" = "$before" ] && echo unknown || echo known)"
        done
    done
}
