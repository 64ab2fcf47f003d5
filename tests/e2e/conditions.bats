#!/usr/bin/env bats
# Each condition of the policy language, where it holds and where it does not.
load helper

RESET="bytes=5 eof=0 reset=1"
ORDERLY="bytes=5 eof=1 reset=0"

holds() { # HOW POLICY [OPTION...]
    local how=$1 policy=$2
    shift 2
    $how "$policy" "$@" close
    expect "under '$policy' the peer saw" "$SEEN" "$RESET"
}

fails() { # HOW POLICY [OPTION...]
    local how=$1 policy=$2
    shift 2
    $how "$policy" "$@" close
    expect "under '$policy' the peer saw" "$SEEN" "$ORDERLY"
}

# A client of a peer whose port the policy has to name: @ in the policy stands for it.
client_policy() {
    local policy=$1
    shift
    start - "$TOOLS/peer" ${FAMILY:-} listen
    hear_port
    (under "${policy//@/$PORT}" "$SUBJECT" ${FAMILY:-} -c "$PORT" "$@" >"$BATS_TEST_TMPDIR/subject" 3>&-) || true
    hear
    SEEN=$REPLY
    finish
}

# A server on a port that is known beforehand.
server_policy() {
    local policy=$1 port
    shift
    port=$("$TOOLS/free-port")
    meet "${policy//@/$port}" -p "$port" "$@"
}

@test "role=" {
    also holds meet "rst role=server"
    also fails meet "rst role=client"
    also holds meet_as_client "rst role=client"
    also fails meet_as_client "rst role=server"
}

@test "port= is the service's port on both sides" {
    also holds server_policy "rst port=@"
    also holds server_policy "rst port=1,2-3,@"
    also fails server_policy "rst port=1,2-3"
    also holds client_policy "rst port=@"
    also fails client_policy "rst port=1"
    # The client's own port is not the service's, though it lies in the range.
    also fails client_policy "off port=@; rst port=1024-65535"
}

@test "local= and peer=, address and prefix" {
    also holds meet "rst peer=127.0.0.0/8"
    also holds meet "rst peer=10.0.0.0/8,127.0.0.1"
    also fails meet "rst peer=10.0.0.0/8"
    also holds meet "rst local=127.0.0.1/32"
    also fails meet "rst local=127.0.0.2"
    also holds meet_as_client "rst peer=127.0.0.1"
    also fails meet_as_client "rst peer=127.0.0.2"
    also holds meet_as_client "rst local=127.0.0.1"
    also fails meet_as_client "rst local=10.0.0.0/8"
}

@test "local= and peer=, IPv6" {
    FAMILY=-6
    also holds meet "rst peer=[::1]"
    also holds meet "rst local=[::]/0"
    also fails meet "rst peer=[2001:db8::]/32"
    also fails meet "rst peer=0.0.0.0/0"
    also holds meet_as_client "rst local=[::1]"
    FAMILY=
    also fails meet "rst peer=[::]/0"
}

@test "local= and peer=, with ports" {
    also holds client_policy "rst peer=127.0.0.1:@"
    also holds client_policy "rst peer=:@"
    also fails client_policy "rst peer=127.0.0.1:1"
    also fails client_policy "rst peer=:1-1023"
    also holds server_policy "rst local=:@"
    also holds server_policy "rst local=127.0.0.1:@"
    also fails server_policy "rst local=127.0.0.1:1"
    also holds server_policy "rst peer=:1024-65535"
}

@test "an IPv4-mapped address is its IPv4 address" {
    LISTENER="listener = socket.create_server(('::', 0), family=socket.AF_INET6, dualstack_ipv6=True)"
    serve_python "rst peer=127.0.0.0/8 local=127.0.0.1"
    expect "the peer saw" "$SEEN" "$RESET"
}

@test "when=active and when=passive" {
    also holds meet "rst when=active"
    also fails meet "rst when=passive"
    PEER=-f
    also holds meet "rst when=passive" -w
    also fails meet "rst when=active" -w
    PEER=
    also holds meet_as_client "rst when=active role=client"
    also fails meet_as_client "rst when=active role=server"
    for way in fclose dup2 dup3; do
        meet "fin when=passive; rst" $way
        expect "$way: the peer saw" "$SEEN" "$RESET"
    done
}

# bats test_tags=preload
@test "when=: each of libc's functions that close, and one log line for each" {
    for way in close fclose freopen freopen64 dup2 dup3 closefrom libc_close_range; do
        meet "fin when=passive; rst" $way
        expect "$way: the peer saw" "$SEEN" "$RESET"
        expect "$way: status" "$STATUS" 0
        rm -f "$BATS_TEST_TMPDIR/log"
        LINGER_LOG=$BATS_TEST_TMPDIR/log meet fin $way
        grep -c " event=close .* state=established " "$BATS_TEST_TMPDIR/log" >"$BATS_TEST_TMPDIR/lines" || true
        expect "$way: lines" "$(cat "$BATS_TEST_TMPDIR/lines")" 1
    done
}

@test "when=: a rule without conditions at the end decides what a parent's close left open" {
    meet "rst when=active; fin" fork
    expect "the peer saw" "$SEEN" "bytes=10 eof=0 reset=1"
    PEER=-f meet "rst when=active; fin" -w fork
    expect "the peer saw" "$SEEN" "bytes=10 eof=1 reset=0"
}

@test "when=: closing a duplicate of a listener changes nothing for what is accepted" {
    start "rst when=active" python3 -c '
import os, socket
listener = socket.create_server(("127.0.0.1", 0))
os.close(os.dup(listener.fileno()))
print("port", listener.getsockname()[1], flush=True)
connection, _ = listener.accept()
connection.recv(1)
connection.close()'
    hear_port
    seen=$(python3 -c '
import socket, sys
peer = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=60)
peer.shutdown(socket.SHUT_WR)
try:
    print(peer.recv(1) or "EOF")
except OSError as error:
    print(error)' "$PORT")
    finish
    expect "the peer saw" "$seen" EOF
}

@test "share=100% and share=0.0001%" {
    also holds meet "rst share=100%"
    also holds meet_as_client "rst share=100%"
    also fails meet "rst share=0.0001%"
}

share_of_2000() { # HOW
    PEER="-n 2000" $1 "rst share=30%" -n 2000 close
    local resets=${SEEN##*reset=}
    echo "$SEEN"
    [ "$resets" -ge 520 ] && [ "$resets" -le 680 ]
}

@test "share=30% of 2,000 connections lies between 26 and 34 %, of a server and of a client" {
    share_of_2000 meet
    share_of_2000 meet_as_client
}

@test "share=: two processes that hold the same socket agree" {
    (under "rst share=50%; fin" python3 "$BATS_TEST_DIRNAME/../tools/share-agrees.py" >"$BATS_TEST_TMPDIR/out")
    cat "$BATS_TEST_TMPDIR/out"
    read -r agreed armed <"$BATS_TEST_TMPDIR/out"
    expect "agreed" "$agreed" 200
    [ "$armed" -gt 60 ] && [ "$armed" -lt 140 ]
}

@test "prog=" {
    also holds meet "rst prog=subject"
    also holds meet "rst prog=nginx,sub*"
    also fails meet "rst prog=nginx,redis-*"
    also fails meet "fin prog=s*; rst"
}

@test "the first rule that matches decides, and none leaves the socket alone" {
    also fails server_policy "off port=@; rst"
    also holds server_policy "off port=1; rst"
    also fails meet "fin-rst role=server; rst"
    also holds meet "off role=client; rst role=server"
    also fails server_policy "rst port=1; rst role=client"
}

@test "newlines separate rules" {
    also holds meet $'off role=client\n\nrst role=server\n'
}

@test "@FILE: rules with comments" {
    printf '# teardown of the fleet\noff role=client  # not ours\n\n  rst role=server\r\n' >"$BATS_TEST_TMPDIR/policy"
    also holds meet "@$BATS_TEST_TMPDIR/policy"
    also holds meet "@$BATS_TEST_TMPDIR/policy"
    also fails meet_as_client "@$BATS_TEST_TMPDIR/policy"
}

# Role: what connect() and accept() showed, where the local port tells another tale.
@test "role= holds for a client that is bound to a port outside the ephemeral range" {
    for policy in "rst role=client when=active; fin" "rst role=client; fin"; do
        start - "$TOOLS/peer" listen
        hear_port
        (under "$policy" python3 - "$PORT" 3>&- <<'END'
import errno, socket, struct, sys
for port in range(20000, 20100):
    client = socket.socket()
    try:
        client.bind(("127.0.0.1", port))
        break
    except OSError as error:
        assert error.errno == errno.EADDRINUSE
client.connect(("127.0.0.1", int(sys.argv[1])))
client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
client.send(b"hello")
client.close()
END
        )
        hear
        expect "under '$policy' the peer saw" "$REPLY" "$RESET"
        finish
    done
}

@test "role= holds for a server whose listen() nobody saw" {
    LISTENER="import ctypes, os
listener = socket.socket()
listener.bind(('127.0.0.1', 0))
numbers = {'x86_64': 50, 'aarch64': 201, 'riscv64': 201}
assert ctypes.CDLL(None).syscall(numbers[os.uname().machine], listener.fileno(), 1) == 0"
    serve_python "rst role=server when=active; fin"
    expect "the peer saw" "$SEEN" "$RESET"
}

# The first connect() of one descriptor is refused, the second arrives: what the peer of that one sees.
reconnects_under() { # POLICY, in which REFUSED is the first port
    local refused
    refused=$("$TOOLS/free-port")
    start - "$TOOLS/peer" listen
    hear_port
    (under "${1//REFUSED/$refused}" python3 -c "
import socket, sys
client = socket.socket()
if client.connect_ex(('127.0.0.1', int(sys.argv[1]))) == 0:
    sys.exit('not refused')
client.connect(('127.0.0.1', int(sys.argv[2])))
client.send(b'hello')
client.close()" "$refused" "$PORT" 3>&-)
    hear
    SEEN=$REPLY
    finish
}

@test "connect() again: the rule that matches then decides, and without one the earlier verdict stays" {
    reconnects_under "rst peer=:REFUSED; fin"
    expect "the peer saw" "$SEEN" "bytes=5 eof=1 reset=0"
    reconnects_under "fin peer=:REFUSED; rst"
    expect "the peer saw" "$SEEN" "bytes=5 eof=0 reset=1"
    reconnects_under "rst peer=:REFUSED"
    expect "the peer saw" "$SEEN" "bytes=5 eof=0 reset=1"
}
