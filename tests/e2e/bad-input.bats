#!/usr/bin/env bats
# Each malformed value ends the program before main, with status 125 and a message that shows it.
load helper

# refused VARIABLE VALUE MESSAGE: the first line of the complaint, after the variable's name.
refused() {
    local status=0
    (env LD_PRELOAD="${WITHOUT_LIBRARY:-$LIB}" "$1=$2" "$TOOLS/subject" nothing) 2>"$BATS_TEST_TMPDIR/complaint" || status=$?
    cat "$BATS_TEST_TMPDIR/complaint"
    expect "status of '$2'" "$status" 125
    expect "complaint" "$(head -1 "$BATS_TEST_TMPDIR/complaint")" "liblinger: $1: $3"
    # The value, a caret and what is accepted.
    expect "lines" "$(wc -l <"$BATS_TEST_TMPDIR/complaint")" 4
    sed -n 3p "$BATS_TEST_TMPDIR/complaint" | grep -q '^ *^~*$'
}

@test "the complaint shows the value, a caret and what is accepted" {
    also refused LINGER_MODE "off port=22; rts share=10%" "unknown mode 'rts'; did you mean 'rst'?"
    diff "$BATS_TEST_TMPDIR/complaint" - <<'END'
liblinger: LINGER_MODE: unknown mode 'rts'; did you mean 'rst'?
  off port=22; rts share=10%
               ^~~
  a mode is one of: off, fin, rst, fin-rst, wait:SECONDS
END
}

@test "modes" {
    also refused LINGER_MODE RST "unknown mode 'RST'; did you mean 'rst'?"
    also refused LINGER_MODE "port=80" "unknown mode 'port=80'"
    also refused LINGER_MODE wait "bad number of seconds"
    also refused LINGER_MODE wait: "bad number of seconds"
    also refused LINGER_MODE wait:0 "bad number of seconds '0'"
    also refused LINGER_MODE wait:3601 "bad number of seconds '3601'"
    also refused LINGER_MODE wait:1.5 "bad number of seconds '1.5'"
    also refused LINGER_MODE wait:-1 "bad number of seconds '-1'"
    also refused LINGER_MODE rst:1 "unknown mode 'rst:1'; did you mean 'rst'?"
}

@test "conditions" {
    also refused LINGER_MODE "rst server" "unknown condition 'server'"
    also refused LINGER_MODE "rst prt=80" "unknown condition 'prt'; did you mean 'port'?"
    also refused LINGER_MODE "rst port" "condition without a value: 'port'"
    also refused LINGER_MODE "rst port=" "condition without a value: 'port='"
    also refused LINGER_MODE "rst port=1 port=2" "condition given twice: 'port=2'"
    also refused LINGER_MODE "rst role=both" "unknown role 'both'"
    also refused LINGER_MODE "rst when=later" "unknown value of when: 'later'"
    also refused LINGER_MODE "rst overrule=yes" "unknown value of overrule: 'yes'"
    also refused LINGER_REUSEADDR "on overrule=no" "condition that is not known before bind(): 'overrule'"
}

@test "ports" {
    also refused LINGER_MODE "rst port=0" "bad port '0'"
    also refused LINGER_MODE "rst port=65536" "bad port '65536'"
    also refused LINGER_MODE "rst port=80-" "bad port '80-'"
    also refused LINGER_MODE "rst port=9-8" "bad port '9-8'"
    also refused LINGER_MODE "rst port=80,,81" "a value is missing"
    also refused LINGER_MODE "rst port=80," "a value is missing"
    also refused LINGER_MODE "rst port=http" "bad port 'http'"
}

@test "addresses" {
    also refused LINGER_MODE "rst peer=10.0.0" "bad address '10.0.0'"
    also refused LINGER_MODE "rst peer=10.0.0.0/33" "bad prefix length '33'"
    also refused LINGER_MODE "rst peer=10.0.0.0/" "bad prefix length"
    also refused LINGER_MODE "rst peer=localhost" "bad address 'localhost'"
    also refused LINGER_MODE "rst peer=10.0.0.1:0" "bad port '0'"
    also refused LINGER_MODE "rst peer=10.0.0.1/8x" "unexpected 'x'"
    also refused LINGER_MODE "rst local=::1" "IPv6 address without brackets '::1'"
    also refused LINGER_MODE "rst local=2001:db8::1" "IPv6 address without brackets '2001:db8::1'"
    also refused LINGER_MODE "rst peer=::1/64" "IPv6 address without brackets '::1/64'"
    also refused LINGER_MODE "rst peer=10.0.0.1,2001:db8::/32" "IPv6 address without brackets '2001:db8::/32'"
    also refused LINGER_MODE "rst peer=2001:db8::1:80-90" "IPv6 address without brackets '2001:db8::1:80-90'"
    also refused LINGER_MODE "rst peer=fe80::1%eth0" "IPv6 address without brackets 'fe80::1%eth0'"
    also refused LINGER_MODE "rst peer=10.0.0.1:80:90" "bad port '80:90'"
    also refused LINGER_MODE "rst local=[::1" "missing ']' in '[::1'"
    also refused LINGER_MODE "rst local=[::1]/129" "bad prefix length '129'"
    also refused LINGER_MODE "rst local=[127.0.0.1]" "bad IPv6 address '127.0.0.1'"
}

# mistyped PATTERN ARGUMENT...: the words of a command line as somebody types them in a hurry.
mistyped() {
    says_no "linger$1"$'\n'"Try 'linger*--help'." "$ROOT/linger" "${@:2}"
}

@test "a mistyped command is answered by the mistake and the way out" {
    also mistyped " run: 'peer=10.0.0.1' belongs to the policy: quote it, as in -m 'rst peer=10.0.0.1'" run -m rst peer=10.0.0.1 -- true
    also mistyped " run: 'port=22' belongs to the policy: quote it, as in -m 'off port=22'" run -n --mode=off port=22
    also mistyped " attach: 'port=22' belongs to the policy: quote it, as in -m 'off port=22'" attach -m off port=22
    also mistyped " close: 'role=server' belongs to the policy: quote it, as in -m 'rst role=server'" close 1 -m rst role=server
    also mistyped " ab: 'port=80' belongs to the policy: quote it, as in -m 'rst port=80'" ab -m fin -m rst port=80 -p 80 -l true true
    also mistyped " run: nothing to do: '-m' follows the program and is its own; options of linger come before it" run true -m rst
    also mistyped ": unknown option '-m'; a command's options follow its name, as in linger run -m rst" -m rst run true
    for command in attach supervise "close --all"; do
        # shellcheck disable=SC2086  # a word or two
        also mistyped " ${command% *}: 'nginx' is not a process: give a pid, the name of a unit (nginx.service), or --port PORT" $command -m rst nginx
    done
    also mistyped " watch: 'nginx' is not a process: give a pid, the name of a unit (nginx.service), or --port PORT" watch nginx
    also mistyped " attach: 'nginx.socket' is not a process: give a pid, *" attach -m rst nginx.socket
    also mistyped " states: unexpected argument '80'; for one port: -p PORT" states 80
}

@test "a time may have a unit; what is not one is answered by those there are" {
    wrong() { # OPTION GIVEN COMMAND...
        says_no "linger $3: $1: '$2' is not a time from 1 to * seconds; units are s, m, h and d, as in 5m"$'\n'"Try *" "$ROOT/linger" "${@:3}"
    }
    also wrong --idle 5min close -m rst --idle 5min 1
    also wrong --idle m close -m rst --idle m 1
    also wrong --idle 0m close -m rst --idle 0m 1
    also wrong --idle 5mm close -m rst --idle 5mm 1
    also wrong --idle 9223372036854775807d close -m rst --idle 9223372036854775807d 1
    also wrong -t 2d watch -t 2d
    also wrong -w 0 states -w0
    also wrong --timeout fast ab --timeout fast -m fin
    for time in 90 90s 5m 2h 1d; do
        also says_no "linger close: pid 4194303: no such process" "$ROOT/linger" close -m rst --idle $time 4194303
    done
}

@test "shares" {
    for share in 10 0% 101% 100.0001% % .5% 1.% 1.23456% -1% 1e1%; do
        also refused LINGER_MODE "rst share=$share" "bad share '$share'"
    done
}

@test "programs" {
    also refused LINGER_MODE "rst prog=/usr/sbin/nginx" "a path, not a file name: '/usr/sbin/nginx'"
}

@test "LINGER_REUSEADDR and LINGER_REUSEPORT" {
    also refused LINGER_REUSEADDR yes "unknown value 'yes'"
    also refused LINGER_REUSEPORT 2 "unknown value '2'"
    also refused LINGER_REUSEADDR "on peer=127.0.0.1" "condition that is not known before bind(): 'peer'"
    also refused LINGER_REUSEADDR "on port=x" "bad port 'x'"
}

@test "limits are errors, never truncation" {
    rules=$(printf 'rst;%.0s' $(seq 65))
    also refused LINGER_MODE "$rules" "too many rules at 'rst'"
    ports=$(seq -s, 257)
    also refused LINGER_MODE "rst port=$ports" "too many ports at '257'"
    addresses=$(printf '127.0.0.1,%.0s' $(seq 256))
    also refused LINGER_MODE "rst peer=${addresses}127.0.0.2" "too many addresses at '127.0.0.2'"
    also refused LINGER_MODE "rst$(printf ' %.0s' $(seq 16384))" "the policy is too long"
    also refused LINGER_MODE "rst prog=$(seq -s, 65)" "too many programs at '65'"
}

@test "@FILE: the file and the line are named" {
    printf 'off port=22\nrst prt=80\n' >"$BATS_TEST_TMPDIR/policy"
    also refused LINGER_MODE "@$BATS_TEST_TMPDIR/policy" "$BATS_TEST_TMPDIR/policy:2: unknown condition 'prt'; did you mean 'port'?"
    also refused LINGER_MODE "@$BATS_TEST_TMPDIR/none" "cannot read '$BATS_TEST_TMPDIR/none'"
    also refused LINGER_MODE "@$BATS_TEST_TMPDIR" "cannot read '$BATS_TEST_TMPDIR'"
    also refused LINGER_MODE "@" "cannot read"
    head -c 16385 /dev/zero | tr '\0' '#' >"$BATS_TEST_TMPDIR/long"
    also refused LINGER_MODE "@$BATS_TEST_TMPDIR/long" "cannot read '$BATS_TEST_TMPDIR/long'"
}

@test "@FILE: what is not a regular file is refused at once" {
    mkfifo "$BATS_TEST_TMPDIR/fifo"
    for file in "$BATS_TEST_TMPDIR/fifo" /dev/null; do
        for command in "env LD_PRELOAD=${WITHOUT_LIBRARY:-$LIB}" "$ROOT/linger run --" "$ROOT/linger run -n --"; do
            status=0
            LINGER_MODE=@$file timeout 60 $command "$TOOLS/subject" nothing 2>"$BATS_TEST_TMPDIR/complaint" || status=$?
            expect "status of $command" "$status" 125
            grep -q ": LINGER_MODE: cannot read '$file'$" "$BATS_TEST_TMPDIR/complaint"
            grep -q "^  it is not a regular file; @FILE names a file of rules$" "$BATS_TEST_TMPDIR/complaint"
        done
    done
}

@test "control characters and bytes beyond ASCII do not reach the terminal" {
    also refused LINGER_MODE $'rst\e[31m\xff' "unknown mode 'rst?[31m?'"
    also refused LINGER_MODE "# not a file" "unknown mode '#'"
}

@test "an unknown name is one warning, and the program runs" {
    (env LD_PRELOAD="${WITHOUT_LIBRARY:-$LIB}" LINGER_MOED=rst "$TOOLS/subject" nothing) 2>"$BATS_TEST_TMPDIR/complaint"
    cat "$BATS_TEST_TMPDIR/complaint"
    expect lines "$(wc -l <"$BATS_TEST_TMPDIR/complaint")" 1
    grep -q '^liblinger: LINGER_MOED: no such variable; the variables are LINGER_MODE, ' "$BATS_TEST_TMPDIR/complaint"
}

@test "a rule that can never decide is one warning, and the program runs" {
    warned() { # POLICY COMMAND...: what goes to standard error
        (LINGER_MODE=$1 "${@:2}" "$TOOLS/subject" nothing) 2>"$BATS_TEST_TMPDIR/complaint"
    }
    warned "fin; rst port=80; off" env LD_PRELOAD="${WITHOUT_LIBRARY:-$LIB}"
    warning="can never decide: 'rst port=80'; rules before it match all that it does, so move it up"
    expect warning "$(cat "$BATS_TEST_TMPDIR/complaint")" "liblinger: LINGER_MODE: rule 2 $warning"
    warned "rst port=80; fin" env LD_PRELOAD="${WITHOUT_LIBRARY:-$LIB}"
    expect "warning where each can" "$(cat "$BATS_TEST_TMPDIR/complaint")" ""
    # Once: by whoever obeys the policy.
    warned "fin; rst port=80" "$ROOT/linger" run -b preload --
    expect warning "$(cat "$BATS_TEST_TMPDIR/complaint")" "liblinger: LINGER_MODE: rule 2 $warning"
    warned "fin; rst port=80" "$ROOT/linger" run -b supervise --
    expect warning "$(cat "$BATS_TEST_TMPDIR/complaint")" "linger run: LINGER_MODE: rule 2 $warning"
    run --separate-stderr "$ROOT/linger" run -n -m "fin; rst port=80" true
    expect warning "$stderr" "linger run: -m: rule 2 $warning"
    grep -q '^  rule 2    rst port=80  never reached$' <<<"$output"
    grep -q '^  rule 1    fin$' <<<"$output"
}

@test "off, an empty value and an unset variable leave the program alone" {
    for mode in off "" " ; "; do
        meet "$mode" -o 1,0 close
        expect "the peer saw under '$mode'" "$SEEN" "bytes=5 eof=0 reset=1"
        meet "$mode" close
        sees 5 1 0 1
    done
}

@test "the complaint does not go into a client's socket on descriptor 2" {
    start - "$TOOLS/peer" listen
    hear_port
    status=0
    (
        exec 8<>"/dev/tcp/127.0.0.1/$PORT"
        [ -n "${WITHOUT_LIBRARY:-}" ] || export LD_PRELOAD=$LIB
        LINGER_MODE=nonsense exec "$TOOLS/subject" nothing 2>&8
    ) || status=$?
    expect status $status 125
    hear
    expect "the peer saw" "$REPLY" "bytes=0 eof=1 reset=0"
    finish
}
