#!/usr/bin/env bats
# What the peer sees, and what is left behind, under each mode.
load helper


@test "without a policy: EOF and one TIME_WAIT" {
    meet - close
    sees 5 1 0 1
}

in_mode() { # HOW MODE BYTES EOF RESET TIME_WAIT
    local how=$1 mode=$2
    shift 2
    for FAMILY in "" -6; do
        "$how" "$mode" close
        sees "$@"
    done
}

@test "fin: a server's peer sees EOF, one TIME_WAIT stays, though the program asked for an abort" {
    for FAMILY in "" -6; do
        meet fin -o 1,0 close
        sees 5 1 0 1
    done
}

@test "fin: a client's peer sees EOF, one TIME_WAIT stays, though the program asked for an abort" {
    for FAMILY in "" -6; do
        meet_as_client fin -o 1,0 close
        sees 5 1 0 1
    done
}

@test "rst: a server's peer sees ECONNRESET, no TIME_WAIT stays" {
    in_mode meet rst 5 0 1 0
}

@test "rst: a client's peer sees ECONNRESET, no TIME_WAIT stays" {
    in_mode meet_as_client rst 5 0 1 0
}

@test "rst: over a program that switches SO_LINGER off" {
    meet rst -o 0,0 close
    sees 5 0 1 0
}

@test "fin-rst: a server's peer sees all bytes and EOF, no TIME_WAIT stays" {
    in_mode meet fin-rst 5 1 0 0
}

@test "fin-rst: a client's peer sees all bytes and EOF, no TIME_WAIT stays" {
    in_mode meet_as_client fin-rst 5 1 0 0
}

@test "fin-rst: over a program that asked for an abort" {
    meet fin-rst -o 1,0 close
    sees 5 1 0 0
}

# peer_saw MODE STEPS WHAT
peer_saw() {
    start "$1" "$SUBJECT" -r -b 100000 close
    hear_port
    SEEN=$(python3 "$ROOT/tests/tools/late-reader.py" "$PORT" $2)
    finish
    expect "under $1 the peer saw" "$SEEN" "$3"
}

@test "fin-rst: a peer reads all and EOF, late too; poll() says POLLERR; its first send() says EPIPE, under fin its second" {
    peer_saw fin-rst "wait read send" "POLLIN POLLERR POLLHUP POLLRDHUP 100000 EOF EPIPE"
    peer_saw fin-rst "read wait send" "100000 EOF POLLIN POLLERR POLLHUP POLLRDHUP EPIPE"
    peer_saw fin "read send wait send" "100000 EOF sent POLLIN POLLERR POLLHUP POLLRDHUP EPIPE"
}

@test "wait:5: EOF and one TIME_WAIT, over a program that asked for an abort" {
    meet wait:5 -o 1,0 close
    sees 5 1 0 1
}

@test "off: the program's own abort stays" {
    meet off -o 1,0 close
    sees 5 0 1 0
}

@test "a passive close leaves no TIME_WAIT of ours: rst resets, fin-rst ends orderly" {
    PEER=-f meet rst -w close
    expect "the peer saw" "$SEEN" "bytes=5 eof=0 reset=1"
    PEER=-f meet fin-rst -w close
    expect "the peer saw" "$SEEN" "bytes=5 eof=1 reset=0"
}

# 4 MB and more in the send queue at close, none of it read yet.
queued_under() { # MODE COMMAND...
    sysctl -qw net.ipv4.tcp_wmem="4096 8388608 16777216"
    start "$@" -r -b 4194304 close
    hear_port
    exec {GO}> >("$TOOLS/peer" -k -g connect "$PORT" >"$BATS_TEST_TMPDIR/peer" 3>&-)
    PEER_PID=$!
    hear
    QUEUED=${REPLY#queued }
    if [ "$1" != wait:5 ]; then
        hear # closed
    fi
    echo go >&"$GO"
    wait "$PEER_PID"
    exec {GO}>&-
    finish
    SEEN=$(cat "$BATS_TEST_TMPDIR/peer")
    expect "queued" "$QUEUED" 4194304
}

@test "4 MB queued at close arrive whole under fin" {
    needs_namespace
    queued_under fin "$SUBJECT" -o 1,0
    expect "the peer saw" "$SEEN" "bytes=4194304 eof=1 reset=0"
}

@test "4 MB queued at close arrive whole under fin-rst, and no TIME_WAIT stays" {
    needs_namespace
    queued_under fin-rst "$SUBJECT"
    expect "the peer saw" "$SEEN" "bytes=4194304 eof=1 reset=0"
    expect "TIME_WAIT left" "$(time_wait "$PORT")" 0
}

@test "4 MB queued at close arrive whole under wait:5" {
    needs_namespace
    queued_under wait:5 "$SUBJECT" -o 1,0
    expect "the peer saw" "$SEEN" "bytes=4194304 eof=1 reset=0"
}

@test "4 MB queued at close are cut off under rst" {
    needs_namespace
    queued_under rst "$SUBJECT"
    [[ $SEEN == *"eof=0 reset=1" ]]
    bytes=${SEEN#bytes=}
    [ "${bytes%% *}" -lt 4194304 ]
}

# early_reply MODE HOW STATUS: what http.client has of it.
early_reply() {
    start "$1" python3 "$ROOT/tests/tools/early-reply.py" serve "$2"
    hear_port
    SEEN=$(python3 "$ROOT/tests/tools/early-reply.py" post "$PORT")
    finish
    expect "under $1, $2, the client has" "$SEEN" "$3"
}

@test "a reply that TCP_CORK holds back is lost under rst, and comes with the FIN under fin-rst" {
    LISTENER='listener = socket.create_server(("127.0.0.1", 0))
listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)'
    serve_python rst
    sees 0 0 1 0
    serve_python fin-rst
    sees 5 1 0 0
}

@test "a reply before the request is read is lost under every mode, unless the server closes lingeringly" {
    for mode in off fin rst fin-rst wait:5; do
        early_reply $mode plain lost
        early_reply $mode lingering 413
    done
}

# peer_after MODE: what getpeername() gives a peer when this end's FIN is there and, under fin-rst, the RST.
peer_after() {
    start "$1" python3 -c "
import socket
with socket.create_server(('127.0.0.1', 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    connection = listener.accept()[0]
    connection.recv(1)
    connection.close()"
    hear_port
    run -0 timeout 60 python3 -c "
import errno, select, socket, sys
peer = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
waits = select.poll()
waits.register(peer, select.POLLRDHUP if sys.argv[2] == 'fin' else 0)
peer.send(b'x')
waits.poll(10000)
try:
    print(peer.getpeername()[1] == int(sys.argv[1]))
except OSError as error:
    print(errno.errorcode[error.errno])" "$PORT" "$1"
    expect "getpeername() under $1" "$output" "$2"
}

# bats test_tags=preload
@test "getpeername(): still the name after fin, ENOTCONN after the RST of fin-rst" {
    peer_after fin True
    peer_after fin-rst ENOTCONN
}
