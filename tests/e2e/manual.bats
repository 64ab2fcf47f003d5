#!/usr/bin/env bats
# linger(1) and liblinger(7): every example does what the page says, and no option, variable, mode,
# condition, log key, counter or message is missing in them, or is in them and nowhere else.
load helper

LINGER=$ROOT/linger
PAGES=$ROOT/src/man
export ROOT LIB TOOLS LINGER PAGES

manual() {
    python3 "$ROOT/tests/tools/manual.py" "$@"
}

# -------- the pages --------

@test "mandoc has nothing to say about either, and they fit 80 columns" {
    cp "$PAGES/linger.1" "$PAGES/liblinger.7" "$BATS_TEST_TMPDIR"
    cd "$BATS_TEST_TMPDIR"
    # Where manual pages are not installed, mandoc would miss those that ours refer to.
    sed -n 's/^\.Xr \([^ ]*\) \([^ ]*\).*/\1.\2/p' linger.1 liblinger.7 | sort -u | while read -r page; do
        [ -e "$page" ] || : >"$page"
    done
    for page in linger.1 liblinger.7; do
        also expect "lint of $page" "$(mandoc -Tlint "$page" 2>/dev/null)" ""
        mandoc -Tascii "$page" | col -b | expand >"$page.txt"
        also expect "lines of $page over 80 columns" "$(awk 'length > 80' "$page.txt")" ""
        [ "$(wc -l <"$page.txt")" -gt 500 ]
    done
    # No other page is misspelt, where they are installed (manpages, manpages-dev).
    for page in man1/ab.1 man2/seccomp_unotify.2 man7/tcp.7 man8/ss.8; do
        [ -e "/usr/share/man/$page.gz" ] || return 0
    done
    for page in *.[1-8]; do
        [ -s "$page" ] || [ -n "$(find /usr/share/man -path "*/man${page##*.}*/$page*" -print -quit)" ] ||
            also expect "a page of that name" "" "$page"
    done
}

@test "man has nothing to say about either, however wide the terminal is" {
    for page in linger.1 liblinger.7; do
        for width in 40 50 60 70 80 100; do
            also expect "status and warnings of man -l $page at $width" \
                "$(MANWIDTH=$width timeout 60 man --warnings -l "$PAGES/$page" 2>&1 >"$BATS_TEST_TMPDIR/page" </dev/null)$?" 0
            [ "$(wc -l <"$BATS_TEST_TMPDIR/page")" -gt 500 ]
        done
    done
}

subcommands() {
    "$LINGER" --help | sed -n 's/^  \([a-z][a-z]*\)  .*/\1/p' | grep -v linger
}

@test "each option that linger COMMAND --help prints is in its part of linger(1), and no other" {
    commands=$(subcommands)
    [ "$(wc -w <<<"$commands")" -ge 6 ]
    for command in $commands; do
        "$LINGER" "$command" --help | sed -nE 's/^  -(.), --([a-z-]+)(\S*) .*/-\1 --\2 \3/p' >"$BATS_TEST_TMPDIR/help"
        grep -qx -- '-h --help ' "$BATS_TEST_TMPDIR/help"
        manual options "$PAGES/linger.1" "$command" >"$BATS_TEST_TMPDIR/page"
        also diff --label "linger $command --help" --label "linger(1), $command" -u "$BATS_TEST_TMPDIR"/{help,page}
    done
    manual heads "$PAGES/linger.1" DESCRIPTION >"$BATS_TEST_TMPDIR/heads"
    also grep -x -- '-h, --help' "$BATS_TEST_TMPDIR/heads"
    also grep -x -- '-V, --version' "$BATS_TEST_TMPDIR/heads"
}

# strings FILE NAME: the strings that initialise that table.
strings() {
    awk -v name=" $2[] =" 'index($0, name) { on = 1 } on { print } /;$/ { on = 0 }' "$ROOT/src/$1" |
        grep -oE '"[^"]+"' | tr -d '"' | sort -u
}

# same WHAT: both, a word a line, have the same words.
same() {
    [ "$(wc -l <"$BATS_TEST_TMPDIR/source")" -ge 2 ]
    also diff --label "$1, the source" --label "$1, the page" -u "$BATS_TEST_TMPDIR"/{source,page}
}

words_of_heads() { # SECTION SUBSECTION
    manual heads "$PAGES/liblinger.7" "$@" | tr -d ',' | tr ' ' '\n' | sort -u
}

# said TABLE: the first words of the lines of "modes" or "conditions" in linger's help.
said() {
    "$LINGER" run --help | sed -n "/^$1/,/^$/s/^  \([^ ]*\) .*/\1/p"
}

@test "the variables, modes and conditions of liblinger(7) are those of the parser" {
    strings core/settings.c variables >"$BATS_TEST_TMPDIR/source"
    manual heads "$PAGES/liblinger.7" ENVIRONMENT | sort >"$BATS_TEST_TMPDIR/page"
    same variables
    said modes | sed 's/SECONDS/N/' | sort >"$BATS_TEST_TMPDIR/source"
    manual heads "$PAGES/liblinger.7" DESCRIPTION Modes | sort >"$BATS_TEST_TMPDIR/page"
    same modes
    said conditions | sed 's/=.*/=/' | sort >"$BATS_TEST_TMPDIR/source"
    manual heads "$PAGES/liblinger.7" DESCRIPTION Conditions | grep -oE '[a-z]+=' | sort >"$BATS_TEST_TMPDIR/page"
    same conditions
    # Every word of the language is in the grammar, and no other.
    (
        said modes | sed 's/SECONDS//'
        said conditions | sed 's/=.*/=/'
        strings policy/condition.c condition_roles
        strings policy/condition.c condition_whens
        printf '%s\n' on 1 0 no
    ) | sort -u >"$BATS_TEST_TMPDIR/source"
    manual text "$PAGES/liblinger.7" DESCRIPTION Grammar | grep -oE '"[a-z01]+[a-z-]*[:=]?"' | tr -d '"' |
        sort -u >"$BATS_TEST_TMPDIR/page"
    same "the grammar's words"
    limits=$(manual text "$PAGES/liblinger.7" DESCRIPTION Grammar | grep -o 'Limits: .*')
    # shellcheck disable=SC2013  # a number a line
    for limit in $(sed -n 's/^#define POLICY_\(TEXT\|RULES\|ADDRESSES\|PORTS\|PATTERNS\)_\(MAX\|BYTES\) *\([0-9]*\) .*/\3/p' "$ROOT/src/policy/policy.h"); do
        grep -qw "$limit" <<<"$limits" || also expect "a limit of $limit" "$limits" ""
    done
}

# part HEAD: that section of README.
part() {
    sed -n "/^## $1/,/^## /p" "$ROOT/README.md"
}

@test "README's modes, conditions, variables and subcommands are the program's" {
    said modes | sed 's/SECONDS/N/' | sort >"$BATS_TEST_TMPDIR/source"
    (part "The modes" | grep -m 1 '^    ' && part "The modes" | grep -oE '`[a-z]+` leaves' | tr -d '`' | cut -d' ' -f1) |
        tr -s ' ' '\n' | grep . | sort >"$BATS_TEST_TMPDIR/page"
    same modes
    said conditions | sed 's/=.*/=/' | sort >"$BATS_TEST_TMPDIR/source"
    part "The policy" | grep -oE '\<[a-z]+=' | sort -u >"$BATS_TEST_TMPDIR/page"
    same conditions
    strings core/settings.c variables >"$BATS_TEST_TMPDIR/source"
    part "The policy" | grep -oE '\<LINGER_[A-Z_]+' | sort -u >"$BATS_TEST_TMPDIR/page"
    same variables
    subcommands | sort >"$BATS_TEST_TMPDIR/source"
    part "The command" | sed -n 's/^    linger \([a-z]*\) .*/\1/p' | sort -u >"$BATS_TEST_TMPDIR/page"
    same subcommands
}

@test "the hooks of liblinger(7) are the library's" {
    sed -n 's/^ *\([a-z0-9_]*\);$/\1/p' "$ROOT/src/preload/liblinger.map" | sort >"$BATS_TEST_TMPDIR/source"
    words_of_heads DESCRIPTION Moments | sed -n 's/()$//p' >"$BATS_TEST_TMPDIR/page"
    same hooks
}

@test "the log's events, keys and moments are those of the library" {
    # The strings of the calls that put a line together; what is not a key is a value.
    tr '\n' ' ' <"$ROOT/src/report/report.c" |
        grep -oE '(line_(word|number|value|endpoint))\(&?line, [^;]*;' |
        grep -oE '"[A-Za-z_]+"' | tr -d '"' | sort -u >"$BATS_TEST_TMPDIR/source"
    {
        grep -oE '(settle|settle_existing|arm)\(fd, "[a-z]+"|\{"[a-z_]+", &settings->' "$ROOT/src/core/moments.c" |
            sed 's/.*"\(.*\)".*/\1/'
        strings socket/sock.c switches
        strings report/log.c event_names
    } >>"$BATS_TEST_TMPDIR/source"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/source")" -gt 40 ]
    text=$(manual text "$PAGES/liblinger.7" DESCRIPTION "The log")
    while read -r word; do
        grep -qw -- "$word" <<<"$text" || also expect "in the page" "" "$word"
    done <"$BATS_TEST_TMPDIR/source"
    # And no other.
    printf '%s\n' time mono >>"$BATS_TEST_TMPDIR/source"
    words_of_heads DESCRIPTION "The log" >"$BATS_TEST_TMPDIR/page"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/page")" -gt 30 ]
    expect "in the page alone" "$(grep -vxFf "$BATS_TEST_TMPDIR/source" "$BATS_TEST_TMPDIR/page")" ""
}

@test "the counters of liblinger(7) are those of linger stats" {
    LINGER_STATS=$BATS_TEST_TMPDIR/counters LD_PRELOAD=$LIB /bin/true
    "$LINGER" stats -j "$BATS_TEST_TMPDIR/counters" | grep -oE '[a-z_]+' | sort >"$BATS_TEST_TMPDIR/source"
    words_of_heads DESCRIPTION "The counters" >"$BATS_TEST_TMPDIR/page"
    same counters
    text=$(manual text "$PAGES/liblinger.7" DESCRIPTION "The counters")
    for word in $("$LINGER" stats -P "$BATS_TEST_TMPDIR/counters" |
        sed -n 's/^linger_\([a-z_]*\)_total/\1 /p' | grep -oE '^[a-z_]+|[a-z_]+=' | tr -d = | sort -u); do
        grep -qw -- "$word" <<<"$text" || also expect "of Prometheus, in the page" "" "$word"
    done
}

@test "every message of the sources is in DIAGNOSTICS, and nothing else is" {
    # These print results alone.
    mapfile -t sources < <(find "$ROOT/src/cli" -name '*.[ch]' ! -path "*/ab/table.c" ! -path "*/states/advice.c" ! -path "*/watch/table.c" ! -path "*/watch/findings.c")
    also manual messages "$PAGES/linger.1" "${sources[@]}"
    also manual messages "$PAGES/liblinger.7" "$ROOT"/src/{base,policy,socket,report,core,preload}/*.[ch]
}

@test "what the tables put into a message is in DIAGNOSTICS, word for word" {
    text=$(manual text "$PAGES/liblinger.7" DIAGNOSTICS)
    mistakes=(--mode=never "--mode=rst never=1" --mode=wait:0 --reuseaddr=never "--reuseaddr=on never=1"
        "--bind-no-port=on never=1" --log=never:/dev/null)
    for condition in $(said conditions | grep -o '^[a-z]*='); do
        mistakes+=("--mode=rst $condition" "--mode=rst $condition/")
    done
    for mistake in "${mistakes[@]}"; do
        run -125 "$LINGER" run "$mistake" -- true
        [[ $text == *"${lines[-1]#  }"* ]] || also expect "in the page, for $mistake" "" "${lines[-1]}"
    done
    [ "${#mistakes[@]}" -gt 20 ]
}

@test "what liblinger(7) says that a feature needs of the kernel is what linger asks for" {
    tr -s ' \n' ' ' <"$ROOT/src/cli/needs.c" | grep -oE '"[a-z -]+", "[0-9.]+"' | tr -d '",' >"$BATS_TEST_TMPDIR/asked"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/asked")" -ge 4 ]
    while read -r row; do
        sed -n '/^\.Sh KERNELS/,/^\.S/s/^\([a-z ]*[a-z]\)  *\([0-9.]*\)  .*/\1 \2/p' "$PAGES/liblinger.7" | grep -qx -- "$row" ||
            expect "a row of the table" "" "$row"
    done <"$BATS_TEST_TMPDIR/asked"
}

@test "the manuals, README and src use none of the phrases that a reader stumbles over" {
    run grep -rnP 'hangs on|to be had|goes down|\bborn\b|\bleave \S+ away|(?<!here) (is|are) no (?!longer|more)' \
        "$ROOT/src" "$ROOT/README.md" "$ROOT/examples"
    expect "phrases to rewrite" "$output" ""
}

# -------- the examples --------

# example PAGE NAME FUNCTION: runs FUNCTION in a network namespace of its own, where nobody has left
# TIME_WAIT; it has to run the commands of that example. What is running then is ended.
example() {
    needs_namespace
    mkdir -p "$BATS_TEST_TMPDIR"/{bin,etc,log,run}
    nginx_that_has_a_configuration
    (
        declare -f
        echo 'set -eET; trap end_all EXIT; STARTED=(); cd "$BATS_TEST_TMPDIR"; ip link set lo up'
        echo 'PATH=$PWD/bin:$ROOT:$PATH; export TMPDIR=$PWD'
        echo "$3"
        echo "[ -e ran.$1.$2 ] || expect 'commands that were run' '' '$1 $2'"
    ) >"$BATS_TEST_TMPDIR/checks"
    unshare -n timeout -k 5 280 bash "$BATS_TEST_TMPDIR/checks" 3>&-
}

end_all() {
    local pid
    for pid in "${STARTED[@]}"; do
        kill -KILL -- "-$pid" 2>/dev/null || true
    done
}

# The examples say nginx and mean the one of the system, which serves pages at port 80. This is it,
# with another configuration (it answers at port 8080, too).
nginx_that_has_a_configuration() {
    local conf=${NGINX_CONF/daemon off;/}
    (set -- 80 "$BATS_TEST_TMPDIR" 1 && eval "cat <<END
$conf
END") | sed 's/listen 127.0.0.1:80;/listen 80; listen 8080;/' >"$BATS_TEST_TMPDIR/nginx.conf"
    printf '#!/bin/sh\nexec /usr/sbin/nginx %s -c "%s/nginx.conf" "$@"\n' "$(nginx_log)" "$BATS_TEST_TMPDIR" >"$BATS_TEST_TMPDIR/bin/nginx"
    chmod +x "$BATS_TEST_TMPDIR/bin/nginx"
}

# commands PAGE NAME: writes those of the example to $SCRIPT, with this tree instead of what is
# installed and a directory of the test's own instead of the system's.
commands() {
    SCRIPT=$PWD/commands.$2
    manual example "$PAGES/$1" "$2" | sed -e "s|/usr/local/lib/liblinger.so|$LIB|" \
        -e "s|/etc/linger/|$PWD/etc/|; s|/run/|$PWD/run/|; s|/var/log/|$PWD/log/|" >"$SCRIPT"
    cat "$SCRIPT"
    : >"ran.$1.$2"
}

# perform PAGE NAME: runs the example to its end; STATUS, and what it printed in stdout and stderr.
perform() {
    commands "$@"
    STATUS=0
    bash -e "$SCRIPT" >stdout 2>stderr || STATUS=$?
    cat stdout stderr
}

# daemon PORT COMMAND...: in the background, until it listens.
daemon() {
    PORT=$1
    shift
    start - setsid "$@"
    DAEMON=$PID
    await_listener
}

# serve PAGE NAME PORT: an example that is a server.
serve() {
    commands "$1" "$2"
    daemon "$3" bash -e "$SCRIPT"
}

stop() {
    kill -TERM -- "-$DAEMON"
    wait "$DAEMON" || true
}

redis() {
    daemon 6379 redis-server --port 6379 --save ""
}

say_quit() { # COUNT
    talk "$1" 'PING\r\nQUIT\r\n' '+PONG\r\n+OK\r\n'
}

left_by_clients() { # PORT
    time_wait "$1" >/dev/null
    ss -Htan state time-wait "dport = :$1" | wc -l
}

@test "every example of both pages has its test here" {
    for page in linger.1 liblinger.7; do
        manual examples "$PAGES/$page" | sed "s/^/$page /"
    done | sort >"$BATS_TEST_TMPDIR/pages"
    sed -n 's/^    example \(linger\.1\|liblinger\.7\) \([a-z-]*\) .*/\1 \2/p' "$BATS_TEST_FILENAME" |
        sort >"$BATS_TEST_TMPDIR/tests"
    diff "$BATS_TEST_TMPDIR/pages" "$BATS_TEST_TMPDIR/tests"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/tests")" -ge 20 ]
}

nginx_resets() {
    serve linger.1 rst 80
    talk 10 http
    expect "clients saw" "$SEEN" "whole=10 eof=0 reset=10"
    expect "TIME_WAIT left" "$LEFT" 0
}

@test "linger(1), rst: nginx resets, whole pages, no TIME_WAIT" {
    example linger.1 rst nginx_resets
}

no_port_is_used_up() {
    redis
    redis-benchmark -k 0 -n 2000 -t ping_inline -q
    before=$(left_by_clients 6379)
    [ "$before" -ge 1000 ] # a slow one uses ports again (tcp_tw_reuse)
    perform linger.1 load
    expect status "$STATUS" 0
    grep -q 'requests per second' stdout
    [ $(($(left_by_clients 6379) - before)) -le 20 ]
}

@test "linger(1), load: thousands of connections leave no TIME_WAIT" {
    example linger.1 load no_port_is_used_up
}

plan_is_as_shown() {
    perform linger.1 plan
    expect status "$STATUS" 0
    manual output "$PAGES/linger.1" plan >shown
    tail -n "$(wc -l <shown)" stdout | diff shown -
}

@test "linger(1), plan: what is printed is what the page shows" {
    example linger.1 plan plan_is_as_shown
}

# A client that the server closes first leaves TIME_WAIT at the port.
leave_time_wait() { # PORT
    "$TOOLS/peer" connect "$1"
    [ "$(time_wait "$1")" -ge 1 ]
}

starts_again_at_once() { # PAGE NAME
    serve "$@" 8080
    leave_time_wait 8080
    stop
    serve "$@" 8080
    leave_time_wait 8080
    stop
    # The server alone cannot.
    sed -n '/python3/,$p' "$SCRIPT" | sed '1s/.*python3/python3/' >alone
    STATUS=0
    bash -e alone 2>stderr || STATUS=$?
    expect "status of the server alone" "$STATUS" 1
    grep -q 'Address already in use' stderr
}

@test "linger(1), restart: the server starts again over its TIME_WAIT" {
    example linger.1 restart "starts_again_at_once linger.1 restart"
}

summary_is_printed() {
    daemon 8080 nginx -g 'daemon off;'
    perform linger.1 summary
    expect status "$STATUS" 0
    expect page "$(cat page)" "a page of nginx"
    grep -q '^linger run: what curl did to its connections$' stderr
    grep -q '^ *1  closed first, fin-rst$' stderr
    expect "TIME_WAIT left" "$(left_by_clients 8080)" 0
}

@test "linger(1), summary: it says who closed first, and how" {
    example linger.1 summary summary_is_printed
}

log_has_the_close() {
    daemon 8080 nginx -g 'daemon off;'
    perform linger.1 log
    expect status "$STATUS" 0
    expect lines "$(wc -l <stdout)" 1
    grep -q ' event=close .* verdict=rst ' stdout
    expect "TIME_WAIT left" "$(left_by_clients 8080)" 0
}

@test "linger(1), log: the line of the close" {
    example linger.1 log log_has_the_close
}

some_see_fin_and_some_rst() {
    serve linger.1 live 6379
    until [ "$(ss -Htln4 'sport = :6379' | wc -l)" -eq 2 ]; do kill -0 "$PID"; done
    say_quit 100
    echo "$SEEN"
    [[ $SEEN =~ ^whole=100\ eof=([0-9]+)\ reset=([0-9]+)$ ]]
    [ "${BASH_REMATCH[1]}" -ge 10 ] && [ "${BASH_REMATCH[2]}" -ge 10 ]
    stop
}

@test "linger(1), live: two instances on a port, one under fin, one under rst" {
    example linger.1 live some_see_fin_and_some_rst
}

echo_resets() {
    serve linger.1 static 8080
    expect "clients saw" "$("$TOOLS/peer" -n 3 -s 5 -f connect 8080)" "bytes=15 eof=0 reset=3"
    stop
}

@test "linger(1), static: a static program's clients are reset" {
    example linger.1 static echo_resets
}

both_are_judged() {
    rm bin/nginx # the system's
    perform linger.1 check
    expect status "$STATUS" 1
    expect judged "$(sed -n 's/^  reached by *//p' stdout | tr '\n' ' ')" "preload supervisor "
}

@test "linger(1), check: one by preload, one by the supervisor, status 1" {
    example linger.1 check both_are_judged
}

holder_is_named() {
    daemon 8080 nginx -g 'daemon off;'
    perform linger.1 port
    expect status "$STATUS" 0
    grep -qE "^port 8080 +sockets +Recv-Q +Send-Q$" stdout
    grep -q "^  held by nginx (pid $DAEMON)$" stdout
}

@test "linger(1), port: who holds it" {
    example linger.1 port holder_is_named
}

who_closes_is_shown() {
    needs_events
    daemon 80 nginx -g 'daemon off;'
    start - setsid bash -c 'while curl -s http://127.0.0.1/; do :; done'
    perform linger.1 watch
    grep -qE "^10 s at port 80: [0-9]+ connections ended$" stdout
    grep -qE "^  client of 127.0.0.1:80  *this end  *FIN, curl  *TIME_WAIT  *[0-9]+$" stdout
    grep -qE "^  server at port 80  *the peer  *FIN  *nothing  *[0-9]+$" stdout
}

@test "linger(1), watch: curl closes first" {
    example linger.1 watch who_closes_is_shown
}

ports_left() {
    needs_namespace
    echo 0 >/proc/sys/net/ipv4/tcp_tw_reuse # on loopback TIME_WAIT takes no port otherwise
    perform linger.1 left
    expect status "$STATUS" 0
    read -r low high </proc/sys/net/ipv4/ip_local_port_range
    expect "ports left" "$(cat stdout)" $((high - low + 1))
    redis
    redis-benchmark -k 0 -n 500 -t ping_inline -q
    time_wait 6379 >/dev/null
    perform linger.1 left
    [ "$(cat stdout)" -le $((high - low + 1 - 400)) ]
}

@test "linger(1), left: a number, which shrinks" {
    example linger.1 left ports_left
}

counts() {
    serve linger.1 count 80
    talk 10 http
    expect "TIME_WAIT left" "$LEFT" 0
}

counters_are_shown() {
    counts
    perform linger.1 stats
    expect status "$STATUS" 0
    grep -q '^ *10  closed first, fin-rst$' stdout
    perform linger.1 prometheus
    expect status "$STATUS" 0
    grep -qx 'linger_closed_total{when="active",verdict="fin-rst"} 10' linger.prom
}

@test "linger(1), count: the server under fin-rst" {
    example linger.1 count counts
}

@test "linger(1), stats: its counters" {
    example linger.1 stats counters_are_shown
}

@test "linger(1), prometheus: and for Prometheus" {
    example linger.1 prometheus counters_are_shown
}

daemon_is_switched() {
    daemon 8080 nginx -g 'daemon off;'
    talk 10 http
    [ "$LEFT" -ge 9 ] # ss can be short of some
    plain=$LEFT
    perform linger.1 attach
    expect status "$STATUS" 0
    talk 10 http
    expect "clients saw" "$SEEN" "whole=10 eof=10 reset=0"
    [ "$LEFT" -le 10 ]
    perform linger.1 detach
    expect status "$STATUS" 0
    talk 10 http
    [ "$LEFT" -ge $((plain + 9)) ]
    expect "the daemon" "$(ss -Htlnp 'sport = :8080' | grep -c "pid=$DAEMON,")" 1
}

@test "linger(1), attach: no more TIME_WAIT" {
    example linger.1 attach daemon_is_switched
}

# On a host that is nothing but the daemon: the ports may be somebody's on this one.
host_is_kept() {
    commands linger.1 keep
    export SCRIPT
    unshare -pmf --mount-proc --kill-child bash -c 'mount -t tmpfs none /run
        python3 -m http.server --bind 127.0.0.1 8080 >/dev/null 2>&1 &
        bash -e "$SCRIPT" >kept &
        until [ -s kept ]; do :; done'
    cat kept
    grep -q "^listener    127.0.0.1:8080  before fin  verdict fin-rst  applied  rule 1, python3" kept
}

@test "linger(1), keep: a daemon is found" {
    example linger.1 keep host_is_kept
}

@test "linger(1), detach: again TIME_WAIT" {
    example linger.1 detach daemon_is_switched
}

connections_of_a_proxy_leave_none() {
    redis
    daemon 8080 python3 -c '
import socket
listener = socket.create_server(("127.0.0.1", 8080))
while True:
    connection, _ = listener.accept()
    with socket.create_connection(("127.0.0.1", 6379)) as server:
        server.sendall(b"PING\r\n")
        connection.sendall(server.recv(64))
    connection.recv(1)
    connection.close()'
    ask_proxy() {
        exec {CLIENT}<>/dev/tcp/127.0.0.1/8080
        head -c 7 <&"$CLIENT"
        exec {CLIENT}>&-
    }
    expect answer "$(ask_proxy)" $'+PONG\r'
    expect "TIME_WAIT left, without it" "$(left_by_clients 6379)" 1
    perform linger.1 supervise
    expect status "$STATUS" 0
    expect answer "$(ask_proxy)" $'+PONG\r'
    expect "TIME_WAIT left" "$(left_by_clients 6379)" 1
}

@test "linger(1), supervise: no more TIME_WAIT of a client that runs" {
    needs_no_filter
    example linger.1 supervise connections_of_a_proxy_leave_none
}

port_is_free() {
    python3 -c '
import socket
listener = socket.create_server(("127.0.0.1", 8080))
client = socket.create_connection(("127.0.0.1", 8080))
listener.accept()[0].close()
client.recv(1)'
    expect "TIME_WAIT left" "$(time_wait 8080)" 1
    perform linger.1 free
    expect status "$STATUS" 0
    expect "TIME_WAIT left" "$(time_wait 8080)" 0
}

@test "linger(1), free: a port's TIME_WAIT is gone" {
    needs_root # for SOCK_DESTROY
    example linger.1 free port_is_free
}

owed_connections_are_ended() {
    mkfifo go
    exec {GO}<>go
    daemon 8080 python3 "$ROOT/tests/tools/owing.py" 20 8080 <&"$GO"
    read -r -t 30 REPLY <&"$OUT"
    perform linger.1 close
    expect status "$STATUS" 0
    expect "the sum" "$(tail -1 stdout)" "20 connections of 1 process ended, 0 left alone, 0 failed"
    expect "in CLOSE_WAIT" "$(ss -Htan state close-wait | wc -l)" 0
    expect "the listener" "$(ss -Htlnp 'sport = :8080' | grep -c "pid=$DAEMON,")" 1
}

@test "linger(1), close: what was in CLOSE_WAIT is gone, the listener is not" {
    example linger.1 close owed_connections_are_ended
}

# of MODE: that mode's median in the table's block of TIME_WAIT.
of() {
    awk -v mode="$1" '/^[^ ]/ { on = /^TIME_WAIT left at the port/ } on && $1 == mode { print $2 }' stdout
}

three_modes_are_measured() {
    in_one_packet nginx.conf "$PWD"
    perform linger.1 ab
    expect status "$STATUS" 0
    [ "$(of fin)" -ge 100 ]
    [ "$(of fin-rst)" -le $(($(of fin) / 20)) ]
    expect "under rst" "$(of rst)" 0
}

@test "linger(1), ab: much TIME_WAIT, almost none, none" {
    example linger.1 ab three_modes_are_measured
}

client_is_measured() {
    perform linger.1 ab-client
    expect status "$STATUS" 0
    [ "$(of fin)" -ge 1000 ]
    [ "$(of fin-rst)" -le 20 ]
}

@test "linger(1), ab-client: TIME_WAIT at the client" {
    example linger.1 ab-client client_is_measured
}

redis_resets() {
    serve liblinger.7 preload 6379
    say_quit 10
    expect "clients saw" "$SEEN" "whole=10 eof=0 reset=10"
    expect "TIME_WAIT left" "$LEFT" 0
}

@test "liblinger(7), preload: the answer, then a reset" {
    example liblinger.7 preload redis_resets
}

mistake_is_shown() {
    perform liblinger.7 mistake
    expect status "$STATUS" 125
    manual output "$PAGES/liblinger.7" mistake | diff - stderr
    expect "standard output" "$(cat stdout)" ""
}

@test "liblinger(7), mistake: status 125, and the message that the page shows" {
    example liblinger.7 mistake mistake_is_shown
}

# How a page from there ends.
end_from() { # ADDRESS
    python3 -c '
import socket, sys
connection = socket.create_connection((sys.argv[1], 80), 20)
connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
page = b""
try:
    while part := connection.recv(4096):
        page += part
    end = "eof"
except ConnectionResetError:
    end = "reset"
print("whole" if page.endswith(b"a page of nginx") else "cut", end)' "$1"
}

policy_of_the_file_holds() {
    ip address add 10.1.2.3/8 dev lo
    serve liblinger.7 file 80
    expect "from 10.1.2.3" "$(end_from 10.1.2.3)" "whole reset"
    expect "from elsewhere" "$(end_from 127.0.0.1)" "whole eof"
    talk 200 http
    expect "clients saw" "$SEEN" "whole=200 eof=200 reset=0"
    # One in ten of them leaves none.
    [ "$LEFT" -ge 150 ] && [ "$LEFT" -le 197 ]
}

@test "liblinger(7), file: each rule of it" {
    example liblinger.7 file policy_of_the_file_holds
}

# end_as_shown ADDRESS SENT LEFT: a line as the page has it, of one connection from there.
end_as_shown() {
    local sent left
    watch_wire 80
    expect "from $1" "$(end_from "$1")" "whole eof"
    time_wait 80 >/dev/null
    sent=$(wire | sed 's/ rst=0//; s/fin=1/FIN/; s/ rst=1/, RST/')
    left=$(ss -Htan state time-wait "sport = :80" dst "$1" | awk '{ n++ } END { print n ? "TIME_WAIT" : "nothing" }')
    printf '%-16s%-12s%s\n' "to $1" "$sent" "$left"
}

public_server_keeps_its_word() {
    ip address add 10.1.2.3/8 dev lo
    serve liblinger.7 public 80
    manual output "$PAGES/liblinger.7" public >shown
    for address in 10.1.2.3 127.0.0.1; do
        end_as_shown "$address"
    done >seen
    cat seen
    diff shown seen
}

@test "liblinger(7), public: its packets, FIN and RST for the back office, FIN for the world" {
    example liblinger.7 public public_server_keeps_its_word
}

active_close_resets() {
    daemon 8080 nginx -g 'daemon off;'
    curl -s -o page http://127.0.0.1:8080/
    expect "TIME_WAIT of curl alone" "$(left_by_clients 8080)" 1
    rm page
    perform liblinger.7 active
    expect status "$STATUS" 0
    expect page "$(cat page)" "a page of nginx"
    expect "TIME_WAIT left" "$(left_by_clients 8080)" 1
    # Where the server closes first, the same policy leaves curl's FIN. nginx names the length of a
    # page, and curl may then be quicker than its FIN; a page without one ends with the FIN.
    daemon 8081 python3 -c '
import socket
with socket.create_server(("127.0.0.1", 8081)) as listener:
    connection = listener.accept()[0]
    connection.recv(4096)
    connection.sendall(b"HTTP/1.0 200 OK\r\n\r\na page of python\n")
    connection.close()
    listener.accept()'
    before=$(counter TcpOutRsts)
    sed 's/8080/8081/' "$SCRIPT" | bash -e
    expect page "$(cat page)" "a page of python"
    expect "RST" "$(counter TcpOutRsts)" "$before"
    expect "TIME_WAIT left by curl" "$(left_by_clients 8081)" 0
}

@test "liblinger(7), active: reset where this end closes first, and there alone" {
    example liblinger.7 active active_close_resets
}

one_program_obeys() {
    redis
    perform liblinger.7 prog
    expect status "$STATUS" 0
    expect answer "$(head -1 stdout)" PONG
    expect "TIME_WAIT left, by redis-cli" "$(left_by_clients 6379)" 1
}

@test "liblinger(7), prog: one program of a script" {
    example liblinger.7 prog one_program_obeys
}

log_of_bind() {
    starts_again_at_once liblinger.7 reuse
    cat log/*
    expect logs "$(find log -name 'linger.*' | wc -l)" 2
    expect "logs of bind()" "$(grep -lE ' event=bind .* SO_REUSEADDR=1$' log/linger.* | wc -l)" 2
}

@test "liblinger(7), reuse: the port is bound again at once, and the log says why" {
    example liblinger.7 reuse log_of_bind
}

# -------- the questions --------

@test "liblinger(7) answers eight questions, each in a few lines" {
    mandoc -Tascii "$PAGES/liblinger.7" | col -b | expand |
        awk '/^[A-Z]/ { on = /^FREQUENTLY ASKED/ } on && /^   [A-Z]/ { question = $0 } on && /^     / { lines[question]++ }
             END { for (question in lines) print lines[question], question }' >"$BATS_TEST_TMPDIR/answers"
    expect questions "$(grep -c '?$' "$BATS_TEST_TMPDIR/answers")" 8
    expect "answers too long" "$(awk '$1 > 7' "$BATS_TEST_TMPDIR/answers")" ""
}

# serve_page HEAD: a server under rst at $PORT whose replies have that head.
serve_page() {
    start rst python3 -u -c '
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print("port", listener.getsockname()[1])
while True:
    connection = listener.accept()[0]
    connection.recv(4096)
    connection.sendall(f"HTTP/1.0 200 OK\r\n{sys.argv[1]}\r\na page\n".encode())
    connection.close()' "$1"
    hear_port
}

# ask: how curl ends, and what it says.
ask() {
    STATUS=0
    curl -sS -o "$BATS_TEST_TMPDIR/page" "http://127.0.0.1:$PORT/" 2>"$BATS_TEST_TMPDIR/said" || STATUS=$?
    expect page "$(cat "$BATS_TEST_TMPDIR/page")" "a page"
}

# bats test_tags=preload
@test "liblinger(7), curl: a reset shows where the reply ends with the connection, not where it has a length" {
    needs_namespace
    before=$(counter TcpOutRsts)
    serve_page $'Content-Length: 7\r\n'
    ask
    expect status "$STATUS" 0
    expect RST $(($(counter TcpOutRsts) - before)) 1
    serve_page ""
    ask
    expect status "$STATUS" 56
    cat "$BATS_TEST_TMPDIR/said"
    manual text "$PAGES/liblinger.7" "FREQUENTLY ASKED QUESTIONS" | grep -qF "$(cat "$BATS_TEST_TMPDIR/said")"
    expect RST $(($(counter TcpOutRsts) - before)) 2
}
