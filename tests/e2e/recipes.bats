#!/usr/bin/env bats
# examples/README.md: what stands in its blocks is typed, in a network namespace of its own, and has to
# print what stands there.
load helper

GALLERY=$ROOT/examples/README.md

# block NAME: what stands in the gallery between ```console NAME and ```.
block() {
    awk -v first="\`\`\`console $1" '$0 == first { on = 1; next } /^```$/ { on = 0 } on' "$GALLERY"
}

# In the script, at its end: notes what is left open at $PORT, and ends what runs; squid may ignore a SIGTERM
# that comes early.
end_all() {
    local pid
    ss -Htan state established "sport = :$PORT" | wc -l >left-open
    for pid in $(jobs -p); do
        kill "$pid"
        timeout 5 tail -s 0.02 --pid "$pid" -f /dev/null || kill -KILL "$pid"
    done
}

# In the script: what somebody who types waits for without knowing it. A recipe may have its own.
breathe() {
    :
}

# typing: of a block, the script that types its commands. After one that goes to the background it waits
# for $PORT.
typing() {
    awk '/^\$ / {
        print "cat <<\047END OF COMMAND\047\n" $0 "\nEND OF COMMAND"
        print substr($0, 3)
        if (/&$/)
            print "PID=$!; await_listener"
        print "breathe"
    }'
}

# recipe NAME PORT [FIXTURE]: FIXTURE is what the reader has running, in the directory where he types. What
# was printed is in the file typed, and has the shape of what the gallery shows.
recipe() {
    needs_namespace
    cd "$BATS_TEST_TMPDIR" || return
    [ -z "${WITHOUT_LIBRARY:-}" ] || without_the_library
    block "$1" >shown
    [ -s shown ]
    {
        declare -f
        echo "ip link set lo up; PORT=$2; PATH=$PWD/bin:$ROOT:$PATH"
        echo 'trap end_all EXIT'
        echo "${3:-}"
        typing <shown
    } >script
    unshare -n ${AS_HOST:-} timeout -k 5 200 bash script >typed 2>errors 3>&- || true
    cat typed errors
    diff <(normal <shown) <(tr -d '\r' <typed | normal)
}

# A command of that name for the recipe.
command_is() { # NAME COMMAND
    mkdir -p bin
    printf '#!/bin/sh\nexec %s "$@"\n' "$2" >"bin/$1"
    chmod +x "bin/$1"
}

without_the_library() {
    # shellcheck disable=SC2016
    command_is linger "bash -c '[ \"\$0\" = run ] || exit 0
        until [ \"\$1\" = -- ]; do shift; done
        shift && exec \"\$@\"'"
}

# The nginx of the reader's system, with a configuration of the test's.
nginx_of_the_system() {
    cd "$BATS_TEST_TMPDIR" || return
    (set -- 80 "$PWD" 2 && eval "cat <<END
$NGINX_CONF
END") >nginx.conf
    sed -i 's/listen 127.0.0.1:80;/listen 80;/' nginx.conf
    in_one_packet nginx.conf "$PWD"
    command_is nginx "/usr/sbin/nginx $(nginx_log) -c $PWD/nginx.conf"
}

# below REGEX [N]: what was printed below the command, or the Nth command, that matches.
below() {
    awk -v regex="$1" -v n="${2:-1}" '/^\$ / { on = $0 ~ regex && ++seen == n; next } on' typed
}

@test "each block has its test, each anchor its recipe, and there is no second" {
    sed -n 's/^```console //p' "$GALLERY" | sort >"$BATS_TEST_TMPDIR/blocks"
    sed -n 's/^ *recipe\(_of_events\)\? \([a-z-]*\) .*/\2/p' "$BATS_TEST_FILENAME" | sort >"$BATS_TEST_TMPDIR/tests"
    diff "$BATS_TEST_TMPDIR/blocks" "$BATS_TEST_TMPDIR/tests"
    grep -o '](#[a-z0-9_-]*)' "$GALLERY" | tr -d '](#)' | sort -u >"$BATS_TEST_TMPDIR/anchors"
    sed -n 's/^## //p' "$GALLERY" | tr 'A-Z ' 'a-z-' | tr -d '(),:' | sort >"$BATS_TEST_TMPDIR/heads"
    expect "anchors without a recipe" "$(comm -23 "$BATS_TEST_TMPDIR/anchors" "$BATS_TEST_TMPDIR/heads")" ""
    [ "$(wc -l <"$GALLERY")" -le 440 ]
}

@test "each file and each link is there, and each file is listed" {
    cd "$ROOT/examples"
    for target in $(grep -o '](\.\{0,2\}/\?[a-z][A-Za-z./_-]*)' README.md | tr -d '()]'); do
        [ -e "$target" ] || { echo "$target is not there" && return 1; }
        echo "$target"
    done >"$BATS_TEST_TMPDIR/links"
    for file in *; do
        grep -qE "^$file(/|$)" "$BATS_TEST_TMPDIR/links" || [ "$file" = README.md ] || { echo "$file is not listed" && return 1; }
    done
}

@test "nginx" {
    nginx_of_the_system
    recipe nginx 80 'nginx & PID=$!; await_listener'
    expect "whole pages" "$(below curl | xargs)" "500 200"
    [ "$(below '[$] ss ' 2)" -ge 450 ]
}

@test "haproxy" {
    cd "$BATS_TEST_TMPDIR"
    cat >haproxy.cfg <<END
global
    tune.bufsize 1100000
defaults
    mode http
    timeout client 20s
    timeout server 20s
    timeout connect 20s
    option httpclose
    option nolinger
frontend test
    bind 127.0.0.1:8080
    http-request return status 200 content-type text/plain file $PWD/page
END
    head -c 1000000 /dev/zero >page
    # A client as far away as real ones: what it has not taken yet is still here when haproxy closes.
    recipe haproxy 8080 'sysctl -qw net.ipv4.tcp_rmem="4096 8192 16384"'
    [[ $(below curl 1) != "curl: 0, "* ]]
    expect "whole" "$(below curl 2)" "curl: 0, 1000000 bytes"
}

@test "wrk" {
    cd "$BATS_TEST_TMPDIR"
    recipe wrk 8080 'node -e "require(\"http\").createServer((request, response) => response.end(\"hello\")).listen(8080)" &
        PID=$!; await_listener'
}

@test "ab" {
    nginx_of_the_system
    recipe ab 80 'nginx & PID=$!; await_listener'
    [ "$(below ' ab ' 2 | tail -1)" -ge 1800 ]
}

@test "gunicorn" {
    app
    recipe gunicorn 8000
}

@test "uvicorn" {
    app
    recipe uvicorn 8000
}

# Their replies have no length, and end with the connection.
app() {
    cd "$BATS_TEST_TMPDIR" || return
    cat >app.py <<'END'
def app(environ, start):
    start("200 OK", [])
    return [b"hello\n"]

async def asgi(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello\n"})
END
}

@test "tests" {
    cd "$BATS_TEST_TMPDIR"
    cat >test_ports.py <<'END'
import socket

def listen(port=0):
    listener = socket.socket()
    listener.bind(("127.0.0.1", port))
    listener.listen()
    return listener, listener.getsockname()[1]

def connected(listener):
    client = socket.create_connection(listener.getsockname())
    return client, listener.accept()[0]

def test_after_one_that_had_the_port():
    listener, port = listen()
    client, server = connected(listener)
    server.close()
    assert client.recv(1) == b""
    client.close()
    listener.close()
    listen(port)

def test_beside_one_that_has_it():
    listener, port = listen()
    listen(port)

def test_on_the_port_of_a_client():
    listener, port = listen()
    client, server = connected(listener)
    client_port = client.getsockname()[1]
    socket.socket().bind(("127.0.0.1", client_port))
END
    export PYTHONDONTWRITEBYTECODE=1
    recipe tests 0
}

# What the gallery says of jest and go test.
@test "Node and Go bind a port in TIME_WAIT without help" {
    needs_namespace
    for server in "$ROOT/build/examples/go/echo-server" "node -e require('net').createServer(s=>s.on('data',()=>s.end('x'))).listen(process.argv[1],()=>console.log('up'))"; do
        PORT=$("$TOOLS/free-port")
        for round in 1 2; do
            # shellcheck disable=SC2086
            start - $server "$PORT"
            hear
            SEEN=$("$TOOLS/peer" -k connect "$PORT")
            kill "$PID"
            finish
            echo "round $round: $SEEN"
        done
        [ "$(time_wait "$PORT")" -ge 2 ]
    done
}

@test "a port in TIME_WAIT" {
    needs_root # for SOCK_DESTROY
    cd "$BATS_TEST_TMPDIR"
    cat >server.py <<'END'
import socket, time
listener = socket.socket()
listener.bind(("127.0.0.1", 8080))
listener.listen()
time.sleep(600)
END
    cat >before.py <<'END'
import socket
listener = socket.create_server(("127.0.0.1", 8080))
for _ in range(50):
    client = socket.create_connection(("127.0.0.1", 8080))
    listener.accept()[0].close()
    client.recv(1)
    client.close()
END
    recipe time-wait 8080 'python3 before.py'
    expect listeners "$(below '[$] ss ')" 1
}

@test "a port taken by a client" {
    needs_root # for ip_local_reserved_ports
    cd "$BATS_TEST_TMPDIR"
    # The kernel chose that port, as it were; the next one is its own choice.
    cat >client.py <<'END'
import socket
connection = socket.create_connection(("127.0.0.1", 6379), source_address=("127.0.0.1", 50051))
print("connected", flush=True)
try:
    connection.recv(1)
except OSError:
    connection = socket.create_connection(("127.0.0.1", 6379))
connection.recv(1)
END
    recipe ports 50051 'sysctl -qw net.ipv4.ip_local_port_range="50000 50100"
        redis-server --port 6379 --bind 127.0.0.1 --save "" >/dev/null & PORT=6379 PID=$!; await_listener
        python3 client.py >client & until [ -s client ]; do :; done; PORT=50051'
    expect listeners "$(below '[$] ss ')" 1
}

# recipe_of_events NAME PORT [FIXTURE]: with linger watch in it, which is ready before the next command.
recipe_of_events() {
    # shellcheck disable=SC2016  # it is for the script
    local tries=0 ready='breathe() {
        for pid in $(jobs -p); do
            until [ "$(cat /proc/$pid/comm)" != linger ] || grep -q "^SigCgt:.*[2367abef]$" /proc/$pid/status; do :; done
        done
    }'
    # The kernel may fail to deliver an event: then linger says so.
    until
        recipe "$1" "$2" "$ready; ${3:-}"
    do
        cat typed seen 2>/dev/null | grep -q "events lost" && [ $((++tries)) -lt 5 ]
    done
}

@test "Connection reset by peer, where the program asks for it" {
    needs_events
    cd "$BATS_TEST_TMPDIR"
    cat >aborts.py <<'END'
import socket, struct
listener = socket.create_server(("127.0.0.1", 9001))
while True:
    connection, _ = listener.accept()
    connection.recv(4096)
    connection.send(b"HTTP/1.0 200 OK\r\n\r\nhello\n")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
END
    recipe_of_events abort 9001 'python3 aborts.py & PID=$!; await_listener'
    expect "after it" "$(below wait | awk '/FIN, python3 .*TIME_WAIT/ { print $NF }')" 5
}

@test "Connection reset by peer" {
    needs_events
    cd "$BATS_TEST_TMPDIR"
    head -c 900000 /dev/zero | tr '\\0' x >request
    cat >uploads.py <<'END'
import socket
listener = socket.create_server(("127.0.0.1", 9000))
while True:
    connection, _ = listener.accept()
    connection.recv(10)
    connection.send(b"HTTP/1.1 413 Content Too Large\r\n\r\n")
    connection.close()
END
    recipe_of_events watch 9000
    expect "with unread data" "$(below wait | awk '/unread data .*nothing/ { print $NF }')" 5
}

@test "PHP and redis on loopback" {
    cd "$BATS_TEST_TMPDIR"
    cat >connect.php <<'END'
<?php
[, $host, $count] = $argv;
for ($failed = $i = 0; $i < $count; $i++) {
    try {
        $redis = new Redis;
        $redis->connect($host, 6379);
        $redis->close();
        usleep(500);
    } catch (RedisException $e) {
        $failed++;
    }
}
echo "$count connections, $failed failed\n";
END
    # At most 2,000 connections a second, so that none is refused within the second.
    recipe loopback 6379 'sysctl -qw net.ipv4.ip_local_port_range="40000 42499"
        redis-server --port 6379 --bind 127.0.0.1 --save "" >/dev/null & PID=$!; await_listener'
    expect "all" "$(below php)" "3000 connections, 0 failed"
}

@test "PHP-FPM and redis on another host" {
    cd "$BATS_TEST_TMPDIR"
    cat >fpm.conf <<END
[global]
error_log = $PWD/fpm.log
daemonize = no
[www]
user = root
group = root
listen = 127.0.0.1:9000
pm = static
pm.max_children = 2
END
    php_fpm=$(compgen -G '/usr/sbin/php-fpm*' | tail -1)
    command_is php-fpm "$php_fpm -R -y $PWD/fpm.conf"
    mkdir www
    cat >www/redis.php <<'END'
<?php
try {
    $redis = new Redis;
    $redis->connect($_SERVER["REDIS"], 6379);
    echo $redis->ping(), "\n";
} catch (RedisException $e) {
    http_response_code(500);
    echo $e->getMessage(), "\n";
}
END
    (set -- 80 "$PWD" 1 && eval "cat <<END
$NGINX_CONF
END") >nginx.conf
    php='fastcgi_pass 127.0.0.1:9000; fastcgi_param REQUEST_METHOD GET; fastcgi_param REDIS 10.0.0.1;'
    sed -i "s|return 200 .*;|$php fastcgi_param SCRIPT_FILENAME $PWD/www\$uri;|" nginx.conf
    recipe php-fpm 9000 'ip addr add 10.0.0.1/32 dev lo; sysctl -qw net.ipv4.ip_local_port_range="40000 40199"
        redis-server --port 6379 --bind 10.0.0.1 --protected-mode no --save "" >/dev/null &
        PORT=6379 PID=$!; await_listener
        nginx $(nginx_log) -c $PWD/nginx.conf & PORT=80 PID=$!; await_listener; PORT=9000'
}

@test "squid" {
    needs_root # squid becomes another user, and writes there
    [ "$(stat -c %a /dev/shm 2>/dev/null)" = 1777 ] || skip "needs a /dev/shm"
    cd "$BATS_TEST_TMPDIR"
    [ "$(squid -v | sed -n 's/^Squid Cache: Version \([0-9]*\).*/\1/p')" -lt 6 ] || skip "squid 6 and later sets IP_BIND_ADDRESS_NO_PORT itself"
    # Each with a source address and a port of its own: 3129, then 3128. The servers keep the connection open,
    # so that it is always squid who closes first and whose ports are in TIME_WAIT.
    cat >squid.sh <<'END'
#!/bin/sh
cd "${0%/*}/.."
echo >>starts
cat >squid.conf <<CONF
http_port 127.0.0.1:$((3130 - $(wc -l <starts)))
http_access allow all
tcp_outgoing_address 127.0.1.$(wc -l <starts)
server_persistent_connections off
cache deny all
cache_mem 8 MB
memory_cache_shared off
access_log none
cache_log /dev/null
pid_filename none
coredump_dir /
shutdown_lifetime 0 seconds
pinger_enable off
visible_hostname recipe
cache_effective_user proxy
CONF
exec /usr/sbin/squid -n "recipe$PPID" -f "$PWD/squid.conf" "$@"
END
    mkdir bin
    install -m 755 squid.sh bin/squid
    recipe squid 3128 'sysctl -qw net.ipv4.ip_local_port_range="40000 40099"
        node -e "for (let port = 8001; port <= 8005; port++)
            require(\"http\").createServer((request, response) => {
                response.shouldKeepAlive = true;
                response.end(\"hello\") }).listen(port)" &
        PORT=8005 PID=$!; await_listener
        squid -N & PORT=3129 PID=$!; await_listener; PORT=3128'
    expect "with -B" "$(below curl 1 | xargs)" "250 200"
}

@test "kamailio" {
    cd "$BATS_TEST_TMPDIR"
    cat >kamailio.cfg <<'END'
listen=tcp:127.0.0.1:5060
children=1
tcp_children=1
auto_aliases=no
dns=no
rev_dns=no
loadmodule "sl.so"
request_route {
    set_reply_close();
    sl_send_reply("200", "OK");
}
END
    printf '%s\r\n' "OPTIONS sip:a@127.0.0.1 SIP/2.0" "Via: SIP/2.0/TCP 127.0.0.1:5070;branch=z9hG4bK1" \
        "From: <sip:a@127.0.0.1>;tag=1" "To: <sip:a@127.0.0.1>" "Call-ID: 1" "CSeq: 1 OPTIONS" "Content-Length: 0" "" >options.sip
    command_is kamailio "/usr/sbin/kamailio -Y $PWD -m 32"
    # It calls shutdown() before close(): a client whose FIN comes in between leaves it in TIME_WAIT.
    recipe kamailio 5060 'breathe() { await_closed; }'
}

@test "fault injection" {
    app
    recipe reset 8000
    read -r resets _ <<<"$(below curl)"
    [ "$resets" -le 30 ] # about 10 of 1,000
}

@test "fault injection, in connections that are open" {
    nginx_of_the_system
    recipe reset-now 80 'nginx & PID=$!; await_listener
        for i in $(seq 200); do exec {fd}<>/dev/tcp/127.0.0.1/80; done'
    read -r ended _ <<<"$(below close)"
    [ "$ended" -ge 4 ] && [ "$ended" -le 45 ] # 20 of 200
    expect "left open" "$(<left-open)" $((200 - ended))
}

# The reader's host has processes of its own, and an /etc and a /run to write to. Who types takes longer than
# linger keep to find what listens.
@test "one policy for a host" {
    AS_HOST="-pmf --mount-proc --kill-child"
    # shellcheck disable=SC2086
    unshare $AS_HOST true 2>/dev/null || skip "needs namespaces of processes and mounts"
    nginx_of_the_system
    command_is systemctl "sh -c 'exec linger keep -q -m @/etc/linger/policy >/dev/null 2>&1 &'"
    mkdir -p etc/linger
    cp -a /etc/. etc 2>/dev/null || true
    recipe host 80 'mount -t tmpfs none /run; mount --bind etc /etc
        is_kept() { [ -z "$(ss -Htln sport = :80)" ] || linger states -p 80 | grep -q " rule 1 of linger keep "; }
        breathe() { eventually is_kept; }'
}
