#!/usr/bin/env bats
# A booted systemd, of Debian 12 and of Debian 13, with the daemons and the units that Debian ships: the recipe
# "systemd", followed to the letter. Each machine has a network of its own, and forgets what is changed.
load ../e2e/helper

RELEASES=${RELEASES:-"bookworm trixie"}
DROP_IN=$ROOT/examples/systemd/liblinger.conf

setup_file() {
    # linger linked statically: the machines have another libc than this one.
    cp -r "$ROOT/Makefile" "$ROOT/src" "$SCRATCH"
    make -s -C "$SCRATCH" liblinger.so
    make -s -C "$SCRATCH" LDFLAGS=-static-pie linger
    mkdir "$SCRATCH/leader"
    for release in $RELEASES; do
        systemd-nspawn -b --quiet --register=no --keep-unit --private-network --volatile=overlay --system-call-filter=pidfd_getfd \
            -D "$ROOT/build/$release-machine" >"$SCRATCH/$release.console" 2>&1 </dev/null 3>&- &
        until pgrep -x -P $! systemd >"$SCRATCH/leader/$release"; do kill -0 $!; done
    done
    for release in $RELEASES; do
        until in_machine systemctl is-system-running --wait >/dev/null 2>&1 || in_machine systemctl is-system-running | grep -q degraded; do :; done
        make -s -C "$SCRATCH" install DESTDIR="/proc/$(<"$SCRATCH/leader/$release")/root"
        # haproxy has no port of its own accord.
        printf 'listen test\n    bind :8080\n    mode http\n    http-request return status 200\n' |
            in_machine tee -a /etc/haproxy/haproxy.cfg >/dev/null
        in_machine systemctl restart haproxy
    done
}

teardown_file() {
    for release in $RELEASES; do
        in_machine systemctl poweroff --force --force || true
    done
}

setup() { :; }

# in_machine COMMAND...: as root in the machine $release.
in_machine() {
    nsenter -t "$(<"$SCRATCH/leader/$release")" -m -u -i -n -p env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

# Each unit, its port, and what makes the daemon close the connection first.
DAEMONS='nginx 80 GET / HTTP/1.0\r\n\r\n
redis-server 6379 QUIT\r\n
haproxy 8080 GET / HTTP/1.0\r\n\r\n
memcached 11211 quit\r\n
squid 3128 GET / HTTP/1.0\r\n\r\n
mosquitto 1883 \x10\x0c\x00\x04MQTT\x09\x02\x00\x3c\x00\x00
prometheus 9090 GET /-/ready HTTP/1.0\r\n\r\n'

# ends UNIT: what its client sees of a conversation, and the TIME_WAIT that is left at its port.
ends() {
    local port request
    read -r _ port request < <(grep "^$1 " <<<"$DAEMONS")
    nsenter -t "$(<"$SCRATCH/leader/$release")" -n python3 - "$port" "$request" <<'END'
import socket, subprocess, sys, time
port, request = int(sys.argv[1]), sys.argv[2].encode().decode("unicode_escape").encode("latin-1")
def waiting():
    return len(subprocess.run(["ss", "-Htan", "state", "time-wait", f"sport = :{port}"], capture_output=True).stdout.splitlines())
deadline = time.monotonic() + 60
while True:
    try:
        client = socket.create_connection(("127.0.0.1", port), timeout=30)
        break
    except ConnectionRefusedError:
        assert time.monotonic() < deadline
before = waiting()
client.sendall(request)
try:
    while client.recv(65536):
        pass
    how = "EOF"
except ConnectionResetError:
    how = "reset"
client.close()
# Until the last one has been closed on both sides.
while subprocess.run(["ss", "-Htan", "state", "connected", "exclude", "time-wait", f"( sport = :{port} or dport = :{port} )"], capture_output=True).stdout:
    pass
print(how, waiting() - before)
END
}

# with_drop_in UNIT: as the drop-in itself says.
with_drop_in() {
    in_machine install -D -m 644 /dev/stdin "/etc/systemd/system/$1.service.d/liblinger.conf" <"$DROP_IN"
    in_machine systemctl daemon-reload
    in_machine systemctl restart "$1"
}

# checks STATUS PATTERN UNIT: linger check --pid of it.
checks() {
    run in_machine linger check --pid "$3.service"
    echo "$output"
    expect "status of check, $3 of $release" "$status" "$1"
    # shellcheck disable=SC2053 # it is a pattern
    [[ $output == $2 ]]
}

LOADED="*  library     /usr/local/lib/liblinger.so
  policy      fin-rst role=server
  setting     LINGER_REUSEADDR=on
*"

# Not for haproxy: it half-closes first, and a client that answers before its close() leaves one (see its recipe).
@test "the drop-in, with each daemon's own unit: loaded, and no TIME_WAIT at its port" {
    for release in $RELEASES; do
        for unit in nginx redis-server haproxy memcached mosquitto; do
            also expect "$unit of $release, without" "$(ends $unit)" "EOF 1"
            with_drop_in $unit
            with=$(ends $unit)
            [ $unit = haproxy ] || also expect "$unit of $release, with" "$with" "EOF 0"
            also checks 0 "$LOADED" $unit
        done
    done
}

@test "a unit where the library did not load is found, with the reason" {
    for release in $RELEASES; do
        with_drop_in redis-server
        in_machine sed -i /^ExecPaths/d /etc/systemd/system/redis-server.service.d/liblinger.conf
        in_machine systemctl daemon-reload
        in_machine systemctl restart redis-server
        also checks 2 "redis-server (pid *  library     not loaded
  why         /usr/local/lib/liblinger.so may not be executed there: add ExecPaths=/usr/local/lib/liblinger.so to the unit*" redis-server
        with_drop_in squid
        also expect "squid" "$(ends squid)" "EOF 1"
        also checks 2 "*  library     not loaded
  why         it was started without LD_PRELOAD, or its loader passed that over*" squid
        in_machine linger attach -q -m fin-rst redis-server.service
        also checks 0 "redis-server (pid *  listener    127.0.0.1:6379  fin-rst*" redis-server
    done
}

# starts_by_linger UNIT [OPTION...]: under the drop-in with the two ExecStart= lines that its comment has.
starts_by_linger() {
    local start unit=$1
    start=$(in_machine systemctl cat "$unit" | sed -n 's/^ExecStart=\(.*\)/\1/p' | head -1)
    { sed '/^Environment=LD_PRELOAD/d' "$DROP_IN" && printf 'ExecStart=\nExecStart=/usr/local/bin/linger run %s -- %s\n' "${*:2}" "$start"; } |
        in_machine install -D -m 644 /dev/stdin "/etc/systemd/system/$unit.service.d/liblinger.conf"
    in_machine systemctl daemon-reload
    in_machine systemctl restart "$unit"
}

@test "a Go program, and one that starts itself again under other user ids: the lines that the drop-in has for them" {
    for release in $RELEASES; do
        starts_by_linger prometheus
        also expect "prometheus of $release" "$(ends prometheus)" "EOF 0"
        also checks 1 "*  supervisor  pid *linger run*/usr/bin/prometheus*" prometheus
        starts_by_linger squid -b supervise
        also expect "squid of $release" "$(ends squid)" "EOF 0"
    done
}

@test "a wrong policy: the unit fails, and systemctl status shows the mistake" {
    for release in $RELEASES; do
        in_machine install -D -m 644 /dev/stdin /etc/linger/nginx.env <<<"LINGER_MODE=rts"
        with_drop_in nginx || true
        run in_machine systemctl status nginx
        echo "$output"
        expect status "$status" 3
        [[ $output == *"liblinger: LINGER_MODE: "*rts* ]]
        in_machine rm /etc/linger/nginx.env
    done
}
