#!/usr/bin/env bats
# Root beside users who wish it harm: what they can write gets them nothing that they have not.
load helper

LINGER=$ROOT/linger

# as_nobody COMMANDS: by the user whose directory it is.
as_nobody() {
    (cd "$BATS_TEST_TMPDIR/theirs" && setpriv --reuid=65534 --clear-groups sh -ec "$1")
}

# closes_twice: root's program closes a socket, waits for a line of its input, and closes another.
closes_twice() {
    env LD_PRELOAD="$LIB" LINGER_LOG="$LOG" LINGER_STATS="${STATS:-}" python3 -c 'import socket
socket.socket().close()
print("closed", flush=True)
input()
socket.socket().close()'
}

make_theirs() {
    mkdir "$BATS_TEST_TMPDIR/theirs"
    chmod 711 "$BATS_TEST_TMPDIR"
    chown 65534 "$BATS_TEST_TMPDIR/theirs"
}

@test "in a directory of another user's no link is followed, and the directory is named" {
    needs_root
    make_theirs
    LOG=$BATS_TEST_TMPDIR/theirs/log
    target=$BATS_TEST_TMPDIR/target
    mkfifo "$BATS_TEST_TMPDIR/go"
    exec {OUT}< <(closes_twice 3>&- 2>"$BATS_TEST_TMPDIR/stderr" <"$BATS_TEST_TMPDIR/go")
    exec {GO}>"$BATS_TEST_TMPDIR/go"
    hear
    as_nobody "mv log log.1; ln -s '$target' log"
    echo >&"$GO"
    exec {GO}>&-
    wait "$!"
    cat "$BATS_TEST_TMPDIR/stderr"
    [ ! -e "$target" ]
    expect "lines in the file that was renamed" "$(grep -c event=close "$LOG.1")" 2
    grep -q "LINGER_LOG: '$LOG' lies in a directory of another user's" "$BATS_TEST_TMPDIR/stderr"
    # Neither at the start, nor for the counters.
    "$LINGER" run -s="$target.stats" -- true
    as_nobody "ln -s '$target.stats' stats"
    STATS=$BATS_TEST_TMPDIR/theirs/stats closes_twice <<<"" 2>"$BATS_TEST_TMPDIR/stderr"
    cat "$BATS_TEST_TMPDIR/stderr"
    [ ! -e "$target" ]
    "$LINGER" stats --json "$target.stats" | grep '"closed_unconnected":0'
    grep -q "LINGER_LOG: '$LOG' cannot be written, so nothing is written there" "$BATS_TEST_TMPDIR/stderr"
    grep -q "LINGER_STATS: '$BATS_TEST_TMPDIR/theirs/stats' cannot be opened or made, so nothing is written there" "$BATS_TEST_TMPDIR/stderr"
}

@test "a TMPDIR that another user can write is refused: nothing is made there, nothing removed" {
    needs_root
    make_theirs
    mkdir "$BATS_TEST_TMPDIR/victim"
    echo precious >"$BATS_TEST_TMPDIR/victim/stats"
    export TMPDIR=$BATS_TEST_TMPDIR/theirs
    cd "$TMPDIR"
    swap='for name in linger.*; do mv $name taken && ln -s ../victim $name; done'
    run --separate-stderr "$LINGER" run -m rst -s -- setpriv --reuid=65534 --clear-groups sh -c "$swap"
    echo "$output $stderr"
    expect victim "$(cat "$BATS_TEST_TMPDIR/victim/stats")" precious
    expect status "$status" 125
    [[ $stderr == *"cannot make $TMPDIR/linger.XXXXXX: another user may write one of its directories; "* ]]
    for mode in 0757 0775 01777; do
        chown 0:65534 "$TMPDIR"
        chmod $mode "$TMPDIR"
        run --separate-stderr "$LINGER" run -m rst -s -- true
        [ $mode = 01777 ] && expect "with the sticky bit" "$status" 0
        [ $mode = 01777 ] || expect "mode $mode" "$status" 125
    done
}

@test "where no directory can be made, as in a container without /tmp, TMPDIR is named" {
    export TMPDIR=/nowhere
    also says_no "linger run: no directory can be made in /nowhere: No such file or directory; set TMPDIR to one for temporary files" \
        "$LINGER" run -s -m rst -- true
    also says_no "linger ab: no directory can be made in /nowhere: No such file or directory; set TMPDIR to *" \
        "$LINGER" ab -m fin -m rst -p 1 -l true -- true
}

@test "what another user may write is not restored" {
    needs_root
    make_theirs
    start - "$SUBJECT" -r close
    hear_port
    "$LINGER" attach -q -m rst --save "$BATS_TEST_TMPDIR/theirs/saved" "$PID" 2>"$BATS_TEST_TMPDIR/stderr"
    grep "warning: --save: $BATS_TEST_TMPDIR/theirs/saved lies in a directory of another user's" "$BATS_TEST_TMPDIR/stderr"
    cp "$BATS_TEST_TMPDIR/theirs/saved" "$BATS_TEST_TMPDIR/theirs/own"
    chown 65534 "$BATS_TEST_TMPDIR/theirs/own"
    as_nobody "ln -s saved link"
    for file in own link; do
        run "$LINGER" attach --restore "$BATS_TEST_TMPDIR/theirs/$file"
        echo "$output"
        expect "status, $file" "$status" 125
    done
    "$LINGER" attach --restore "$BATS_TEST_TMPDIR/theirs/saved"
    kill "$PID"
    finish
}

# A name of 15 bytes at most, as the kernel keeps it: a line of its own, and what a terminal obeys.
@test "names from outside are printed as ps(1) prints them: no control character, no line of their own" {
    name=$'x\nheld by\e[1m\x7f\xff'
    cp "$(readlink -f "$(command -v python3)")" "$BATS_TEST_TMPDIR/$name"
    listen='import socket
listener = socket.create_server(("127.0.0.1", 0))
print("port", listener.getsockname()[1], flush=True)
input()'
    mkfifo "$BATS_TEST_TMPDIR/go"
    exec {OUT}< <(exec "$BATS_TEST_TMPDIR/$name" -c "$listen" 3>&- <"$BATS_TEST_TMPDIR/go")
    PID=$!
    STARTED+=("$PID")
    exec {GO}>"$BATS_TEST_TMPDIR/go"
    hear_port
    printed=("states -p $PORT" "attach -m fin -n $PID" "attach -m fin@prog=other $PID" "check" "run -n -m fin" "run -m fin -b nothing")
    for command in "${printed[@]}"; do
        file=
        [[ $command == attach* || $command == states* ]] || file=$BATS_TEST_TMPDIR/$name
        read -ra words <<<"$command"
        LC_ALL=C "$LINGER" "${words[@]//@/ }" ${file:+"$file"} >"$BATS_TEST_TMPDIR/printed" 2>&1 || true
        cat -A "$BATS_TEST_TMPDIR/printed"
        expect "control characters of $command" "$(LC_ALL=C grep -c $'[\x01-\x09\x0b-\x1f\x7f-\xff]' "$BATS_TEST_TMPDIR/printed")" 0
        expect "lines of $command that are its own" "$(grep -c "^held by" "$BATS_TEST_TMPDIR/printed")" 0
    done
    LC_ALL=C "$LINGER" states -p "$PORT" | grep -qxF "  held by x?held by?[1m?? (pid $PID)"
    "$LINGER" states -j -p "$PORT" | grep -F '"program":"x\u000aheld by\u001b[1m\u007f\u00ff"' |
        python3 -c 'import json, sys; assert json.load(sys.stdin)["holders"][0]["program"] == "x\nheld by\x1b[1m\x7f\xff"'
    # What is to be pasted into a shell is still that name.
    word=$("$LINGER" run -n -m fin "$BATS_TEST_TMPDIR/$name" | sed -n 's/^command .* LD_PRELOAD=[^ ]* //p')
    eval "[ -x $word ]"
    echo >&"$GO"
    exec {GO}>&-
    finish
}
