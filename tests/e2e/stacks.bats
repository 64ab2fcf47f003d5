#!/usr/bin/env bats
# What peers with another TCP than Linux's read: gVisor's netstack, on a TUN device. liblinger(7),
# CAVEATS, has the table.
load helper

needs_tun() {
    needs_namespace
    ip link delete peer 2>/dev/null || true
    ip tuntap add dev peer mode tun 2>/dev/null || skip "needs a TUN device: root, and /dev/net/tun"
    ip address add 10.9.0.1/24 dev peer
    ip link set peer up
}

# Sender and reader, either of them the client.
reads_from_server() { # MODE WHEN
    start "$1" python3 "$ROOT/tests/tools/sender.py" "$ASKS" listen 10.9.0.1
    hear_port
    SEEN=$(timeout 40 "$TOOLS/go/netstack" peer connect "$PORT" "$2") || true
    finish
    expect "status of the sender" "$STATUS" 0
}

reads_from_client() { # MODE WHEN
    start - timeout 40 "$TOOLS/go/netstack" peer listen "$2"
    hear_port
    (under "$1" python3 "$ROOT/tests/tools/sender.py" "$ASKS" connect 10.9.0.2 "$PORT" 3>&-)
    hear
    SEEN=$REPLY
    finish
}

# netstack_sees MODE LAST END: at once and late, from a server and from a client.
netstack_sees() {
    local how when
    needs_tun
    # The program asks for the opposite.
    [ "$1" = rst ] && ASKS=release || ASKS=abort
    for how in reads_from_server reads_from_client; do
        for when in once "$2"; do
            $how "$1" "$when"
            expect "$1, $how, $when" "$SEEN" "bytes=100000 $3"
        done
    done
}

@test "netstack: all bytes and EOF under fin, read at once or late" {
    netstack_sees fin FIN "endpoint is closed for receive"
}

@test "netstack: all bytes and EOF under fin-rst, read at once or after the RST" {
    netstack_sees fin-rst RST "endpoint is closed for receive"
}

@test "netstack: all bytes and then a reset under rst, read at once or after the RST" {
    netstack_sees rst RST "connection reset by peer"
}
