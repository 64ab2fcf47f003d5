#!/bin/sh
# Purpose: shows how an unmodified server ends its connections under fin, rst and fin-rst, and changes one
# that is running.
# Expected output: for each mode what the client got, the packets of one teardown (if tcpdump may
# capture; else the reason), and how many TIME_WAIT sockets 20 connections left; then what linger watch
# shows of a running server (if it may see; else the reason), before and after linger attach.
#
# Needs what `make` needs; uses tcpdump, a network namespace and the kernel's events if they are available.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
programs=$root/build/examples
count=20
[ -x "$programs/echo-server" ] || { echo "demo.sh: build/examples/echo-server is not there: \`make demo\`, with the sources" >&2 && exit 1; }

# In a network namespace of its own it sees no other traffic, and may capture.
if [ -z "${DEMO_INSIDE:-}" ]; then
    for unshare in "unshare -n" "unshare -cn --keep-caps" "unshare -rn"; do
        if $unshare ip link set lo up 2>/dev/null; then
            DEMO_INSIDE=namespace exec $unshare "$0"
        fi
    done
    DEMO_INSIDE=host
    export DEMO_INSIDE
    # What a network namespace, in which anybody may capture, would have needed.
    lacks=
    for tool in unshare ip; do
        command -v $tool >/dev/null || lacks="${lacks:+$lacks and }$tool"
    done
    lacks=${lacks:-user namespaces}
fi
if [ "$DEMO_INSIDE" = namespace ]; then
    ip link set lo up
    free_port=8080
fi

work=$(mktemp -d)
server=
capture=
watch=
clean_up() {
    for pid in $server $capture $watch; do
        kill "$pid" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' INT TERM

# TIME_WAIT sockets of local port $1, from the kernel's table: state 06.
time_wait() {
    awk -v port="$(printf ':%04X' "$1")" \
        '$4 == "06" && substr($2, length($2) - 4) == port { n++ } END { print n + 0 }' /proc/net/tcp
}

# 20 connections; returns when both ends have closed all of them: nothing is left, or TIME_WAIT, 06. The
# listener is 0A.
make_many() {
    "$programs/echo-client" "$port" $count >"$work/many"
    until awk -v port="$(printf ':%04X' "$port")" \
        '$4 != "06" && $4 != "0A" && ($2 ~ port "$" || $3 ~ port "$") { exit 1 }' /proc/net/tcp; do :; done
}

# Waits until file $1 has a line that matches $2.
await() {
    tries=0
    until grep -q "$2" "$1" 2>/dev/null; do
        tries=$((tries + 1))
        if [ $tries -gt 3000 ]; then
            cat "$1"
            return 1
        fi
    done
}

start_server() { # COMMAND...
    : >"$work/server"
    "$@" >"$work/server" 2>&1 &
    server=$!
    await "$work/server" listening
    port=$(sed -n 's/listening on //p' "$work/server")
}

stop_server() {
    kill "$server"
    wait "$server" 2>/dev/null || true
    server=
}

# False if tcpdump is missing, or may not capture here: $why_not says what would help.
start_capture() {
    why_not="needs tcpdump"
    command -v tcpdump >/dev/null || return 1
    : >"$work/capturing"
    # To standard output, and still root: where it becomes another user, as it likes to, it can
    # write no file of ours.
    tcpdump -i lo -Z root -n -U --immediate-mode -w - "tcp port $port" >"$work/packets" 2>"$work/capturing" &
    capture=$!
    until grep -q "listening on" "$work/capturing"; do
        if ! kill -0 "$capture" 2>/dev/null; then
            capture=
            why_not="needs root${lacks:+, or $lacks}: $(sed -n '$p' "$work/capturing")"
            return 1
        fi
    done
}

# The packets of one connection from the server's close on, as arrows.
show_packets() { # FIN-AND-RST: how many of them to wait for
    if ! start_capture; then
        echo "  packets      (not shown: $why_not)"
        "$programs/echo-client" "$port" >"$work/client"
        return
    fi
    "$programs/echo-client" "$port" >"$work/client"
    # The connection has ended; wait until the packets that ended it have reached the file.
    tries=0
    until [ "$(tcpdump -n -r "$work/packets" "tcp[tcpflags] & (tcp-fin|tcp-rst) != 0" 2>/dev/null |
        wc -l)" -ge "$1" ] || [ $tries -gt 200 ]; do
        tries=$((tries + 1))
    done
    kill "$capture"
    wait "$capture" 2>/dev/null || true
    capture=
    tcpdump -n -r "$work/packets" 2>/dev/null | awk -v port="$port" '
        { flags = $0; sub(/.*Flags \[/, "", flags); sub(/\].*/, "", flags) }
        flags ~ /[FR]/ { teardown = 1 }
        !teardown { next }
        {
            name = flags ~ /R/ ? "RST" : flags ~ /F/ ? "FIN" : "ACK"
            arrow = $3 ~ ("\\." port "$") ? "server  --- " name " -->  client" : "server  <-- " name " ---  client"
            printf "  %-12s %s\n", shown++ ? "" : "packets", arrow
        }'
}

demonstrate() { # MODE WHAT-IT-IS FIN-AND-RST
    printf '\nLINGER_MODE=%-8s %s\n' "$1" "$2"
    start_server env LD_PRELOAD="$root/liblinger.so" LINGER_MODE="$1" "$programs/echo-server"
    show_packets "$3"
    printf '  %-12s %s\n' "client got" "$(cat "$work/client")"
    before=$(time_wait "$port")
    make_many
    printf '  %-12s %s\n' "left behind" \
        "$(($(time_wait "$port") - before)) TIME_WAIT sockets after $count more connections"
    stop_server
}

typed() {
    printf '$ %s\n' "$*"
}

# Who closes 20 connections first, by linger watch. False if it may not see: $why_not says why.
watch_some() {
    "$root/linger" watch -p "$port" >"$work/watched" 2>"$work/blind" &
    watch=$!
    # It is ready when it takes SIGTERM; where it may not see it says so.
    until [ -s "$work/blind" ] || { [ "$(cat "/proc/$watch/comm")" = linger ] &&
        grep -q '^SigCgt:.*[4567cdef]...$' "/proc/$watch/status"; }; do :; done
    make_many
    kill "$watch"
    wait "$watch" || true
    watch=
    why_not=$(sed 's/.*: //' "$work/blind")
    [ -z "$why_not" ] || return 1
    typed linger watch -p "$port"
    sed '/^advice/,$d' "$work/watched"
}

attach_live() {
    start_server "$programs/echo-server" ${free_port:+"$free_port"}
    printf '\nThe same server runs already, without liblinger. Who closes %s connections first?\n' $count
    if watch_some; then
        typed linger attach -m fin-rst --port "$port"
        "$root/linger" attach -m fin-rst --port "$port"
        watch_some
    else
        echo "  (not shown: linger watch needs root, outside of containers: $why_not)"
    fi
    stop_server
}

echo "One server program, never recompiled, that closes each connection first:"
echo "  LD_PRELOAD=./liblinger.so LINGER_MODE=... build/examples/echo-server"
demonstrate fin "the orderly release: FIN from both sides, and we wait in TIME_WAIT" 2
demonstrate rst "the abort: one RST, nothing is left, unsent data would be lost" 1
demonstrate fin-rst "FIN as above, and no TIME_WAIT; a client on Linux reads all data and then EOF" 2
attach_live
printf '\nNext, on a server of your own, as root:\n  linger watch -p 80 -t 10\n'
