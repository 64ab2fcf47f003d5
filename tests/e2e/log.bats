#!/usr/bin/env bats
# LINGER_LOG: one whole line an event, into the log or nowhere.
load helper

LOG=

# logged MODE COMMAND...: meet under the log $LOG (a file).
logged() {
    LOG=$BATS_TEST_TMPDIR/log
    LINGER_LOG=$LOG meet "$@"
    cat "$LOG"
    EVENTS=$(python3 "$ROOT/tests/tools/parse-log.py" <"$LOG")
}

# field EVENT KEY: the values, one a line, of all events of that name.
field() {
    awk -v event=" event=$1 " -v key=" $2=" 'index($0, event) && (at = index($0, key)) {
        value = substr($0, at + length(key))
        if (value ~ /^"/) match(value, /^"[^"]*"/); else match(value, /^[^ ]+/)
        print substr(value, 1, RLENGTH)
    }' "$LOG"
}

# bats test_tags=preload
@test "the life of a connection: load, arm, override, close" {
    logged "off port=1; rst role=server" -o 0,0 close
    sees 5 0 1 0
    expect events "$EVENTS" "arm=1 close=1 load=1 override=1"
    expect version "$(field load version)" "$("$ROOT/linger" --version | cut -d' ' -f2)"
    expect program "$(field load program)" subject
    expect mode "$(field load mode)" '"off port=1; rst role=server"'
    expect at "$(field arm at)" listen
    expect "arm local" "$(field arm local)" "127.0.0.1:$PORT"
    for pair in role=server local=127.0.0.1:$PORT state=established when=active unread=0 \
        verdict=rst rule=2 'why="rst role=server"'; do
        expect "${pair%%=*}" "$(field close "${pair%%=*}")" "${pair#*=}"
    done
    [ "$(field close unsent)" = 0 ] || { ! linux_is 6.0 && expect "unsent, before its ACK" "$(field close unsent)" 5; }
    [[ $(field close peer) == 127.0.0.1:* ]]
    [ "$(field close cookie)" -gt 0 ]
}

# bats test_tags=preload
@test "a client, a passive close, a policy that does not match, no policy at all" {
    LOG=$BATS_TEST_TMPDIR/log
    LINGER_LOG=$LOG meet_as_client rst close
    expect role "$(field close role)" client
    rm "$LOG"
    PEER=-f logged "rst port=1" -w close
    expect when "$(field close when)" passive
    expect state "$(field close state)" close-wait
    expect verdict "$(field close verdict)" none
    expect why "$(field close why)" '"no rule matches"'
    rm "$LOG"
    logged "" close
    expect events "$EVENTS" "close=1 load=1"
    expect role "$(field close role)" server
}

# bats test_tags=preload
@test "the role in the line of close() is what connect() showed, not what the local port suggests" {
    start - "$TOOLS/peer" listen
    hear_port
    LOG=$BATS_TEST_TMPDIR/log
    (LINGER_LOG=$LOG under "" python3 -c "
import socket
client = socket.socket()
for port in range(20000, 20100):
    try:
        client.bind(('127.0.0.1', port))
        break
    except OSError:
        pass
client.connect(('127.0.0.1', $PORT))
client.close()")
    hear
    finish
    cat "$LOG"
    expect role "$(field close role)" client
    expect events "$(python3 "$ROOT/tests/tools/parse-log.py" <"$LOG")" "close=1 load=1"
}

# bats test_tags=preload
@test "unread data: the line says that the kernel resets whatever the mode" {
    PEER="-s 3" logged fin-rst close
    expect unread "$(field close unread)" 3
    expect why "$(field close why)" '"unread data: the kernel sends RST whatever the mode"'
    expect "the peer saw" "$SEEN" "bytes=5 eof=0 reset=1"
}

# bats test_tags=preload
@test "unsent data, and a shutdown that became an abort" {
    needs_namespace
    sysctl -qw net.ipv4.tcp_wmem="4096 8388608 16777216"
    LOG=$BATS_TEST_TMPDIR/log
    LINGER_LOG=$LOG start rst "$SUBJECT" -r -b 4194304 close
    hear_port
    exec {GO}> >(exec "$TOOLS/peer" -k -g connect "$PORT" >/dev/null 3>&-)
    hear
    hear
    echo go >&"$GO"
    finish
    exec {GO}>&-
    [ "$(field close unsent)" -gt 1000000 ]
    rm "$LOG"
    logged rst -s rdwr close
    expect events "$EVENTS" "arm=1 close=1 load=1 reset=1"
    expect "state after the abort" "$(field close state)" closed
}

# bats test_tags=preload
# Python half-closes and then closes, here before that FIN is acknowledged.
@test "a FIN under way is not an unsent byte, though the kernel counts it as one" {
    needs_namespace
    LOG=$BATS_TEST_TMPDIR/log
    PORT=$("$TOOLS/free-port")
    nft "add table inet lost; add chain inet lost leaving { type filter hook output priority 0; };
        add rule inet lost leaving tcp sport $PORT tcp flags & fin == fin drop"
    LINGER_LOG=$LOG start fin python3 -m http.server --bind 127.0.0.1 "$PORT"
    await_listener
    exec {CLIENT}<>"/dev/tcp/127.0.0.1/$PORT"
    printf 'GET / HTTP/1.0\r\n\r\n' >&"$CLIENT"
    eventually grep -qs "event=close .* state=fin-wait-1 when=active unsent=0" "$LOG"
    nft delete table inet lost
    exec {CLIENT}>&-
    kill "$PID"
    finish
    run ! grep "event=close .* unsent=[^0]" "$LOG"
}

@test "bind: the options set, and who holds the port when it fails" {
    LOG=$BATS_TEST_TMPDIR/log
    PORT=$("$TOOLS/free-port")
    LINGER_LOG=$LOG LINGER_REUSEADDR=1 start "" "$SUBJECT" -p "$PORT" -r close
    hear
    expect SO_REUSEADDR "$(field bind SO_REUSEADDR)" 1
    rm "$LOG"
    (LINGER_LOG=$LOG under "" "$SUBJECT" -p "$PORT" close) || true
    cat "$LOG"
    [ "${BACKEND:-}" = supervise ] || expect errno "$(field bind errno)" 98 # the supervisor looks before the call
    expect why "$(field bind why)" '"a listener holds the port"'
    "$TOOLS/peer" -k connect "$PORT"
    finish
    time_wait "$PORT" >/dev/null
    rm "$LOG"
    # A run that asked for SO_REUSEADDR binds over its TIME_WAIT; one that does not is refused.
    (LINGER_LOG=$LOG under "" "$SUBJECT" -p "$PORT" close) || true
    cat "$LOG"
    expect time_wait "$(field bind time_wait)" 1
    [ "$(field bind seconds)" -gt 50 ] && [ "$(field bind seconds)" -le 60 ]
    expect why "$(field bind why)" '"TIME_WAIT sockets hold the port unless both runs set SO_REUSEADDR"'
}

@test "a call that cannot close sets no option and has no line; where close_range() is unknown, one close has one" {
    LOG=$BATS_TEST_TMPDIR/log
    for BACKEND in preload supervise; do
        rm -f "$LOG"
        (LINGER_LOG=$LOG under "rst when=active" "$TOOLS/refuse" 38 close_range python3 -c "
import ctypes, os, resource, socket
libc = ctypes.CDLL(None, use_errno=True)
listener = socket.create_server(('127.0.0.1', 0))
clients = [socket.create_connection(listener.getsockname()) for _ in range(2)]
fd = clients[0].fileno()
assert libc.close_range(fd, fd, 8) == libc.close_range(fd, fd, 4 | 1) == libc.close_range(fd, fd, 0) == -1
assert libc.dup3(0, fd, os.O_APPEND) == libc.dup3(fd, fd, 0) == libc.dup3(-1, fd, 0) == libc.dup2(-1, fd) == -1
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (fd, hard))
assert libc.dup3(0, fd, 0) == libc.dup2(0, fd) == -1
assert clients[0].getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == bytes(8)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
os.closerange(fd, fd + 1)
assert libc.dup2(0, clients[1].fileno()) == clients[1].fileno()
os._exit(0)")
        cat "$LOG"
        expect "closes, $BACKEND" "$(grep -c event=close "$LOG")" 2
    done
}

# bats test_tags=preload
@test "a half-close whose peer closes then: TIME_WAIT stays, and the log claims no verdict" {
    LOG=$BATS_TEST_TMPDIR/log
    PORT=$("$TOOLS/free-port")
    LD_PRELOAD=$LIB LINGER_MODE="fin-rst role=server" LINGER_LOG=$LOG python3 -c 'import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
client = socket.create_connection(listener.getsockname())
server = listener.accept()[0]
server.shutdown(socket.SHUT_WR)
client.recv(1)
client.close()
server.recv(1)
server.close()' "$PORT"
    cat "$LOG"
    expect TIME_WAIT "$(count_time_wait "sport = :$PORT")" 1
    grep -q "event=close .* local=[^ ]*$PORT .*state=closed .* verdict=none why=\"no connection is left to end\"" "$LOG"
}

# bats test_tags=preload
@test "bind: a client's connection that holds the port is named, and so is the remedy" {
    needs_namespace
    LOG=$BATS_TEST_TMPDIR/log
    sysctl -qw net.ipv4.ip_local_port_range="50051 50051"
    start - "$TOOLS/peer" -n 9 listen 8000
    hear_port
    fails='import socket
client = socket.create_connection(("127.0.0.1", 8000))
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
try:
    server.bind(("127.0.0.1", 50051))
except OSError:
    import subprocess, sys
    subprocess.run([sys.argv[1], "states", "-p", "50051"], env={})'
    why="a client's connection to 127.0.0.1:8000 holds the port; reserve it by net.ipv4.ip_local_reserved_ports"
    LD_PRELOAD=$LIB LINGER_LOG=$LOG python3 -c "$fails" "$ROOT/linger" >"$BATS_TEST_TMPDIR/states"
    sysctl -qw net.ipv4.ip_local_port_range="32768 60999"
    cat "$BATS_TEST_TMPDIR/states"
    expect "the log" "$(grep errno=98 "$LOG" | sed 's/.* why=//')" "\"$why\""
    grep -qx "  $why" "$BATS_TEST_TMPDIR/states"
    # One with a fixed source port outside of the range is a client's too.
    python3 -c 'import socket
client = socket.socket()
client.bind(("127.0.0.1", 20))
client.connect(("127.0.0.1", 8000))
client.shutdown(socket.SHUT_WR)
client.recv(9)'
    "$ROOT/linger" states -p 20 | tee "$BATS_TEST_TMPDIR/states"
    grep -qx "  a client's connection to 127.0.0.1:8000 holds the port" "$BATS_TEST_TMPDIR/states"
    kill "$PID" || true
}

# connects ADDRESS PORT [COUNT]: keeps COUNT connections and closes none; prints the errno of the one that fails.
connects() {
    LD_PRELOAD=$LIB LINGER_LOG=$LOG LINGER_STATS=$BATS_TEST_TMPDIR/stats python3 -c 'import errno, socket, sys
kept = []
try:
    for _ in range(int(sys.argv[3])):
        kept.append(socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET))
        kept[-1].connect((sys.argv[1], int(sys.argv[2])))
except OSError as error:
    print(errno.errorcode[error.errno])' "$1" "$2" "${3:-1}"
}

# bats test_tags=preload
@test "connect: refused, no port left, no such address: the errno and why, counted" {
    needs_namespace
    LOG=$BATS_TEST_TMPDIR/log
    PORT=$("$TOOLS/free-port")
    expect refused "$(connects 127.0.0.1 "$PORT")" ECONNREFUSED
    expect "why, refused" "$(field connect why)" '"refused: nobody listens there, or a filter says so"'
    expect errno "$(field connect errno) $(field connect peer)" "111 127.0.0.1:$PORT"
    expect "what the close says" "$(field close why)" '"no connection is left to end"'
    rm "$LOG"
    # Where no server of another test has left TIME_WAIT.
    sysctl -qw net.ipv4.ip_local_port_range="31000 31009" net.ipv4.tcp_tw_reuse=0
    start - "$TOOLS/peer" -n 50 listen 80
    hear_port
    expect "no port" "$(connects 127.0.0.1 80 20)" EADDRNOTAVAIL
    grep -q "event=connect .* errno=99 time_wait=0 others=10 seconds=0 why=\"no port is left towards 127.0.0.1:80\"" "$LOG"
    # A second connection between the same two ports.
    rm "$LOG"
    LD_PRELOAD=$LIB LINGER_LOG=$LOG python3 -c 'import socket
for _ in range(2):
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    client.bind(("127.0.0.1", 4000))
    kept = client if not client.connect_ex(("127.0.0.1", 80)) else kept'
    grep -q "event=connect .* local=127.0.0.1:4000 .* errno=99 .* why=\"this port has a connection already to 127.0.0.1:80\"" "$LOG"
    rm "$LOG"
    sysctl -qw net.ipv4.ip_local_port_range="32768 60999" net.ipv6.conf.all.disable_ipv6=1
    expect "no IPv6" "$(connects ::1 80)" EADDRNOTAVAIL
    expect "why, no IPv6" "$(field connect why)" '"this host has no address to reach [::1] from"'
    rm "$LOG"
    expect "no route" "$(connects 192.0.2.1 80)" ENETUNREACH
    expect "why, no route" "$(field connect why)" '"unreachable: there is no route, or a router says so"'
    rm "$LOG"
    LD_PRELOAD=$LIB LINGER_LOG=$LOG LINGER_STATS=$BATS_TEST_TMPDIR/stats python3 -c 'import socket, subprocess
subprocess.run(["ip", "addr", "add", "192.0.2.7/32", "dev", "lo"])
client = socket.socket()
client.bind(("192.0.2.7", 0))
subprocess.run(["ip", "addr", "del", "192.0.2.7/32", "dev", "lo"])
client.connect_ex(("127.0.0.1", 80))
try:
    socket.socket().bind(("192.0.2.9", 4000))
except OSError:
    pass'
    expect "why, an address that is gone" "$(field connect why)" '"this host has no address 192.0.2.7"'
    expect "why, bind" "$(grep "errno=" "$LOG" | sed -n "s/.*event=bind fd=[0-9]* //p")" 'local=192.0.2.9:4000 errno=99 why="this host has no address 192.0.2.9"'
    sysctl -qw net.ipv6.conf.all.disable_ipv6=0
    run "$ROOT/linger" stats -j "$BATS_TEST_TMPDIR/stats"
    [[ $output == *'"bind_failed":1,"connect_failed":5,'* ]]
}

# bats test_tags=preload
@test "connect: one that goes on in the background is no failure, and its error is one when it is asked for" {
    LOG=$BATS_TEST_TMPDIR/log
    PORT=$("$TOOLS/free-port")
    LD_PRELOAD=$LIB LINGER_LOG=$LOG python3 -c 'import select, socket, sys
address = ("127.0.0.1", int(sys.argv[1]))
client = socket.socket()
client.setblocking(False)
client.connect_ex(address)
select.select([], [client], [], 30)
client.connect_ex(address)
listener = socket.create_server(("127.0.0.1", 0))
client = socket.socket()
client.setblocking(False)
client.connect_ex(listener.getsockname())
select.select([], [client], [], 30)
client.connect_ex(listener.getsockname())
client.connect_ex(listener.getsockname())
socket.socket(socket.AF_UNIX).connect_ex("/nowhere")
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect_ex(("255.255.255.255", 1))' "$PORT"
    cat "$LOG"
    expect "lines of connect" "$(grep -c event=connect "$LOG")" 1
    expect errno "$(field connect errno)" 111
}

@test "the events before the colon, and no other" {
    cd "$BATS_TEST_TMPDIR"
    closes='import os, socket
os.chdir("/")
socket.socket().connect_ex(("127.0.0.1", 1))'
    LD_PRELOAD=$LIB LINGER_LOG=close,connect:"$BATS_TEST_TMPDIR/log.%p" python3 -c "$closes"
    expect variable "$(python3 "$ROOT/tests/tools/parse-log.py" <"$(echo log.*)")" "close=1 connect=1"
    "$ROOT/linger" run -l=connect:relative -- python3 -c "$closes"
    expect option "$(python3 "$ROOT/tests/tools/parse-log.py" <relative)" "connect=1"
    "$ROOT/linger" run -l=load:stderr -- python3 -c "$closes" 2>stderr
    expect stderr "$(python3 "$ROOT/tests/tools/parse-log.py" <stderr)" "load=1"
    "$ROOT/linger" run -l=load:./a:b -- true
    "$ROOT/linger" run -l=./a:b -- true
    expect "a colon in the name" "$(grep -c event=load a:b)" 2
}

# bats test_tags=preload
@test "what failed is no override, what was bound no failure, and close-on-exec no close" {
    python3 -c 'import ctypes; exit(ctypes.CDLL(None).syscall(436, -1, -1, 4) != 0)' ||
        skip "this kernel has no CLOSE_RANGE_CLOEXEC (Linux 5.11)"
    LOG=$BATS_TEST_TMPDIR/log
    (LINGER_LOG=$LOG under "rst when=active" python3 -c "
import ctypes, os, socket
libc = ctypes.CDLL(None, use_errno=True)
address = (ctypes.c_char * 16).from_buffer_copy(b'\\2\\0\\0\\0' + socket.inet_aton('127.0.0.1') + bytes(8))
listener = socket.create_server(('127.0.0.1', 0))
address[2:4] = listener.getsockname()[1].to_bytes(2, 'big')
client = socket.create_connection(listener.getsockname())
third = socket.socket()
assert libc.bind(third.fileno(), address, 16) == -1
address[2:4] = int($("$TOOLS/free-port")).to_bytes(2, 'big')
ctypes.set_errno(98)
assert libc.bind(third.fileno(), address, 16) == 0
assert libc.close_range(client.fileno(), client.fileno(), 4) == 0
os._exit(0)")
    cat "$LOG"
    expect events "$(python3 "$ROOT/tests/tools/parse-log.py" <"$LOG")" "bind=1 load=1"
    rm "$LOG"
    (LINGER_LOG=$LOG under rst python3 -c "
import os, socket
client = socket.socket()
try:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'')
except OSError:
    os._exit(0)")
    cat "$LOG"
    expect events "$(python3 "$ROOT/tests/tools/parse-log.py" <"$LOG")" "arm=1 load=1"
}

# bats test_tags=preload
@test "an option that the kernel refuses is a line: MPTCP has no TCP_LINGER2" {
    [ -e /proc/sys/net/mptcp/enabled ] || skip "this kernel has no MPTCP"
    LOG=$BATS_TEST_TMPDIR/log
    (LINGER_LOG=$LOG under fin-rst python3 -c "import socket; socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)")
    cat "$LOG"
    expect option "$(field fail option)" TCP_LINGER2
    expect errno "$(field fail errno)" 92
}

# bats test_tags=preload
@test "%p is the pid, a relative name is kept over chdir, values are quoted and cut at 512 bytes" {
    cd "$BATS_TEST_TMPDIR"
    mkdir elsewhere
    (LINGER_LOG='log.%p.%%' under rst python3 -c "
import os, socket
os.chdir('elsewhere')
socket.socket()
if os.fork() == 0:
    socket.socket()
    os._exit(0)
os.wait()")
    expect files "$(find . -name 'log.*.%' | wc -l)" 2
    for log in log.*.%; do
        expect "pid in $log" "$(grep -o 'pid=[0-9]*' "$log" | sort -u)" "pid=$(cut -d. -f2 <<<"$log")"
    done
    LOG=$BATS_TEST_TMPDIR/long
    long="rst peer=$(printf '10.0.0.%d,' $(seq 100))10.0.0.0/8"
    cp "$SUBJECT" "a \"program\" \\ "$'\e'
    (LINGER_LOG=$LOG under "$long" "./a \"program\" \\ "$'\e' nothing)
    cat "$LOG"
    python3 "$ROOT/tests/tools/parse-log.py" <"$LOG"
    expect program "$(grep -o 'program=.* mode=' "$LOG")" 'program="a \"program\" \\ \x1b" mode='
    grep -q '\.\.\."$' "$LOG"
}

# bats test_tags=preload
@test "LINGER_LOG=stderr, and an invalid value" {
    LINGER_LOG=stderr meet rst close
    expect events "$(python3 "$ROOT/tests/tools/parse-log.py" <"$BATS_TEST_TMPDIR/stderr")" "arm=1 close=1 load=1"
    run env LD_PRELOAD="$LIB" LINGER_LOG="/tmp/x.%d" "$SUBJECT" nothing
    expect status "$status" 125
    expect complaint "${lines[0]}" "liblinger: LINGER_LOG: unknown '%d'"
}

@test "never into somebody else's descriptor: a client's socket takes descriptor 2" {
    for trick in "os.close(2)" "os.closerange(0, 1024)" "os.dup2(1, 2); os.close(2)"; do
        start - "$TOOLS/peer" listen
        hear_port
        LINGER_LOG=stderr TRICK=$trick
        export LINGER_LOG PORT TRICK
        (under "rst when=passive; fin" python3 -c "
import os, socket
if os.fork():
    os.wait()
    os._exit(0)
exec(os.environ['TRICK'])
for fd in range(3):
    try:
        os.fstat(fd)
    except OSError:
        if fd < 2:
            os.open('/dev/null', os.O_RDWR)
client = socket.create_connection(('127.0.0.1', int(os.environ['PORT'])))
assert client.fileno() == 2, client.fileno()
for _ in range(10):
    other = socket.create_server(('127.0.0.1', 0))
    own = socket.create_connection(other.getsockname())
    own.close()
client.send(b'mine')
client.close()" 2>"$BATS_TEST_TMPDIR/log")
        unset LINGER_LOG
        grep -q event=load "$BATS_TEST_TMPDIR/log"
        hear
        expect "after $trick the peer saw" "$REPLY" "bytes=4 eof=1 reset=0"
        finish
    done
}

# The program runs on undisturbed: subject meets its peer under rst and the log $1.
undisturbed() {
    LINGER_LOG=$1 meet rst close
    expect status "$STATUS" 0
    sees 5 0 1 0
}

@test "an unwritable file, a directory, a missing directory: one warning, and the program goes on" {
    undisturbed "$BATS_TEST_TMPDIR"
    expect warning "$(cat "$BATS_TEST_TMPDIR/stderr")" "liblinger: LINGER_LOG: '$BATS_TEST_TMPDIR' is a directory, so nothing is written there"
    undisturbed "$BATS_TEST_TMPDIR/no/log"
    expect warning "$(cat "$BATS_TEST_TMPDIR/stderr")" "liblinger: LINGER_LOG: '$BATS_TEST_TMPDIR/no/log' cannot be written, so nothing is written there"
}

# bats test_tags=preload
@test "a log that disappears is made again" {
    LOG=$BATS_TEST_TMPDIR/log
    LINGER_LOG=$LOG start rst "$SUBJECT" -n 2 -r close
    hear_port
    "$TOOLS/peer" -k connect "$PORT"
    until grep -q event=close "$LOG"; do :; done
    rm "$LOG"
    "$TOOLS/peer" -k connect "$PORT"
    finish
    expect status "$STATUS" 0
    expect events "$(python3 "$ROOT/tests/tools/parse-log.py" <"$LOG")" "close=1"
}

# bats test_tags=preload
@test "a FIFO that is read gets each line" {
    mkfifo "$BATS_TEST_TMPDIR/fifo"
    exec {READER}<>"$BATS_TEST_TMPDIR/fifo"
    undisturbed "$BATS_TEST_TMPDIR/fifo"
    expect events "$(timeout 60 head -n 3 <&"$READER" | python3 "$ROOT/tests/tools/parse-log.py")" "arm=1 close=1 load=1"
    exec {READER}<&-
}

@test "a FIFO without a reader, one that is full, a closed pipe and a full one: never blocks" {
    mkfifo "$BATS_TEST_TMPDIR/fifo"
    undisturbed "$BATS_TEST_TMPDIR/fifo"
    exec {READER}<>"$BATS_TEST_TMPDIR/fifo"
    python3 -c "
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_NONBLOCK)
try:
    while True:
        os.write(fd, b'x' * 4096)
except BlockingIOError:
    pass" "$BATS_TEST_TMPDIR/fifo"
    undisturbed "$BATS_TEST_TMPDIR/fifo"
    exec {READER}<&-
    cat >"$BATS_TEST_TMPDIR/pipes.py" <<'END'
import fcntl, os, socket, subprocess, sys
for full in False, True:
    reader, writer = os.pipe()
    if full:
        os.set_blocking(writer, False)
        try:
            while True:
                os.write(writer, b"x" * 4096)
        except BlockingIOError:
            os.set_blocking(writer, True)
    else:
        os.close(reader)
    status = subprocess.run(
        ["python3", "-c", "import socket; [socket.socket().close() for _ in range(100)]"],
        stderr=writer, env=dict(os.environ, LD_PRELOAD=sys.argv[1], LINGER_MODE="rst", LINGER_LOG="stderr"),
        timeout=60).returncode
    print(status, flush=True)
END
    expect "statuses" "$(python3 "$BATS_TEST_TMPDIR/pipes.py" "$LIB" | tr '\n' ' ')" "0 0 "
}

# bats test_tags=preload
@test "a terminal that nobody reads and that has less room than a line: never blocks, the line is counted as lost" {
    needs_terminal
    STATS=$BATS_TEST_TMPDIR/stats
    run timeout 60 python3 "$ROOT/tests/tools/full-terminal.py" env LD_PRELOAD="$LIB" LINGER_LOG=stderr LINGER_STATS="$STATS" \
        python3 -c "import socket; [socket.socket().close() for _ in range(100)]"
    expect status "$output" 0
    [ "$("$ROOT/linger" stats --json "$STATS" | python3 -c "import json, sys; print(json.load(sys.stdin)['log_lost'])")" -gt 0 ]
}

# bats test_tags=preload
@test "a terminal with tostop does not stop a process in the background that logs" {
    needs_terminal
    run timeout 60 python3 - "$LIB" <<'END'
import os, pty, sys, termios
front, terminal = pty.fork()
if front == 0:
    attributes = termios.tcgetattr(0)
    attributes[3] |= termios.TOSTOP
    termios.tcsetattr(0, termios.TCSANOW, attributes)
    back = os.fork()
    if back == 0:
        os.setpgid(0, 0)
        os.execvpe("python3", ["python3", "-c", "import socket; socket.socket().close()"],
                   os.environ | {"LD_PRELOAD": sys.argv[1], "LINGER_LOG": "stderr"})
    os._exit(os.WIFSTOPPED(os.waitpid(back, os.WUNTRACED)[1]))
try:
    while os.read(terminal, 4096):
        pass
except OSError:
    pass
print(os.waitstatus_to_exitcode(os.waitpid(front, 0)[1]))
END
    expect "stopped" "$output" 0
}

@test "a full disk, a file size limit and a read-only root: the program goes on" {
    needs_mount_namespace
    undisturbed /dev/full
    mkdir "$BATS_TEST_TMPDIR/small"
    cat >"$BATS_TEST_TMPDIR/run.sh" <<'END'
mount -t tmpfs -o size=4k tmpfs "$1/small"
head -c 4096 /dev/zero >"$1/small/fill"
export LINGER_MODE=rst LD_PRELOAD=$2
close="import socket; [socket.socket().close() for _ in range(10)]"
LINGER_LOG=$1/small/log LINGER_STATS=$1/small/stats python3 -c "$close"; echo full $?
(ulimit -f 0; LINGER_LOG=$1/limited LINGER_STATS=$1/limited.stats python3 -c "$close"); echo limited $?
mount -o remount,ro "$1/small"
LINGER_LOG=$1/small/log2 LINGER_STATS=$1/small/stats2 python3 -c "$close"; echo read-only $?
END
    run --separate-stderr unshare -m sh "$BATS_TEST_TMPDIR/run.sh" "$BATS_TEST_TMPDIR" "$LIB"
    echo "$output $stderr"
    expect statuses "$(tr '\n' ' ' <<<"$output")" "full 0 limited 0 read-only 0 "
}

@test "no /proc, and a seccomp filter that forbids open: as without us" {
    LOG=$BATS_TEST_TMPDIR/log
    for policy in rst "rst when=active"; do
        LINGER_LOG=$LOG LINGER_STATS=$BATS_TEST_TMPDIR/stats start "$policy" "$TOOLS/sandboxed" refuse
        hear_port
        SEEN=$("$TOOLS/peer" -k -n 10 connect "$PORT")
        finish
        expect status "$STATUS" 0
    done
    needs_mount_namespace
    run unshare -m sh -c 'mount -t tmpfs none /proc && LD_PRELOAD=$1 LINGER_MODE="rst role=server" LINGER_LOG=$2 "$3" nothing' _ "$LIB" "$LOG" "$SUBJECT"
    expect status "$status" 0
}
