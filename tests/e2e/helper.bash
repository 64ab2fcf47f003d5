# What every end-to-end test shares. A test runs in a network namespace of its file's own (see
# tests/check), with its loopback up; it starts its programs, reads what they print, and waits.

ROOT=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
LIB=$ROOT/liblinger.so
TOOLS=$ROOT/build/tests
SUBJECT=${SUBJECT:-$TOOLS/subject}
# Debian's programs, whatever else is on this machine.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
if ! declare -F bats_require_minimum_version >/dev/null; then
    . "$ROOT/tests/e2e/old-bats.bash"
fi
bats_require_minimum_version 1.5.0
STARTED=()
. "$ROOT/tests/e2e/lacks.bash"
# An emulated machine takes $SLOWER times as long (tests/machines/guest).
export SLOWER=${SLOWER:-1} # by declare -f functions go to other shells, too
BATS_TEST_TIMEOUT=$((${BATS_TEST_TIMEOUT:-900} * SLOWER))
[ "$SLOWER" = 1 ] || timeout() { command timeout $(($1 * SLOWER)) "${@:2}"; }

setup() {
    local name
    for name in LD_PRELOAD $(compgen -e LINGER_); do
        unset "$name"
    done
    needs_what_it_names
    ${EACH_NEEDS:-:}
}

# under MODE COMMAND...: runs it under the policy; "-" is a program that is left alone.
# With WITHOUT_LIBRARY=1 nothing is preloaded: then every test of a mode has to fail.
# With BACKEND=supervise it is run by the supervisor instead; a test with the tag "preload" is of
# something that only the library does.
under() {
    local mode=$1
    shift
    if [ "$mode" = - ] || [ -n "${WITHOUT_LIBRARY:-}" ]; then
        exec "$@"
    fi
    if [ "${BACKEND:-}" = supervise ]; then
        exec "$ROOT/linger" run -b supervise -m "$mode" -- "$@"
    fi
    LD_PRELOAD=$LIB LINGER_MODE=$mode exec "$@"
}

# What a failed test left running ends with it.
end_started() {
    local pid
    for pid in "${STARTED[@]}"; do
        kill -KILL "$pid" 2>/dev/null || true
    done
}

teardown() {
    end_started
    [ ! -s "$BATS_TEST_TMPDIR/failed" ] || { cat "$BATS_TEST_TMPDIR/failed" && false; }
}

# also COMMAND...: one case of several. Where it fails the others still run, and the test fails at its end.
also() {
    local flags=$- output status
    set +eET
    output=$(STARTED=() && trap end_started EXIT && set -eE && "$@" 2>&1)
    status=$?
    set "-$flags"
    [ $status -eq 0 ] || printf 'failed: %s\n%s\n' "$*" "$output" >>"$BATS_TEST_TMPDIR/failed"
}

# start MODE COMMAND...: in the background; what it prints comes out of descriptor $OUT, its pid
# is $PID.
start() {
    exec {OUT}< <(under "$@" 3>&- 2>"$BATS_TEST_TMPDIR/stderr")
    PID=$!
    STARTED+=("$PID")
}

# The next line of $OUT, or the test fails after 60 s, or $WITHIN.
hear() {
    if ! read -r -t $((${WITHIN:-60} * SLOWER)) REPLY <&"$OUT"; then
        echo "the program said nothing:" && cat "$BATS_TEST_TMPDIR/stderr"
        return 1
    fi
}

# eventually COMMAND...: waits until it succeeds; on the busiest machine it has a minute.
eventually() {
    local end=$((SECONDS + 60 * SLOWER))
    until "$@"; do
        [ $SECONDS -lt $end ] || { echo "never happened: $*" && return 1; }
    done
}

# A process may leave its cgroup only after its parent has waited for it.
remove_cgroups() { # DIRECTORY..., inner ones first
    local group
    for group; do
        eventually rmdir "$group" 2>/dev/null
    done
}

# The kernel may have chosen a port that has TIME_WAIT of an earlier test still: those are FORMER.
hear_port() {
    hear
    PORT=${REPLY#port }
    FORMER=$(ends_in_time_wait "( sport = :$PORT or dport = :$PORT )")
}

ends_in_time_wait() { # FILTER
    ss -Htan state time-wait "$1" | awk '{ print $3, $4 }'
}

count_time_wait() { # FILTER
    ends_in_time_wait "$1" | grep -cvxFf <(echo "${FORMER:-}") || true # of thousands too
}

# Waits for what start() started; STATUS is its exit status. Its pid may be somebody else's soon.
finish() {
    local i
    STATUS=0
    wait "$PID" || STATUS=$?
    for i in "${!STARTED[@]}"; do
        [ "${STARTED[i]}" != "$PID" ] || unset "STARTED[i]"
    done
    exec {OUT}<&-
}

none_closing() { # FILTER
    [ -z "$(ss -Htan state connected exclude time-wait exclude syn-recv "$1")" ]
}

# Waits until no connection of that port is still closing, then prints its TIME_WAIT.
time_wait() {
    local of="( sport = :$1 or dport = :$1 )"
    eventually none_closing "$of" || { ss -tan && return 1; }
    count_time_wait "$of"
}

# meet MODE [OPTION...] WAY: subject serves under MODE, peer connects with the options $PEER.
# SEEN is what the peer saw, LEFT the number of TIME_WAIT sockets.
meet() {
    local mode=$1
    shift
    start "$mode" "$SUBJECT" ${FAMILY:-} -r "$@"
    hear_port
    SEEN=$("$TOOLS/peer" ${FAMILY:-} -k ${PEER:-} connect "$PORT")
    finish
    LEFT=$(time_wait "$PORT")
}

# The same with the roles exchanged: subject is the client.
meet_as_client() {
    local mode=$1
    shift
    start - "$TOOLS/peer" ${FAMILY:-} ${PEER:-} listen
    hear_port
    (under "$mode" "$SUBJECT" ${FAMILY:-} -c "$PORT" "$@" >"$BATS_TEST_TMPDIR/subject" 3>&-) || true
    hear
    SEEN=$REPLY
    finish
    LEFT=$(time_wait "$PORT")
}

# expect WHAT IS SHOULD_BE
expect() {
    if [ "$2" != "$3" ]; then
        echo "$1: expected '$3', got '$2'"
        return 1
    fi
}

# says_no PATTERN COMMAND...: it ends with 125, and all that it says matches PATTERN.
says_no() {
    local pattern=$1
    shift
    run timeout 60 "$@"
    echo "$output"
    expect status "$status" 125
    # shellcheck disable=SC2053  # it is a pattern
    [[ $output == $pattern ]]
}

# sees BYTES EOF RESET TIME_WAIT: what the peer of the last meeting saw, and what is left.
sees() {
    expect "the peer saw" "$SEEN" "bytes=$1 eof=$2 reset=$3"
    expect "TIME_WAIT left" "$LEFT" "$4"
}

# The promise in short, for a subject that is run somewhere else than on this machine's own libc.
# No share=: qemu's emulation does not know SO_COOKIE.
keeps_the_promise() {
    local way policy
    for way in close fclose exit sigkill exec dup2; do
        meet - $way
        sees 5 1 0 1
        meet rst $way
        sees 5 0 1 0
        meet fin-rst $way
        sees 5 1 0 0
    done
    for policy in "rst when=active" "off port=1; rst role=server local=127.0.0.0/8" "rst peer=127.0.0.1"; do
        meet "$policy" close
        sees 5 0 1 0
    done
    meet_as_client "fin-rst role=client peer=127.0.0.1" close
    sees 5 1 0 0
}

# Numbers differ from run to run, though nothing is not something; so do columns.
normal() {
    sed -E 's/\b[1-9][0-9]*\b/N/g; s/[ \t]+/ /g; s/^ //; s/ $//'
}

# A copy to build in: the tree of the tests is left as it is.
copy_of_the_sources() {
    TREE=$BATS_TEST_TMPDIR/tree
    mkdir -p "$TREE"
    cp -r "$ROOT"/{Makefile,LICENSE,README.md,src,tests,examples} "$TREE"
}

# The same with what the tests built, which make then finds up to date.
copy_of_the_build() {
    copy_of_the_sources
    cp -a "$ROOT"/{Makefile,src,linger,liblinger.so} "$TREE"
    mkdir "$TREE/build"
    # shellcheck disable=SC2046 # the rooms
    (cd "$ROOT/build" && cp -a stub sanitizer libdir $(cd ../src && dirname ./*/*.c | sort -u) "$TREE/build")
}

# counts in the kernel of this namespace: counter TcpOutRsts
counter() {
    nstat -asz "$1" | awk -v name="$1" '$1 == name { print $2 }'
}

# What start() started, the front of a shell, passes USR1 on and ends as the shell does.
passes_signals_on() { # COMMAND... without the script
    "$@" -c 'trap "echo got; exit 5" USR1; echo ready; while :; do sleep 0.01; done'
    hear
    kill -USR1 "$PID"
    hear
    expect "the program" "$REPLY" got
    finish
    expect status "$STATUS" 5
}

# linux_is VERSION, or later
linux_is() {
    printf '%s\n' "$1" "$(uname -r)" | sort -VC
}

# COUNT connections in FIN_WAIT2 and CLOSE_WAIT; the next line to $HALF closes the former.
half_closed() { # COUNT
    mkfifo "$BATS_TEST_TMPDIR/half"
    exec {HALF}<>"$BATS_TEST_TMPDIR/half"
    start - python3 "$ROOT/tests/tools/half-closed.py" "$1" <&"$HALF"
    hear_port
}

# OTHER is a process in a network namespace of its own.
other_network() {
    unshare -n sleep 3000 3>&- &
    OTHER=$!
    STARTED+=("$OTHER")
    while [ "$(readlink "/proc/$OTHER/ns/net")" = "$(readlink /proc/self/ns/net)" ]; do kill -0 "$OTHER"; done
    nsenter -t "$OTHER" -n ip link set lo up
}

# Debian's cloud kernel of 5.10 is built without: what nobody holds waits for its time.
needs_destroy() { # FILE: what linger close said
    ! grep -q "this kernel is built without CONFIG_INET_DIAG_DESTROY" "$1" || skip "this kernel is built without CONFIG_INET_DIAG_DESTROY"
}

needs_namespace() {
    [ -n "${TESTS_IN_NAMESPACE:-}" ] || skip "needs a network namespace of its own (root or user namespaces)"
}

# Root in a container, or in a user namespace of its own, may not see the kernel's events.
needs_events() {
    needs_namespace
    "$ROOT/linger" watch -e -t 1 >/dev/null 2>&1 ||
        skip "needs root outside of containers: perf_event_open(2) on tracepoints"
}

# drop: what goes to port 81 is lost from here on.
drop() {
    nft -f - <<END
table inet lost {
    chain leaving {
        type filter hook output priority 0;
        tcp dport 81 drop
    }
}
END
}

# The system calls of a group of systemd's, and of the groups in it.
group() { # @NAME
    local word
    systemd-analyze syscall-filter "$1" | tail -n +2 | while read -r word _; do
        case $word in
            @*) group "$word" ;;
            [a-z_]*) echo "$word" ;;
        esac
    done
}

needs_mount_namespace() {
    unshare -m true 2>/dev/null || skip "needs a mount namespace"
}

# Nothing but running one says whether the kernel takes programs for i386.
runs_32_bit_programs() {
    i686-linux-gnu-gcc -static -x c -o "$BATS_TEST_TMPDIR/returns-0" - <<<'int main(void) { return 0; }'
    "$BATS_TEST_TMPDIR/returns-0" 2>/dev/null
}

needs_32_bit_programs() {
    runs_32_bit_programs || skip "this kernel runs no 32-bit programs"
}

needs_terminal() {
    script -qc true /dev/null >/dev/null || skip "needs a pseudo-terminal"
}

# Root who can become another user: a user namespace may have no other.
# as_root A B: A for root, B for a user, who may do less.
as_root() {
    if [ "$(id -u)" = 0 ]; then echo "$1"; else echo "$2"; fi
}

# A container's filter is one that a program has of its own, and linger supervise is for outside of it.
needs_no_filter() {
    grep -qx "Seccomp:[[:space:]]*0" /proc/self/status || skip "a container's seccomp filter is on"
}

needs_setuid() {
    [[ $(findmnt -no OPTIONS -T "$BATS_TEST_TMPDIR") != *nosuid* ]] || skip "temporary files are on a file system without setuid"
}

needs_root() {
    { [ "$(id -u)" = 0 ] && setpriv --reuid=65534 --clear-groups true 2>/dev/null; } || skip "needs root, to become somebody else"
}

# From here on counts the FIN and RST that leave a port of this namespace, or that go to it with
# dport (and a retransmission as well, which loopback does not know).
watch_wire() { # PORT [dport]
    local end=${2:-sport}
    nft -f - <<EOF
table inet wire {}
delete table inet wire
table inet wire {
    chain leaving {
        type filter hook output priority 0;
        tcp $end $1 tcp flags & fin == fin counter comment "fin"
        tcp $end $1 tcp flags & rst == rst counter comment "rst"
    }
}
EOF
}

# "fin=1 rst=0"
wire() {
    nft list table inet wire | awk '/counter/ { for (i = 1; i < NF; i++) if ($i == "packets") n[$NF] = $(i + 1) }
        END { printf "fin=%d rst=%d\n", n["\"fin\""], n["\"rst\""] }'
}

has_listener_or_ended() {
    [ -n "$(ss -Htln "sport = :$PORT")" ] || ! kill -0 "$PID"
}

# Waits until somebody listens on $PORT; fails when the program is gone.
await_listener() {
    if ! eventually has_listener_or_ended || ! kill -0 "$PID"; then
        cat "$BATS_TEST_TMPDIR/stderr"
        return 1
    fi
}

# Waits until the server has closed all its connections.
await_closed() {
    while ss -Htnp "sport = :$PORT" | grep -q users:; do :; done
}

# TIME_WAIT sockets of the server itself, once no connection is still closing.
server_time_wait() {
    time_wait "$PORT" >/dev/null
    count_time_wait "sport = :$PORT"
}

# talk COUNT REQUEST [REPLY]: COUNT conversations with the server at $PORT, see talk.py. SEEN is
# what it says, LEFT the server's TIME_WAIT sockets afterwards.
talk() {
    [ -e "$BATS_TEST_TMPDIR/go" ] || mkfifo "$BATS_TEST_TMPDIR/go"
    exec {GO}<>"$BATS_TEST_TMPDIR/go"
    start - python3 "$ROOT/tests/tools/talk.py" "$PORT" "$@" <&"$GO"
    hear
    SEEN=$REPLY
    await_closed
    echo go >&$GO # without quotes: declare -f of bash 5.1 makes a file of the quoted one
    finish
    exec {GO}>&-
    LEFT=$(server_time_wait)
}

# serve_python MODE: a server of one connection, which waits for the knock, says hello and closes;
# LISTENER is how Python makes its listener.
serve_python() {
    start "$1" python3 -c "
import socket
$LISTENER
print('port', listener.getsockname()[1], flush=True)
connection, _ = listener.accept()
connection.recv(1)
connection.send(b'hello')
connection.close()"
    hear_port
    SEEN=$("$TOOLS/peer" -k connect "$PORT")
    finish
    LEFT=$(time_wait "$PORT")
}

# with_own_options [PORT]: the server of own-options.py; say() is a line to it, and its answer.
with_own_options() {
    mkfifo "$BATS_TEST_TMPDIR/go"
    exec {GO}<>"$BATS_TEST_TMPDIR/go"
    start - python3 "$ROOT/tests/tools/own-options.py" "$@" <&"$GO"
    hear_port
    DAEMON=$PID DAEMON_OUT=$OUT
}

say() { # WORD EXPECTED
    echo "$1" >&$GO
    read -r -t $((60 * SLOWER)) REPLY <&"$DAEMON_OUT"
    expect "its options" "$REPLY" "$2"
}

# A connection that the server keeps.
keep() {
    exec {CLIENT}<>"/dev/tcp/127.0.0.1/$PORT"
    printf keep >&$CLIENT
    read -r -t $((60 * SLOWER)) REPLY <&"$CLIENT"
    expect "the server" "$REPLY" kept
}

# rootfs LIBC: $ROOTFS is an image with nothing but echo-server as /server and what it needs.
rootfs() {
    ROOTFS=$BATS_TEST_TMPDIR/$1
    mkdir "$ROOTFS"
    case $1 in
        musl) musl-gcc -O2 -o "$ROOTFS/server" "$ROOT/examples/echo-server.c" -idirafter /usr/include \
            -idirafter "/usr/include/$(gcc -print-multiarch)" ;;
        glibc) cp "$ROOT/build/examples/echo-server" "$ROOTFS/server" ;;
        go) cp "$ROOT/build/examples/go/echo-server" "$ROOTFS/server" ;;
    esac
    loader=$(readelf -lW "$ROOTFS/server" | sed -n 's/.*interpreter: \(.*\)\]/\1/p')
    [ -n "$loader" ] || return 0
    install -D "$loader" "$ROOTFS$loader"
    if [ "$1" = glibc ]; then
        libraries=$(dirname "$(ldd "$ROOTFS/server" | sed -n 's/.*libc\.so\.6 => \(.*\) (.*/\1/p')")
        install -D -t "$ROOTFS$libraries" "$libraries"/lib{c.so.6,dl.so.2}
    fi
}

NGINX_CONF='daemon off; user root; pid $2/nginx.pid; error_log stderr; worker_processes $3;
events {}
http {
    access_log off;
    client_body_temp_path $2/body; proxy_temp_path $2/proxy; fastcgi_temp_path $2/fastcgi;
    uwsgi_temp_path $2/uwsgi; scgi_temp_path $2/scgi;
    server { listen 127.0.0.1:$1; location /status { stub_status; } location / { return 200 "a page of nginx"; } }
}'
# nginx before 1.19.5 (Debian 11) has no -e.
nginx_log() {
    nginx -h 2>&1 | sed -n 's/^ *-e filename.*/-e stderr/p'
}
export -f nginx_log
# For bash -c: the daemon with port $1, directory $2 and $3 workers.
NGINX="cat >\"\$2/nginx.conf\" <<EOF
$NGINX_CONF
EOF
exec nginx \$(nginx_log) -c \"\$2/nginx.conf\""

# in_one_packet FILE DIRECTORY: under that configuration the page and nginx's FIN are one packet (by
# TCP_CORK). A client that knows the page's length closes at the same moment otherwise, now and then,
# and a simultaneous close leaves TIME_WAIT even under fin-rst.
in_one_packet() {
    mkdir -p "$2/www"
    printf 'a page of nginx' >"$2/www/index.html"
    sed -i "s|return 200 \"a page of nginx\";|root $2/www;|; s|access_log off;|& sendfile on; tcp_nopush on;|" "$1"
    grep -q tcp_nopush "$1"
}
