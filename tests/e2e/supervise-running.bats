#!/usr/bin/env bats
# linger supervise: programs that run already, under the whole policy.
EACH_NEEDS=needs_no_filter
load helper

LINGER=$ROOT/linger

setup_file() {
    [ -z "${TESTS_IN_NAMESPACE:-}" ] || sysctl -qw net.ipv4.tcp_tw_reuse=0 net.ipv4.tcp_max_tw_buckets=65536
}

# An instruction of x86 that stores a condition (setg) stores the wrong byte in qemu's TCG 7.2 where the page
# has to be found first: in a third of 1,000. Whether a process was supervised before is one.
has_right_setg() {
    [ "$SLOWER" = 1 ]
}

needs_right_setg() {
    has_right_setg || skip "qemu stores conditions wrongly"
}

have_ports() {
    [ -z "${TESTS_IN_NAMESPACE:-}" ] || sysctl -qw net.ipv4.ip_local_port_range="$1"
}

# steady COMMAND...: a client that connects all the time. CLIENT is its pid, $GO its standard input.
steady() {
    have_ports "32768 60999"
    mkfifo "$BATS_TEST_TMPDIR/go"
    exec {GO}<>"$BATS_TEST_TMPDIR/go"
    start - "$TOOLS/peer" -s 1 -n 10000000 listen
    hear_port
    start - "$@" "$PORT" <&"$GO"
    hear
    expect "the client" "$REPLY" ready
    CLIENT=$PID CLIENT_OUT=$OUT
}

# Its own word: MADE connections, and no failure. TW is how many TIME_WAIT it has left. Where it stands in
# a condition too, a failure is the test's.
made() {
    local OUT=$CLIENT_OUT
    echo >&"$GO"
    hear || exit 1
    [[ $REPLY == "made "*" failed 0" ]] || expect "the client" "$REPLY" "made N failed 0" || exit 1
    MADE=${REPLY#made } MADE=${MADE%% *}
    TW=$(ss -Htan state time-wait "dport = :$PORT" | wc -l)
}

# leaves all|none: of the connections from now on, 300 at least, half leave TIME_WAIT, or one of 100. Some
# that were made before are still closing: until then it is looked at the next ones.
leaves() {
    local before left
    until
        made
        before=$MADE left=$TW
        until made && [ "$MADE" -ge $((before + 300)) ]; do :; done
        echo "$((MADE - before)) connections, $((TW - left)) TIME_WAIT"
        if [ "$1" = all ]; then
            [ $((TW - left)) -ge $(((MADE - before) / 2)) ]
        else
            [ $((TW - left)) -le $(((MADE - before) / 100)) ]
        fi
    do :; done
}

# adopt POLICY PID...: without a question.
adopt() {
    local policy=$1
    shift
    [ -n "${WITHOUT_LIBRARY:-}" ] || timeout 60 "$LINGER" supervise --yes -m "$policy" "$@"
}

# servers PROGRAM: their pids.
servers() {
    local pid
    for pid in $(pgrep -x lingersupervise); do
        ! find "/proc/$pid/fd" -lname "/memfd:lingersupervise-*:$1:*" 2>/dev/null | grep -q . || echo "$pid"
    done
}

# The one whose child is the other.
find_server() { # PROGRAM
    local both
    until both=$(servers "$1") && [ "$(wc -w <<<"$both")" = 2 ]; do :; done
    for SERVER in $both; do
        [ -z "$(cat "/proc/$SERVER/task/$SERVER/children")" ] || return 0
    done
}

await_no_servers() { # PROGRAM
    while [ -n "$(servers "$1")" ]; do :; done
}

# at_once COUNT TIMES PID: so many at a time give it a policy, each so many times. None is refused.
at_once() {
    local side sides=()
    for ((side = 0; side < $1; side++)); do
        for ((i = 0; i < $2; i++)); do "$LINGER" supervise -y -q -m off "$3" || exit 1; done 3>&- &
        sides+=($!)
    done
    for side in "${sides[@]}"; do wait "$side"; done
}

# What of a process must be as before, but the filter itself.
fingerprint() { # PID
    find "/proc/$1/fd" -printf '%f %l\n' | sort
    grep -E '^(Tgid|TracerPid|Uid|Sig|Shd|Cap|NoNewPrivs)' "/proc/$1/status" | grep -v SigQ
}

@test "a Python client: what it makes from now on leaves no TIME_WAIT, and nothing fails" {
    steady python3 "$ROOT/tests/tools/steady.py"
    leaves all
    adopt 'fin-rst role=client' "$CLIENT" | tee "$BATS_TEST_TMPDIR/said"
    ! has_right_setg ||
        grep -qx "process     $CLIENT python3  is supervised until it ends" "$BATS_TEST_TMPDIR/said"
    leaves none
    expect servers "$(servers "$CLIENT" | wc -l)" 2
    kill -TERM "$CLIENT"
    finish
    expect status "$STATUS" 143
    await_no_servers "$CLIENT"
}

# Under fin-rst its own shutdown() before close() leaves some in TIME_WAIT.
@test "a JVM, 500 threads that connect" {
    javac -d "$BATS_TEST_TMPDIR" "$ROOT/tests/tools/Steady.java"
    steady java -Xss256k -cp "$BATS_TEST_TMPDIR" Steady
    leaves all
    adopt 'rst role=client' -q "$CLIENT"
    leaves none
    kill -KILL "$CLIENT"
}

@test "a static Go client at random moments of its life: none fails, none ends otherwise" {
    have_ports "10000 60999"
    start - "$TOOLS/peer" -s 1 -n 10000000 listen
    hear_port
    timeout 500 python3 - "$LINGER" "$TOOLS/go/client" "127.0.0.1:$PORT" "${ATTACHES:-15}" <<'END'
import random, subprocess, sys, time

linger, client, address, rounds = *sys.argv[1:4], int(sys.argv[4])
late = 0
for _ in range(rounds):
    program = subprocess.Popen([client, address, "3000"], stdout=subprocess.PIPE, text=True)
    time.sleep(random.random() * 0.1)
    attach = subprocess.run([linger, "supervise", "--yes", "-m", "fin-rst role=client", str(program.pid)],
                            capture_output=True, text=True)
    said = program.communicate(timeout=60)[0]
    assert program.returncode == 0 and "connected 3000\n" in said, (program.returncode, said, attach)
    late += attach.returncode != 0
    assert attach.returncode == 0 or "ended" in attach.stderr or "zombie" in attach.stderr, attach
assert late < rounds, late
END
}

@test "the server is killed at random moments under load: no connect() fails, none waits for ever" {
    have_ports "32768 60999"
    start - "$TOOLS/peer" -n 10000000 listen
    hear_port
    start - "$TOOLS/static/storm" calm "$PORT" 40000
    adopt 'fin-rst role=client' -q "$PID"
    storm=$PID storm_out=$OUT
    find_server "$PID"
    start - python3 "$ROOT/tests/tools/kill-servers.py" "$SERVER"
    killer=$PID killer_out=$OUT
    PID=$storm OUT=$storm_out
    hear
    expect "the storm" "$REPLY" "connected 40000"
    kill -TERM "$killer"
    PID=$killer OUT=$killer_out
    hear
    echo "$REPLY"
    [ "${REPLY#killed }" -ge 20 ]
    kill -KILL "$storm"
    await_no_servers "$storm"
}

@test "the policy is replaced while it runs; off does nothing; what it cannot carry is refused" {
    steady python3 "$ROOT/tests/tools/steady.py"
    adopt 'fin-rst role=client' -q "$CLIENT"
    leaves none
    first=$(servers "$CLIENT")
    adopt off "$CLIENT" | tee "$BATS_TEST_TMPDIR/said"
    grep -qx "process     $CLIENT python3  has the new policy" "$BATS_TEST_TMPDIR/said"
    leaves all
    expect servers "$(servers "$CLIENT" | wc -l)" 2
    run ! grep -Fx "$first" <(servers "$CLIENT")
    local needy needies=(close:when=active)
    ! linux_is 5.14 || needies+=(accept:peer=192.0.2.1) # before, close() decides that, too
    for needy in "${needies[@]}"; do
        run -125 --separate-stderr adopt "rst ${needy#*:}" "$CLIENT"
        expect said "$(tail -1 <<<"$stderr")" "linger supervise: process $CLIENT: this policy decides at ${needy%:*}(), which the filter of the first one does not report: restart the program"
        expect "said before" "$(sed '$d' <<<"$stderr" | grep -oE 'warning: .* at close\(\)')" "$([ "$needy" = accept:peer=192.0.2.1 ] || echo "warning: when= is decided at close()")"
    done
    leaves all
    at_once 3 30 "$CLIENT" # each finds servers that are ending
    for _ in 1 2 3 4 5; do
        adopt off -q "$CLIENT"
        adopt 'rst role=client' -q "$CLIENT"
    done
    leaves none
    kill -TERM "$CLIENT"
    finish
}
# request SECONDS: what of wrk's requests to the proxy failed; "" if none did.
request() {
    wrk -t1 -c4 -d"$1"s "http://127.0.0.1:$FRONT/" >"$BATS_TEST_TMPDIR/wrk"
    cat "$BATS_TEST_TMPDIR/wrk" >&2
    grep -q "requests in" "$BATS_TEST_TMPDIR/wrk"
    grep -E "Socket errors|Non-2xx" "$BATS_TEST_TMPDIR/wrk" || true
}

towards_backend() {
    ss -Htan state time-wait "dport = :$PORT" | wc -l
}

@test "two at once for a process that nobody supervises yet: each has its turn" {
    for _ in {1..20}; do
        start - sleep 100
        at_once 2 1 "$PID"
        find_server "$PID"
        kill -TERM "$PID"
    done
}

@test "nginx as a proxy at the wall: no request fails by it, and afterwards none does" {
    needs_namespace
    needs_right_setg
    have_ports "10000 10499"
    start - python3 "$ROOT/tests/tools/patient-server.py"
    hear_port
    FRONT=$("$TOOLS/free-port")
    mkdir "$BATS_TEST_TMPDIR/nginx"
    sed "s|location / .*|location / { proxy_pass http://127.0.0.1:$PORT; } }|; s|\$1|$FRONT|g; s|\$2|$BATS_TEST_TMPDIR/nginx|g; s|\$3|2|" \
        <<<"$NGINX_CONF" | sed 's/error_log stderr/error_log stderr crit/' >"$BATS_TEST_TMPDIR/nginx.conf"
    # shellcheck disable=SC2046  # two words
    start - nginx $(nginx_log) -c "$BATS_TEST_TMPDIR/nginx.conf"
    backend=$PORT
    PORT=$FRONT
    await_listener
    PORT=$backend
    while [ -z "$(request 1)" ]; do :; done # until 500 ports are used up
    grep -q "Cannot assign requested address" "$BATS_TEST_TMPDIR/stderr"
    # Other ports, as if the minute of TIME_WAIT were over, and more than the load needs meanwhile.
    have_ports "11000 59999"
    request 4 >"$BATS_TEST_TMPDIR/failed" &
    until [ -n "$(ss -Htan "dport = :$PORT and sport >= :11000")" ]; do :; done
    adopt 'fin-rst role=client' --port "$FRONT" >"$BATS_TEST_TMPDIR/said"
    expect processes "$(grep -c "^process .* nginx  is supervised until it ends" "$BATS_TEST_TMPDIR/said")" 3
    wait $!
    expect "failed meanwhile" "$(cat "$BATS_TEST_TMPDIR/failed")" ""
    # As few as in the beginning, and they are enough.
    have_ports "60000 60499"
    before=$(towards_backend)
    for ((made = 0; made <= 600; made += $(grep -oE "[0-9]+ requests in" "$BATS_TEST_TMPDIR/wrk" | cut -d" " -f1))); do
        expect "failed afterwards" "$(request 3)" ""
    done
    left=$(($(towards_backend) - before))
    echo "$made requests, $left TIME_WAIT"
    [ "$left" -le $((made / 100)) ]
    kill -TERM "$PID"
    finish
    await_no_servers "$PID"
}

# lost POLICY CALL COUNT: what a timer without SA_RESTART takes away of a program that is supervised by then.
lost() {
    rm -f "$BATS_TEST_TMPDIR/go" && mkfifo "$BATS_TEST_TMPDIR/go"
    exec {GO}<>"$BATS_TEST_TMPDIR/go"
    start - sh -c 'read -r _ && exec "$@"' sh "$TOOLS/lost" "$2" "$3" 200 <&"$GO"
    adopt "$1" -q "$PID"
    echo >&"$GO"
    WITHIN=100 hear
    finish
}

@test "no policy without when= loses a close(): 0 of 100,000" {
    have_ports "32768 60999"
    for condition in peer=10.0.0.0/8 share=1% local=10.0.0.0/8 local=:8080; do
        lost "fin-rst $condition; fin" close 25000
        expect "closes under $condition" "$REPLY" "lost 0"
    done
}

# A server whose threads wait for connections; $PORTS has "WAY PORT", one a line.
acceptors() {
    start - python3 "$ROOT/tests/tools/acceptors.py" 3 $FAMILY
    SERVER_PID=$PID PORTS=
    for _ in 1 2 3 4; do
        hear
        PORTS+=$REPLY$'\n'
    done
}

# accepted ENDS: more connections than threads wait end so, whichever way the server accepts them.
accepted() {
    local way port
    while read -r way port; do
        also expect "$way $FAMILY" "$("$TOOLS/peer" $FAMILY -n 5 -k connect "$port")" "bytes=25 $1"
    done < <(printf %s "$PORTS")
}

# waits_already: a connection that the server has accepted; a line to $GO, and it ends.
waits_already() {
    local port=${PORTS#* }
    port=${port%%$'\n'*}
    rm -f "$BATS_TEST_TMPDIR/go" && mkfifo "$BATS_TEST_TMPDIR/go"
    exec {GO}<>"$BATS_TEST_TMPDIR/go"
    start - "$TOOLS/peer" $FAMILY -g -s 1 connect "$port" <&"$GO"
    until ss -Htnp state established "sport = :$port" | grep -q "pid=$SERVER_PID,"; do kill -0 "$PID"; done
}

@test "peer= is decided at accept(), also of threads that waited in it before; a new policy, and a new supervisor" {
    have_ports "32768 60999"
    local policy='rst peer=127.0.0.0/8,[::1]; fin'
    for FAMILY in "" -6; do
        acceptors
        waits_already
        adopt "$policy" -q "$SERVER_PID"
        echo >&"$GO"
        hear
        expect "what was accepted before" "$REPLY" "bytes=5 eof=0 reset=1"
        accepted "eof=0 reset=5"
        adopt fin -q "$SERVER_PID"
        accepted "eof=5 reset=0"
        adopt "$policy" -q "$SERVER_PID"
        accepted "eof=0 reset=5"
        for _ in 1 2 3; do
            find_server "$SERVER_PID"
            kill -KILL "$SERVER"
            accepted "eof=0 reset=5"
        done
        kill -TERM "$SERVER_PID"
        await_no_servers "$SERVER_PID"
    done
}

# A connection that the supervisor has accepted and not yet handed over ends with it, and by FIN if it was killed
# before the options were set: one for each that was killed, no more.
@test "the server is killed at random moments while it accepts: the program goes on, and each connection ends" {
    have_ports "32768 60999"
    FAMILY=
    acceptors
    adopt 'rst peer=127.0.0.0/8; fin' -q "$SERVER_PID"
    find_server "$SERVER_PID"
    start - python3 "$ROOT/tests/tools/kill-servers.py" "$SERVER"
    local killer=$PID killer_out=$OUT client clients=() whole=0 fins=0 eofs resets zeros
    while read -r _ port; do
        start - "$TOOLS/peer" -n 2000 -k connect "$port"
        clients+=("$OUT")
    done < <(printf %s "$PORTS")
    for client in "${clients[@]}"; do
        OUT=$client WITHIN=90 hear
        eofs=${REPLY#*eof=} resets=${REPLY#*reset=}
        expect "how all ended" $((${eofs%% *} + resets)) 2000
        REPLY=${REPLY#bytes=} whole=$((whole + ${REPLY%% *})) fins=$((fins + ${eofs%% *}))
    done
    kill -TERM "$killer"
    OUT=$killer_out hear
    zeros=$(grep -c "^number 0" "$BATS_TEST_TMPDIR/stderr") || true
    echo "$REPLY, $((40000 - whole)) bytes less, $fins FIN, $zeros times number 0"
    [ "${REPLY#killed }" -ge 20 ]
    [ "$zeros" -le "${REPLY#killed }" ]
    [ "$fins" -le "${REPLY#killed }" ]
    [ $((40000 - whole)) -le $((5 * ${REPLY#killed })) ]
    kill -TERM "$SERVER_PID"
    await_no_servers "$SERVER_PID"
}

# SIGCHLD is what the supervisor lets in, as its partner may have died: poll() says EINTR then, to it alone.
@test "a rain of SIGCHLD on the supervisor interrupts no accept(), and makes no process" {
    mkfifo "$BATS_TEST_TMPDIR/go"
    exec {GO}<>"$BATS_TEST_TMPDIR/go"
    start - python3 -c '
import ctypes, errno, os, socket, struct, sys
accept = ctypes.CDLL(None, use_errno=True).accept
listener = socket.create_server(("127.0.0.1", 0))
listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 1000))
print("ready", flush=True)
sys.stdin.readline()
for _ in range(200):
    accept(listener.fileno(), None, None)
    assert ctypes.get_errno() == errno.EAGAIN, os.strerror(ctypes.get_errno())
print("none is interrupted", flush=True)
sys.stdin.readline()' <&"$GO"
    hear
    adopt 'fin-rst peer=127.0.0.0/8' -q "$PID"
    find_server "$PID"
    python3 -c '
import os, signal, sys, time
while True:
    for _ in range(50):
        os.kill(int(sys.argv[1]), signal.SIGCHLD)
    time.sleep(0.001)' "$SERVER" 3>&- &
    STARTED+=($!)
    echo >&"$GO"
    hear
    expect "200 calls" "$REPLY" "none is interrupted"
    expect servers "$(servers "$PID" | wc -l)" 2
}

@test "peer= is decided at accept() of a static Go server" {
    have_ports "32768 60999"
    PORT=$("$TOOLS/free-port")
    start - "$TOOLS/go/echo" "$PORT"
    await_listener
    adopt 'rst peer=127.0.0.0/8; fin' -q "$PID"
    expect "the peer saw" "$("$TOOLS/peer" -n 5 -k connect "$PORT")" "bytes=5 eof=0 reset=5"
    kill -TERM "$PID"
    await_no_servers "$PID"
}

@test "redis-server: its descriptors, signals and privileges are as before, and it answers" {
    have_ports "32768 60999"
    PORT=$("$TOOLS/free-port")
    start - redis-server --port "$PORT" --bind 127.0.0.1 --save "" --dir "$BATS_TEST_TMPDIR"
    await_listener
    redis=$PID
    redis-cli -p "$PORT" ping | grep -qx PONG
    await_closed
    fingerprint "$redis" | sed "/^NoNewPrivs/s/.$/$(as_root 0 1)/" >"$BATS_TEST_TMPDIR/before"
    grep -qx "Seccomp:[[:space:]]*0" "/proc/$redis/status"
    adopt fin-rst "$redis" >"$BATS_TEST_TMPDIR/said"
    [ -n "${WITHOUT_LIBRARY:-}" ] || grep -q "^listener .* verdict fin-rst  applied" "$BATS_TEST_TMPDIR/said"
    fingerprint "$redis" | diff "$BATS_TEST_TMPDIR/before" -
    grep -qx "Seccomp:[[:space:]]*2" "/proc/$redis/status"
    talk 50 'PING\r\nQUIT\r\n' '+PONG\r\n+OK\r\n'
    expect "of 50" "$SEEN, $LEFT TIME_WAIT" "whole=50 eof=50 reset=0, 0 TIME_WAIT"
    kill -TERM "$redis"
    await_no_servers "$redis"
}

@test "attach --stay, as it was called, names the new command" {
    run "$LINGER" attach -m rst --stay --yes $$
    expect status "$status" 125
    expect said "${lines[0]}" "linger attach: --stay is a command of its own: linger supervise -m POLICY PID"
}

# family: a shell, its child, and that one's, in $ALL; it says the pid of another child for a line to $GO.
family() {
    mkfifo "$BATS_TEST_TMPDIR/more"
    exec {GO}<>"$BATS_TEST_TMPDIR/more"
    start - bash -c 'echo $$; bash -c "echo \$\$; sleep 100 & echo \$!; wait" & while read -r line; do sleep 100 & echo $!; done; wait' <&"$GO"
    ALL=()
    for _ in 1 2 3; do
        hear
        ALL+=("$REPLY")
    done
}

@test "children that run already are named; --tree takes them, and theirs" {
    needs_right_setg
    family
    local more="linger supervise: process ${ALL[1]} (bash), a child of ${ALL[0]}, runs already and is not supervised: --tree takes it too"
    run adopt off "${ALL[0]}"
    expect "what is named" "$(grep "^linger" <<<"$output")" "$more"
    expect "of TIME_WAIT, which off leaves" "$(grep -c TIME_WAIT <<<"$output")" 0
    expect filters "$(cat /proc/{"${ALL[0]}","${ALL[1]}","${ALL[2]}"}/status | sed -n 's/^Seccomp:\t//p' | xargs)" "2 0 0"
    # What is made after that needs nothing.
    echo >&"$GO"
    hear
    local young=$REPLY
    run adopt off -n --tree "${ALL[0]}"
    run adopt off --tree "${ALL[0]}"
    expect said "$(printf '%s\n' "${lines[@]}" | grep ^process | sort)" "$(printf 'process     %s\n' \
        "${ALL[0]} bash  has the new policy" "${ALL[1]} bash  is supervised until it ends" "${ALL[2]} sleep  is supervised until it ends" | sort)"
    expect filters "$(cat /proc/{"${ALL[0]}","${ALL[1]}","${ALL[2]}","$young"}/status | sed -n 's/^Seccomp_filters:\t//p' | xargs)" "1 1 1 1"
    kill -KILL "${ALL[@]}" "$young"
}

@test "--tree: of a program that forks at full speed no child escapes" {
    start - python3 "$ROOT/tests/tools/forker.py"
    hear
    adopt off -q --tree "$PID"
    hear
    expect children "$(ps --no-headers -o pid= --ppid "$PID" | sed 's/ *//; s/.*/\/proc\/&\/status/' | xargs sed -n 's/^Seccomp:\t//p' | sort | uniq -c | xargs)" "100 2"
    kill -TERM "$PID"
}

@test "--log: the events of the supervisor, with the program's pid; each policy has its own" {
    steady python3 "$ROOT/tests/tools/steady.py"
    adopt 'fin-rst role=client' -q --log "$BATS_TEST_TMPDIR/log" "$CLIENT"
    until grep -q "pid=$CLIENT event=arm .* role=client .* verdict=fin-rst" "$BATS_TEST_TMPDIR/log"; do :; done
    head -1 "$BATS_TEST_TMPDIR/log" | grep -q "pid=$CLIENT event=load .* backend=supervise program=python3 mode=\"fin-rst role=client\""
    LINGER_LOG=$BATS_TEST_TMPDIR/other LINGER_MODE=rst adopt off -q "$CLIENT"
    grep -q "pid=$CLIENT event=load .* mode=off" "$BATS_TEST_TMPDIR/other"
    run adopt off --log stderr "$CLIENT"
    expect status "$status" 125
    expect said "$output" "linger supervise: -l: the supervisor has no standard error; give a file"
    kill -TERM "$CLIENT"
    finish
}

# refused PATTERN COMMAND...: and the client is as before.
refused() {
    says_no "$@"
    grep -qx "Seccomp:[[:space:]]*0" "/proc/$CLIENT/status"
    made
}

@test "--json: who is supervised, and whether it was before" {
    start - sleep 100
    until grep -qx sleep "/proc/$PID/comm"; do :; done
    for replaced in False True; do
        said=$("$LINGER" supervise -y -j -m off "$PID" |
            python3 -c 'import json, sys; print(*json.load(sys.stdin)["supervised"][0].values())')
        expect supervised "$said" "$PID sleep $replaced"
    done
    run "$LINGER" supervise -n -j -m off "$PID"
    expect "a dry run" "$output" '{"sockets":[],"listeners":0,"connections":0,"failed":0}'
    kill -TERM "$PID"
}

@test "what the program sets after accept() wins over attach -m fin, and not over supervise -m fin" {
    seen() { # COMMAND SEEN
        start - "$SUBJECT" -r -o 1,0 close
        hear_port
        "$LINGER" $1 -m fin --port "$PORT"
        SEEN=$("$TOOLS/peer" -k connect "$PORT")
        finish
        expect "$1" "$SEEN" "$2"
    }
    "$LINGER" attach --help | grep -qx "the program sets itself after accept() wins, even over fin; to overrule it:"
    seen attach "bytes=5 eof=0 reset=1"
    seen "supervise --yes" "bytes=5 eof=1 reset=0"
}

@test "how to end what is in TIME_WAIT: only the clients' that the policy is for" {
    steady python3 "$ROOT/tests/tools/steady.py"
    hint() { # POLICY COMMAND
        expect "after '$1'" "$(adopt "$1" "$CLIENT" | sed -n 's/^what is in TIME_WAIT keeps its port for up to 60 seconds: `\(.*\)` ends it$/\1/p')" "$2"
    }
    local close="linger close --state time-wait"
    hint fin ""
    hint 'rst role=server' ""
    hint 'fin-rst role=client' "$close -m 'rst peer=ADDRESS:PORT'"
    hint 'fin-rst role=client peer=192.0.2.1:80,[2001:db8::]/32' "$close -m 'rst peer=192.0.2.1:80,[2001:db8::]/32'"
    hint 'off role=client peer=192.0.2.1; rst role=client peer=192.0.2.0/24' "$close -m 'rst peer=ADDRESS:PORT'"
}

@test "nothing happens without a yes; a dry run changes nothing" {
    steady python3 "$ROOT/tests/tools/steady.py"
    refused "linger supervise: this cannot be undone: confirm it with --yes" "$LINGER" supervise -m fin-rst "$CLIENT" <&-
    needs_terminal
    asked=("$LINGER" supervise -m fin-rst "$CLIENT")
    refused "*Go on? *linger supervise: not confirmed: nothing was changed*" \
        python3 "$ROOT/tests/tools/answered.py" n "${asked[@]}"
    refused "*Go on? *linger supervise: not confirmed: nothing was changed*" \
        python3 "$ROOT/tests/tools/answered.py" "" "${asked[@]}"
    needs_right_setg
    run "$LINGER" supervise -n -m fin-rst "$CLIENT"
    expect "whom a dry run names" "${lines[0]}" "process     $CLIENT python3  would be supervised until it ends"
    expect "a dry run" "$(tail -1 <<<"$output" | cut -d: -f1)" "nothing was changed"
    grep -qx "Seccomp:[[:space:]]*0" "/proc/$CLIENT/status"
    python3 "$ROOT/tests/tools/answered.py" y "${asked[@]}" | tee "$BATS_TEST_TMPDIR/said"
    grep -q "pid $CLIENT (python3)" "$BATS_TEST_TMPDIR/said"
    grep -q "That cannot be undone" "$BATS_TEST_TMPDIR/said"
    expect "what is said of no_new_privs" "$(grep -c no_new_privs "$BATS_TEST_TMPDIR/said")" "$(as_root 0 1)"
    grep -qx "Seccomp:[[:space:]]*2" "/proc/$CLIENT/status"
    made
    # What is supervised already is not asked about again.
    "$LINGER" supervise -q -m off "$CLIENT" <&-
    made
    kill -TERM "$CLIENT"
    finish
}

@test "a program that holds the lock by which one at a time comes: refused after some seconds, -n too" {
    start - python3 -c 'import fcntl, os, signal
fcntl.flock(os.open("/proc/self/fd", os.O_RDONLY), fcntl.LOCK_EX)
print("locked", flush=True)
signal.pause()'
    hear
    local option
    for option in -n -y; do
        says_no "linger supervise: process $PID: process $PID has locked its descriptors in /proc, flock(2): end that one first" \
            "$LINGER" supervise $option -m off "$PID"
    done
    kill -TERM "$PID"
}

@test "one of several processes is refused: none is touched" {
    steady python3 "$ROOT/tests/tools/steady.py"
    strace -f -qq -o "$BATS_TEST_TMPDIR/strace" sleep 100 &
    tracer=$!
    # (What ends without a newline is a failure to read.)
    traced=
    until grep -qs sleep "/proc/$traced/comm"; do
        read -r traced <"/proc/$tracer/task/$tracer/children" || true
    done
    refused "linger supervise: process $traced: process $tracer traces it (a debugger, strace): end that first" \
        "$LINGER" supervise -y -m fin-rst "$CLIENT" "$traced"
    kill -KILL "$traced"
    wait $tracer || true
    # Whom linger run supervises, another supervisor cannot: that is known only as it is tried.
    start - "$LINGER" run -b supervise -m rst -- sleep 100
    supervised='' keeper=''
    until grep -qxs sleep "/proc/$supervised/comm"; do
        read -r keeper <"/proc/$PID/task/$PID/children" || true
        # The program comes before the guard, which has its name in brackets.
        [ -z "$keeper" ] || read -r supervised _ <"/proc/$keeper/task/$keeper/children" || true
    done
    refused "linger supervise: process $supervised: $(as_root "it has a supervisor already" "a seccomp filter of its own may end it") *" \
        "$LINGER" supervise -y -m fin-rst "$supervised"
    kill -TERM "$PID"
    kill -TERM "$CLIENT"
}

@test "without privileges: no_new_privs is named; a policy is replaced by the same user alone" {
    needs_root
    chmod a+rx "$BATS_TEST_TMPDIR" "$BATS_RUN_TMPDIR"
    nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    # Where everybody may go, wherever this tree is.
    cp "$ROOT/tests/tools/steady.py" "$LINGER" "$BATS_TEST_TMPDIR"
    steady "${nobody[@]}" python3 "$BATS_TEST_TMPDIR/steady.py"
    "${nobody[@]}" python3 - y "$BATS_TEST_TMPDIR/linger" supervise -m 'fin-rst role=client' "$CLIENT" \
        <"$ROOT/tests/tools/answered.py" >"$BATS_TEST_TMPDIR/said" || { cat "$BATS_TEST_TMPDIR/said"; false; }
    grep -q "no_new_privs is set" "$BATS_TEST_TMPDIR/said"
    grep -qx "NoNewPrivs:[[:space:]]*1" "/proc/$CLIENT/status"
    leaves none
    "${nobody[@]}" "$BATS_TEST_TMPDIR/linger" supervise -qm off "$CLIENT"
    leaves all
    # Root would act for that user's processes, and that user for root's.
    run adopt 'fin-rst role=client' -q "$CLIENT"
    expect status "$status" 125
    [[ $output == "linger supervise: process $CLIENT: process "*" of user 65534 supervises it: whoever replaces the policy must be that user, with no more capabilities" ]]
    leaves all
    start - sleep 100
    adopt off -q "$PID"
    says_no "linger supervise: process $PID: *" "${nobody[@]}" "$BATS_TEST_TMPDIR/linger" supervise -qym off "$PID"
    kill -TERM "$CLIENT" "$PID"
}

# robbed COMMAND...: an impostor, run by COMMAND, says that it supervises a program of the same user.
robbed() {
    local impostor=("$@")
    chmod a+rx "$BATS_TEST_TMPDIR" "$BATS_RUN_TMPDIR"
    cp "$ROOT/tests/tools/impostor.py" "$BATS_TEST_TMPDIR"
    start - python3 -c 'import socket, signal, struct
victim = socket.socket()
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
print(victim.fileno(), flush=True)
signal.sigwait({signal.SIGUSR1})
print(*struct.unpack("ii", victim.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)), flush=True)'
    hear
    local victim=$PID victim_out=$OUT fd=$REPLY
    start - "${impostor[@]}" sleep 100
    until grep -qx sleep "/proc/$PID/comm"; do kill -0 "$PID"; done
    local program=$PID
    start - "${impostor[@]}" python3 "$BATS_TEST_TMPDIR/impostor.py" "$program" "$victim" "$fd" ${HOW:-}
    hear
    local bystander=${REPLY#ready }
    adopt rst "$program" | tee "$BATS_TEST_TMPDIR/said"
    grep "^State:.S" "/proc/$bystander/status"
    kill "$bystander"
    kill -USR1 "$victim"
    read -r -t $((60 * SLOWER)) REPLY <&"$victim_out"
    expect "another process's SO_LINGER" "$REPLY" "0 0"
    expect servers "$(servers "$program" | wc -l)" 3 # the impostor has the name
    kill -TERM "$program"
}

@test "whom another user passes off as the supervisor gets no right of root's, whatever it may do" {
    needs_root
    robbed setpriv --reuid=65534 --regid=65534 --clear-groups
    local all
    all=$(setpriv -d | sed -n 's/^Capability bounding set: //p' | sed 's/[^,]*/+&/g')
    robbed setpriv --reuid=65534 --keep-groups --inh-caps="$all" --ambient-caps="$all"
}

@test "nor does root without root's capabilities, as in a container, nor whoever only holds the descriptors" {
    needs_root
    robbed setpriv --bounding-set=-all --inh-caps=-all
    robbed unshare --map-root-user
    HOW=unmapped robbed env
}

@test "a supervised program gets no strict mode of seccomp, and no listener of its own" {
    run "$LINGER" run -b supervise -m off -- python3 -c 'import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(22, 1, 0, 0, 0) # PR_SET_SECCOMP, SECCOMP_MODE_STRICT
print(errno.errorcode[ctypes.get_errno()])
libc.prctl(38, 1, 0, 0, 0) # PR_SET_NO_NEW_PRIVS
allow = ctypes.create_string_buffer(b"\6\0\0\0\0\0\xff\x7f")
filter = (ctypes.c_uint64 * 2)(1, ctypes.addressof(allow))
libc.syscall(317 if os.uname().machine == "x86_64" else 277, 1, 8, filter) # SECCOMP_FILTER_FLAG_NEW_LISTENER
print(errno.errorcode[ctypes.get_errno()])'
    expect said "$output" $'EINVAL\nEBUSY'
}

@test "linger without descriptors left says so, and names no other cause" {
    local most status
    start - "$TOOLS/subject" -h
    hear_port
    for most in {4..14}; do
        status=0
        prlimit --nofile=$most:$most timeout 60 "$LINGER" supervise --yes -m rst "$PID" 3>&- 4>&- >"$BATS_TEST_TMPDIR/said" 2>&1 || status=$?
        cat "$BATS_TEST_TMPDIR/said"
        [ $status = 0 ] || grep -q "Too many open files" "$BATS_TEST_TMPDIR/said"
        kill -0 "$PID"
    done
}

# in_cgroups FUNCTION: FROM_SERVICE starts a command as a unit of systemd would; the program $PID is elsewhere.
in_cgroups() {
    needs_root
    local top=/sys/fs/cgroup
    [ -e $top/cgroup.procs ] || top=$top/unified
    top=$top/linger-$$
    SERVICE=$top/starter.service OTHER=$top/program
    # shellcheck disable=SC2016 # for another shell
    FROM_SERVICE=(sh -c 'echo 0 >"$0/cgroup.procs" && exec "$@"' "$SERVICE")
    mkdir -p "$SERVICE" "$OTHER" || skip "needs cgroups to write to"
    start - sleep 100
    echo "$PID" >"$OTHER/cgroup.procs"
    "$1"
    kill -KILL "$PID"
    finish
    await_no_servers "$PID"
    remove_cgroups "$SERVICE" "$OTHER" "$top"
}

enters() {
    "${FROM_SERVICE[@]}" "$LINGER" supervise -yqm off "$PID"
    local server
    for server in $(servers "$PID"); do
        expect "the cgroup of a supervisor" "$(grep ^0:: "/proc/$server/cgroup")" "$(grep ^0:: "/proc/$PID/cgroup")"
    done
    echo 1 >"$SERVICE/cgroup.kill"
    expect servers "$(servers "$PID" | wc -l)" 2
}

@test "supervisors that a service starts go into the cgroup of the program" {
    in_cgroups enters
}

# shellcheck disable=SC2016 # for another shell
cannot_enter() {
    local hidden=(unshare -m sh -c 'mount -o bind,remount,ro "$0" && exec "$@"' "$(df --output=target "$OTHER" | tail -1)")
    for option in -n -y; do
        says_no "linger supervise: process $PID: linger runs in a service, with which its supervisor would be ended: use \`systemd-run --scope linger supervise ...\`" \
            "${FROM_SERVICE[@]}" "${hidden[@]}" "$LINGER" supervise $option -m off "$PID"
    done
    grep -qx "Seccomp:[[:space:]]*0" "/proc/$PID/status"
    # Elsewhere nobody ends them.
    "${hidden[@]}" "$LINGER" supervise -yqm off "$PID"
}

@test "supervisors that a service would take with it are refused, and nothing is changed" {
    in_cgroups cannot_enter
}
