#!/usr/bin/env bats
# Bad company and bad conditions: other preloads, sanitizers, sandboxes, tables of descriptors that
# are full, stacks that are small, signals at any moment.
# bats file_tags=preload
load helper

LIBDIR=/usr/lib/$(gcc -print-multiarch)

parsed_log() {
    python3 "$ROOT/tests/tools/parse-log.py" <"$BATS_TEST_TMPDIR/log"
}

# The subject's source, built another way, takes its place: built_with COMPILER FLAG...
built_with() {
    "$@" -g -D_GNU_SOURCE -o "$BATS_TEST_TMPDIR/subject" "$ROOT/tests/tools/subject.c" -pthread
    SUBJECT=$BATS_TEST_TMPDIR/subject
}

# --- results and errno

@test "TCP sockets: results, EINTR, and errno after a success are the same under every policy" {
    results() {
        (under "$1" "$TOOLS/results")
    }
    results - >"$BATS_TEST_TMPDIR/plain"
    [ "$(grep -c 'interrupted: -1 errno 4$' "$BATS_TEST_TMPDIR/plain")" = 5 ]
    for policy in fin rst fin-rst wait:1 "rst when=active" "fin role=client; rst peer=127.0.0.1"; do
        results "$policy" >"$BATS_TEST_TMPDIR/policy"
        diff "$BATS_TEST_TMPDIR/plain" "$BATS_TEST_TMPDIR/policy"
    done
    for policy in rst "fin-rst when=active"; do
        LINGER_LOG=$BATS_TEST_TMPDIR/log LINGER_STATS=$BATS_TEST_TMPDIR/stats results "$policy" >"$BATS_TEST_TMPDIR/policy"
        diff "$BATS_TEST_TMPDIR/plain" "$BATS_TEST_TMPDIR/policy"
    done
    parsed_log
    grep -q event=close "$BATS_TEST_TMPDIR/log"
}

# --- descriptors

@test "the highest descriptor that the limit allows, and none free" {
    for policy in rst "rst when=active" fin-rst "fin-rst role=server when=active"; do
        # The log cannot be opened then: the line is lost, and nothing else.
        LINGER_LOG=$BATS_TEST_TMPDIR/log start "$policy" "$TOOLS/brim"
        hear_port
        SEEN=$("$TOOLS/peer" -k connect "$PORT")
        hear
        expect descriptor "$REPLY" "fd $(($(ulimit -Hn) - 1))"
        finish
        expect status "$STATUS" 0
        LEFT=$(time_wait "$PORT")
        case $policy in
        rst*) sees 5 0 1 0 ;;
        *) sees 5 1 0 0 ;;
        esac
    done
}

@test "a limit of five descriptors: no room for the log, which says so in the counters" {
    export LINGER_LOG=$BATS_TEST_TMPDIR/log LINGER_STATS=$BATS_TEST_TMPDIR/stats
    start "rst when=active" bash -c 'exec 3>&- 4>&-; ulimit -n 5; exec "$@"' _ "$SUBJECT" -r close
    hear_port
    SEEN=$("$TOOLS/peer" -k connect "$PORT")
    finish
    expect status "$STATUS" 0
    expect "the peer saw" "$SEEN" "bytes=5 eof=0 reset=1"
    run "$ROOT/linger" stats --json "$LINGER_STATS"
    [[ $output == *'"closed_active_rst":1,'* ]]
    [[ $output =~ '"log_lost":'[1-9] ]]
}

# crowded MODE SERVER...: a crowd serves two ports, at each of which eight peers call at a time. They
# are SEEN_A and SEEN_B.
crowded() {
    local policy=$1 peers=() i
    shift
    start "$policy" "$@"
    hear
    read -r _ PORT_A PORT_B <<<"$REPLY"
    for i in 1 2 3 4 5 6 7 8; do
        "$TOOLS/peer" -k -n 50 connect "$PORT_A" >"$BATS_TEST_TMPDIR/a$i" 3>&- &
        peers+=($!)
        "$TOOLS/peer" -k -n 50 connect "$PORT_B" >"$BATS_TEST_TMPDIR/b$i" 3>&- &
        peers+=($!)
    done
    for i in "${peers[@]}"; do
        wait "$i"
    done
    finish
    expect status "$STATUS" 0
    SEEN_A=$(sort "$BATS_TEST_TMPDIR"/a? | uniq -c | xargs)
    SEEN_B=$(sort "$BATS_TEST_TMPDIR"/b? | uniq -c | xargs)
}

@test "64 threads accept and close while every descriptor is reused" {
    for policy in rst "rst when=active" "rst share=100%"; do
        crowded "$policy" "$TOOLS/crowd" 400 0 0
        expect "the peers saw" "$SEEN_A" "8 bytes=250 eof=0 reset=50"
        expect "the peers saw" "$SEEN_B" "8 bytes=250 eof=0 reset=50"
        expect "TIME_WAIT left" "$(time_wait "$PORT_A")" 0
    done
}

# The canary: a verdict that came to the wrong socket would show on the port that is left alone.
@test "64 threads, descriptors reused: the port under off ends with FIN alone, the other with RST" {
    for rest in rst "rst when=active" "rst share=100%" "rst peer=127.0.0.1 when=active"; do
        canary=$("$TOOLS/free-port")
        crowded "off port=$canary; $rest" "$TOOLS/crowd" 400 "$canary" 0
        expect "the peers of the canary saw" "$SEEN_A" "8 bytes=250 eof=50 reset=0"
        expect "the other peers saw" "$SEEN_B" "8 bytes=250 eof=0 reset=50"
        expect "TIME_WAIT of the other" "$(time_wait "$PORT_B")" 0
    done
}

@test "threads with stacks of 16 KiB close under when=, with the log and the counters on" {
    # PTHREAD_STACK_MIN: the program's frames, ours and what the loader keeps for each thread.
    export LINGER_LOG=$BATS_TEST_TMPDIR/log LINGER_STATS=$BATS_TEST_TMPDIR/stats
    crowded "off peer=10.0.0.0/8; rst when=active share=100%" "$TOOLS/crowd" -s 16384 400 0 0
    expect "the peers saw" "$SEEN_A" "8 bytes=250 eof=0 reset=50"
    expect "the peers saw" "$SEEN_B" "8 bytes=250 eof=0 reset=50"
    parsed_log
    [ "$(grep -c 'event=close .* verdict=rst' "$BATS_TEST_TMPDIR/log")" -ge 799 ]
}

# --- moments

@test "a signal handler closes one connection while close() of another one lingers" {
    for log in "" "$BATS_TEST_TMPDIR/log"; do
        LINGER_LOG=$log start "wait:9 role=client when=active; rst role=server" "$TOOLS/interrupt" close
        hear_port
        SEEN=$("$TOOLS/peer" -k connect "$PORT")
        hear
        expect "the handler ran" "$REPLY" "in close 1"
        finish
        expect status "$STATUS" 0
        LEFT=$(time_wait "$PORT")
        sees 5 0 1 0
    done
    parsed_log
}

@test "a handler closes 1,000 times a second while the program logs: every line is whole" {
    for policy in rst "rst when=active"; do
        rm -f "$BATS_TEST_TMPDIR/log"
        start - "$TOOLS/peer" -n 1000 listen
        hear_port
        (LINGER_LOG=$BATS_TEST_TMPDIR/log under "$policy" "$TOOLS/interrupt" tick "$PORT" 1000)
        hear
        SEEN=$REPLY
        finish
        LEFT=$(time_wait "$PORT")
        sees 5000 0 1000 0
        parsed_log
        expect "connections in the log" "$(grep -c 'event=close .* peer=127.0.0.1:.* verdict=rst' "$BATS_TEST_TMPDIR/log")" 1000
    done
}

@test "a constructor of another library closes a connection before ours has run" {
    gcc -shared -fPIC -x c -o "$BATS_TEST_TMPDIR/closes.so" - <<'END'
#include <unistd.h>
static void __attribute__((constructor)) early(void)
{
    close(8);
}
END
    for order in "$LIB:$BATS_TEST_TMPDIR/closes.so" "$BATS_TEST_TMPDIR/closes.so:$LIB"; do
        start - "$TOOLS/peer" listen
        hear_port
        (
            exec 8<>"/dev/tcp/127.0.0.1/$PORT"
            LIB=$order under "rst when=active" "$SUBJECT" nothing
        )
        hear
        expect "the peer saw" "$REPLY" "bytes=0 eof=0 reset=1"
        finish
    done
}

@test "vfork() and posix_spawn(): the child's own close() tears nothing down" {
    export LINGER_LOG=$BATS_TEST_TMPDIR/log
    for policy in rst "rst when=active"; do
        start "$policy" "$TOOLS/vforked"
        hear_port
        SEEN=$("$TOOLS/peer" -k connect "$PORT")
        finish
        expect status "$STATUS" 0
        LEFT=$(time_wait "$PORT")
        sees 10 0 1 0
    done
    parsed_log
}

# --- other libraries

@test "a library opened with RTLD_DEEPBIND binds past every preload; opened without, it obeys" {
    gcc -shared -fPIC -D_GNU_SOURCE -Dmain=entry -o "$BATS_TEST_TMPDIR/plugin.so" "$ROOT/tests/tools/subject.c" -pthread
    plugin() { # FLAGS
        start rst python3 -c "
import ctypes, os, sys
plugin = ctypes.CDLL(sys.argv[1], mode=os.RTLD_NOW | $1)
plugin.entry(3, (ctypes.c_char_p * 4)(b'plugin', b'-r', b'close', None))" "$BATS_TEST_TMPDIR/plugin.so"
        hear_port
        SEEN=$("$TOOLS/peer" -k connect "$PORT")
        finish
        LEFT=$(time_wait "$PORT")
    }
    plugin 0
    sees 5 0 1 0
    plugin os.RTLD_DEEPBIND
    sees 5 1 0 1
}

# beside PRELOAD: in both orders each mode takes effect.
beside() {
    [ -e "$1" ] # or the loader would go on without it
    local order
    for order in "$1:$LIB" "$LIB:$1"; do
        LIB=$order meet rst close
        sees 5 0 1 0
        LIB=$order meet "fin-rst role=server" fclose
        sees 5 1 0 0
        LIB=$order meet "rst when=active" dup2
        sees 5 0 1 0
        LIB=$order meet_as_client fin-rst sigkill
        sees 5 1 0 0
    done
}

@test "together with libeatmydata" {
    beside "$LIBDIR/libeatmydata.so.1"
}

@test "together with libfaketime, which still fakes the time" {
    beside "$LIBDIR/faketime/libfaketime.so.1"
    for order in "$LIB:$LIBDIR/faketime/libfaketime.so.1" "$LIBDIR/faketime/libfaketime.so.1:$LIB"; do
        year=$(export FAKETIME="@2001-02-03 04:05:06"; LD_PRELOAD=$order LINGER_MODE=rst date +%Y)
        expect year "$year" 2001
    done
}

# bats test_tags=plain
@test "together with libjemalloc2" {
    beside "$LIBDIR/libjemalloc.so.2"
}

# bats test_tags=plain
@test "together with libsocket-wrapper: its connections are AF_UNIX, and work as without us" {
    wrapper=$LIBDIR/libsocket_wrapper.so
    [ -e "$wrapper" ]
    export SOCKET_WRAPPER_DIR=$BATS_TEST_TMPDIR/wrapped
    mkdir "$SOCKET_WRAPPER_DIR"
    LOG=$BATS_TEST_TMPDIR/log
    for order in "$wrapper:$LIB" "$LIB:$wrapper"; do
        for policy in rst fin-rst "rst when=active"; do
            rm -f "$LOG"
            LINGER_LOG=$LOG LIB=$order start "$policy" "$SUBJECT" -r close
            hear_port
            SEEN=$(LD_PRELOAD=$wrapper "$TOOLS/peer" -k connect "$PORT")
            finish
            expect status "$STATUS" 0
            expect "the peer saw" "$SEEN" "bytes=5 eof=1 reset=0"
            grep -q event=load "$LOG"
        done
    done
}

@test "together with torsocks: after us both work; before us it calls libc directly, and we see nothing" {
    torsocks=$LIBDIR/torsocks/libtorsocks.so
    [ -e "$torsocks" ]
    # It has a syscall() of its own, which crashes on calls that it does not know.
    for policy in rst "rst when=active" "rst peer=127.0.0.1" "rst share=100%"; do
        LIB="$LIB:$torsocks" meet "$policy" close
        sees 5 0 1 0
        LINGER_LOG=$BATS_TEST_TMPDIR/log LIB="$LIB:$torsocks" meet "$policy" close
        sees 5 0 1 0
    done
    parsed_log
    LIB="$LIB:$torsocks" meet fin-rst close
    sees 5 1 0 0
    for policy in rst fin-rst; do
        LIB="$torsocks:$LIB" meet "$policy" close
        sees 5 1 0 1
    done
}

# bats test_tags=plain
@test "under valgrind, with the log and the counters on: no error" {
    for policy in rst "rst when=active" "off peer=10.0.0.0/8; fin-rst share=100%"; do
        LINGER_LOG=$BATS_TEST_TMPDIR/log LINGER_STATS=$BATS_TEST_TMPDIR/stats start "$policy" \
            valgrind -q --error-exitcode=9 --leak-check=full "$SUBJECT" -r fclose
        hear_port
        SEEN=$("$TOOLS/peer" -k connect "$PORT")
        finish
        cat "$BATS_TEST_TMPDIR/stderr"
        [ ! -s "$BATS_TEST_TMPDIR/stderr" ]
        expect status "$STATUS" 0
        LEFT=$(time_wait "$PORT")
        case $policy in
        rst*) sees 5 0 1 0 ;;
        *) sees 5 1 0 0 ;;
        esac
    done
    parsed_log
}

@test "in a UBSan program" {
    built_with gcc -fsanitize=undefined -fno-sanitize-recover=all
    meet rst close
    sees 5 0 1 0
    meet "fin-rst role=server" fclose
    sees 5 1 0 0
    LINGER_LOG=$BATS_TEST_TMPDIR/log meet "rst when=active" dup2
    sees 5 0 1 0
    [ ! -s "$BATS_TEST_TMPDIR/stderr" ]
}

@test "in a TSan program of 64 threads" {
    gcc -fsanitize=thread -g -D_GNU_SOURCE -o "$BATS_TEST_TMPDIR/crowd" "$ROOT/tests/tools/crowd.c" -pthread
    # Its runtime knows only some layouts of the address space, so without a random one.
    for policy in rst "rst when=active"; do
        LINGER_STATS=$BATS_TEST_TMPDIR/stats TSAN_OPTIONS=halt_on_error=1 \
            crowded "$policy" setarch -R "$BATS_TEST_TMPDIR/crowd" 400 0 0
        expect "the peers saw" "$SEEN_A" "8 bytes=250 eof=0 reset=50"
        expect "the peers saw" "$SEEN_B" "8 bytes=250 eof=0 reset=50"
        [ ! -s "$BATS_TEST_TMPDIR/stderr" ]
    done
}

# --- sandboxes, privileges and environments

@test "a seccomp filter that refuses setsockopt from the start: the program runs on, the log says so" {
    LOG=$BATS_TEST_TMPDIR/log
    for policy in "rst SO_LINGER" "fin-rst TCP_LINGER2" "rst when=active SO_LINGER"; do
        rm -f "$LOG"
        LINGER_LOG=$LOG start "${policy% *}" "$TOOLS/unsettable" refuse "$SUBJECT" -r close
        hear_port
        SEEN=$("$TOOLS/peer" -k connect "$PORT")
        finish
        expect status "$STATUS" 0
        expect "the peer saw" "$SEEN" "bytes=5 eof=1 reset=0"
        cat "$LOG"
        grep -q "event=fail fd=[0-9]* option=${policy##* } errno=1 verdict=" "$LOG"
        run ! grep event=arm "$LOG"
    done
}

@test "a seccomp filter that kills on setsockopt: no policy that leaves the program alone calls it" {
    for policy in off "rst prog=somebody-else" "rst port=9 when=active"; do
        LINGER_LOG=$BATS_TEST_TMPDIR/log start "$policy" "$TOOLS/unsettable" kill "$SUBJECT" -r close
        hear_port
        SEEN=$("$TOOLS/peer" -k connect "$PORT")
        finish
        expect status "$STATUS" 0
        expect "the peer saw" "$SEEN" "bytes=5 eof=1 reset=0"
    done
    expect "times loaded" "$(grep -c 'event=load .* program=subject' "$BATS_TEST_TMPDIR/log")" 3
}

@test "setuid: the variables of another user are ignored, by the loader and by the library" {
    needs_root
    needs_setuid
    # A program that has the library among its own: the loader does not take it away from that.
    gcc -D_GNU_SOURCE -o "$BATS_TEST_TMPDIR/linked" "$ROOT/tests/tools/subject.c" -pthread \
        -Wl,--no-as-needed ${WITHOUT_LIBRARY:+-Wl,--as-needed} "$LIB" "-Wl,-rpath,$BATS_TEST_TMPDIR"
    cp "$LIB" "$SUBJECT" "$BATS_TEST_TMPDIR"
    chmod 4755 "$BATS_TEST_TMPDIR/linked" "$BATS_TEST_TMPDIR/subject"
    chmod a+rx "$BATS_TEST_TMPDIR" "$BATS_RUN_TMPDIR"
    meet_linked() { # COMMAND...
        LINGER_MODE=$MODE start - "$@" -r close
        hear_port
        SEEN=$("$TOOLS/peer" -k connect "$PORT")
        finish
        expect status "$STATUS" 0
        LEFT=$(time_wait "$PORT")
    }
    nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    MODE=rst meet_linked "$BATS_TEST_TMPDIR/linked"
    sees 5 0 1 0
    for MODE in rst nonsense; do
        meet_linked "${nobody[@]}" "$BATS_TEST_TMPDIR/linked"
        sees 5 1 0 1
        [ ! -s "$BATS_TEST_TMPDIR/stderr" ]
    done
    LIB=$BATS_TEST_TMPDIR/liblinger.so meet rst close
    sees 5 0 1 0
    SUBJECT=$BATS_TEST_TMPDIR/subject
    MODE=rst meet_linked "${nobody[@]}" env "LD_PRELOAD=$BATS_TEST_TMPDIR/liblinger.so" "$SUBJECT"
    sees 5 1 0 1
}

@test "huge variables: ours are refused by name, in few words; others do not matter" {
    [ -z "${WITHOUT_LIBRARY:-}" ]
    huge=$(head -c 120000 /dev/zero | tr '\0' x)
    for name in LINGER_MODE LINGER_REUSEADDR LINGER_LOG LINGER_STATS; do
        run --separate-stderr env "LD_PRELOAD=$LIB" "$name=$huge" "$TOOLS/subject" nothing
        expect status "$status" 125
        # shellcheck disable=SC2154 # bats sets it
        [ ${#stderr} -lt 500 ]
        [[ $stderr == "liblinger: $name: "* ]]
    done
    run --separate-stderr env "LD_PRELOAD=$LIB" "LINGER_$huge=1" "LINGER_=$huge" "$TOOLS/subject" nothing
    expect status "$status" 0
    [[ $stderr == "liblinger: LINGER_"* && ${#stderr} -lt 5000 ]]
    HUGE=$huge HUGER=$huge$'\xff' LONGER=$huge meet rst close
    sees 5 0 1 0
}

@test "variables that are not UTF-8: rules and file names hold, the log stays ASCII" {
    name=$'\xff\xfe\x80'
    export LINGER_LOG=$BATS_TEST_TMPDIR/log LINGER_STATS=$BATS_TEST_TMPDIR/$name
    cp "$TOOLS/subject" "$BATS_TEST_TMPDIR/$name-program"
    SUBJECT=$BATS_TEST_TMPDIR/$name-program
    OTHER=$'\xc3(' meet "rst prog=$name-*" close
    sees 5 0 1 0
    parsed_log
    [ -s "$LINGER_STATS" ]
    LINGER_LOG=$BATS_TEST_TMPDIR/$name.log meet "rst prog=$name-*" close
    sees 5 0 1 0
    grep -q 'program="\\xff\\xfe\\x80-program"' "$BATS_TEST_TMPDIR/$name.log"
    run --separate-stderr env "LD_PRELOAD=$LIB" "LINGER_$name=rst" "$TOOLS/subject" nothing
    expect status "$status" 0
    expect warning "${stderr%%;*}" "liblinger: LINGER_???: no such variable"
}

@test "a program of another ELF class: the loader says so, and it runs as without us" {
    needs_32_bit_programs
    built_with i686-linux-gnu-gcc
    "$SUBJECT" nothing || skip "no 32-bit libc here to run it"
    meet rst close
    sees 5 1 0 1
    grep -q "liblinger.so' from LD_PRELOAD cannot be preloaded (wrong ELF class: ELFCLASS64): ignored" "$BATS_TEST_TMPDIR/stderr"
}

# --- births

@test "socket activation by systemd-socket-activate: the listener is descriptor 3" {
    activated() { # MODE
        PORT=$("$TOOLS/free-port")
        start - systemd-socket-activate -l "127.0.0.1:$PORT" ${WITHOUT_LIBRARY:+-E NOTHING=} \
            -E "LD_PRELOAD=${WITHOUT_LIBRARY:-$LIB}" -E "LINGER_MODE=$1" /usr/bin/python3 -c "
import os, socket
assert os.environ['LISTEN_FDS'] == '1' and os.environ['LISTEN_PID'] == str(os.getpid())
listener = socket.socket(fileno=3)
for _ in range(2):
    connection, _ = listener.accept()
    connection.recv(1)
    connection.send(b'hello')
    connection.close()"
        await_listener
        SEEN=$("$TOOLS/peer" -k -n 2 connect "$PORT")
        finish
        LEFT=$(time_wait "$PORT")
    }
    activated rst
    sees 10 0 2 0
    activated "fin-rst role=server"
    sees 10 2 0 0
    activated "rst when=active"
    sees 10 0 2 0
}

@test "inetd style, by systemd-socket-activate: a program for each connection" {
    PORT=$("$TOOLS/free-port")
    start - systemd-socket-activate --inetd -a -l "127.0.0.1:$PORT" \
        -E "LD_PRELOAD=${WITHOUT_LIBRARY:-$LIB}" -E LINGER_MODE=rst head -c1
    await_listener
    SEEN=$("$TOOLS/peer" -k -n 3 connect "$PORT")
    LEFT=$(time_wait "$PORT")
    sees 3 0 3 0
    kill -TERM "$PID"
    finish
}

# serve_protocol MODE PROTOCOL: a Python server, and what a Python client of the same protocol sees.
serve_protocol() {
    start "$1" python3 -c "
import socket
listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, $2)
listener.bind(('127.0.0.1', 0))
listener.listen()
print('port', listener.getsockname()[1], flush=True)
connection, _ = listener.accept()
connection.recv(1)
connection.send(b'hello')
connection.close()"
    hear_port
    SEEN=$(python3 -c "
import socket, sys
connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM, $2)
connection.connect(('127.0.0.1', int(sys.argv[1])))
connection.send(b'k')
count = eof = reset = 0
try:
    while block := connection.recv(100):
        count += len(block)
    eof = 1
except ConnectionResetError:
    reset = 1
print(f'bytes={count} eof={eof} reset={reset}')" "$PORT")
    finish
    expect status "$STATUS" 0
}

@test "MPTCP at both ends: rst resets" {
    [ -e /proc/sys/net/mptcp/enabled ] || skip "this kernel has no MPTCP"
    serve_protocol - 262
    expect "the peer saw" "$SEEN" "bytes=5 eof=1 reset=0"
    serve_protocol rst 262
    expect "the peer saw" "$SEEN" "bytes=5 eof=0 reset=1"
}

@test "SCTP is left alone" {
    python3 -c "import socket; socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132)" 2>/dev/null || skip "this kernel has no SCTP"
    [ -z "${WITHOUT_LIBRARY:-}" ]
    for policy in rst fin-rst "rst when=active"; do
        serve_protocol "$policy" 132
        expect "the peer saw" "$SEEN" "bytes=5 eof=1 reset=0"
    done
}

@test "kTLS: a socket with the kernel's TLS in it obeys" {
    grep -qw tls /proc/sys/net/ipv4/tcp_available_ulp || skip "this kernel has no TLS"
    tls() { # MODE
        start "$1" python3 -c "
import socket
listener = socket.create_server(('127.0.0.1', 0))
print('port', listener.getsockname()[1], flush=True)
connection, _ = listener.accept()
connection.setsockopt(socket.IPPROTO_TCP, 31, b'tls') # TCP_ULP, before any key: as plain TCP
connection.recv(1)
connection.send(b'hello')
connection.close()"
        hear_port
        SEEN=$("$TOOLS/peer" -k connect "$PORT")
        finish
        expect status "$STATUS" 0
        LEFT=$(time_wait "$PORT")
    }
    tls rst
    sees 5 0 1 0
    tls fin-rst
    sees 5 1 0 0
}
