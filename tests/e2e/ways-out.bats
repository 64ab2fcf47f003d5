#!/usr/bin/env bats
# Every way out: however the socket goes away, it goes the way the policy says.
load helper

one() { # HOW MODE WAY BYTES EOF RESET TIME_WAIT
    "$1" "$2" "$3"
    sees "${@:4}"
}

# The subject as a server and as a client, under rst and under fin-rst.
every_mode() { # WAY
    for how in meet meet_as_client; do
        also one $how rst "$1" 5 0 1 0
        also one $how fin-rst "$1" 5 1 0 0
    done
}

@test "close()" {
    every_mode close
}

@test "fclose()" {
    every_mode fclose
}

@test "dup2() over it" {
    every_mode dup2
}

@test "dup3() over it" {
    every_mode dup3
}

@test "close_range()" {
    every_mode close_range
}

@test "closefrom()" {
    every_mode closefrom
}

@test "syscall(SYS_close)" {
    every_mode syscall
}

@test "return from main" {
    every_mode return
}

@test "_exit()" {
    every_mode _exit
}

@test "abort()" {
    every_mode abort
}

@test "SIGKILL" {
    every_mode sigkill
}

@test "exec with close-on-exec" {
    every_mode exec
}

@test "passed through SCM_RIGHTS and closed by the receiver" {
    every_mode scm_rights
}

@test "passed through SCM_RIGHTS, received by recvmmsg()" {
    every_mode scm_rights_mmsg
}

@test "close() in a signal handler" {
    every_mode signal
}

@test "an io_uring close" {
    start - "$SUBJECT" -r io_uring
    hear_port
    "$TOOLS/peer" -k connect "$PORT"
    finish
    [ "$STATUS" -ne 77 ] || skip "this kernel has io_uring switched off"
    every_mode io_uring
}

@test "fork: the parent closes first, the child's connection lives on" {
    meet rst fork
    sees 10 0 1 0
    meet fin-rst fork
    sees 10 1 0 0
}

# The reader holds the last reference: it ends when the peer has sent it a byte.
closed_while_read() { # MODE
    start "$1" "$SUBJECT" -r thread
    hear_port
    exec {GO}> >("$TOOLS/peer" -k -g -s 1 connect "$PORT" >"$BATS_TEST_TMPDIR/peer" 3>&-)
    PEER_PID=$!
    hear # closed
    echo go >&"$GO"
    wait "$PEER_PID"
    exec {GO}>&-
    finish
    SEEN=$(cat "$BATS_TEST_TMPDIR/peer")
    LEFT=$(time_wait "$PORT")
}

@test "a thread closes while another reads" {
    closed_while_read rst
    sees 5 0 1 0
    closed_while_read fin-rst
    sees 5 1 0 0
}

# A shell connects and execs a program with the library: the socket existed before it.
inherited_under() { # MODE [NUMBER]
    start - "$TOOLS/peer" listen
    hear_port
    (
        eval "exec ${2:-8}<>/dev/tcp/127.0.0.1/$PORT"
        under "$1" "$SUBJECT" nothing
    )
    hear
    SEEN=$REPLY
    finish
    LEFT=$(time_wait "$PORT")
}

@test "inherited over exec: armed at load" {
    inherited_under rst
    sees 0 0 1 0
    inherited_under fin-rst
    sees 0 1 0 0
    inherited_under "rst role=client"
    sees 0 0 1 0
}

# A process begins with a table of 64.
@test "inherited over exec, whatever its number" {
    for number in 3 63 64 65 127 128 900; do
        inherited_under rst $number
        sees 0 0 1 0
        inherited_under "rst role=client" $number
        sees 0 0 1 0
    done
}
