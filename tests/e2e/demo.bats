#!/usr/bin/env bats
# make demo.
load helper

@test "the demo shows what the client got, the packets and what is left, for each mode" {
    needs_namespace
    (unset TESTS_IN_NAMESPACE; exec "$ROOT/examples/demo.sh") >"$BATS_TEST_TMPDIR/demo"
    cat "$BATS_TEST_TMPDIR/demo"
    expect "client got" "$(grep 'client got' "$BATS_TEST_TMPDIR/demo" | sed 's/ *client got *//')" \
        "12 bytes, then EOF
12 bytes, then ECONNRESET (Connection reset by peer)
12 bytes, then EOF"
    expect "left behind" "$(sed -n 's/.*left behind *\([0-9]*\) .*/\1/p' "$BATS_TEST_TMPDIR/demo" | tr '\n' ' ')" "20 0 0 "
    expect "the end" "$(tail -1 "$BATS_TEST_TMPDIR/demo")" "  linger watch -p 80 -t 10"
    # In a user namespace of somebody who is not root tcpdump may not capture.
    if grep -q 'not shown' "$BATS_TEST_TMPDIR/demo"; then
        run ! grep -q '^ *0 *0 *4294967295$' /proc/self/uid_map
        return
    fi
    expect "packets of the server" "$(grep -o 'server  --- [A-Z]*' "$BATS_TEST_TMPDIR/demo" | awk '{ print $3 }' | tr '\n' ' ')" \
        "FIN ACK RST FIN RST "
}

@test "the demo changes a server that runs: TIME_WAIT, linger attach, nothing" {
    needs_events
    local tries=0
    # The kernel may fail to deliver an event: then linger says so.
    until
        (unset TESTS_IN_NAMESPACE && exec "$ROOT/examples/demo.sh") >"$BATS_TEST_TMPDIR/demo"
        cat "$BATS_TEST_TMPDIR/demo"
        expect "left at the server" "$(awk '/server at port 8080 .*echo-server/ { print $(NF - 1), $NF }' "$BATS_TEST_TMPDIR/demo" | xargs)" \
            "TIME_WAIT 20 nothing 20"
    do
        grep -q "events lost" "$BATS_TEST_TMPDIR/demo" && [ $((++tries)) -lt 5 ]
    done
}

@test "the demo needs neither tcpdump nor a namespace" {
    mkdir "$BATS_TEST_TMPDIR/bin"
    for tool in sh awk sed grep mktemp rm cat dirname env; do
        ln -s "$(command -v $tool)" "$BATS_TEST_TMPDIR/bin/$tool"
    done
    PATH=$BATS_TEST_TMPDIR/bin "$ROOT/examples/demo.sh" >"$BATS_TEST_TMPDIR/demo"
    cat "$BATS_TEST_TMPDIR/demo"
    expect "left behind" "$(sed -n 's/.*left behind *\([0-9]*\) .*/\1/p' "$BATS_TEST_TMPDIR/demo" | tr '\n' ' ')" "20 0 0 "
    grep -q 'not shown: needs tcpdump)' "$BATS_TEST_TMPDIR/demo"
    # Where tcpdump is there and may not capture, what a namespace lacks is named, and what tcpdump says.
    printf '#!/bin/sh\necho "tcpdump: lo: no permission" >&2\nexit 1\n' >"$BATS_TEST_TMPDIR/bin/tcpdump"
    printf '#!/bin/sh\nexit 1\n' >"$BATS_TEST_TMPDIR/bin/unshare"
    chmod +x "$BATS_TEST_TMPDIR"/bin/{tcpdump,unshare}
    PATH=$BATS_TEST_TMPDIR/bin "$ROOT/examples/demo.sh" >"$BATS_TEST_TMPDIR/demo"
    cat "$BATS_TEST_TMPDIR/demo"
    expect "not shown" "$(grep -c 'not shown: needs root, or ip: tcpdump: lo: no permission)' "$BATS_TEST_TMPDIR/demo")" 3
}
# make demo.
