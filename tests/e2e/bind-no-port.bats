#!/usr/bin/env bats
# LINGER_BIND_NO_PORT: a bound source address has its ports for each destination anew.
load helper

LINGER=$ROOT/linger

# sourced FAMILY [COMMAND...]: 5,000 connections to 5 destinations from one address, run by COMMAND.
sourced() {
    local family=$1
    shift
    "$@" python3 "$ROOT/tests/tools/sourced.py" $family 5 1000
}

@test "1,000 ports, 5 destinations, one source address: 1,000 connections without it, 5,000 with it" {
    needs_namespace
    sysctl -qw net.ipv4.ip_local_port_range="40000 40999"
    for family in "" -6; do
        expect "without, $family" "$(sourced "$family")" "1000 EADDRINUSE"
        expect "with, $family" "$(sourced "$family" env "LD_PRELOAD=$LIB" LINGER_BIND_NO_PORT=on)" "5000 all"
        expect "run -B, $family" "$(sourced "$family" "$LINGER" run -B --)" "5000 all"
        expect "supervised, $family" "$(sourced "$family" "$LINGER" run -b supervise -B --)" "5000 all"
    done
}

# bound VALUE PYTHON: the option and the port of a socket `s` that a program binds.
bound() {
    LD_PRELOAD=$LIB LINGER_BIND_NO_PORT=$1 python3 -c "
import socket
s = socket.socket()
$2
print(s.getsockopt(socket.IPPROTO_IP, 24), 'a port' if s.getsockname()[1] else 'no port')"
}

@test "values, conditions, and what is left alone" {
    plain="s.bind(('127.0.0.1', 0))"
    sets="s.setsockopt(socket.IPPROTO_IP, 24, 1); $plain"
    expect on "$(bound on "$plain")" "1 no port"
    expect 1 "$(bound 1 "$plain")" "1 no port"
    expect unset "$(bound "" "$plain")" "0 a port"
    expect "the program's own" "$(bound "" "$sets")" "1 no port"
    expect off "$(bound off "$sets")" "0 a port"
    expect local "$(bound "on local=127.0.0.0/8" "$plain")" "1 no port"
    expect "other local" "$(bound "on local=10.0.0.0/8" "$plain")" "0 a port"
    expect "local port" "$(bound "on local=127.0.0.1:80" "$plain")" "0 a port"
    expect wildcard "$(bound "on local=0.0.0.0" "s.bind(('', 0))")" "1 no port"
    expect prog "$(bound "on prog=python*" "$plain")" "1 no port"
    expect "other prog" "$(bound "on prog=nginx" "$plain")" "0 a port"
    expect "a port" "$(bound on "s.bind(('127.0.0.1', 1234))")" "0 a port"
    expect UDP "$(bound on "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); $plain")" "0 a port"
    expect "a listener" "$(bound on "$plain; s.listen()")" "1 a port"
}

@test "its messages: the log, the counters, the plan, a mistake" {
    "$LINGER" run -B -l="$BATS_TEST_TMPDIR/log" -s="$BATS_TEST_TMPDIR/stats" -- python3 -c "
import socket
socket.socket().bind(('127.0.0.1', 0))"
    grep 'event=bind .*local=127.0.0.1 IP_BIND_ADDRESS_NO_PORT=1$' "$BATS_TEST_TMPDIR/log"
    grep 'event=load .*bind_no_port=on$' "$BATS_TEST_TMPDIR/log"
    "$LINGER" stats "$BATS_TEST_TMPDIR/stats" | grep '^ *1  IP_BIND_ADDRESS_NO_PORT set$'
    "$LINGER" stats -j "$BATS_TEST_TMPDIR/stats" | grep '"bind_no_port_set":1,"bind_no_port_cleared":0'
    "$LINGER" run -B='on local=127.0.0.1' -n true | grep -A1 '^LINGER_BIND_NO_PORT$' | grep 'rule 1  *on local=127.0.0.1$'
    run -125 "$LINGER" run --bind-no-port='on port=80' true
    [[ $output == *"-B: condition that is not known before bind(): 'port'"*"a condition here is one of: local=, prog="* ]]
    run -127 "$LINGER" run -B off
    [[ $output == *"did you mean -B=off?"* ]]
}
