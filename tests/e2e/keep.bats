#!/usr/bin/env bats
# linger keep: a host, which is processes and mounts of its own here, whose daemons come and go.
load helper

LINGER=$ROOT/linger
EACH_NEEDS=needs_host
ASKS=

needs_host() {
    needs_namespace
    unshare -pmf --mount-proc true 2>/dev/null || skip "needs namespaces of processes and mounts"
}

# host FUNCTION: runs it as the first process of a host.
host() {
    (
        declare -f
        declare -p ROOT LIB TOOLS LINGER SUBJECT NGINX NGINX_CONF BATS_TEST_TMPDIR HOW_SOON WITHOUT_EVENTS ASKS UNIT A_CHILD_HAS_IT
        echo 'STARTED=(); trap end_started EXIT; trap "cat keep.err; echo failed: \$BASH_COMMAND" ERR; set -eET; cd "$BATS_TEST_TMPDIR"; mount -t tmpfs none /run'
        echo "$1"
    ) >"$BATS_TEST_TMPDIR/host"
    unshare -pmf --mount-proc --kill-child timeout -k 5 280 bash "$BATS_TEST_TMPDIR/host" 3>&-
}

# keeps [OPTION...]: linger keep, until it has looked at all there is. Without it each test has to fail.
keeps() {
    [ -z "${WITHOUT_LIBRARY:-}" ] || set -- -m off
    start - ${AS:-} "$LINGER" keep "$@"
    KEEP=$PID KEEP_OUT=$OUT
    eventually has_looked
    mv "$BATS_TEST_TMPDIR/stderr" keep.err
}

has_looked() {
    [ -e /run/linger-keep/listeners ] || ! kill -0 "$KEEP"
}

# The next line of linger keep.
keep_says() { # PATTERN
    [ -z "${WITHOUT_LIBRARY:-}" ] || return 0
    OUT=$KEEP_OUT hear
    echo "$REPLY"
    # shellcheck disable=SC2053  # it is a pattern
    [[ $REPLY == $1 ]]
}

ends() { # SIGNAL
    kill "-$1" "$KEEP"
    PID=$KEEP OUT=$KEEP_OUT finish
    expect "status of linger keep" "$STATUS" 0
}

# Connections from the first moment on, until there is a file `enough`.
knock_until_enough() {
    while [ ! -e enough ]; do
        (exec {K}<>"/dev/tcp/127.0.0.1/$PORT" && printf 'GET / HTTP/1.0\r\n\r\n' >&$K && cat <&$K) >/dev/null 2>&1 || true
    done
}

nginx_lives() {
    rm -f enough
    knock_until_enough &
    local knocking=$!
    STARTED+=("$knocking")
    start - bash -c "set -- \"\$1\" \"\$2\" 2; $NGINX" nginx "$PORT" "$PWD"
    local nginx=$PID nginx_out=$OUT
    keep_says "listener * 127.0.0.1:$PORT  before fin  verdict fin-rst  applied  rule 1, nginx (pid $nginx)"
    touch enough
    wait "$knocking"
    await_closed
    FORMER=$(ends_in_time_wait "sport = :$PORT")
    talk 100 http
    expect "life $1" "$SEEN, TIME_WAIT $LEFT" "whole=100 eof=100 reset=0, TIME_WAIT 0"
    kill -QUIT "$nginx"
    PID=$nginx OUT=$nginx_out finish
}

nginx_lives_ten_times() {
    PORT=$("$TOOLS/free-port")
    keeps -m "fin-rst port=$PORT"
    for life in {1..10}; do
        nginx_lives "$life"
    done
    ends TERM
}

@test "nginx started ten times under load: whole pages, and no TIME_WAIT once it is seen" {
    host nginx_lives_ten_times
}

# Prints how long it takes in ms until what begins to listen has been changed: the best of twenty.
HOW_SOON='
import socket, time
best = 1e9
for _ in range(20):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        began = time.monotonic()
        while listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_LINGER2) != -1:
            assert time.monotonic() - began < 60
        best = min(best, time.monotonic() - began)
print(int(best * 1000))'

it_takes_no_100_ms() {
    keeps -q -m fin-rst
    start - python3 -c "$HOW_SOON"
    WITHIN=100 hear
    echo "$REPLY ms"
    [ "$REPLY" -lt 100 ]
}

@test "where the kernel says who listens, it takes less than 100 ms" {
    needs_events
    host it_takes_no_100_ms
}

# Who may not see events, or enter a namespace, has the list.
WITHOUT_EVENTS="setpriv --bounding-set -perfmon,-sys_admin"

the_list_shows_them() {
    AS=$WITHOUT_EVENTS keeps -m "fin-rst prog=python3*"
    grep "listeners are looked for each second: " keep.err
    start - python3 -c 'import socket, time
listener = socket.create_server(("127.0.0.1", 0))
print("port", listener.getsockname()[1], flush=True)
while listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_LINGER2) != -1:
    time.sleep(0.01)
print("changed", flush=True)'
    hear_port
    keep_says "listener * 127.0.0.1:$PORT  before fin  verdict fin-rst  applied  rule 1, python3* (pid $PID)"
    hear
    expect "the listener" "$REPLY" changed
    ends INT
}

@test "where it does not, the list shows what listens" {
    host the_list_shows_them
}

# serves_elsewhere COMMAND...: a server in a network namespace of its own, and a client there.
serves_elsewhere() {
    start - unshare -n sh -c 'ip link set lo up && exec "$@"' sh "$@"
    there=(nsenter -t "$PID" -n)
    eventually listens_there
    keep_says "listener * *:8080  before fin  verdict fin-rst  applied  rule 1, * (pid $PID)"
    "${there[@]}" "$TOOLS/peer" -k connect 8080
    eventually closes_there
    expect "TIME_WAIT there" "$("${there[@]}" ss -Htan state time-wait "sport = :8080")" ""
    kill "$PID"
    wait "$PID" || true
}

listens_there() {
    [ -n "$("${there[@]}" ss -Htln "sport = :8080")" ]
}

closes_there() {
    [ -z "$("${there[@]}" ss -Htan state connected exclude time-wait "sport = :8080")" ]
}

every_namespace_is_kept() {
    keeps -m fin-rst
    serves_elsewhere "$TOOLS/go/echo" 8080
    serves_elsewhere python3 -c "import socket
listener = socket.create_server(('', 8080))
while True:
    connection, _ = listener.accept()
    connection.recv(1)
    connection.send(b'hello')
    connection.close()"
    ends TERM
}

@test "servers in other network namespaces: Go and Python" {
    host every_namespace_is_kept
}

what_was_there_is_kept() {
    with_own_options
    keep
    say - "1,5,7 1,3,9"
    keeps -m "fin-rst port=$PORT" --restore-at-end
    keep_says "listener * 127.0.0.1:$PORT  before wait:5  verdict fin-rst  applied  rule 1, python3* (pid $DAEMON)"
    say - "0,5,-1 0,3,-1"
    keep
    say - "0,5,-1 0,3,-1 0,5,-1"
    ends TERM
    say - "1,5,7 1,3,9 1,5,7"
}

@test "listeners and connections that were there before; at the end they get back what they had" {
    host what_was_there_is_kept
}

three_policies_are_undone() {
    with_own_options
    keep
    policy "rst port=$PORT"
    keeps -m @policy --follow --restore-at-end
    keep_says "listener * verdict rst  applied *"
    policy "wait:7 port=$PORT"
    keep_says "listener * verdict wait:7  applied *"
    policy "fin-rst port=$PORT"
    keep_says "listener * verdict fin-rst  applied *"
    say - "0,5,-1 0,7,-1"
    ends TERM
    say - "1,5,7 1,3,9"
}

@test "after three policies a connection gets back at the end what it had before the first" {
    host three_policies_are_undone
}

sigterm_leaves_it() {
    with_own_options
    keeps -m "rst prog=python3*; fin-rst"
    keep_says "listener * 127.0.0.1:$PORT * verdict rst  applied  rule 1, python3* (pid $DAEMON)"
    ends TERM
    say - 1,0,60
}

@test "SIGTERM leaves all as it is; prog= is the process that listens" {
    host sigterm_leaves_it
}

refused() { # POLICY RULE REASON
    says_no "linger keep: rule $2 ($1) cannot be applied: $3; \`linger run\` or \`linger supervise\` decides it for each" \
        "$LINGER" keep -m "fin port=1; $1"
}

it_refuses() {
    start - "$SUBJECT" -r close
    hear_port
    refused "fin-rst role=client" 2 "connections that the process will make do not exist yet"
    refused "rst when=active" 2 "when= is known only when a connection closes"
    refused "rst peer=10.0.0.0/8" 2 "peer= is known only when a connection has come"
    refused "rst share=10%" 2 "share= is drawn for each connection"
    says_no "*-m: unknown mode*" "$LINGER" keep -m "fim"
    says_no "*a policy is missing: -m*" "$LINGER" keep
    expect "what was written" "$(ls /run)" ""
}

@test "what a listener cannot carry is refused by name before anything is changed" {
    host it_refuses
}

UNIT=$ROOT/src/packaging/linger-keep.service

of_unit() { # NAME
    sed -n "s/^$1=//p" "$UNIT"
}

# The policy's file becomes this, at once as a whole.
policy() {
    printf '%s\n' "$@" >policy.new
    mv policy.new policy
}

is_reported() { # PATTERN
    # shellcheck disable=SC2053  # it is a pattern
    [[ $(cat keep.err) == $1 ]]
}

it_is_read_again() {
    with_own_options
    policy "fin-rst port=1 # nobody's" "rst port=$PORT"
    keeps -m @policy "$@"
    keep_says "listener * 127.0.0.1:$PORT  before wait:5  verdict rst  applied  rule 2, *"
    say - 1,0,60
    policy "fin-rst port=$PORT"
    $ASKS
    keep_says "listener * 127.0.0.1:$PORT  before wait:5  verdict fin-rst  applied  rule 1, *"
    say - 0,5,-1
    keep
    keep
    say - "0,5,-1 1,3,9 0,5,-1" # the first has its own
    policy "fin-rst prot=$PORT"
    $ASKS
    eventually is_reported "*policy:1: unknown condition 'prot'*the former policy stays"
    policy "fin-rst port=1"
    $ASKS
    keep_says "listener * 127.0.0.1:$PORT  SO_LINGER {1, 5} TCP_LINGER2 7  put back"
    keep_says "1 put back, and 1 accepted since; 0 gone, 0 failed"
    say - "1,5,7 1,3,9 1,5,7"
    policy "fin-rst peer=10.0.0.1"
    $ASKS
    eventually is_reported "*rule 1 (fin-rst peer=10.0.0.1) cannot be applied: *the former policy stays"
    ends TERM
}

# As the unit does it, where there is no kill(1): Debian's comes with procps.
reloads() {
    mkdir -p bin
    ln -sf /bin/sh bin/sh
    eval "MAINPID=$KEEP PATH=$PWD/bin $(of_unit ExecReload)"
}

@test "SIGHUP: what changed is applied or put back, and a mistake keeps the former policy" {
    ASKS=reloads
    host it_is_read_again
}

@test "--follow: the same when the file changes" {
    ASKS=:
    host "it_is_read_again --follow"
}

there_is_one() {
    keeps -m fin-rst
    says_no "linger keep: process $KEEP does so already: one policy for a host; end it first" "$LINGER" keep -m fin
    run -0 "$LINGER" keep -n -m fin # looks only
    kill -KILL "$KEEP"
    wait "$KEEP" || true
    rm /run/linger-keep/listeners
    keeps -m fin-rst
    ends TERM
}

@test "one for a host: the second one says which process has it, a dead one has nothing" {
    host there_is_one
}

counts() { # NAME VALUE
    grep -qsx "linger_keep_$1 $2" /run/keep.prom
}

programs_are_told() {
    local name=$'a\e[31m "name'
    keeps -j -P /run/keep.prom -m "fin-rst prog=a*; rst local=10.0.0.1"
    cp "$SUBJECT" "$name"
    start - "./$name" -r close
    hear_port
    keep_says '{"time":*,"pid":'$PID',"kind":"listener","local":"127.0.0.1:'$PORT'","peer":"","before":"fin","verdict":"fin-rst","result":"applied","program":"a\\u001b\[31m \\"name","rule":1}'
    eventually counts applied_total 1
    counts listeners 1 && counts gone_total 0
    promtool check metrics </run/keep.prom
    "$TOOLS/peer" -k connect "$PORT"
    finish
    eventually counts gone_total 1
    counts listeners 0
    start - python3 -c "import socket, time
listener = socket.create_server(('', 0))
print('port', listener.getsockname()[1], flush=True)
time.sleep(1000)"
    hear_port
    keep_says '{*"local":"0.0.0.0:'$PORT'",*"verdict":"none","result":"left alone: a rule cannot be decided here","program":"python3*","rule":2}'
    eventually counts refused_total 1
    ends TERM
    mkdir -m 777 everybodys
    says_no "linger keep: $PWD/everybodys/prom: another user may write one of its directories; name another place" \
        "$LINGER" keep -m fin -P "$PWD/everybodys/prom"
}

@test "JSON, with what a program's name has in it escaped; counters for Prometheus" {
    host programs_are_told
}

states_says() { # LINE
    "$LINGER" states -p "$PORT" | grep -x "  127.0.0.1:$PORT has what rule $1"
}

states_tells() {
    start - "$SUBJECT" -r close
    hear_port
    keeps -m "fin-rst port=1; rst prog=subject" -q
    eventually states_says "2 of linger keep (pid $KEEP) says: rst prog=subject"
    "$LINGER" states -p "$PORT" -j | grep -F '"kept":[{"local":"127.0.0.1:'"$PORT"'","rule":2,"text":"rst prog=subject","pid":'"$KEEP"'}]'
    ends TERM
    [[ $("$LINGER" states -p "$PORT") != *"linger keep"* ]]
}

@test "states -p says by which rule a listener is kept, as long as it is" {
    host states_tells
}

# Somebody else's, in a network namespace of its own.
foreign_server() {
    start - unshare -n setpriv --reuid=65534 --clear-groups python3 -c "import socket, time
listener = socket.create_server(('', 8080))
print('up', flush=True)
time.sleep(1000)"
    hear
}

finds_it() { # CAPABILITY... of setpriv(1)
    setpriv --bounding-set "-all$(printf ',+%s' "$@")" "$LINGER" keep -n -m "fin-rst prog=python3*" 2>&1 |
        grep "^listener .* would be applied  rule 1, python3"
}

each_capability_is_needed() {
    local capabilities at
    read -ra capabilities < <(of_unit CapabilityBoundingSet | sed 's/CAP_//g' | tr '[:upper:]' '[:lower:]')
    expect "how many" ${#capabilities[@]} 3
    foreign_server
    finds_it "${capabilities[@]}"
    for at in "${!capabilities[@]}"; do
        run ! finds_it "${capabilities[@]:0:at}" "${capabilities[@]:at+1}"
    done
    AS="setpriv --bounding-set -all$(printf ',+%s' "${capabilities[@]}")" keeps -m "fin-rst prog=python3*"
    keep_says "listener * 0.0.0.0:8080 * applied  rule 1, python3* (pid *)"
    foreign_server
    keep_says "listener * 0.0.0.0:8080 * applied  rule 1, python3* (pid $PID)"
    expect "what it lacks" "$(cat keep.err)" ""
    ends TERM
}

@test "linger-keep.service: its capabilities suffice, and it has none that it does not need" {
    needs_root
    needs_events
    host each_capability_is_needed
}

traced() {
    foreign_server
    AS="strace -f -o strace" keeps -m "wait:1 port=1; fin-rst" -P /run/keep.prom
    keep_says "listener * applied *"
    kill -HUP "$(pgrep -x linger)"
    kill -TERM "$(pgrep -x linger)"
    PID=$KEEP OUT=$KEEP_OUT finish
}

@test "linger-keep.service: its filter lets through what linger keep calls, and names nothing else" {
    needs_root
    host traced
    cd "$BATS_TEST_TMPDIR"
    sed -nE 's/^[0-9]+ +([a-z0-9_]+)\(.*/\1/p' strace | sort -u >made
    of_unit SystemCallFilter | tr ' ' '\n' | grep -v @ | sort >named
    expect "named and not used" "$(comm -23 named made)" ""
    group @system-service | sort -u - named >permitted
    [ "$(wc -l <permitted)" -gt 200 ]
    # Where nobody has mounted tracefs, as systemd does.
    expect "beyond the filter" "$(comm -23 made permitted | grep -vx 'fs\(open\|config\|mount\)')" ""
    expect "sockets made" "$(grep -o ' socket([A-Z_0-9]*' strace | sort -u)" " socket($(of_unit RestrictAddressFamilies)"
    expect "namespaces entered" "$(grep -o 'setns([0-9]*, [A-Z_]*' strace | sed 's/.* //' | sort -u)" "CLONE_NEWNET"
}

@test "linger-keep.service is well-formed, and off until somebody enables it; its policy has no rule yet" {
    sed "s|/usr/local/bin/linger|$LINGER|; /^Documentation/d" "$UNIT" >"$BATS_TEST_TMPDIR/linger-keep.service"
    run systemd-analyze verify "$BATS_TEST_TMPDIR/linger-keep.service"
    [[ $output != *"Cannot determine cgroup"* ]] || skip "systemd-analyze verify needs cgroups, which are not here"
    expect complaints "$output" ""
    expect "what it runs" "$(of_unit ExecStart)" "/usr/local/bin/linger keep -m @/etc/linger/policy"
    expect "its directory" "/run/$(of_unit RuntimeDirectory)" /run/linger-keep
    says_no "linger keep: -m: the policy has no rules*" "$LINGER" keep -m "@$ROOT/src/packaging/policy"
    # Without the mark of a comment its examples are rules.
    sed -n 's/^# \([a-z-]*  *[a-z]*=[^ ]*\).*/\1/p' "$ROOT/src/packaging/policy" >"$BATS_TEST_TMPDIR/policy"
    expect examples "$(wc -l <"$BATS_TEST_TMPDIR/policy")" 3
    run -0 "$LINGER" run -n -m "@$BATS_TEST_TMPDIR/policy" -- true
    [[ $output == *"rule 3"* ]]
}

# The same of a daemon whose first process, which has called listen(), is gone when its turn comes: of two
# listeners, the best of twenty.
A_CHILD_HAS_IT='
import os, signal, socket, sys, time
keeper = int(sys.argv[1])
best = 1e9
for _ in range(20):
    os.kill(keeper, signal.SIGSTOP)
    reader, writer = os.pipe()
    first = os.fork()
    if first == 0:
        first = os.getpid()
        listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        if os.fork():
            os._exit(0)
        while os.getppid() == first:
            pass
        began = time.monotonic()
        os.kill(keeper, signal.SIGCONT)
        while any(one.getsockopt(socket.IPPROTO_TCP, socket.TCP_LINGER2) != -1 for one in listeners):
            assert time.monotonic() - began < 60
        os.write(writer, b"%d" % int((time.monotonic() - began) * 1000))
        os._exit(0)
    os.waitpid(first, 0)
    os.close(writer)
    best = min(best, int(os.read(reader, 100)))
print(best)'

a_child_has_it() {
    keeps -q -m fin-rst
    start - python3 -c "$A_CHILD_HAS_IT" "$KEEP"
    WITHIN=100 hear
    echo "$REPLY ms"
    [ "$REPLY" -lt 100 ]
}

@test "a daemon whose first process has ended: its child's listeners are found as soon" {
    needs_events
    host a_child_has_it
}

# Two that wait for accept() while the listener is changed.
the_queue_is_kept() {
    mkfifo go
    exec {GO}<>go
    start - python3 -c "import socket, sys
listener = socket.create_server(('127.0.0.1', 0))
print('port', listener.getsockname()[1], flush=True)
clients = [socket.create_connection(listener.getsockname()) for _ in range(2)]
sys.stdin.readline()
served = [listener.accept()[0] for _ in clients]
while any(one.getsockopt(socket.IPPROTO_TCP, socket.TCP_LINGER2) != -1 for one in served):
    pass
print('changed', flush=True)" <&"$GO"
    hear_port
    SERVER=$PID SERVER_OUT=$OUT
    keeps -m "fin-rst port=$PORT"
    keep_says "listener * 127.0.0.1:$PORT * applied *"
    echo accept >&"$GO"
    OUT=$SERVER_OUT hear
    expect "what was in the queue" "$REPLY" changed
    ends TERM
}

@test "connections that waited for accept() as their listener was changed" {
    host the_queue_is_kept
}

# A listener that a process of another name has first, as that of a socket unit.
it_is_handed_on() {
    keeps -m "fin-rst prog=sleep; rst prog=subject"
    mkfifo go
    exec {GO}<>go
    start - python3 -c "import os, socket, sys, time
listener = socket.create_server(('127.0.0.1', 0))
print('port', listener.getsockname()[1], flush=True)
sys.stdin.readline()
listener.set_inheritable(True)
os.posix_spawn('/bin/sleep', ['/bin/sleep', '1000'], os.environ)
time.sleep(1000)" <&"$GO"
    hear_port
    LISTENER=$PORT
    start - "$SUBJECT" -r close
    keep_says "listener * verdict rst  applied  rule 2, subject *" # so the first was looked at, too
    echo >&"$GO"
    keep_says "listener * 127.0.0.1:$LISTENER * applied  rule 1, sleep *"
    ends TERM
}

@test "prog= is also the process that gets the listener later" {
    host it_is_handed_on
}
