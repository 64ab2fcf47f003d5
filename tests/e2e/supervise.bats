#!/usr/bin/env bats
# The supervisor: static and Go programs under a policy, and how the processes behave.
load helper

LINGER=$ROOT/linger
STATIC=$TOOLS/static
GO_TOOLS=$TOOLS/go

# supervised MODE COMMAND...: for start(). WITHOUT_LIBRARY=1 leaves the program alone.
supervised() {
    [ -n "${WITHOUT_LIBRARY:-}" ] || set -- "$1" "$LINGER" run -m "$@"
    shift
    start - "$@"
}

children() { # PID
    cat "/proc/$1/task/$1/children" 2>/dev/null
}

is_program() { # NAME
    read -r SUPERVISOR <<<"$(children "$PID")"
    read -r PROGRAM _ <<<"$(children "$SUPERVISOR")"
    [ "$(cat "/proc/$PROGRAM/comm" 2>/dev/null)" = "$1" ] || ! kill -0 "$PID"
}

# Sets SUPERVISOR and PROGRAM to what the front $PID has started; PROGRAM runs already.
find_processes() { # NAME
    eventually is_program "$1" && kill -0 "$PID"
}

# A zombie has ended: an orphan's may wait long for the machine's init.
await_end() { # PID...
    local pid
    for pid in "$@"; do
        while grep -qs '^State:.[^Z]' "/proc/$pid/status"; do :; done
    done
}

go_echo() { # MODE
    PORT=$("$TOOLS/free-port")
    supervised "$1" "$GO_TOOLS/echo" "$PORT"
    await_listener
    SEEN=$("$TOOLS/peer" -k connect "$PORT")
    LEFT=$(time_wait "$PORT")
    kill -TERM "$PID"
    finish
    expect "status of SIGTERM" "$STATUS" 143
}

@test "a static Go server: fin, rst, fin-rst" {
    go_echo fin
    sees 1 1 0 1
    go_echo rst
    sees 1 0 1 0
    go_echo fin-rst
    sees 1 1 0 0
}

@test "a Go net/http server under wrk, Connection: close: every response whole, no TIME_WAIT" {
    needs_namespace
    for mode in fin fin-rst; do
        PORT=$("$TOOLS/free-port")
        supervised "$mode" "$GO_TOOLS/pages" "$PORT"
        await_listener
        before=$(counter TcpPassiveOpens)
        wrk -t1 -c16 -d3s -H "Connection: close" "http://127.0.0.1:$PORT/" | tee "$BATS_TEST_TMPDIR/wrk"
        run ! grep -E "Socket errors|Non-2xx" "$BATS_TEST_TMPDIR/wrk"
        made=$(($(counter TcpPassiveOpens) - before))
        LEFT=$(server_time_wait)
        echo "$mode: $made connections, $LEFT TIME_WAIT"
        [ "$made" -gt 300 ]
        if [ "$mode" = fin ]; then
            [ "$LEFT" -ge $((made / 10)) ] # a port that wrk uses again ends the TIME_WAIT of its last use
        else
            [ "$LEFT" -le $((made / 100)) ]
        fi
        server=$PID
        talk 20 http
        expect "of 20 pages" "$SEEN" "whole=20 eof=20 reset=0"
        kill -TERM "$server"
    done
}

@test "busybox-static: httpd, wget, nc" {
    mkdir "$BATS_TEST_TMPDIR/www"
    head -c 100000 /dev/zero >"$BATS_TEST_TMPDIR/www/index.html"
    for mode in fin fin-rst rst; do
        # httpd sends its FIN by shutdown() and then closes.
        PORT=$("$TOOLS/free-port")
        supervised "$mode" busybox httpd -f -p "127.0.0.1:$PORT" -h "$BATS_TEST_TMPDIR/www"
        await_listener
        server=$PID
        talk 20 http
        expect "pages under $mode" "$SEEN" "whole=20 eof=20 reset=0"
        expect "TIME_WAIT under $mode" "$LEFT" "$([ $mode = fin ] && echo 20 || echo 0)"
        kill -TERM "$server"
        # wget closes second.
        PORT=$("$TOOLS/free-port")
        start - python3 -m http.server --bind 127.0.0.1 --directory "$BATS_TEST_TMPDIR/www" "$PORT"
        await_listener
        expect "wget under $mode" "$("$LINGER" run -m "$mode" busybox wget -q -O - "http://127.0.0.1:$PORT/" | wc -c)" 100000
        kill -TERM "$PID"
        finish
        # nc hands the connection to a program as its standard descriptors.
        PORT=$("$TOOLS/free-port")
        supervised "$mode" busybox nc -l -p "$PORT" -e busybox head -c 1
        await_listener
        SEEN=$("$TOOLS/peer" -k connect "$PORT")
        finish
        LEFT=$(time_wait "$PORT")
        case $mode in
        fin) sees 1 1 0 1 ;;
        fin-rst) sees 1 1 0 0 ;;
        rst) sees 1 0 1 0 ;;
        esac
    done
}

@test "a dynamic program under -b supervise; -b preload refuses a static one" {
    start - "$LINGER" run -b supervise -m rst -- "$TOOLS/subject" -r close
    hear_port
    SEEN=$("$TOOLS/peer" -k connect "$PORT")
    finish
    LEFT=$(time_wait "$PORT")
    expect status "$STATUS" 0
    sees 5 0 1 0
    run "$LINGER" run -b preload -m rst -- "$STATIC/subject" nothing
    echo "$output"
    expect status "$status" 125
    expect refusal "${lines[0]}" "linger run: $STATIC/subject: statically linked: no loader, so nothing is preloaded"
    [[ ${lines[1]} == *"would silently do nothing"* ]]
    expect "-n" "$("$LINGER" run -n -m rst "$STATIC/subject" nothing | head -2)" \
        "backend     supervise: statically linked: no loader, so nothing is preloaded
command     $STATIC/subject nothing"
}

@test "MPTCP: refused under fin-rst, so that programs fall back; left alone under rst" {
    [ -e /proc/sys/net/mptcp/enabled ] || skip "this kernel has no MPTCP"
    try='import socket; socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)'
    run "$LINGER" run -b supervise -m "fin-rst role=server" -- python3 -c "$try"
    [[ $output == *"[Errno 93] Protocol not supported"* ]]
    "$LINGER" run -b supervise -m rst -- python3 -c "$try"
    LISTENER="listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
listener.bind(('127.0.0.1', 0))
listener.listen()"
    BACKEND=supervise serve_python rst
    sees 5 0 1 0
}

@test "only the calls that matter are told: none of 1,000 accepted connections, none of a file" {
    switches() { awk '/^voluntary/ { print $2 }' "/proc/$SUPERVISOR/status"; }
    for report in "" "$BATS_TEST_TMPDIR/report"; do
        LINGER_LOG=$report LINGER_STATS=${report:+$report.stats} supervised rst "$STATIC/subject" -n 1001 -r close
        hear_port
        find_processes subject
        before=$(switches)
        SEEN=$("$TOOLS/peer" -n 1000 -k connect "$PORT" | tail -1)
        after=$(switches)
        expect "the peer saw" "$SEEN" "bytes=5000 eof=0 reset=1000"
        expect "what woke the supervisor" "$after" "$before"
        kill -KILL "$PROGRAM" "$PID"
        finish
    done
}

@test "connect() is not told where every rule is a server's: it goes on while the supervisor stands still" {
    mkfifo "$BATS_TEST_TMPDIR/go"
    for mode in "fin-rst role=server" "off role=client; rst"; do
        start - "$TOOLS/peer" listen
        hear_port
        peer=$PID
        peer_out=$OUT
        supervised "$mode" busybox sh -c 'read -r line <"$2"; exec "$0" -c "$1" close' "$STATIC/subject" "$PORT" "$BATS_TEST_TMPDIR/go"
        find_processes busybox
        kill -STOP "$SUPERVISOR"
        echo >"$BATS_TEST_TMPDIR/go"
        front=$PID
        PID=$peer
        OUT=$peer_out
        hear
        expect "the peer saw" "$REPLY" "bytes=5 eof=1 reset=0"
        finish
        kill -CONT "$SUPERVISOR"
        PID=$front
        wait "$front"
    done
}

@test "no signal takes away a call that is not told: close() under a log, connect() under a server's rule" {
    lost() { "$LINGER" run -b "$1" -m "$2" -- "$TOOLS/lost" "$3" "$4" 200; }
    expect closes "$(LINGER_LOG=$BATS_TEST_TMPDIR/log LINGER_STATS=$BATS_TEST_TMPDIR/stats lost supervise rst close 20000)" "lost 0"
    expect connects "$(lost supervise "fin-rst role=server" connect 5000)" "lost 0"
    for call in connect close listen bind setsockopt; do
        expect "preloaded, $call" "$(LINGER_LOG=$BATS_TEST_TMPDIR/log lost preload "rst when=active" $call 5000)" "lost 0"
    done
}

@test "no policy without when= loses a close(): 0 of 100,000; and no connection of an accept() that a signal interrupts" {
    linux_is 5.14 || skip "before Linux 5.14 close() decides what depends on the peer, and says so"
    lost() { timeout 250 "$LINGER" run -b supervise -m "$1" -- "$TOOLS/lost" "$2" "$3" 200; }
    for condition in peer=10.0.0.0/8 share=1% local=10.0.0.0/8 local=:8080; do
        expect "closes under $condition" "$(lost "fin-rst $condition; fin" close 25000)" "lost 0"
    done
    # Its own checks are the test. Twelve at once: signals come also where a connection is handed over.
    accepts=()
    for _ in $(seq 12); do
        lost "fin-rst role=server peer=127.0.0.0/8" accept $((5000 / SLOWER)) &
        accepts+=($!)
    done
    for accept in "${accepts[@]}"; do
        wait "$accept"
    done
}

@test "what close() decides is said at the start, with what to do instead; not of Go" {
    linux_is 5.14 || skip "before Linux 5.14 close() decides what depends on the peer, and says so"
    gap="may take a close() away, of a pipe or file too, and whoever reads that pipe waits for ever"
    warned() { expect "$*" "$("$@" 2>&1)" "linger run: warning: $WARNING"; }
    WARNING="when= is decided at close(): a signal whose handler has no SA_RESTART $gap; -b preload has no such gap"
    warned "$LINGER" run -b supervise -m "rst when=active" -- true
    WARNING="when= is decided at close(): a signal whose handler has no SA_RESTART $gap; rules by role= and port= are decided before"
    warned "$LINGER" run -m "rst when=active" -- busybox true
    WARNING="before Linux 5.14 a server's peer=, share= and local= are decided at close(): a signal whose handler has no SA_RESTART $gap; rules by role= and port= are decided before"
    warned "$TOOLS/refuse" 22 0x40182103 "$LINGER" run -m "rst share=50%" -- busybox true # SECCOMP_IOCTL_NOTIF_ADDFD
    expect "share=" "$("$LINGER" run -m "rst share=50%" -- busybox true 2>&1)" ""
    [ -x "$GO_TOOLS/echo" ] || skip "no Go here"
    expect "of Go" "$(timeout 60 "$LINGER" run -n -m "rst when=active" -- "$GO_TOOLS/echo" 2>&1 >/dev/null)" ""
}

@test "before Linux 5.14 close() decides what depends on the peer" {
    start - "$TOOLS/refuse" 22 0x40182103 "$LINGER" run -b supervise -m "rst peer=127.0.0.0/8" -- "$SUBJECT" -r close
    hear_port
    expect "the peer saw" "$("$TOOLS/peer" -k connect "$PORT")" "bytes=5 eof=0 reset=1"
    finish
}

# The numbers of the processes that have COUNT connections.
answers() { # COUNT
    for _ in $(seq "$1"); do
        exec {CLIENT}<>"/dev/tcp/127.0.0.1/$PORT"
        read -r -t 30 REPLY <&"$CLIENT" || true # no newline
        echo "$REPLY"
        exec {CLIENT}>&-
    done
}

@test "a listener that blocks: processes share it, a signal interrupts the wait, and its port is free at once" {
    start - "$LINGER" run -b supervise -m "fin-rst peer=127.0.0.0/8" -- python3 "$ROOT/tests/tools/waiting.py" 3
    hear_port
    until [ "$(answers 10 | sort -u | tr '\n' ' ')" = "1 2 3 " ]; do :; done # they begin one after the other
    expect "TIME_WAIT" "$(server_time_wait)" 0
    find_processes python3
    front=$PID
    children "$PROGRAM" | xargs kill -KILL
    while children "$PROGRAM" | xargs -r ps -o stat= | grep -qv Z; do :; done
    kill -USR1 "$PROGRAM"
    hear
    expect "after a signal" "$REPLY" again
    expect "who answers" "$(answers 3 | sort -u)" 1
    kill -KILL "$PROGRAM"
    finish
    start - python3 "$ROOT/tests/tools/waiting.py" 1 "$PORT"
    hear
    expect "after SIGKILL" "$REPLY" "port $PORT"
    kill "$PID"
}

@test "a call that a signal interrupted is counted, and a line of the log" {
    start - "$TOOLS/peer" listen
    hear_port
    mkfifo "$BATS_TEST_TMPDIR/go"
    connect='import signal, socket, sys
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
client = socket.socket()
client.connect(("127.0.0.1", int(sys.argv[1])))
signal.setitimer(signal.ITIMER_REAL, 0)
try:
    print("connected to", client.getpeername(), flush=True)
except OSError as error:
    print("errno", error.errno, flush=True)
open(sys.argv[2]).read()'
    LINGER_LOG=$BATS_TEST_TMPDIR/log LINGER_STATS=$BATS_TEST_TMPDIR/stats \
        supervised rst busybox sh -c 'read -r line <"$2"; exec python3 -c "$0" "$1" "$2"' "$connect" "$PORT" "$BATS_TEST_TMPDIR/go"
    find_processes busybox
    kill -STOP "$SUPERVISOR"
    echo >"$BATS_TEST_TMPDIR/go"
    hear
    expect "the connection" "$REPLY" "errno 107"
    kill -CONT "$SUPERVISOR"
    until "$LINGER" stats --json "$BATS_TEST_TMPDIR/stats" | grep -q '"interrupted":1,'; do :; done
    echo >"$BATS_TEST_TMPDIR/go"
    finish
    expect events "$(python3 "$ROOT/tests/tools/parse-log.py" <"$BATS_TEST_TMPDIR/log")" "interrupt=1 load=1"
}

@test "root's supervisor is first in the queue, and its program is where it was" {
    [ "$(id -u)" = 0 ] || skip "needs root, for a negative nice value"
    supervised rst busybox sleep 1000
    find_processes busybox
    expect "the supervisor" "$(ps -o ni= -p "$SUPERVISOR" | xargs)" -20
    expect "the program" "$(ps -o ni= -p "$PROGRAM" | xargs)" "$(ps -o ni= -p $$ | xargs)"
    kill -KILL "$PROGRAM"
    finish
}

@test "exit status, death by signal, programs that cannot be run" {
    for status in 0 3 255; do
        run "$LINGER" run -m rst busybox sh -c "exit $status"
        expect "status" "$status" "${status}"
    done
    run "$LINGER" run -m rst busybox sh -c 'exit 3'
    expect status "$status" 3
    run "$LINGER" run -m rst busybox sh -c 'kill -SEGV $$'
    expect "status of SIGSEGV" "$status" 139
    run "$LINGER" run -m rst busybox sh -c 'kill -KILL $$'
    expect "status of SIGKILL" "$status" 137
    cp "$STATIC/subject" "$BATS_TEST_TMPDIR/text" && printf 'XXXX' | dd of="$BATS_TEST_TMPDIR/text" conv=notrunc status=none
    run "$LINGER" run -b supervise -m rst "$BATS_TEST_TMPDIR/text"
    expect "status of no program" "$status" 126
    run -127 "$LINGER" run -b supervise -m rst no-such-program
    expect "status of a missing one" "$status" 127
}

@test "signals are passed on" {
    passes_signals_on supervised rst busybox sh
    for signal in TERM INT HUP; do
        supervised rst busybox sleep 100
        find_processes busybox
        kill -$signal "$PID"
        finish
        expect "status of $signal" "$STATUS" $((128 + $(kill -l $signal)))
        await_end "$PROGRAM" "$SUPERVISOR"
    done
}

@test "in a terminal: Ctrl-Z, fg, Ctrl-C, with both backends" {
    needs_terminal
    # Without children: a shell whose vfork()ed child is stopped before its exec cannot stop.
    ticks='print "ready"; fflush(); while (1) { print "tick"; fflush(); for (i = 0; i < 50000; i++); }'
    for awk in "busybox awk" mawk; do
        python3 "$ROOT/tests/tools/terminal.py" "$LINGER run -m rst -s -- $awk 'BEGIN { $ticks }'" >"$BATS_TEST_TMPDIR/said"
        expect "$awk" "$(paste -sd, "$BATS_TEST_TMPDIR/said")" "stopped,went on,status 130"
    done
}

@test "descriptors: none of the program's is held; closed standard descriptors stay closed" {
    # Both the front and the supervisor have given up the pipe that the program closes.
    mkfifo "$BATS_TEST_TMPDIR/pipe"
    "$LINGER" run -m rst -- busybox sh -c 'exec 0>&- 1>&- 5>&-; sleep 100' >"$BATS_TEST_TMPDIR/pipe" 0>&1 5>&1 3>&- &
    PID=$!
    STARTED+=("$PID")
    timeout 60 cat "$BATS_TEST_TMPDIR/pipe"
    kill -TERM "$PID"
    wait "$PID" || true
    # What the program has open, of what the shell left it.
    show='exec busybox ls /proc/self/fd >"$0"'
    busybox sh -c "$show" "$BATS_TEST_TMPDIR/without" <&- 2>&-
    "$LINGER" run -m rst -- busybox sh -c "$show" "$BATS_TEST_TMPDIR/with" <&- 2>&-
    expect "open files" "$(cat "$BATS_TEST_TMPDIR/with")" "$(cat "$BATS_TEST_TMPDIR/without")"
}

@test "inetd: the connection is 0, 1 and 2; the policy holds, and nobody keeps it open" {
    for mode in fin rst fin-rst; do
        start - python3 -c '
import socket, subprocess, sys
listener = socket.create_server(("127.0.0.1", 0))
print("port", listener.getsockname()[1], flush=True)
connection, _ = listener.accept()
program = subprocess.Popen(sys.argv[1:], stdin=connection, stdout=connection, stderr=connection)
connection.close()
program.wait()' "$LINGER" run -m "$mode" -- busybox sh -c 'read -n 1 knock; printf hello'
        hear_port
        SEEN=$("$TOOLS/peer" -k connect "$PORT")
        finish
        LEFT=$(time_wait "$PORT")
        case $mode in
        fin) sees 5 1 0 1 ;;
        rst) sees 5 0 1 0 ;;
        fin-rst) sees 5 1 0 0 ;;
        esac
    done
}

@test "children and grandchildren are served; the supervisor ends with the last of them" {
    start - "$TOOLS/peer" -n 2 listen
    hear_port
    peer=$PID
    peer_out=$OUT
    # The grandchild outlives the program: an orphan, which waits until it is told to go on.
    mkfifo "$BATS_TEST_TMPDIR/go" "$BATS_TEST_TMPDIR/end"
    supervised rst busybox sh -c 'read -r line <"$2"
        ((read -r line <"$3"; "$0" -c "$1" close) >/dev/null &
        "$0" -c "$1" close) >/dev/null; exit 7' "$STATIC/subject" "$PORT" "$BATS_TEST_TMPDIR/go" "$BATS_TEST_TMPDIR/end"
    find_processes busybox
    echo >"$BATS_TEST_TMPDIR/go"
    finish
    expect status "$STATUS" 7
    [ -e "/proc/$SUPERVISOR" ]
    echo >"$BATS_TEST_TMPDIR/end"
    await_end "$SUPERVISOR"
    PID=$peer
    OUT=$peer_out
    hear
    expect "the peer saw" "$REPLY" "bytes=10 eof=0 reset=2"
    finish
}

@test "a daemon that goes into the background gives the prompt back, and is served" {
    mkdir "$BATS_TEST_TMPDIR/www"
    echo "a page" >"$BATS_TEST_TMPDIR/www/index.html"
    PORT=$("$TOOLS/free-port")
    # Its output is a pipe, whose end shows that nobody holds it open.
    said=$(timeout 60 "$LINGER" run -m rst -- busybox httpd -p "127.0.0.1:$PORT" -h "$BATS_TEST_TMPDIR/www" 2>&1 3>&-)
    expect said "$said" ""
    PID=$$ await_listener
    curl -s "http://127.0.0.1:$PORT/" | grep -q "a page"
    daemon=$(ss -Htlnp "sport = :$PORT" | sed 's/.*pid=\([0-9]*\).*/\1/')
    SUPERVISOR=$(awk '/^PPid/ { print $2 }' "/proc/$daemon/status")
    expect "its parent" "$(cat "/proc/$SUPERVISOR/comm")" "(busybox)"
    expect "the supervisor's stdout" "$(readlink "/proc/$SUPERVISOR/fd/1")" /dev/null
    expect "the supervisor's stderr" "$(readlink "/proc/$SUPERVISOR/fd/2")" /dev/null
    kill -TERM "$daemon"
    await_end "$daemon" "$SUPERVISOR"
}

@test "the supervisor dies: all that it served is ended, 125, and a word why" {
    supervised rst busybox sh -c 'busybox sleep 1000 & busybox sleep 1000; true'
    find_processes busybox
    until [ "$(wc -w <"/proc/$PROGRAM/task/$PROGRAM/children")" = 2 ]; do :; done
    sleeps=$(cat "/proc/$PROGRAM/task/$PROGRAM/children")
    kill -KILL "$SUPERVISOR"
    finish
    expect status "$STATUS" 125
    expect said "$(cat "$BATS_TEST_TMPDIR/stderr")" "linger run: the supervisor died, so the program was killed"
    # shellcheck disable=SC2086  # a list
    await_end "$PROGRAM" $sleeps
}

@test "the front dies: the program is ended by the same signal, SIGKILL, and nobody is left" {
    supervised rst busybox sleep 1000
    find_processes busybox
    kill -KILL "$PID"
    await_end "$PROGRAM" "$SUPERVISOR"
    finish
    expect status "$STATUS" 137
}

# with_grandchildren: a program with two children that connect when a line comes, one of them in a
# session of its own; PEER_OUT is what their peer says.
with_grandchildren() {
    start - "$TOOLS/peer" -n 2 listen
    hear_port
    PEER=$PID PEER_OUT=$OUT
    mkfifo "$BATS_TEST_TMPDIR/one" "$BATS_TEST_TMPDIR/two"
    start - setsid "$LINGER" run -m rst -- busybox sh -c '
        (read -r line <"$2"; exec "$0" -c "$1" close) >/dev/null &
        busybox setsid busybox sh -c "read -r line <\$2; exec \$0 -c \$1 close" "$0" "$1" "$3" >/dev/null &
        exec busybox sleep 1000' "$STATIC/subject" "$PORT" "$BATS_TEST_TMPDIR/one" "$BATS_TEST_TMPDIR/two"
    find_processes busybox
}

@test "SIGKILL of the front: the program ends, its children go on under the policy" {
    with_grandchildren
    exec {ONE}>"$BATS_TEST_TMPDIR/one" {TWO}>"$BATS_TEST_TMPDIR/two" # both are there
    kill -KILL "$PID"
    await_end "$PROGRAM"
    echo >&$ONE
    echo >&$TWO
    OUT=$PEER_OUT PID=$PEER
    hear
    expect "the peer saw" "$REPLY" "bytes=10 eof=0 reset=2"
    await_end "$SUPERVISOR"
}

@test "SIGKILL of all that linger is: the calls of a grandchild elsewhere go on, and nobody is left" {
    with_grandchildren
    exec {ONE}>"$BATS_TEST_TMPDIR/one" {TWO}>"$BATS_TEST_TMPDIR/two"
    guard=$(children "$SUPERVISOR")
    guard=${guard#"$PROGRAM" }
    kill -KILL -- "-$PID"
    await_end "$PROGRAM" "$SUPERVISOR"
    (exec {CLIENT}<>"/dev/tcp/127.0.0.1/$PORT") # in the stead of the child that ended with them
    echo >&$TWO
    OUT=$PEER_OUT PID=$PEER
    hear
    expect "the peer saw" "$REPLY" "bytes=5 eof=2 reset=0"
    # shellcheck disable=SC2086  # a list
    await_end $guard
}

@test "SIGKILL of all that linger is, before one of them can act: the kernel ends the program" {
    supervised rst busybox sleep 1000
    find_processes busybox
    guard=$(children "$SUPERVISOR")
    guard=${guard#"$PROGRAM" }
    # shellcheck disable=SC2086  # a list
    kill -STOP "$PID" "$SUPERVISOR" $guard
    # shellcheck disable=SC2086
    kill -KILL $guard "$SUPERVISOR" "$PID"
    await_end "$PROGRAM"
}

@test "what the kernel, a container or another supervisor refuses is named, and nothing runs" {
    run_it=("$LINGER" run -m rst -- busybox touch "$BATS_TEST_TMPDIR/ran")
    says_no "*: the supervisor needs Linux 5.6: this kernel has no seccomp(2) with notifications, or *" setarch --uname-2.6 "$TOOLS/refuse" 38 seccomp "${run_it[@]}"
    says_no "*: seccomp(2) with notifications is refused, perhaps by a container's profile: allow seccomp, *" "$TOOLS/refuse" 1 seccomp "${run_it[@]}"
    says_no "*: this kernel has no pidfd_getfd(2), or *" setarch --uname-2.6 "$TOOLS/refuse" 38 pidfd_getfd "${run_it[@]}"
    says_no "*: this kernel has no pidfd_open(2), or *" setarch --uname-2.6 "$TOOLS/refuse" 38 pidfd_open "${run_it[@]}"
    says_no "*: pidfd_getfd(2) is refused, perhaps by a container's profile: *" "$TOOLS/refuse" 1 pidfd_getfd "${run_it[@]}"
    says_no "*: it has a supervisor already (*" "$LINGER" run -b supervise -m rst -- "${run_it[@]}"
    [ ! -e "$BATS_TEST_TMPDIR/ran" ]
}

@test "either number of SECCOMP_IOCTL_NOTIF_ID_VALID will do; a kernel without an ioctl of a supervisor is refused" {
    start - "$TOOLS/peer" listen
    hear_port
    "$TOOLS/refuse" 22 0x40082102 "$LINGER" run -m rst -- "$STATIC/subject" -c "$PORT" close # as before Linux 5.9
    hear
    expect "the peer saw" "$REPLY" "bytes=5 eof=0 reset=1"
    finish
    run_it=("$LINGER" run -m rst -- busybox touch "$BATS_TEST_TMPDIR/ran")
    says_no "*: this kernel has no SECCOMP_IOCTL_NOTIF_ID_VALID *" "$TOOLS/refuse" 22 0x80082102 "${run_it[@]}"
    says_no "*: this kernel has no SECCOMP_IOCTL_NOTIF_SEND *" "$TOOLS/refuse" 22 0xc0182101 "${run_it[@]}"
    says_no "*: this kernel has no process_vm_readv(2) *" "$TOOLS/refuse" 38 process_vm_readv "${run_it[@]}"
    [ ! -e "$BATS_TEST_TMPDIR/ran" ]
}

@test "Yama's scopes 2 and 3 are named" {
    needs_mount_namespace
    for scope in 2 3; do
        mkdir -p "$BATS_TEST_TMPDIR/kernel/yama"
        echo $scope >"$BATS_TEST_TMPDIR/kernel/yama/ptrace_scope"
        # The kernel here may have no Yama: what it would do is pidfd_getfd()'s EPERM for others' descriptors.
        says_no "*kernel.yama.ptrace_scope is $scope: *" unshare -m sh -c 'mount --bind "$0" /proc/sys/kernel && exec "$@"' \
            "$BATS_TEST_TMPDIR/kernel" "$TOOLS/refuse" 1 yama "$LINGER" run -m rst -- busybox true
    done
}

@test "without privileges; and setuid programs are refused for what they would lose" {
    needs_root
    PORT=$("$TOOLS/free-port")
    # Where everybody may go, wherever this tree is.
    chmod a+rx "$BATS_TEST_TMPDIR" "$BATS_RUN_TMPDIR"
    cp "$GO_TOOLS/echo" "$BATS_TEST_TMPDIR"
    start - setpriv --reuid=65534 --regid=65534 --clear-groups "$LINGER" run -m rst -- "$BATS_TEST_TMPDIR/echo" "$PORT"
    await_listener
    SEEN=$("$TOOLS/peer" -k connect "$PORT")
    LEFT=$(time_wait "$PORT")
    sees 1 0 1 0
    kill -TERM "$PID"
    finish
    needs_setuid
    cp "$(command -v busybox)" "$BATS_TEST_TMPDIR/setuid"
    chmod 4755 "$BATS_TEST_TMPDIR/setuid"
    says_no "*setuid: the loader ignores LD_PRELOAD, and seccomp would take its privileges away" \
        setpriv --reuid=65534 --regid=65534 --clear-groups "$LINGER" run -m rst -- "$BATS_TEST_TMPDIR/setuid" true
}

@test "a process out of reach is named once, and its calls go on" {
    needs_root
    start - "$TOOLS/peer" -n 2 listen
    hear_port
    # An unprivileged supervisor, and a program that makes itself undumpable (PR_SET_DUMPABLE 4).
    LINGER_LOG=$BATS_TEST_TMPDIR/log
    export LINGER_LOG
    : >"$LINGER_LOG" && chmod a+w "$LINGER_LOG" && chmod a+rx "$BATS_TEST_TMPDIR" "$BATS_RUN_TMPDIR"
    setpriv --reuid=65534 --regid=65534 --clear-groups "$LINGER" run -b supervise -m rst -- python3 -c '
import ctypes, socket, sys
ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
for _ in range(2):
    socket.create_connection(("127.0.0.1", int(sys.argv[1]))).close()' "$PORT" 2>"$BATS_TEST_TMPDIR/said"
    cat "$BATS_TEST_TMPDIR/said" "$LINGER_LOG"
    hear
    expect "the peer saw" "$REPLY" "bytes=0 eof=2 reset=0"
    expect lines "$(wc -l <"$BATS_TEST_TMPDIR/said")" 1
    grep -q "is not under the policy: it has made itself undumpable" "$BATS_TEST_TMPDIR/said"
    grep -q "event=fail fd=[0-9]* option=pidfd_getfd errno=1 verdict=none" "$LINGER_LOG"
    finish
}

# reported MODE: four connections, of which the peer makes three, under a log and counters.
reported() {
    LINGER_LOG=$BATS_TEST_TMPDIR/log LINGER_STATS=$BATS_TEST_TMPDIR/stats supervised "$1" "$STATIC/subject" -n 4 -r close
    hear_port
    find_processes subject
    expect "its backlog" "$(ss -Htln "sport = :$PORT" | awk '{ print $3 }')" 1024
    expect "the peer saw" "$("$TOOLS/peer" -n 3 -k connect "$PORT" | tail -1)" "bytes=15 eof=0 reset=3"
    kill -TERM "$PID"
    finish
    cat "$BATS_TEST_TMPDIR/log"
    expect pids "$(grep -o ' pid=[0-9]*' "$BATS_TEST_TMPDIR/log" | sort -u)" " pid=$PROGRAM"
    expect "events without a descriptor" "$(grep -c " event=\(arm\|close\) .*fd=-1" "$BATS_TEST_TMPDIR/log")" 0
    EVENTS=$(python3 "$ROOT/tests/tools/parse-log.py" <"$BATS_TEST_TMPDIR/log")
    COUNTERS=$("$LINGER" stats --json "$BATS_TEST_TMPDIR/stats")
}

@test "a low limit of open files leaves nobody out, and the program has it still" {
    for limit in -Sn -n; do
        start - "$TOOLS/peer" -n 60 listen
        hear_port
        said=$(ulimit $limit 20 && "$LINGER" run -b supervise -m rst -- busybox sh -c 'ulimit -Sn
            for i in $(busybox seq 60); do "$0" -c "$1" close >/dev/null; done' "$STATIC/subject" "$PORT" 2>&1)
        expect said "$said" 20
        hear
        expect "the peer saw under ulimit $limit" "$REPLY" "bytes=300 eof=0 reset=60"
        finish
    done
}

# python3 leaves it no descriptor: 3 is the listener.
@test "what is settled as the program ends is in the log, with the number of its descriptor" {
    LINGER_LOG=$BATS_TEST_TMPDIR/log start - python3 -c 'import subprocess, sys; subprocess.run(sys.argv[1:])' \
        "$LINGER" run -b supervise -m "rst when=active" -- "$STATIC/subject" -r _exit
    hear_port
    expect "the peer saw" "$("$TOOLS/peer" -k connect "$PORT")" "bytes=5 eof=0 reset=1"
    finish
    cat "$BATS_TEST_TMPDIR/log"
    grep -q " event=arm at=exit fd=4 verdict=rst " "$BATS_TEST_TMPDIR/log"
}

@test "the log and the counters: the program's pid and descriptors; closes where a rule needs them" {
    reported "rst role=server"
    expect events "$EVENTS" "arm=1 load=1"
    grep -q "event=load .* backend=supervise program=subject mode=\"rst role=server\"" "$BATS_TEST_TMPDIR/log"
    [[ $COUNTERS == *'"armed_rst":1,'*'"closed_active_rst":0,'* ]]
    rm "$BATS_TEST_TMPDIR/log" "$BATS_TEST_TMPDIR/stats"
    reported "rst when=active; rst"
    expect events "$EVENTS" "close=3 load=1"
    [[ $COUNTERS == *'"closed_active_rst":3,'* ]]
    run --separate-stderr "$LINGER" run -m rst -s -- "$STATIC/subject" -c 1 nothing
    [[ $stderr == *"did to its connections"* ]]
    [[ $stderr == *"closes are not counted: no rule of this policy is decided at close()"* ]]
    # It closes no connection.
    run --separate-stderr "$LINGER" run -m "rst when=active" -s -- "$STATIC/subject" -c 1 nothing
    [[ $stderr == *"did to its connections"* ]]
    [[ $stderr != *"closes are not counted"* ]]
}

# binds COMMAND...: what bind() to $PORT says to a program that is started so, with a log and counters.
binds() {
    LINGER_LOG=$BATS_TEST_TMPDIR/log LINGER_STATS=$BATS_TEST_TMPDIR/stats "$LINGER" run -b supervise -m rst -- "$@" python3 -c '
import errno, socket, sys
try:
    socket.socket().bind(("127.0.0.1", int(sys.argv[1])))
    print("bound")
except OSError as error:
    print(errno.errorcode[error.errno])' "$PORT"
}

@test "a program that may not bind does not bind, with a log and counters either" {
    PORT=$("$TOOLS/free-port")
    expect unconfined "$(binds)" bound
    python3 "$ROOT/tests/tools/landlocked.py" true || skip "this kernel has no Landlock for TCP"
    expect Landlock "$(binds python3 "$ROOT/tests/tools/landlocked.py")" EACCES
    expect "lines of bind()" "$(grep -c event=bind "$BATS_TEST_TMPDIR/log" || true)" 0
}

@test "a program that dropped its privileges binds no port below ip_unprivileged_port_start" {
    needs_root
    needs_namespace
    before=$(sysctl -n net.ipv4.ip_unprivileged_port_start)
    PORT=$((10000 + RANDOM % 10000)) # the range of free-port cannot be made privileged
    sysctl -qw net.ipv4.ip_unprivileged_port_start=20000
    said=$(binds setpriv --reuid=65534 --clear-groups)
    sysctl -qw "net.ipv4.ip_unprivileged_port_start=$before"
    expect unprivileged "$said" EACCES
}

# Once, it tried the address itself beforehand, with its own rights: an unprivileged program's calls
# kept other programs from a privileged port.
# bats test_tags=plain
@test "the supervisor binds nothing" {
    needs_root
    needs_namespace
    before=$(sysctl -n net.ipv4.ip_unprivileged_port_start)
    PORT=$((10000 + RANDOM % 10000))
    sysctl -qw net.ipv4.ip_unprivileged_port_start=20000
    LINGER_LOG=$BATS_TEST_TMPDIR/log strace -f -e trace=bind -o "$BATS_TEST_TMPDIR/calls" "$LINGER" run -b supervise -m rst -- \
        setpriv --reuid=65534 --clear-groups python3 -c 'import socket, sys
try:
    socket.socket().bind(("127.0.0.1", int(sys.argv[1])))
except PermissionError:
    print("refused")' "$PORT" >"$BATS_TEST_TMPDIR/said"
    sysctl -qw "net.ipv4.ip_unprivileged_port_start=$before"
    cat "$BATS_TEST_TMPDIR/calls"
    expect "the program" "$(cat "$BATS_TEST_TMPDIR/said")" refused
    expect "calls for the port" "$(grep -c "htons($PORT)" "$BATS_TEST_TMPDIR/calls")" 1
}

@test "the log says who has the port before bind(), in the supervisor's network namespace" {
    start - "$SUBJECT" -r close
    hear_port
    expect "in use" "$(binds)" EADDRINUSE
    grep -q "event=bind .* local=127.0.0.1:$PORT listeners=1 .* why=\"a listener holds the port\"" "$BATS_TEST_TMPDIR/log"
    rm "$BATS_TEST_TMPDIR/log"
    if unshare -n true; then
        expect "another namespace" "$(binds unshare -n sh -c 'ip link set lo up; exec "$@"' -)" bound
        expect "its lines" "$(grep -c event=bind "$BATS_TEST_TMPDIR/log" || true)" 0
    fi
    kill "$PID"
    finish
    PORT=$("$TOOLS/free-port")
    expect free "$(binds)" bound
    expect "lines of a free port" "$(grep -c event=bind "$BATS_TEST_TMPDIR/log" || true)" 0
}

@test "prog= is of each process: children of other names have their own rules" {
    for name in wanted other; do cp "$STATIC/subject" "$BATS_TEST_TMPDIR/$name"; done
    for name in wanted other; do
        start - "$TOOLS/peer" listen
        hear_port
        (supervised "rst prog=wanted; off" busybox sh -c '"$0" -c "$1" close >/dev/null; true' "$BATS_TEST_TMPDIR/$name" "$PORT"; finish)
        hear
        [ $name = wanted ] && expect wanted "$REPLY" "bytes=5 eof=0 reset=1"
        [ $name = other ] && expect other "$REPLY" "bytes=5 eof=1 reset=0"
        finish
    done
}

@test "every length and pointer that a program may pass: as without, and the supervisor's memory stays whole" {
    run_it=(timeout 60 "$ROOT/build/sanitized/linger" run -b supervise -l"$BATS_TEST_TMPDIR/log" -m)
    "$TOOLS/odd" >"$BATS_TEST_TMPDIR/plain"
    for policy in "fin peer=127.0.0.0/8" "fin-rst when=active"; do
        "${run_it[@]}" "$policy" -- "$TOOLS/odd" >"$BATS_TEST_TMPDIR/supervised"
        diff "$BATS_TEST_TMPDIR/plain" "$BATS_TEST_TMPDIR/supervised"
        expect changing "$("${run_it[@]}" "$policy" -- "$TOOLS/odd" threads)" "done"
    done
}

@test "TCP_LINGER2 from memory that ends before the length does is overruled like any other" {
    expect "without a policy" "$("$TOOLS/odd" linger2)" 5
    expect "under fin" "$(timeout 60 "$LINGER" run -b supervise -m fin -- "$TOOLS/odd" linger2)" "$(cat /proc/sys/net/ipv4/tcp_fin_timeout)"
}

# storm HOW COUNT MODE: afterwards the supervisor has no descriptor but the listener, its signals and
# the pidfds that it remembers (64 at most).
storm() {
    start - "$TOOLS/peer" -n "$2" listen
    hear_port
    peer=$PID
    peer_out=$OUT
    supervised "$3" "$STATIC/storm" "$1" "$PORT" "$2"
    hear
    expect "the storm" "$REPLY" "connected $2"
    find_processes storm
    ls -l "/proc/$SUPERVISOR/fd"
    expect "descriptors of the supervisor" "$(find "/proc/$SUPERVISOR/fd" -type l ! -lname '*pidfd*' | wc -l)" 5
    [ "$(find "/proc/$SUPERVISOR/fd" -lname '*pidfd*' | wc -l)" -le 64 ]
    expect "its children, the program and the guard" "$(children "$SUPERVISOR" | wc -w)" 2
    kill -TERM "$PID"
    finish
    expect status "$STATUS" 143
    await_end "$SUPERVISOR"
    kill -KILL "$peer" 2>/dev/null || true
    PID=$peer
    OUT=$peer_out
    finish
}

@test "stress: 200 threads connect while SIGURG and SIGCHLD rain" {
    storm threads 20000 rst
    storm threads 5000 "rst peer=127.0.0.0/8 when=active"
}

@test "stress: 2,000 short-lived children that leave orphans" {
    storm children 2000 rst
    storm children 1000 "rst when=active"
}

@test "stress: SIGKILL at 200 random moments: no hang, nobody left" {
    start - "$TOOLS/peer" -n 10000000 listen
    hear_port
    timeout 500 python3 - "$LINGER" "$STATIC/storm" "$PORT" 200 <<'EOF'
import os, random, subprocess, sys, time

linger, storm, port, rounds = *sys.argv[1:4], int(sys.argv[4])


def children(pid):
    try:
        return [int(word) for word in open(f"/proc/{pid}/task/{pid}/children").read().split()]
    except OSError:
        return []


def is_there(pid):  # a zombie of init's is not
    try:
        return ") Z " not in open(f"/proc/{pid}/stat").read()
    except OSError:
        return False


for round in range(rounds):
    mode = "rst when=active" if round % 2 else "rst"
    front = subprocess.Popen([linger, "run", "-m", mode, "--", storm, "threads", port, "1000000"])
    while not (supervisor := children(front.pid)) or not (program := children(supervisor[0])):
        assert front.poll() is None, front.returncode
    end = time.monotonic() + random.random() * 0.03
    while time.monotonic() < end:
        pass
    os.kill(program[0], 9)
    status = front.wait(timeout=60)
    assert status == -9, status
    while is_there(supervisor[0]) or is_there(program[0]):
        pass
EOF
    kill -KILL "$PID"
}

@test "a close() whose caller is killed before it is acted on is not acted on" {
    [ -z "${WITHOUT_LIBRARY:-}" ] || skip "of the supervisor"
    expect "the peer saw" "$(timeout 60 python3 "$ROOT/tests/tools/killed-in-close.py" "$LINGER" 2>&1 | grep -vE '^(strace|linger run: warning): ')" EOF
}

@test "a child for 32 bits is left alone, and that is said once" {
    [ "$(uname -m)" = x86_64 ] || skip "a supervisor of x86-64"
    needs_32_bit_programs
    i686-linux-gnu-gcc -O1 -D_GNU_SOURCE -o "$BATS_TEST_TMPDIR/subject32" "$ROOT/tests/tools/subject.c" -pthread
    start - "$TOOLS/peer" -n 2 listen
    hear_port
    export PORT SUBJECT32=$BATS_TEST_TMPDIR/subject32
    run --separate-stderr "$ROOT/linger" run -b supervise -m rst -- sh -c \
        '"$SUBJECT32" -c "$PORT" close 3>&- && "$SUBJECT32" -c "$PORT" close'
    expect status "$status" 0
    hear
    finish
    expect "the peer saw" "$REPLY" "bytes=10 eof=2 reset=0"
    [[ $stderr =~ ^"linger run: pid "[0-9]+" is a 32-bit program: a supervisor leaves its connections alone"$ ]]
}

@test "inside bubblewrap, with namespaces of its own: by the supervisor and by the preload" {
    local sandbox=(bwrap --ro-bind / / --dev /dev --proc /proc --unshare-user --unshare-pid --unshare-ipc --die-with-parent)
    command -v bwrap >/dev/null || skip "needs bubblewrap"
    "${sandbox[@]}" true || skip "needs user namespaces"
    under() {
        local mode=$1
        shift
        [ "$1" != "$SUBJECT" ] || set -- "${sandbox[@]}" "$@"
        [ "$mode" = - ] || [ -n "${WITHOUT_LIBRARY:-}" ] || set -- "$LINGER" run -b "$backend" -m "$mode" -- "$@"
        exec "$@"
    }
    for backend in supervise preload; do
        meet rst close
        sees 5 0 1 0
        finish
    done
}
