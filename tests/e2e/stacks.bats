#!/usr/bin/env bats
# What peers with another TCP than Linux's read, gVisor's netstack and lwIP, on a TUN device.
# liblinger(7), CAVEATS, has the table.
load helper

needs_tun() {
    needs_namespace
    ip link delete peer 2>/dev/null || true
    ip tuntap add dev peer mode tun 2>/dev/null || skip "needs a TUN device: root, and /dev/net/tun"
    ip address add 10.9.0.1/24 dev peer
    ip link set peer up
}

sender() { # MODE ARGUMENT...
    # The program asks for something else.
    local asks=release
    [ "$1" != fin ] || asks=abort
    under "$1" python3 "$ROOT/tests/tools/sender.py" $asks "${@:2}"
}

server_sends() { # MODE BYTES STACK WHEN
    exec {OUT}< <(sender "$1" "$2" listen 10.9.0.1 3>&- 2>"$BATS_TEST_TMPDIR/stderr")
    PID=$!
    STARTED+=("$PID")
    hear_port
    SEEN=$(timeout 60 "$3" peer connect "$PORT" "$4") || true
    finish
    expect "status of the sender" "$STATUS" 0
}

client_sends() { # MODE BYTES STACK WHEN
    start - timeout 60 "$3" peer listen "$4"
    hear_port
    (sender "$1" "$2" connect 10.9.0.2 "$PORT" 3>&-)
    hear
    SEEN=$REPLY
    finish
}

# stack_sees MODE BYTES STACK WHEN END: as a client and as a server.
stack_sees() {
    local how
    needs_tun
    for how in server_sends client_sends; do
        $how "${@:1:4}"
        expect "$1, $how, reads $4" "$SEEN" "bytes=$2 $5"
    done
}

netstack_sees() { # MODE WHEN END
    stack_sees "$1" 100000 "$TOOLS/go/netstack" "$2" "$3"
}

@test "netstack: all bytes and EOF under fin, read at once or late" {
    netstack_sees fin once EOF
    netstack_sees fin FIN EOF
}

@test "netstack: all bytes and EOF under fin-rst, read at once or after the RST" {
    netstack_sees fin-rst once EOF
    netstack_sees fin-rst RST EOF
}

@test "netstack: all bytes and then a reset under rst, read at once or after the RST" {
    netstack_sees rst once ECONNRESET
    netstack_sees rst RST ECONNRESET
}

lwip_sees() { # MODE WHEN END
    stack_sees "$1" 50000 "$TOOLS/lwip" "$2" "$3"
}

@test "lwIP: all bytes and EOF under fin, read at once or late" {
    lwip_sees fin once EOF
    lwip_sees fin FIN EOF
}

@test "lwIP: all bytes, and a reset instead of EOF under fin-rst if they are read after the RST" {
    lwip_sees fin-rst RST ECONNRESET
}

@test "lwIP: all bytes and then a reset under rst, read at once or after the RST" {
    lwip_sees rst once ECONNRESET
    lwip_sees rst RST ECONNRESET
}
