#!/usr/bin/env bats
# A program that linger stays in front of, under both backends: signals, pids, zombies, its end.
load helper

LINGER=$ROOT/linger

# fronted BACKEND COMMAND...: for start(), as a process group of its own. WITHOUT_LIBRARY=1 leaves the
# program alone.
fronted() {
    [ -n "${WITHOUT_LIBRARY:-}" ] || set -- "$1" "$LINGER" run -b "$1" -m rst -s -- "${@:2}"
    start - setsid "${@:2}"
}

# All processes from that one down.
tree() { # PID
    local child
    echo "$1"
    # shellcheck disable=SC2013  # words of one line
    for child in $(cat "/proc/$1/task/$1/children"); do
        tree "$child"
    done
}

to_the_front() { kill -TERM "$PID"; }
to_the_group() { kill -TERM -- "-$PID"; }
# shellcheck disable=SC2046  # lists
to_each() { kill -TERM $(tree "$PID"); }
# shellcheck disable=SC2046
to_each_backwards() { kill -TERM $(tree "$PID" | tac); }
# timeout(1) signals its child, and then its group.
to_both() { kill -TERM "$PID" && kill -TERM -- "-$PID"; }

@test "SIGTERM reaches the program once: to the front, to the group, to each process" {
    # SIGRTMIN, to the front alone, comes after all else that the front passes on.
    for way in to_the_front to_the_group to_each to_each_backwards to_both; do
        for backend in preload supervise preload supervise; do
            fronted $backend "$TOOLS/told"
            hear
            $way
            kill -RTMIN "$PID"
            hear
            expect "$backend, $way" "$REPLY" "TERM=1 INT=0 HUP=0 CONT=0"
            finish
            expect status "$STATUS" 0
        done
    done
}

@test "a keeper that has to wait for a processor: SIGTERM to the group reaches the program once all the same" {
    for backend in preload supervise; do
        fronted $backend "$TOOLS/told"
        hear
        keeper=$(cat "/proc/$PID/task/$PID/children")
        keeper=${keeper% }
        kill -STOP "$keeper"
        kill -TERM -- "-$PID"
        # Until the front asks it to pass the signal on.
        is_asked() { [ $((16#$(awk '/^ShdPnd:/ { print $2 }' "/proc/$keeper/status") >> 16 & 1)) = 1 ]; }
        eventually is_asked
        kill -CONT "$keeper"
        kill -RTMIN "$PID"
        hear
        expect "$backend" "$REPLY" "TERM=1 INT=0 HUP=0 CONT=0"
        finish
    done
}

@test "SIGTERM to the group before there is a program reaches it all the same" {
    for backend in preload supervise; do
        run timeout 60 "$TOOLS/early-signal" "$LINGER" run -b $backend -m rst -s -- sleep 5
        expect "status, $backend" "$status" 143
    done
}

@test "each process of a cgroup, as systemd ends a service: once" {
    needs_mount_namespace
    mkdir "$BATS_TEST_TMPDIR/cgroups"
    start - unshare -m sh -c 'mount -t cgroup2 none "$0" 2>/dev/null && mkdir "$0/linger.$$" && echo "linger.$$" && exec sleep 100
        echo none' "$BATS_TEST_TMPDIR/cgroups"
    hear
    [ "$REPLY" != none ] || skip "needs to make a cgroup (root, cgroup v2)"
    holder=$PID
    said=
    group=/proc/$holder/root$BATS_TEST_TMPDIR/cgroups/$REPLY
    for backend in preload supervise; do
        fronted $backend "$TOOLS/told"
        hear
        for pid in $(tree "$PID"); do
            echo "$pid" >"$group/cgroup.procs"
        done
        while read -r pid; do kill -TERM "$pid"; done <"$group/cgroup.procs"
        kill -RTMIN "$PID"
        hear
        said+="$backend $REPLY "
        finish
    done
    remove_cgroups "$group"
    kill "$holder"
    expect said "$said" "preload TERM=1 INT=0 HUP=0 CONT=0 supervise TERM=1 INT=0 HUP=0 CONT=0 "
}

@test "pkill by linger's name ends the program" {
    for backend in preload supervise; do
        fronted $backend "$TOOLS/told"
        hear
        for pid in $(tree "$PID"); do
            said="$(cat "/proc/$pid/comm") $(tr '\0' ' ' <"/proc/$pid/cmdline")"
            [[ $said != *linger\ * ]] || kill -TERM "$pid"
        done
        kill -RTMIN "$PID"
        hear
        expect "$backend" "$REPLY" "TERM=1 INT=0 HUP=0 CONT=0"
        finish
    done
}

@test "Ctrl-C reaches the program once" {
    needs_terminal
    for backend in preload supervise; do
        said=$(python3 "$ROOT/tests/tools/ctrl-c.py" "$LINGER" run -b $backend -m rst -s -- "$TOOLS/told")
        expect "$backend" "$said" "TERM=0 INT=1 HUP=0 CONT=0"
    done
}

@test "stopped and continued: front and program together, and SIGCONT once" {
    stopped() { grep -q '^State:.T' "/proc/$1/status"; }
    for backend in preload supervise; do
        for who in group program front; do
            fronted $backend "$TOOLS/told"
            hear
            program=${REPLY#ready }
            kill -STOP "$program"
            until stopped "$PID"; do :; done
            case $who in
            group) kill -CONT -- "-$PID" ;;
            program) kill -CONT "$program" ;;
            front) kill -CONT "$PID" ;;
            esac
            while stopped "$PID" || stopped "$program"; do :; done
            kill -RTMIN "$PID"
            hear
            expect "$backend, $who" "$REPLY" "TERM=0 INT=0 HUP=0 CONT=1"
            finish
        done
    done
}

@test "started with SIGCHLD ignored: it works, and the program finds it ignored" {
    for backend in preload supervise; do
        start - perl -e '$SIG{CHLD} = "IGNORE"; exec @ARGV' "$LINGER" run -b $backend -m rst -s -- grep SigIgn /proc/self/status
        hear
        expect "$backend" "$((16#${REPLY#*:?} >> 16 & 1))" 1
        finish
        expect "status, $backend" "$STATUS" 0
        expect found "$(grep -c "did to its connections" "$BATS_TEST_TMPDIR/stderr")" 1
    done
}

@test "socket activation: LISTEN_PID and its relatives name the program" {
    take='import os, socket, sys
same = os.environ["LISTEN_PID"] == str(os.getpid())
listener = socket.socket(fileno=3)
connection, _ = listener.accept()
connection.recv(1)
connection.send(b"%d" % same)
connection.close()'
    for backend in preload supervise; do
        PORT=$("$TOOLS/free-port")
        start - systemd-socket-activate -l "127.0.0.1:$PORT" -E PATH "$LINGER" run -b $backend -m rst -s -- python3 -c "$take"
        await_listener
        exec {connection}<>"/dev/tcp/127.0.0.1/$PORT"
        printf x >&"$connection"
        read -r -n 1 -t 30 said <&"$connection"
        exec {connection}>&-
        expect "$backend" "$said" 1
        finish
        show='import os
print(*(os.environ[name] == str(os.getpid()) for name in ("LISTEN_PID", "WATCHDOG_PID", "SYSTEMD_EXEC_PID")),
      os.environ["LISTEN_PIDFDID"] == str(os.fstat(os.pidfd_open(os.getpid())).st_ino), os.environ["OTHER_PID"])'
        said=$(sh -c 'export LISTEN_PID=$$ LISTEN_PIDFDID=1 WATCHDOG_PID=$$ SYSTEMD_EXEC_PID=$$ OTHER_PID=1; exec "$@"' \
            sh "$LINGER" run -b $backend -m rst -s -- python3 -c "$show" 2>/dev/null)
        expect "$backend" "$said" "True True True True 1"
        # Somebody else's stays.
        said=$(LISTEN_PID=1 "$LINGER" run -b $backend -m rst -s -- sh -c 'echo $LISTEN_PID' 2>/dev/null)
        expect "$backend" "$said" 1
    done
}

@test "as PID 1 it leaves no zombies" {
    unshare -pf --mount-proc true 2>/dev/null || skip "needs a PID namespace"
    for backend in preload supervise; do
        timeout 60 unshare -pf --mount-proc "$LINGER" run -b $backend -m rst -s -- sh -c '
            (sh -c "echo \$\$ >\"$0\"; exit 0" &)
            until [ -s "$0" ]; do :; done
            while [ -e "/proc/$(cat "$0")" ]; do :; done' "$BATS_TEST_TMPDIR/orphan.$backend"
    done
}

@test "a program that goes into the background is counted to the end" {
    start - "$TOOLS/peer" -n 2 listen
    hear_port
    peer=$PID
    peer_out=$OUT
    mkfifo "$BATS_TEST_TMPDIR/go"
    for backend in preload supervise; do
        start - "$LINGER" run -b $backend -m rst -s -- sh -c '(read -r line <"$0"; exec "$1" -c "$2" close) >/dev/null & exit 4' \
            "$BATS_TEST_TMPDIR/go" "$SUBJECT" "$PORT"
        finish
        expect "status, $backend" "$STATUS" 4
        expect "said at the prompt" "$(cat "$BATS_TEST_TMPDIR/stderr")" ""
        echo >"$BATS_TEST_TMPDIR/go"
        until grep -q "1  sockets armed with rst" "$BATS_TEST_TMPDIR/stderr"; do :; done
    done
    PID=$peer
    OUT=$peer_out
    hear
    expect "the peer saw" "$REPLY" "bytes=10 eof=0 reset=2"
    finish
}
