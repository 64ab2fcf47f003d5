#!/usr/bin/env bats
# A running process under a filter, and nothing else about it has changed: what tests/tools/held.c
# stands in when it is taken over, and what it sees of that. No policy is in this, see supervise-running.bats.
EACH_NEEDS=needs_no_filter
load helper

INJECT=$TOOLS/inject
STATIC=$TOOLS/static

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
    await_call "$number"
    facts | diff "$BATS_TEST_TMPDIR/before" -
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

@test "a restartable sequence that is interrupted is aborted" {
    unnoticed sequence "0 0"
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

@test "a process that was stopped stays so, and goes on at SIGCONT" {
    hold read
    kill -STOP "$HELD_PID"
    until grep -qs '^State:.T' "/proc/$HELD_PID/status"; do :; done
    take_over
    facts | diff "$BATS_TEST_TMPDIR/before" -
    kill -CONT "$HELD_PID"
    goes_on "1 0"
}

@test "no_new_privs is set where the program lacks CAP_SYS_ADMIN, and then it is told before" {
    needs_root
    hold read
    expect check "$("$INJECT" -n "$HELD_PID")" "no_new_privs 0"
    take_over
    grep -q '^NoNewPrivs:.0' "/proc/$HELD_PID/status"
    goes_on "1 0"
    hold_as_nobody read
    expect check "$("$INJECT" -n "$HELD_PID")" "no_new_privs 1"
    grep -q '^NoNewPrivs:.0' "/proc/$HELD_PID/status"
    take_over
    grep -q '^NoNewPrivs:.1' "/proc/$HELD_PID/status"
    goes_on "1 0"
}

# A program and its filter: it would be ended for seccomp, prctl, mmap, munmap and close_range.
@test "a program's own filter does not see the calls that root has it make" {
    needs_root
    hold filtered
    take_over
    facts | diff "$BATS_TEST_TMPDIR/before" -
    goes_on "1 0"
}

as_nobody() {
    setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}

hold_as_nobody() { # NAME
    printf '#!/bin/sh\nexec setpriv --reuid=65534 --regid=65534 --clear-groups "%s" "$@"\n' "$TOOLS/held" >"$BATS_TEST_TMPDIR/held"
    chmod +x "$BATS_TEST_TMPDIR/held"
    HELD=$BATS_TEST_TMPDIR/held hold "$@"
}

# refused WHY [COMMAND...]: in words, and the process is as before.
refused() {
    local why=$1
    shift
    facts >"$BATS_TEST_TMPDIR/before"
    run ! "$@" "$INJECT" "$HELD_PID"
    expect refusal "$output" "process $HELD_PID: $why"
    facts | diff "$BATS_TEST_TMPDIR/before" -
}

@test "refused: who is traced, and who is supervised already" {
    hold read
    start - strace -qq -o /dev/null -p "$HELD_PID"
    until grep -qE '^TracerPid:.[1-9]' "/proc/$HELD_PID/status"; do kill -0 "$PID"; done
    refused "process $PID traces it (a debugger, strace): end that first"
    kill -TERM "$PID"
    finish || true
    until grep -q '^TracerPid:.0' "/proc/$HELD_PID/status"; do :; done
    take_over
    # A user may not see whose filter it is.
    refused "$(as_root "it has a supervisor already (a container runtime's, or linger's own), and the kernel permits one" \
        "a seccomp filter of its own may end it for the calls that linger makes in it: CAP_SYS_ADMIN, outside of a container, is needed")"
    goes_on "1 0"
}

@test "refused: strict mode, a zombie, a kernel thread, no process" {
    hold strict
    refused "it runs in seccomp's strict mode, which permits no filter"
    echo >&"$GO"
    start - python3 -c 'import subprocess, time; p = subprocess.Popen("true"); print(p.pid, flush=True); time.sleep(60)'
    hear
    until grep -qs '^State:.Z' "/proc/$REPLY/status"; do kill -0 "$PID"; done
    run ! "$INJECT" "$REPLY"
    expect zombie "$output" "process $REPLY: a zombie: it has ended already, and holds no sockets"
    run ! "$INJECT" 2147483647
    expect nobody "$output" "process 2147483647: no such process"
    if [ "$(cat /proc/2/comm)" = kthreadd ]; then
        run ! "$INJECT" 2
        expect "kernel thread" "$output" "process 2: a kernel thread: it has no descriptors"
    fi
}

@test "refused: a program that handles its own system calls, by SIGSYS" {
    linux_is 5.11 || skip "this kernel lets no program do so (Linux 5.11)"
    hold dispatched
    refused "it handles its own system calls, as Wine does"
    goes_on "1 0"
}

@test "refused: before Linux 5.13, a thread that may be in a restartable sequence" {
    hold spin
    refused "it computes, and before Linux 5.13 it may be stopped only in a system call: try again" "$TOOLS/oldkernel" 5.12
    goes_on "0 0"
}

@test "refused: every thread in state D, as in vfork()" {
    hold vfork
    until grep -qs '^State:.D' "/proc/$HELD_PID/status"; do kill -0 "$HELD_PID"; done
    refused "it is in state D, where no signal reaches it: try again when what it waits for (a disk, a file server) has answered"
    goes_on "0 0"
}

@test "refused: another user's process; a filter that only root may look into" {
    needs_root
    hold read
    refused "it belongs to user 0: root, or CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH, is needed" as_nobody
    goes_on "1 0"
    hold_as_nobody filtered
    refused "a seccomp filter of its own may end it for the calls that linger makes in it: CAP_SYS_ADMIN, outside of a container, is needed" as_nobody
    goes_on "1 0"
}

@test "refused: a program for 32 bits" {
    needs_32_bit_programs
    i686-linux-gnu-gcc -static -x c -o "$BATS_TEST_TMPDIR/small" - <<<'#include <unistd.h>
int main(void) { write(1, "ready\n", 6); return pause(); }'
    "$BATS_TEST_TMPDIR/small" >/dev/null & PID=$!
    STARTED+=("$PID")
    until [ "$(cat "/proc/$PID/comm")" = small ]; do kill -0 "$PID"; done
    run ! "$INJECT" "$PID"
    expect refusal "$output" "process $PID: a program for i386, 32 bits, is not supervised"
}

@test "refused: no descriptor left for the listener; the page for the filter is gone again" {
    hold read
    prlimit --pid "$HELD_PID" --nofile=0:
    refused "it has as many descriptors as its RLIMIT_NOFILE permits: raise that, prlimit(1)"
    goes_on "1 0"
}

# harmless WHAT: `inject -r` stops any of its threads $STOPS times as it runs.
STOPS=300
harmless() {
    start - "$INJECT" -r $STOPS "$1"
    CALLER=$PID CALLER_OUT=$OUT
}

was_called() {
    read -r -t 100 REPLY <&"$CALLER_OUT"
    echo "$REPLY"
    [[ $REPLY == "called "[1-9]* ]]
}

@test "at any moment: 200 threads that connect while signals rain on them" {
    start - "$TOOLS/peer" -n 20000 listen
    hear_port
    start - "$STATIC/storm" threads "$PORT" 20000
    storm_out=$OUT storm=$PID
    harmless "$storm"
    OUT=$storm_out WITHIN=100 hear
    expect "the storm" "$REPLY" "connected 20000"
    kill -KILL "$storm"
    was_called
}

@test "at any moment: a program that becomes another one" {
    printf '%s\n' '#!/bin/sh' '[ "$1" -gt 0 ] || { echo "the end"; exit; }' 'exec "$0" $(($1 - 1))' >"$BATS_TEST_TMPDIR/again"
    chmod +x "$BATS_TEST_TMPDIR/again"
    start - "$BATS_TEST_TMPDIR/again" 1500
    again_out=$OUT
    harmless "$PID"
    OUT=$again_out WITHIN=100 hear
    expect "1,500 times execve()" "$REPLY" "the end"
    was_called
}

@test "at any moment: the threads of a Go program" {
    start - "$TOOLS/peer" -s 1 -n 5000 listen
    hear_port
    start - "$TOOLS/go/client" "127.0.0.1:$PORT" 5000
    client_out=$OUT
    harmless "$PID"
    OUT=$client_out WITHIN=100 hear
    expect "the client" "$REPLY" "connected 5000"
    was_called
}

@test "killed while a thread works for us: nothing is left of it" {
    start - "$TOOLS/peer" -s 1 -n 1000000 listen
    hear_port
    start - "$TOOLS/go/client" "127.0.0.1:$PORT" 1000000
    run timeout 60 "$INJECT" -k "$PID"
    expect "what it said" "$output" gone
}

@test "at any moment: the threads of a JVM" {
    javac -d "$BATS_TEST_TMPDIR" "$ROOT/tests/tools/JvmServer.java"
    PORT=$("$TOOLS/free-port")
    start - java -cp "$BATS_TEST_TMPDIR" JvmServer channel "$PORT"
    await_listener
    jvm=$PID
    harmless "$jvm"
    for round in 1 2 3 4 5; do
        talk 100 'hello\n' 'hello\n'
        expect "the server" "$SEEN" "whole=100 eof=100 reset=0"
    done
    kill -0 "$jvm"
    kill -TERM "$jvm"
    was_called
}

# Each connects until it has been taken over; a thread in state D is no luck of ours: again, then.
@test "50 Go programs come under a filter while they connect" {
    start - "$TOOLS/peer" -s 1 -n 10000000 listen
    hear_port
    mkfifo "$BATS_TEST_TMPDIR/go"
    exec {GO}<>"$BATS_TEST_TMPDIR/go"
    for round in {1..50}; do
        start - "$TOOLS/go/client" "127.0.0.1:$PORT" - <&"$GO"
        client=$PID client_out=$OUT
        while [ "$(cat "/proc/$client/comm")" = bash ]; do :; done
        REPLY=
        until [ "$REPLY" = "under $client" ]; do
            start - "$INJECT" "$client"
            hear
            [[ $REPLY == "under $client" || $REPLY == *"in state D"* ]]
        done
        echo >&"$GO"
        OUT=$client_out WITHIN=100 hear
        exec {client_out}<&-
        [[ $REPLY == "connected "[1-9]* ]]
        finish
        expect "inject's status" "$STATUS" 0
    done
}

# Then its filter stands beyond the first 4,095 bytes of /proc/PID/status.
@test "a program with 1,000 groups and a filter of its own: the filter is noticed" {
    needs_root
    printf '#!/bin/sh\nexec setpriv --groups="%s" "%s" "$@"\n' "$(seq -s, 100000 100999)" "$TOOLS/held" >"$BATS_TEST_TMPDIR/held"
    chmod +x "$BATS_TEST_TMPDIR/held"
    HELD=$BATS_TEST_TMPDIR/held hold filtered
    take_over
    goes_on "1 0"
}

# Where the cgroup is not to be seen, it is found out when the thread does not come to make its call.
@test "refused: what is frozen by a cgroup; thawed, it goes on" {
    needs_root
    local cgroup=/sys/fs/cgroup/linger-$$
    [ -e /sys/fs/cgroup/cgroup.procs ] || cgroup=/sys/fs/cgroup/unified/linger-$$
    mkdir "$cgroup" || skip "needs cgroups to write to"
    hold read
    echo "$HELD_PID" >"$cgroup/cgroup.procs"
    echo 1 >"$cgroup/cgroup.freeze"
    until grep -qx "frozen 1" "$cgroup/cgroup.events"; do kill -0 "$HELD_PID"; done
    run ! timeout -s KILL 20 "$INJECT" "$HELD_PID"
    expect refusal "$output" "process $HELD_PID: it is frozen by its cgroup, as by docker pause: thaw it first"
    run ! timeout -s KILL 60 unshare -m sh -c 'mount -t tmpfs hidden /sys/fs/cgroup && exec "$@"' sh "$INJECT" "$HELD_PID"
    expect refusal "$output" "process $HELD_PID: it does not run, frozen or without a processor: try again later"
    echo 0 >"$cgroup/cgroup.freeze"
    until grep -qx "frozen 0" "$cgroup/cgroup.events"; do kill -0 "$HELD_PID"; done
    goes_on "1 0"
    remove_cgroups "$cgroup"
}
