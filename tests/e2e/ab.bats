#!/usr/bin/env bats
# linger ab: what differs between the modes, and that nothing is left behind.
load helper

LINGER=$ROOT/linger

setup() {
    export TMPDIR=$BATS_TEST_TMPDIR
    unset LD_PRELOAD
    PORT=$("$TOOLS/free-port")
    AGES=1000.$PORT$$ # seconds that nobody else on this machine sleeps
    needs_what_it_names
}

# The report as JSON of `linger ab ARGUMENT...`, which has to succeed.
measure() {
    "$LINGER" ab --json -p "$PORT" "$@" >"$BATS_TEST_TMPDIR/report"
    python3 -m json.tool "$BATS_TEST_TMPDIR/report" | grep -v '^ *"\(abort\|resets\)' || return 1
}

# median MODE FIGURE: a whole number, or "None".
median() {
    python3 -c '
import json, sys
report = json.load(open(sys.argv[1]))
value = [m["median"][sys.argv[3]] for m in report["modes"] if m["mode"] == sys.argv[2]][0]
print(value if value is None else int(value))' "$BATS_TEST_TMPDIR/report" "$1" "$2"
}

fails() { # PATTERN ARGUMENT...
    local pattern=$1 status=0
    shift
    "$LINGER" ab "$@" >"$BATS_TEST_TMPDIR/stdout" 2>"$BATS_TEST_TMPDIR/said" || status=$?
    cat "$BATS_TEST_TMPDIR/said"
    expect status "$status" 125
    # shellcheck disable=SC2053  # it is a pattern
    [[ $(cat "$BATS_TEST_TMPDIR/said") == $pattern ]]
    nobody_left
}

# Everything that a run starts works in this test's directory, or on its port.
nobody_left() {
    [ -z "$(ss -Htln "sport = :$PORT")" ]
    run ! pgrep -f "$BATS_TEST_TMPDIR/[w]ork|:$PORT/"
}

nginx_here() {
    mkdir -p "$BATS_TEST_TMPDIR/work"
    (set -- "$PORT" "$BATS_TEST_TMPDIR/work" 1 && eval "cat >\"\$2/nginx.conf\" <<EOF
$NGINX_CONF
EOF")
    in_one_packet "$BATS_TEST_TMPDIR/work/nginx.conf" "$BATS_TEST_TMPDIR/work"
    # shellcheck disable=SC2207 # two words or none
    SERVER=(nginx $(nginx_log) -c "$BATS_TEST_TMPDIR/work/nginx.conf")
}

@test "nginx and wrk: thousands of TIME_WAIT, almost none, none; no load errors" {
    needs_namespace
    nginx_here
    measure --mode fin --mode fin-rst --mode rst --rounds 2 \
        --load "wrk -t1 -c64 -d2s -H 'Connection: close' http://127.0.0.1:$PORT/" -- "${SERVER[@]}"
    accepted=$(median fin connections)
    [ "$(median fin time_wait)" -gt $((accepted / 20)) ] && [ "$(median fin time_wait)" -gt 300 ]
    [ "$(median fin-rst time_wait)" -le $((accepted / 100)) ]
    expect "under rst" "$(median rst time_wait)" 0
    expect "errors of fin" "$(median fin load_errors)" 0
    expect "errors of fin-rst" "$(median fin-rst load_errors)" 0
    [ "$(median fin rate)" -gt 100 ]
    [ "$(median fin restart_seconds)" -gt 50 ]
    expect "restart under rst" "$(median rst restart_seconds)" 0
    [ "$(median rst abort_on_data)" -ge $(($(median rst connections) * 9 / 10)) ]
    expect "unsent bytes are counted" "$(median fin unsent_bytes)" 0
    nobody_left
}

@test "the table: medians, ratios, figures that are 0 everywhere, the directory of the output" {
    needs_namespace
    nginx_here
    run "$LINGER" ab -m fin -m rst -p "$PORT" -r 2 -M 'stars=(\*+)?x' -M 'made=Connected ([0-9]+)' \
        -l "curl -s http://127.0.0.1:$PORT/ && echo Connected 17" -- "${SERVER[@]}"
    echo "$output"
    expect status "$status" 0
    expect head "${lines[0]%,*}" "modes of the server, port $PORT, 4 of 4 runs"
    grep -A2 '^made$' <<<"$output" | grep -q '^  rst  *17\.00  *x 1\.000$'
    grep -q '^connections accepted$' <<<"$output"
    grep -q '^0 in every run: ' <<<"$output"
    directory=$(sed -n 's/^what the server and the load printed: //p' <<<"$output")
    expect "the load's output" "$(cat "$directory/round2-mode2.load")" "a page of nginxConnected 17"
}

@test "redis-server and redis-benchmark -k 0; python3 http.server" {
    mkdir "$BATS_TEST_TMPDIR/work"
    measure -m fin -m rst -r 1 -l "redis-benchmark -p $PORT -k 0 -n 500 -t ping_inline -q" -- \
        redis-server --port "$PORT" --bind 127.0.0.1 --save "" --dir "$BATS_TEST_TMPDIR/work"
    [ "$(median rst rate)" -gt 10 ]
    [ "$(median rst connections)" -ge 500 ]
    measure -m fin -m fin-rst -r 1 -l "for i in \$(seq 20); do curl -s http://127.0.0.1:$PORT/ || exit 1; done" -- \
        python3 -m http.server --bind 127.0.0.1 --directory "$BATS_TEST_TMPDIR/work" "$PORT"
    expect connections "$(median fin connections)" 20
    nobody_left
}

@test "a static Go server, by the supervisor" {
    measure -m fin -m rst -r 1 -l "'$TOOLS/peer' -n 50 -k connect $PORT" -M 'resets=reset=([0-9]+)' -- "$TOOLS/go/echo" "$PORT"
    expect "TIME_WAIT under fin" "$(median fin time_wait)" 50
    expect "TIME_WAIT under rst" "$(median rst time_wait)" 0
    expect "resets under rst" "$(python3 -c '
import json, sys; print(json.load(open(sys.argv[1]))["modes"][1]["runs"][0]["rst_sent"])' "$BATS_TEST_TMPDIR/report")" 50
    expect "no counters of ours" "$(median rst unsent_bytes)" None
    nobody_left
}

# bats test_tags=plain
@test "--client: the load hits the port wall under fin alone" {
    needs_namespace
    sysctl -qw net.ipv4.tcp_tw_reuse=0 net.ipv4.ip_local_port_range="40000 41999"
    measure --client -m fin -m rst -m fin-rst -r 1 -M 'made=connected ([0-9]+)' -l "'$TOOLS/flood' $PORT 5000; true" -- \
        "$TOOLS/peer" -s 1 -n 100000 listen "$PORT"
    # A connection whose TIME_WAIT is the server's gives its port back.
    [ "$(median fin made)" -lt 2100 ]
    expect "under rst" "$(median rst made)" 5000
    expect "under fin-rst" "$(median fin-rst made)" 5000
    [ "$(median fin time_wait)" -ge 1900 ]
    expect "TIME_WAIT under rst" "$(median rst time_wait)" 0
    nobody_left
}

@test "--both: TIME_WAIT of neither end under rst" {
    needs_namespace
    measure --both -m fin -m rst -r 1 -l "'$TOOLS/peer' -n 20 -k connect $PORT" -- "$TOOLS/subject" -p "$PORT" -n 20 -r close
    grep -q '"target":"server and load"' "$BATS_TEST_TMPDIR/report"
    expect "TIME_WAIT under fin" "$(median fin time_wait)" 20
    expect "TIME_WAIT under rst" "$(median rst time_wait)" 0
    nobody_left
}

@test "--watch: who closed first in each run, in a file of its own" {
    needs_events
    nginx_here
    mkdir "$BATS_TEST_TMPDIR/seen"
    measure -w -o "$BATS_TEST_TMPDIR/seen" -m fin -m rst -r 1 \
        -l "wrk -t1 -c4 -d1s -H 'Connection: close' http://127.0.0.1:$PORT/" -- "${SERVER[@]}"
    head -5 "$BATS_TEST_TMPDIR"/seen/*.watch
    grep -q "server at port $PORT .* this end .*FIN, nginx .*TIME_WAIT" "$BATS_TEST_TMPDIR/seen/round1-mode1.watch"
    grep -q "server at port $PORT .* this end .*RST, nginx .*nothing" "$BATS_TEST_TMPDIR/seen/round1-mode2.watch"
    expect "files without --watch" "$(measure -m fin -m rst -r 1 -o "$BATS_TEST_TMPDIR" -l true -- "${SERVER[@]}" >/dev/null &&
        find "$BATS_TEST_TMPDIR" -maxdepth 1 -name '*.watch')" ""
    nobody_left
}

# A sanitizer's thread keeps unshare(CLONE_NEWUSER) from working.
# bats test_tags=plain
@test "without privileges: user namespaces, or a note and one namespace for all" {
    needs_root
    chmod a+rx "$BATS_TEST_TMPDIR" "$BATS_RUN_TMPDIR"
    install -d -o 65534 -g 65534 "$BATS_TEST_TMPDIR/own"
    nobody=(env TMPDIR="$BATS_TEST_TMPDIR/own" setpriv --reuid=65534 --regid=65534 --clear-groups)
    # Where everybody may go, wherever this tree is.
    open=$BATS_TEST_TMPDIR
    cp "$LINGER" "$LIB" "$TOOLS/peer" "$TOOLS/subject" "$open"
    "${nobody[@]}" "$open/linger" ab -j -m rst -m fin -r 1 -p "$PORT" -l "'$open/peer' -n 5 -k connect $PORT" -- \
        "$open/subject" -p "$PORT" -n 5 -r close >"$BATS_TEST_TMPDIR/report" 2>"$BATS_TEST_TMPDIR/said"
    cat "$BATS_TEST_TMPDIR/said"
    expect "TIME_WAIT under fin" "$(median fin time_wait)" 5
    if "${nobody[@]}" unshare -rn true 2>/dev/null; then
        grep -q '"namespace":true' "$BATS_TEST_TMPDIR/report"
    else
        grep -q "network namespaces are not permitted here" "$BATS_TEST_TMPDIR/said"
    fi
}

@test "--attach: a running daemon is switched in place, and left as it was found" {
    nginx_here
    start - "${SERVER[@]}"
    await_listener
    daemon=$PID
    "$LINGER" attach -q -m wait:7 "$daemon"
    measure -m fin -m rst -r 2 --attach "$daemon" -l "'$TOOLS/peer' -n 1 connect $PORT </dev/null & curl -s http://127.0.0.1:$PORT/ -H 'Connection: close'; kill \$!"
    [ "$(median rst connections)" -ge 1 ]
    "$LINGER" attach -n -m fin "$daemon" | tee "$BATS_TEST_TMPDIR/now"
    grep -q "^listener .* before wait:7 " "$BATS_TEST_TMPDIR/now"
    fails "linger ab: pid $daemon does not listen on port 1" -m fin -m rst -p 1 -l true --attach "$daemon" || [ -n "$(ss -Htln "sport = :$PORT")" ]
    kill -TERM "$daemon"
    finish
}

@test "--attach: options that the daemon set itself come back exactly, after Ctrl-C too" {
    with_own_options "$PORT"
    keep
    say show "1,5,7 1,3,9"
    load="'$TOOLS/peer' -n 5 -k connect $PORT"
    measure -m fin -m rst -r 1 --attach "$DAEMON" -l "$load"
    say show "1,5,7 1,3,9"
    mkfifo "$BATS_TEST_TMPDIR/run"
    start - "$LINGER" ab -m rst -m fin --attach "$DAEMON" -p "$PORT" -l "echo on >'$BATS_TEST_TMPDIR/run'; exec sleep 1002"
    read -r word <"$BATS_TEST_TMPDIR/run"
    keep
    say show "1,0,60 1,0,60 1,0,60"
    runner=$(cat "/proc/$PID/task/$PID/children")
    # shellcheck disable=SC2086  # a list
    kill -INT "$PID" $runner
    finish
    expect status "$STATUS" 130
    say show "1,5,7 1,3,9 1,5,7"
    # SIGKILL leaves it to the file.
    expect "files of what was" "$(find "$BATS_TEST_TMPDIR" -name was)" ""
    mkdir "$BATS_TEST_TMPDIR/there"
    start - "$LINGER" ab -m rst -m fin --attach "$DAEMON" -p "$PORT" -o "$BATS_TEST_TMPDIR/there" \
        -l "echo on >'$BATS_TEST_TMPDIR/run'; exec sleep 1002"
    read -r word <"$BATS_TEST_TMPDIR/run"
    kill -KILL "$PID"
    finish
    say show "1,0,60 1,0,60 1,0,60"
    "$LINGER" attach -q --restore "$BATS_TEST_TMPDIR/there/was"
    say show "1,5,7 1,3,9 1,5,7"
    kill "$DAEMON"
}

# each MODE: TIME_WAIT of its runs, round by round.
each() {
    python3 -c '
import json, sys
report = json.load(open(sys.argv[1]))
print(*[int(run["time_wait"]) for m in report["modes"] if m["mode"] == sys.argv[2] for run in m["runs"]])' "$BATS_TEST_TMPDIR/report" "$1"
}

@test "what one mode leaves is not counted for the next: --attach, and one namespace for all" {
    nginx_here
    start - "${SERVER[@]}"
    await_listener
    daemon=$PID
    load="'$ROOT/tests/tools/talk.py' $PORT 20 http </dev/null"
    measure -m rst -m fin -r 2 --attach "$daemon" -l "python3 $load"
    expect "TIME_WAIT of rst, with that of fin beside it" "$(each rst)" "0 0"
    expect "TIME_WAIT of fin" "$(each fin)" "20 20"
    kill -TERM "$daemon"
    finish
    measure -N -m rst -m fin -r 2 -l "python3 $load" -- "${SERVER[@]}"
    expect "TIME_WAIT of rst without a namespace" "$(each rst)" "0 0"
    expect "TIME_WAIT of fin without a namespace" "$(each fin)" "20 20"
    # And the port is not said to be free again later because of another mode's TIME_WAIT.
    expect "restart under rst, after fin" "$(python3 -c '
import json, sys
report = json.load(open(sys.argv[1]))
print([run["restart_seconds"] for m in report["modes"] if m["mode"] == "rst" for run in m["runs"]][1])' "$BATS_TEST_TMPDIR/report")" None
}

@test "without a namespace: --no-namespace, and the holder of a taken port is named" {
    start - python3 -m http.server --bind 127.0.0.1 "$PORT"
    await_listener
    status=0
    "$LINGER" ab -N -m fin -m rst -p "$PORT" -l true -- python3 -m http.server "$PORT" 2>"$BATS_TEST_TMPDIR/said" || status=$?
    expect status "$status" 125
    expect said "$(cat "$BATS_TEST_TMPDIR/said")" "linger ab: round 1, fin: port $PORT is taken, by python3 (pid $PID)"
    kill -TERM "$PID"
    finish
    measure -N -m rst -m fin -r 1 -l "'$TOOLS/peer' -n 5 -k connect $PORT" -- "$TOOLS/subject" -p "$PORT" -n 5 -r close
    grep -q '"namespace":false' "$BATS_TEST_TMPDIR/report"
    expect "TIME_WAIT of fin" "$(median fin time_wait)" 5
}

@test "bad arguments are named" {
    load=(-p "$PORT" -l true)
    fails "linger ab: give at least two modes*" -m fin "${load[@]}" -- true
    fails "linger ab: give the server's port*" -m fin -m rst -l true -- true
    fails "linger ab: give the load*" -m fin -m rst -p 1 -- true
    fails "linger ab: a server is missing*" -m fin -m rst "${load[@]}"
    fails "linger ab: give either a server*" -m fin -m rst "${load[@]}" --attach 1 -- true
    fails "linger ab: --rounds: '0' is not a number from 1 to 100" -m fin -m rst "${load[@]}" -r 0 -- true
    fails "linger ab: -m: unknown mode 'rts'*" -m fin -m rts "${load[@]}" -- true
    fails "linger ab: --metric: 'x' is not NAME=REGEX" -m fin -m rst "${load[@]}" -M x -- true
    fails "linger ab: --metric: '(': *" -m fin -m rst "${load[@]}" -M 'x=(' -- true
    fails "linger ab: no-such-program: no such program" -m fin -m rst "${load[@]}" -- no-such-program
    fails "linger ab: pid *: no such process" -m fin -m rst "${load[@]}" --attach 4194303
}

@test "a server that never listens, one that dies, a load that fails or hangs: an error, nobody left" {
    cd "$BATS_TEST_TMPDIR"
    fails "*round 1, fin: the server exited with status 3 before it listened on port $PORT; the last of its output:
out of order" -m fin -m rst -p "$PORT" -l true -- sh -c 'echo out of order; exit 3'
    fails "*the server died of signal 11 (Segmentation fault) before*" -m fin -m rst -p "$PORT" -l true -- sh -c 'kill -SEGV $$'
    serve=(python3 -m http.server --bind 127.0.0.1 "$PORT")
    fails "*round 1, fin: the load exited with status 5; the last of its output:
no luck" -m fin -m rst -p "$PORT" -l 'echo no luck; exit 5' -- "${serve[@]}"
    fails "*the load has not ended after 1 s (--timeout)*" -m fin -m rst -p "$PORT" -t 1 -l "sleep $AGES & sleep $AGES" -- "${serve[@]}"
    run ! pgrep -f "sleep $AGES"
    fails "*the server does not listen on port $PORT after 1 s*" -m fin -m rst -p "$PORT" -t 1 -l true -- sleep "$AGES"
    run ! pgrep -f "sleep $AGES"
}

@test "Ctrl-C: everything is stopped, and the results so far are printed" {
    cd "$BATS_TEST_TMPDIR"
    mkfifo go
    # The first run ends, the second waits for the word that never comes.
    start - "$LINGER" ab -m fin -m rst -p "$PORT" -l "if [ -e once ]; then echo second >go; exec sleep $AGES; fi; touch once" -- \
        python3 -m http.server --bind 127.0.0.1 "$PORT"
    read -r word <go
    expect word "$word" second
    # As the terminal does it: to linger and the process of the run.
    runner=$(cat "/proc/$PID/task/$PID/children")
    # shellcheck disable=SC2086  # a list
    kill -INT "$PID" $runner
    said=$(cat <&"$OUT")
    finish
    echo "$said"
    expect status "$STATUS" 130
    [[ $said == "modes of the server, port $PORT, 1 of 6 runs"* ]]
    run ! pgrep -f "sleep $AGES"
    nobody_left
}
