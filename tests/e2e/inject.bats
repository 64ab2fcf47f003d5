#!/usr/bin/env bats
# A running process under a filter, and nothing else about it has changed: what tests/tools/held.c
# stands in when it is taken over, and what it sees of that. No policy is in this, see stay.bats.
BATS_TEST_TIMEOUT=120
load helper

INJECT=$TOOLS/inject

# hold NAME [COUNT]: starts held, and waits until it is in that call. A line to $GO lets it go on.
hold() {
    [ "$(uname -m)" = x86_64 ] || skip "elsewhere a call that was interrupted begins again"
    rm -f "$BATS_TEST_TMPDIR/go" && mkfifo "$BATS_TEST_TMPDIR/go" # the last one's byte may be in it
    exec {GO}<>"$BATS_TEST_TMPDIR/go"
    start - "${HELD:-$TOOLS/held}" "$@" <&"$GO"
    HELD_PID=$PID HELD_OUT=$OUT
    hear
    await_call "${REPLY#ready }"
}

# Or in restart_syscall, 219, by which the kernel goes on with the rest of a time limit.
await_call() {
    while [ "$1" != -1 ] && ! grep -qsE "^($1|219) " "/proc/$HELD_PID/syscall"; do
        kill -0 "$HELD_PID"
    done
}

# What is known of the process, apart from what the filter changes and what any stop does.
facts() {
    (cd "/proc/$HELD_PID/fd" && for fd in *; do echo "$fd $(readlink "$fd")"; done)
    grep -E '^(State|Sig[^Q]|Shd|Threads|Cap|TracerPid)' "/proc/$HELD_PID/status" | sed 's/(.*//'
    cut -d' ' -f1-4,6 "/proc/$HELD_PID/maps"
}

# Takes the process over; it waits where it stood.
take_over() {
    facts >"$BATS_TEST_TMPDIR/before"
    start - "$INJECT" "$HELD_PID"
    hear
    expect inject "$REPLY" "under $HELD_PID"
}

goes_on() { # WITH
    echo >&"$GO"
    read -r -t 60 REPLY <&"$HELD_OUT"
    expect "the call" "$REPLY" "$1"
    STATUS=0
    wait "$HELD_PID" || STATUS=$?
    expect status "$STATUS" 7
}

unnoticed() { # NAME WITH
    echo "$1"
    hold "$1"
    local number=${REPLY#ready }
    take_over
    [ "$1" = nanosleep ] || await_call "$number"
    facts >"$BATS_TEST_TMPDIR/after"
    [ "$1" = nanosleep ] || diff "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/after"
    expect filter "$(sed -n 's/^Seccomp:\t//p' "/proc/$HELD_PID/status")" 2
    goes_on "$2"
}

@test "a call that is interrupted goes on, and says what it would have said" {
    unnoticed read "1 0"
    unnoticed poll "1 0"
    unnoticed epoll "1 0"
    unnoticed epoll-limit "1 0"
    unnoticed nanosleep "0 0"
    unnoticed futex "0 0"
    unnoticed futex-limit "0 0"
    unnoticed accept "0 0"
    unnoticed connect "0 0"
    unnoticed connect-limit "0 0"
    unnoticed recv-limit "5 0"
    unnoticed sigtimedwait "10 0"
    unnoticed semop "0 0"
    unnoticed wait "0 0"
}

@test "a signal ends a call as it would have: ppoll, sigsuspend" {
    unnoticed ppoll "-1 4"
    unnoticed sigsuspend "-1 4"
}

@test "registers and red zone, in a call and in a loop without any" {
    unnoticed registers "0 0"
    unnoticed spin "0 0"
}

@test "pending signals, the mask, what is ignored (SIGTRAP): as before" {
    unnoticed signals "1 0"
}

@test "500 threads, and a child made later, are under the filter and served" {
    hold threads 500
    take_over
    expect threads "$(cat /proc/"$HELD_PID"/task/*/status | grep -cP '^Seccomp:\t2')" 501
    goes_on "500 0"
}
