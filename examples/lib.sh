# shellcheck shell=bash
# Shared by the scripts beside this file; each begins with `. "$(dirname "$0")/lib.sh"`.
#
# $linger is the command line, from this repository or from PATH; $programs is where `make examples`
# puts the example programs. However the script ends, whatever start() began ends with it, and nothing
# here touches the machine's own network.
set -eu
PATH=$PATH:/usr/sbin:/sbin
export LC_ALL=C

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
programs=$here/../build/examples
started=()

die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# needs COMMAND...: fails unless the machine has them.
needs() {
    local name
    for name in "$@"; do
        command -v "$name" >/dev/null || die "needs $name, which is not on this machine"
    done
}

# own_namespace "$@": restarts the script in a network namespace of its own, which has only a
# loopback interface: it shares its ports, sockets and settings with nobody.
own_namespace() {
    local unshare
    # exec keeps the pid, so a variable that was merely inherited deceives nobody.
    if [ "${EXAMPLE_NAMESPACE:-}" != $$ ]; then
        needs unshare ip ss sysctl
        # As root; as somebody else, with privileges over the new namespace; the same, as its root.
        for unshare in "unshare -n" "unshare -cn --keep-caps" "unshare -rn"; do
            if $unshare ip link set lo up 2>/dev/null; then
                EXAMPLE_NAMESPACE=$$ exec $unshare "$0" "$@"
            fi
        done
        die "needs a network namespace of its own: root, or user namespaces (unshare -rn)"
    fi
    unset EXAMPLE_NAMESPACE
    ip link set lo up
    work=$(mktemp -d)
    trap clean_up EXIT
    trap 'exit 1' INT TERM HUP
}

clean_up() {
    local pid
    # And what start() had no time to note.
    for pid in "${started[@]}" $(jobs -p); do
        stop "$pid"
    done
    rm -rf "$work"
}

# start COMMAND...: starts a program in the background. $pid is its pid, $said its first line, and
# descriptor $out reads what it says later. Fails if the program ends without a line; $complaint is
# then what it wrote to standard error.
start() {
    mkfifo "$work/out"
    "$@" >"$work/out" 2>"$work/stderr" &
    pid=$!
    started+=("$pid")
    exec {out}<"$work/out"
    rm "$work/out"
    IFS= read -r -t 30 said <&"$out" && return
    stop "$pid"
    complaint=$(cat "$work/stderr")
    return 1
}

# stop PID: ends what start() began, and waits until it has ended. One SIGTERM may be lost: a child
# that has not yet reached its exec still has this shell's trap.
stop() {
    local i
    while kill "$1" 2>/dev/null; do
        sleep 0.01
    done
    wait "$1" 2>/dev/null || true
    for i in "${!started[@]}"; do
        [ "${started[i]}" != "$1" ] || unset "started[i]"
    done
}

if [ -x "$here/../linger" ]; then
    linger=$(cd "$here/.." && pwd)/linger
else
    linger=$(command -v linger) || die "linger is neither beside examples/ (make) nor on PATH (make install)"
fi
[ -x "$programs/echo-server" ] || die "build/examples/echo-server is not there: \`make examples\`, with the sources"
