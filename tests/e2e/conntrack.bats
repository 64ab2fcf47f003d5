#!/usr/bin/env bats
# A router in between that masquerades: what it keeps of connections that the client closes first.
load helper

COUNT=50

# namespace INTERFACE NUMBER: another network namespace behind INTERFACE of this one; THERE is its pid.
namespace() {
    other_network
    THERE=$OTHER
    ip link add name "$1" type veth peer name far netns "$THERE"
    ip address add "10.202.$2.1/24" dev "$1"
    ip link set "$1" up
    nsenter -t "$THERE" -n ip address add "10.202.$2.2/24" dev far
    nsenter -t "$THERE" -n ip link set far up
    nsenter -t "$THERE" -n ip route add default via "10.202.$2.1" rto_min 5s
    # On a busy machine a FIN would be sent again, and the ACK of the second one answered by RST.
    nsenter -t "$THERE" -n ip route change "10.202.$2.0/24" dev far rto_min 5s
    nsenter -t "$THERE" -n sysctl -qw net.ipv4.tcp_early_retrans=0
}

be_router() {
    needs_namespace
    command -v conntrack >/dev/null || skip "conntrack is not installed"
    sysctl -qw net.ipv4.ip_forward=1
    nft -f - 2>"$BATS_TEST_TMPDIR/nft" <<END || skip "this kernel does not masquerade: $(head -1 "$BATS_TEST_TMPDIR/nft")"
table ip router {
    chain leaving {
        type nat hook postrouting priority 100;
        oifname outside masquerade
    }
}
END
    conntrack -L >/dev/null 2>&1 || skip "this kernel does not list the connections that it tracks"
    namespace inside 1
    CLIENT=$THERE
    namespace outside 2
    SERVER=$THERE
    export TEST_ADDRESS=10.202.2.2
}

tracked() {
    conntrack -L -p tcp --dport 80 2>/dev/null
}

# The last FIN and ACK may still be under way.
all_have_ended() {
    ! tracked | grep -qv " TIME_WAIT \| CLOSE "
}

# kept_under MODE: KEPT are the states of the router's entries, with their number.
kept_under() {
    conntrack -F 2>/dev/null
    start - nsenter -t "$SERVER" -n "$TOOLS/peer" -s 1 -n $COUNT listen 80
    hear
    (under "$1" nsenter -t "$CLIENT" -n "$TOOLS/flood" 80 $COUNT 3>&-)
    hear
    SEEN=$REPLY
    finish
    eventually all_have_ended
    KEPT=$(tracked | awk '{ n[$4]++ } END { for (state in n) print n[state], state }')
    echo "$1: $KEPT, the server saw $SEEN"
}

# bats test_tags=preload
@test "the router keeps TIME_WAIT after a FIN, and CLOSE, which ends much earlier, under fin-rst and rst" {
    be_router
    kept_under -
    expect plain "$KEPT" "$COUNT TIME_WAIT"
    kept_under fin-rst
    expect fin-rst "$KEPT" "$COUNT CLOSE"
    expect "the server saw" "$SEEN" "bytes=0 eof=$COUNT reset=0"
    kept_under rst
    expect rst "$KEPT" "$COUNT CLOSE"
    local timeout=/proc/sys/net/netfilter/nf_conntrack_tcp_timeout
    [ "$(cat ${timeout}_close)" -lt "$(cat ${timeout}_time_wait)" ]
}
