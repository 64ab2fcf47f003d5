#!/usr/bin/env bats
# linger attach: daemons that run already, started plainly.
load helper

LINGER=$ROOT/linger
COUNT=100

# What of a process must be as before: its descriptors, and these lines of its status. (How many
# threads it has is its own doing: Go's runtime makes them as it likes.)
fingerprint() { # PID...
    local pid
    for pid in "$@"; do
        find "/proc/$pid/fd" -printf '%f %l\n' | sort
        grep -E '^(Tgid|TracerPid|Uid|Sig|Cap|NoNewPrivs|Seccomp)' "/proc/$pid/status" | grep -v SigQ
    done
}

# switched COMMAND REQUEST [REPLY]: fin -> fin-rst -> rst -> fin, with the new TIME_WAIT of each
# phase. Those of earlier ones are FORMER: where a client happens to use a port again, one of them ends.
# UNDER_RST is what the peer sees under rst.
switched() {
    local command=$1 mode
    shift
    PORT=$("$TOOLS/free-port")
    start - bash -c "$command" daemon "$PORT" "$BATS_TEST_TMPDIR"
    await_listener
    daemon=$PID daemon_out=$OUT
    mapfile -t pids < <(echo "$daemon"; pgrep -P "$daemon")
    FORMER=
    for mode in "" fin-rst rst fin; do
        FORMER+=$'\n'$(ends_in_time_wait "sport = :$PORT")
        if [ -n "$mode" ]; then
            "$LINGER" attach -m "$mode" --port "$PORT" >"$BATS_TEST_TMPDIR/attach"
            cat "$BATS_TEST_TMPDIR/attach"
            grep -q "^listener .* verdict $mode  applied$" "$BATS_TEST_TMPDIR/attach"
            expect listeners "$(grep -c ^listener "$BATS_TEST_TMPDIR/attach")" 1
        fi
        talk $COUNT "$@"
        # After the first phase: a daemon's first threads and handlers are its own doing.
        [ -n "$mode" ] || fingerprint "${pids[@]}" >"$BATS_TEST_TMPDIR/before"
        echo "${mode:-plain}: $SEEN, new TIME_WAIT $LEFT"
        case $mode in
        rst) expect rst "$SEEN, $LEFT" "whole=$COUNT ${UNDER_RST:-eof=0 reset=$COUNT}, 0" ;;
        fin-rst) expect fin-rst "$SEEN, $LEFT" "whole=$COUNT eof=$COUNT reset=0, 0" ;;
        *)
            expect fin "$SEEN" "whole=$COUNT eof=$COUNT reset=0"
            [ "$LEFT" -ge $((COUNT * 95 / 100)) ] && [ "$LEFT" -le $COUNT ]
            ;;
        esac
    done
    fingerprint "${pids[@]}" >"$BATS_TEST_TMPDIR/after"
    diff "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/after"
    kill "$daemon"
    PID=$daemon OUT=$daemon_out
    finish
}

nginx_with_4_workers="set -- \"\$1\" \"\$2\" 4; $NGINX"

@test "nginx with 4 workers that share one listener" {
    switched "$nginx_with_4_workers" http
}

@test "redis-server" {
    switched 'exec redis-server --port "$1" --bind 127.0.0.1 --save "" --dir "$2"' 'PING\r\nQUIT\r\n' '+PONG\r\n+OK\r\n'
}

@test "python3 http.server" {
    UNDER_RST="eof=$COUNT reset=0" switched 'mkdir -p "$2/www" && echo "a page" >"$2/www/index.html" &&
        exec python3 -m http.server --bind 127.0.0.1 --directory "$2/www" "$1"' http
}

@test "a static Go server" {
    switched "exec '$TOOLS/go/echo' \"\$1\"" 'hello' 'hello'
}

# bats test_tags=plain
@test "MPTCP under fin-rst: the way to plain TCP is named, by a dry run too; rst is applied" {
    [ -e /proc/sys/net/mptcp/enabled ] || skip "this kernel has no MPTCP"
    start - python3 -c "
import signal, socket
listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
listener.bind(('127.0.0.1', 0))
listener.listen()
print('ready', flush=True)
signal.pause()"
    hear
    run -0 "$LINGER" attach -n -m fin-rst "$PID"
    [[ $output == *"would fail: MPTCP has no TCP_LINGER2; use plain TCP, by GODEBUG=multipathtcp=0 (Go)"* ]]
    run -125 "$LINGER" attach -m fin-rst "$PID"
    [[ $output == *"failed: MPTCP has no TCP_LINGER2; use plain TCP, by GODEBUG=multipathtcp=0 (Go)"*", 1 failed"* ]]
    run -0 "$LINGER" attach -m rst "$PID"
    [[ $output == *" verdict rst  applied"* ]]
}

@test "rst where TCP_CORK is set: what it holds back is said to be lost" {
    start - python3 -c "
import signal, socket
listener = socket.create_server(('127.0.0.1', 0))
listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
print('port', listener.getsockname()[1], flush=True)
connection, _ = listener.accept()
print('accepted', flush=True)
signal.pause()"
    hear_port
    exec {CLIENT}<>"/dev/tcp/127.0.0.1/$PORT"
    hear
    run -0 "$LINGER" attach -n -m rst "$PID"
    expect "sockets" "$(grep -c "  verdict rst  would be applied; what TCP_CORK holds back at close() is lost$" <<<"$output")" 2
    run -0 "$LINGER" attach -m rst "$PID"
    expect "sockets" "$(grep -c "  verdict rst  applied; what TCP_CORK holds back at close() is lost$" <<<"$output")" 2
    run -0 "$LINGER" attach -m fin-rst "$PID"
    expect "sockets" "$(grep -c "  verdict fin-rst  applied$" <<<"$output")" 2
    kill "$PID"
}

@test "under load: modes change, no request fails" {
    PORT=$("$TOOLS/free-port")
    start - bash -c "$nginx_with_4_workers" daemon "$PORT" "$BATS_TEST_TMPDIR"
    await_listener
    daemon=$PID
    switches=$BATS_TEST_TMPDIR/switches
    (while echo . >>"$switches"; do "$LINGER" attach -q -m fin-rst --port "$PORT"; "$LINGER" attach -q -m fin --port "$PORT"; done) 3>&- &
    switcher=$!
    STARTED+=("$switcher")
    sent=0
    until [ $sent -gt 0 ] && [ "$(wc -l <"$switches")" -gt 5 ]; do # a switch can take as long as many requests
        talk 3000 http
        expect requests "$SEEN" "whole=3000 eof=3000 reset=0"
        sent=$((sent + 3000))
    done
    kill "$switcher"
    wait "$switcher" || true
    [ "$LEFT" -gt 0 ] && [ "$LEFT" -lt $sent ]
    kill "$daemon"
    wait "$daemon" || true # killed at once it would leave its workers
}

@test "established connections get it too, each by its own facts" {
    start - python3 -c "
import socket, sys
listener = socket.create_server(('127.0.0.1', 0))
print('port', listener.getsockname()[1], flush=True)
connection, _ = listener.accept()
print('accepted', flush=True)
connection.recv(1)
connection.close()"
    hear_port
    daemon=$PID
    exec {GO}> >(exec "$TOOLS/peer" -g -s 1 connect "$PORT" >"$BATS_TEST_TMPDIR/peer" 3>&-)
    peer=$!
    hear
    "$LINGER" attach -m "off port=1; rst peer=127.0.0.0/8 port=$PORT" -n "$daemon" >"$BATS_TEST_TMPDIR/out" 2>&1 || true
    grep -q "rule 2 .* cannot be carried by the listener 127.0.0.1:$PORT" "$BATS_TEST_TMPDIR/out"
    "$LINGER" attach -m "rst role=server" --json "$daemon" | python3 -c '
import json, sys
found = {s["kind"]: s for s in json.load(sys.stdin)["sockets"]}
assert sorted(found) == ["connection", "listener"], found
assert all(s["before"] == "fin" and s["verdict"] == "rst" and s["result"] == "applied" for s in found.values())'
    echo go >&"$GO"
    wait "$peer"
    finish
    expect "the peer saw" "$(cat "$BATS_TEST_TMPDIR/peer")" "bytes=0 eof=0 reset=1"
}

@test "descriptors are reused at full speed: no wrong socket is touched" {
    start - python3 "$ROOT/tests/tools/racer.py"
    hear
    read -r _ spared changed <<<"$REPLY"
    racer=$PID
    rounds=0
    until [ $rounds -gt 5 ]; do
        (exec "$TOOLS/peer" -k -n 1500 connect "$changed" >"$BATS_TEST_TMPDIR/changed" 3>&-) &
        changed_peer=$!
        (exec "$TOOLS/peer" -k -n 1500 connect "$spared" >"$BATS_TEST_TMPDIR/spared" 3>&-) &
        spared_peer=$!
        while kill -0 "$spared_peer" 2>/dev/null; do
            "$LINGER" attach -q -m "off port=$spared; rst" "$racer"
            rounds=$((rounds + 1))
        done
        wait "$changed_peer"
        cat "$BATS_TEST_TMPDIR/spared" "$BATS_TEST_TMPDIR/changed"
        expect "the spared port" "$(cat "$BATS_TEST_TMPDIR/spared")" "bytes=7500 eof=1500 reset=0"
    done
    [[ $(cat "$BATS_TEST_TMPDIR/changed") =~ reset=([0-9]+) ]]
    [ "${BASH_REMATCH[1]}" -gt 500 ]
    kill "$racer"
}

# bats test_tags=plain
@test "attach keeps no descriptor of the process" {
    start - "$TOOLS/subject" -h
    hear_port
    strace -f -qq -e trace=pidfd_getfd,close -o "$BATS_TEST_TMPDIR/strace" "$LINGER" attach -q -m rst "$PID"
    # Those that were taken and not closed again, and how many were taken.
    expect "left open" "$(awk '
        /pidfd_getfd\(/ && match($0, /= [0-9]+$/) { open[substr($0, RSTART + 2)] = 1; taken++ }
        match($0, /close\([0-9]+\)/) { delete open[substr($0, RSTART + 6, RLENGTH - 7)] }
        END { for (fd in open) print fd; print (taken >= 2) }' "$BATS_TEST_TMPDIR/strace")" 1
    kill "$PID"
}

@test "another network namespace" {
    unshare -n true 2>/dev/null || skip "needs a network namespace"
    start - unshare -n sh -c 'ip link set lo up; exec "$0" -r close' "$TOOLS/subject"
    hear_port
    "$LINGER" attach -m rst "$PID" | grep -q "^listener  *127.0.0.1:$PORT .* applied$"
    expect "the peer saw" "$(nsenter -t "$PID" -n "$TOOLS/peer" -k connect "$PORT")" "bytes=5 eof=0 reset=1"
    finish
}

@test "a port is one of this network namespace, whatever else the process holds: attach, restore, close" {
    unshare -n true 2>/dev/null || skip "needs a network namespace"
    mkfifo "$BATS_TEST_TMPDIR/go"
    exec {GO}<>"$BATS_TEST_TMPDIR/go"
    start - python3 "$ROOT/tests/tools/two-networks.py" <&"$GO"
    hear_port
    DAEMON_OUT=$OUT
    say show "0,0 0,0 0,0 1,0 1 1"
    "$LINGER" attach -m rst --port "$PORT" --save "$BATS_TEST_TMPDIR/was" | tee "$BATS_TEST_TMPDIR/out"
    expect attach "$(tail -1 "$BATS_TEST_TMPDIR/out")" "1 listener, 1 connection in 1 process, 0 failed"
    say show "1,0 1,0 0,0 1,0 1 1"
    "$LINGER" attach --restore "$BATS_TEST_TMPDIR/was" | tee "$BATS_TEST_TMPDIR/out"
    expect restore "$(tail -1 "$BATS_TEST_TMPDIR/out")" "2 put back, and 0 accepted since; 0 gone, 0 failed"
    say show "0,0 0,0 0,0 1,0 1 1"
    "$LINGER" close -m rst --all --port "$PORT" | tee "$BATS_TEST_TMPDIR/out"
    expect close "$(tail -1 "$BATS_TEST_TMPDIR/out")" "1 connection of 1 process ended, 0 left alone, 0 failed"
    say show "0,0 0,0 0,0 1,0 7 1"
}

# refused MESSAGE ARGUMENT...
refused() {
    says_no "*$1*" "$LINGER" attach "${@:2}"
}

@test "refusals name the cause, before anything is changed" {
    start - "$TOOLS/subject" -h
    hear_port
    refused "rule 1 (rst when=active) cannot be applied: when= is known only when a connection closes" -m "rst when=active" "$PID"
    refused "rule 2 (rst role=client) cannot be applied: connections that the process will make do not exist yet" -m "off port=1; rst role=client" "$PID"
    refused "rule 1 (rst share=50%) cannot be carried by the listener 127.0.0.1:$PORT" -m "rst share=50%" "$PID"
    refused "rule 1 (rst prog=nginx) is not for subject (pid $PID)" -m "rst prog=nginx" "$PID"
    refused "unknown mode 'rts'" -m rts "$PID"
    refused "the policy has no rules" -m "" "$PID"
    refused "a policy is missing" "$PID"
    refused "a pid or --port is missing" -m rst
    refused "'12x' is not a process: give a pid, " -m rst 12x
    "$LINGER" attach -m fin -n "$PID" | grep -q 'before fin '
    expect "-n changes nothing" "$("$LINGER" attach -m rst -n "$PID" | tail -1)" "nothing was changed: 1 listener, 0 connections in 1 process, 0 failed"
    "$LINGER" attach -m "rst prog=subject" "$PID" | grep -q 'before fin .* applied$'
    kill "$PID"
}

@test "processes that cannot be: a clear error" {
    free=$("$TOOLS/free-port")
    refused "nobody listens on port $free" -m rst --port "$free"
    refused "no such process" -m rst 4194303
    start - "$TOOLS/subject" -h
    hear_port
    says_no "linger attach: pidfd_getfd(2) is refused, perhaps by a container's profile: *" \
        "$TOOLS/refuse" 1 pidfd_getfd "$LINGER" attach -m rst "$PID"
    # A profile may hide a call that the kernel has (ENOSYS).
    says_no "linger attach: pidfd_getfd(2) is refused, perhaps by a container's profile: *, or add CAP_SYS_PTRACE" \
        "$TOOLS/refuse" 38 pidfd_getfd "$LINGER" attach -m rst "$PID"
    kill "$PID"
    kernel_thread=$(ps -e -o pid,ppid | awk '$2 == 2 { print $1; exit }')
    [ -z "$kernel_thread" ] || refused "a kernel thread: it has no descriptors" -m rst "$kernel_thread"
    start - python3 -c "
import os, sys, time
pid = os.fork()
if pid == 0:
    os._exit(0)
os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
print(pid, flush=True)
sys.stdin.readline()" < <(sleep 20 3>&-)
    hear
    refused "a zombie: it has ended already" -m rst "$REPLY"
    kill "$PID"
    start - python3 -c "
import threading, time
thread = threading.Thread(target=time.sleep, args=(20,), daemon=True)
thread.start()
print(thread.native_id, flush=True)
thread.join()"
    hear
    refused "a thread of process $PID: give that pid" -m rst "$REPLY"
    refused "pid $PID (python3*) has no TCP listener and no connection" -m rst "$PID"
    refused "none of the 2 processes has a TCP listener or a connection" -m rst "$PID" "$BASHPID"
    kill "$PID"
}

@test "--save and --restore: everything comes back exactly, and sockets that are gone are reported" {
    file=$BATS_TEST_TMPDIR/was
    with_own_options
    keep
    say show "1,5,7 1,3,9"
    "$LINGER" attach -m "off port=1; rst" --save "$file" "$DAEMON"
    cat "$file"
    expect "who may read it" "$(stat -c %a "$file")" 600
    say show "1,0,60 1,0,60"
    keep # one that inherits
    say show "1,0,60 1,0,60 1,0,60"
    # A file is never overwritten: it may be all that tells what was.
    refused "$file: it exists, and its contents would be lost" -m fin --save "$file" "$DAEMON"
    say show "1,0,60 1,0,60 1,0,60"
    "$LINGER" attach --restore "$file" -n | tee "$BATS_TEST_TMPDIR/out"
    expect "-n" "$(tail -1 "$BATS_TEST_TMPDIR/out")" "nothing was changed: 2 put back, and 1 accepted since; 0 gone, 0 failed"
    say show "1,0,60 1,0,60 1,0,60"
    "$LINGER" attach --restore "$file" | tee "$BATS_TEST_TMPDIR/out"
    grep -qx "listener    127.0.0.1:$PORT  SO_LINGER {1, 5} TCP_LINGER2 7  put back" "$BATS_TEST_TMPDIR/out"
    expect "the sum" "$(tail -1 "$BATS_TEST_TMPDIR/out")" "2 put back, and 1 accepted since; 0 gone, 0 failed"
    say show "1,5,7 1,3,9 1,5,7"
    say drop "1,5,7 1,5,7"
    "$LINGER" attach --restore "$file" --json | python3 -c '
import json, sys
done = json.load(sys.stdin)
assert {s["kind"]: s["result"].split(",")[0] for s in done["sockets"]} == {"listener": "put back", "connection": "gone"}, done
assert [done[k] for k in ("put_back", "accepted_since", "gone", "failed")] == [1, 1, 1, 0], done'
    kill "$DAEMON"
}

@test "--save and --restore: fin-rst, a default that follows the sysctl, a worker that holds the listener" {
    needs_namespace
    file=$BATS_TEST_TMPDIR/was
    start - python3 -c "
import os, socket, sys
listener = socket.create_server(('127.0.0.1', 0))
print('port', listener.getsockname()[1], flush=True)
if os.fork() == 0:
    listener.accept()[0].recv(1)
    os._exit(0)
listener2 = listener.getsockopt(6, socket.TCP_LINGER2)
for line in sys.stdin:
    print(listener.getsockopt(6, socket.TCP_LINGER2), flush=True)" < <(exec 3>&-; cat "$(mkfifo "$BATS_TEST_TMPDIR/in"; echo "$BATS_TEST_TMPDIR/in")")
    hear_port
    exec {GO}>"$BATS_TEST_TMPDIR/in"
    DAEMON_OUT=$OUT
    "$LINGER" attach -q -m fin-rst --save "$file" "$PID"
    say show -1
    "$LINGER" attach -q --restore "$file"
    say show 60
    sysctl -qw net.ipv4.tcp_fin_timeout=33
    say show 33
    sysctl -qw net.ipv4.tcp_fin_timeout=60
    kill "$PID" "$(pgrep -P "$PID")"
}

@test "--restore: what was accepted since gets what its own listener had, of several at one port" {
    mkfifo "$BATS_TEST_TMPDIR/go"
    exec {GO}<>"$BATS_TEST_TMPDIR/go"
    start - python3 "$ROOT/tests/tools/three-listeners.py" <&"$GO"
    hear_port
    DAEMON_OUT=$OUT
    "$LINGER" attach -q -m rst --save "$BATS_TEST_TMPDIR/was" "$PID"
    say show "1,0 1,0 1,0"
    "$LINGER" attach -q --restore "$BATS_TEST_TMPDIR/was"
    say show "1,5 1,6 1,7"
    kill "$PID"
}

@test "--restore names what is wrong with a file: not one of ours, another boot, another version" {
    file=$BATS_TEST_TMPDIR/was
    with_own_options
    "$LINGER" attach -q -m rst --save "$file" "$DAEMON"
    refused "$file-not: cannot be read: No such file or directory" --restore "$file-not"
    refused "/bin/bash: not a file that linger attach --save wrote" --restore /bin/bash
    refused "/dev/zero: not a regular file" --restore /dev/zero
    sed 1s/1/2/ "$file" >"$file-2"
    refused "$file-2: it has version 2; this linger reads version 1" --restore "$file-2"
    sed '2s/-.*/-/' "$file" >"$file-3"
    refused "$file-3: it is from an earlier boot or another machine" --restore "$file-3"
    head -c -4 "$file" >"$file-4"
    refused "$file-4: line 4 is not a socket that linger attach --save wrote" --restore "$file-4"
    refused "--restore takes no policy, port or pid" --restore "$file" -m rst
    refused "--restore takes no policy, port or pid" --restore "$file" "$DAEMON"
    refused "--save and --dry-run exclude each other" -n -m rst --save "$file-5" "$DAEMON"
    refused "/dev/full/x: cannot be written: Not a directory" -m rst --save /dev/full/x "$DAEMON"
    say show "1,0,60"
    kill "$DAEMON"
}

@test "without privilege: other users, pid 1, an undumpable process" {
    needs_root
    start - "$TOOLS/subject" -h
    hear
    as_nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups "$LINGER" attach -m rst)
    run "${as_nobody[@]}" "$PID"
    expect status "$status" 125
    [[ $output == *"it belongs to user 0: root, or CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH, is needed" ]]
    run "${as_nobody[@]}" 1
    expect "status for pid 1" "$status" 125
    [[ $output == *"it belongs to user 0"* ]]
    kill "$PID"
    start - setpriv --reuid=65534 --regid=65534 --clear-groups python3 -c "
import ctypes, time
ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
print('ready', flush=True)
time.sleep(20)"
    hear
    run "${as_nobody[@]}" "$PID"
    echo "$output"
    expect "status for an undumpable one" "$status" 125
    [[ $output == *"it has made itself undumpable"* ]]
    kill "$PID"
}
