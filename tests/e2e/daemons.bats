#!/usr/bin/env bats
# Programs that nobody here wrote, from Debian's packages and unmodified: as servers and as
# clients; without the library, with it and an empty variable, under rst and under fin-rst.
load helper

COUNT=200

# serves "COMMAND...", then talk.py's request and reply. COMMAND names the port as $PORT, which is
# known when it runs; the daemon stays in the foreground.
serves() { # COMMAND REQUEST [REPLY]
    local mode command=$1 daemon daemon_out
    shift
    for mode in - "" rst fin-rst; do
        PORT=$("$TOOLS/free-port")
        start "$mode" bash -c "$command" daemon "$PORT" "$BATS_TEST_TMPDIR"
        await_listener
        daemon=$PID daemon_out=$OUT
        talk $COUNT "$@"
        kill "$daemon"
        PID=$daemon OUT=$daemon_out
        finish
        echo "$mode: $SEEN, TIME_WAIT $LEFT"
        case $mode in
        - | "")
            expect "without a policy" "$SEEN" "whole=$COUNT eof=$COUNT reset=0"
            [ "$LEFT" -ge $((COUNT * 9 / 10)) ]
            ;;
        rst)
            expect "under rst" "$SEEN" "whole=$COUNT ${UNDER_RST:-eof=0 reset=$COUNT}"
            [ "$LEFT" -eq 0 ]
            ;;
        fin-rst)
            expect "under fin-rst" "$SEEN" "whole=$COUNT eof=$COUNT reset=0"
            [ "$LEFT" -le $((COUNT / 100)) ]
            ;;
        esac
    done
}

# Servers that call shutdown(SHUT_WR) before close(): that FIN is theirs and stays, so the peer sees
# EOF; the RST follows it, and no TIME_WAIT remains.
serves_half_closing() {
    UNDER_RST="eof=$COUNT reset=0" serves "$@"
}

# calls N "COMMAND...": a client that makes N connections to a server that never closes first.
calls() { # CONNECTIONS COMMAND
    local mode connections=$1 answered former # in TIME_WAIT, to a port that the kernel chooses again
    for mode in - "" rst fin-rst; do
        start - python3 "$ROOT/tests/tools/patient-server.py"
        hear_port
        former=$(ss -Htan state time-wait "dport = :$PORT" | wc -l)
        (under "$mode" bash -c "$2" client "$PORT" "$BATS_TEST_TMPDIR") >"$BATS_TEST_TMPDIR/client" 2>&1 3>&-
        time_wait "$PORT" >/dev/null
        LEFT=$(($(ss -Htan state time-wait "dport = :$PORT" | wc -l) - former))
        kill "$PID"
        hear
        answered=${REPLY#answered }
        finish
        echo "$mode: answered $answered, TIME_WAIT $LEFT"
        [ "$answered" -ge "$connections" ]
        case $mode in
        - | "") [ "$LEFT" -ge $((connections * 9 / 10)) ] ;;
        rst) [ "$LEFT" -eq 0 ] ;;
        fin-rst) [ "$LEFT" -le $((connections / 100)) ] ;;
        esac
    done
}

@test "nginx" {
    serves "set -- \"\$1\" \"\$2\" 2; $NGINX" http
}

@test "redis-server" {
    serves 'exec redis-server --port "$1" --bind 127.0.0.1 --save "" --dir "$2"' 'PING\r\nQUIT\r\n' '+PONG\r\n+OK\r\n'
}

@test "haproxy" {
    serves_half_closing 'cat >"$2/haproxy.cfg" <<EOF
defaults
    mode http
    timeout client 10s
    timeout server 10s
    timeout connect 10s
    option httpclose
frontend test
    bind 127.0.0.1:$1
    http-request return status 200 content-type text/plain string "a page of haproxy"
EOF
exec haproxy -db -f "$2/haproxy.cfg"' http
}

@test "memcached" {
    serves 'exec memcached -u root -l 127.0.0.1 -p "$1" -U 0' 'set a 0 0 5\r\nhello\r\nget a\r\nquit\r\n' 'STORED\r\nVALUE a 0 5\r\nhello\r\nEND\r\n'
}

@test "python3 http.server" {
    serves_half_closing 'mkdir -p "$2/www" && echo "a page of python" >"$2/www/index.html" &&
        exec python3 -m http.server --bind 127.0.0.1 --directory "$2/www" "$1"' http
}

@test "python3 asyncio" {
    serves 'exec python3 -c "
import asyncio, sys
async def serve(reader, writer):
    writer.write(await reader.readline())
    await writer.drain()
    writer.close()
async def main():
    async with await asyncio.start_server(serve, \"127.0.0.1\", int(sys.argv[1])) as server:
        await server.serve_forever()
asyncio.run(main())" "$1"' 'hello\n' 'hello\n'
}

@test "node" {
    serves_half_closing 'exec node -e "
require(\"http\").createServer((request, response) => response.end(\"a page of node\"))
    .listen(process.argv[1], \"127.0.0.1\")" "$1"' http
}

@test "perl" {
    serves 'exec perl -MIO::Socket::INET -e "
\$server = IO::Socket::INET->new(LocalAddr => \"127.0.0.1\", LocalPort => \$ARGV[0], Listen => 100) or die;
while (\$client = \$server->accept) { \$line = <\$client>; print \$client \$line; close \$client }" "$1"' 'hello\n' 'hello\n'
}

@test "JVM: Socket" {
    javac -d "$BATS_TEST_TMPDIR" "$ROOT/tests/tools/JvmServer.java"
    serves 'exec java -cp "$2" JvmServer socket "$1"' 'hello\n' 'hello\n'
}

@test "JVM: SocketChannel" {
    javac -d "$BATS_TEST_TMPDIR" "$ROOT/tests/tools/JvmServer.java"
    serves 'exec java -cp "$2" JvmServer channel "$1"' 'hello\n' 'hello\n'
}

@test "curl" {
    calls 50 'for i in $(seq 50); do curl -s "http://127.0.0.1:$1/" | grep -qx hello || exit 1; done'
}

@test "ab" {
    calls 20 'for i in $(seq 20); do ab -k -q -n 20 -c 1 "http://127.0.0.1:$1/" | grep -q "Complete requests: *20" || exit 1; done'
}

@test "redis-benchmark, a connection for each request" {
    for mode in - rst fin-rst; do
        PORT=$("$TOOLS/free-port")
        start - redis-server --port "$PORT" --bind 127.0.0.1 --save "" --dir "$BATS_TEST_TMPDIR"
        await_listener
        (under "$mode" redis-benchmark -p "$PORT" -n 200 -c 4 -k 0 -t ping_inline -q 3>&-)
        time_wait "$PORT" >/dev/null
        LEFT=$(ss -Htan state time-wait "dport = :$PORT" | wc -l)
        kill "$PID"
        finish
        echo "$mode: TIME_WAIT $LEFT"
        [ "$mode" != - ] || [ "$LEFT" -ge 180 ]
        [ "$mode" = - ] || [ "$LEFT" -le 2 ]
    done
}
