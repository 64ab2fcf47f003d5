#!/usr/bin/env bats
# A unit of systemd instead of pids. The unit is a cgroup that the test makes where systemd makes its own.
load helper

LINGER=$ROOT/linger
NAME=linger-test-$$-$RANDOM.service

# tops: the tops of the hierarchies in which systemd keeps units, of cgroup v2 or v1.
tops() {
    local top
    for top in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
        [ ! -w $top/cgroup.procs ] || [ ! -e $top/cgroup.procs ] || echo $top
    done
}

# in_unit TOP: a server is what the unit has; in a cgroup of its own below, as a container engine makes them.
in_unit() {
    SLICE=$1/linger-$RANDOM.slice
    UNIT=$SLICE/linger-test.slice/$NAME
    mkdir -p "$UNIT/payload" || skip "needs to make a cgroup"
    with_own_options
    echo "$PID" >"$UNIT/payload/cgroup.procs"
    sleep 1000 3>&- &
    STARTED+=("$!")
    echo "$!" >"$UNIT/cgroup.procs"
}

# In a cgroup of version 1 a process is until somebody has waited for it.
leave_unit() {
    kill -KILL "${STARTED[@]}"
    wait "${STARTED[@]}" || true
    STARTED=()
    remove_cgroups "$UNIT/payload" "$UNIT" "${UNIT%/*}" "$SLICE"
    SLICE=
    rm "$BATS_TEST_TMPDIR/go"
}

teardown() {
    [ -z "${SLICE:-}" ] || leave_unit
    [ ! -s "$BATS_TEST_TMPDIR/failed" ] || { cat "$BATS_TEST_TMPDIR/failed" && false; }
}

@test "attach, close, supervise and watch take the processes of a unit" {
    [ -n "$(tops)" ] || skip "needs cgroups to write to"
    for top in $(tops); do
        in_unit "$top"
        run -0 "$LINGER" attach -m rst "$NAME"
        expect attach "${lines[-1]}" "1 listener, 0 connections in 2 processes, 0 failed"
        keep
        run -0 "$LINGER" close -m rst --all "$NAME"
        expect close "${lines[-1]}" "1 connection of 2 processes ended, 0 left alone, 0 failed"
        run -0 "$LINGER" supervise -n -m rst "$NAME"
        expect supervise "${lines[-1]}" "nothing was changed: 1 listener, 0 connections in 2 processes, 0 failed"
        run -0 "$LINGER" watch -t 1 "$NAME"
        leave_unit
    done
}

@test "a unit that is not there is named; a name below what another user may write does not count" {
    says_no "linger attach: $NAME: no process of that unit runs here (by /sys/fs/cgroup)" "$LINGER" attach -m rst "$NAME"
    needs_root
    [ -n "$(tops)" ] || skip "needs cgroups to write to"
    in_unit "$(tops | head -1)"
    for theirs in "$SLICE" "${UNIT%/*}"; do
        chown 65534 "$theirs"
        says_no "linger attach: $NAME: no process of that unit runs here (by /sys/fs/cgroup)" "$LINGER" attach -m rst "$NAME"
        chown 0 "$theirs"
    done
    # A unit with User= and Delegate= has a cgroup of that user's.
    chown 65534 "$UNIT" "$UNIT/payload"
    run -0 "$LINGER" attach -n -m rst "$NAME"
    says_no "linger watch: payload.service: no process of that unit runs here*" "$LINGER" watch payload.service
}

stopped_or_ended() {
    grep -q "stopped by SIGSTOP" "$BATS_TEST_TMPDIR/trace" || ! kill -0 "$tracer"
}

# bats test_tags=plain
@test "a process of a unit that ends while it is looked at is passed over" {
    [ -n "$(tops)" ] || skip "needs cgroups to write to"
    in_unit "$(tops | head -1)"
    sleep 1000 3>&- &
    STARTED+=("$!")
    echo "$!" >"$UNIT/cgroup.procs"
    # It is stopped with the first process open: the second has only been read of.
    strace -o "$BATS_TEST_TMPDIR/trace" -e trace=pidfd_open -e inject=pidfd_open:signal=STOP:when=2 \
        "$LINGER" attach -m rst "$NAME" >"$BATS_TEST_TMPDIR/said" 2>&1 3>&- &
    tracer=$!
    eventually stopped_or_ended
    kill -KILL "${STARTED[@]:1}"
    wait "${STARTED[@]:1}" || true
    pkill -CONT -P "$tracer"
    status=0
    wait "$tracer" || status=$?
    cat "$BATS_TEST_TMPDIR/said"
    expect "status, and the sum" "$status $(tail -1 "$BATS_TEST_TMPDIR/said")" "0 1 listener, 0 connections in 2 processes, 0 failed"
}
