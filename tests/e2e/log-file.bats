#!/usr/bin/env bats
# The log's file in a program that gives up its privileges, goes into a jail, closes everything,
# forks beside a thread that logs, or has little stack: each line arrives, or it is said.
# bats file_tags=preload
load helper

# programs COMMANDS: Python under a log that only root can open, in which close(N) closes N sockets.
programs() {
    LOG=$BATS_TEST_TMPDIR/private/log
    mkdir -p "$BATS_TEST_TMPDIR/private" "$BATS_TEST_TMPDIR/jail"
    chmod 711 "$BATS_TEST_TMPDIR" "$BATS_TEST_TMPDIR/jail"
    chmod 700 "$BATS_TEST_TMPDIR/private"
    run --separate-stderr env LD_PRELOAD="$LIB" LINGER_LOG="${1:-$LOG}" LINGER_STATS="$BATS_TEST_TMPDIR/stats" \
        JAIL="$BATS_TEST_TMPDIR/jail" PORT="${PORT:-}" timeout 60 python3 -c "
import os, socket

def close(count):
    for _ in range(count):
        socket.socket().close()

def kept():
    return [int(fd) for fd in os.listdir('/proc/self/fd')
            if os.path.exists('/proc/self/fd/' + fd) and '/private/' in os.readlink('/proc/self/fd/' + fd)]

$2"
    echo "$output $stderr"
    [ ! -e "$LOG" ] || cat "$LOG"
    expect status "$status" 0
}

closes() {
    cat "$BATS_TEST_TMPDIR"/private/* | grep -c event=close || true
}

lost() {
    "$ROOT/linger" stats --json "$BATS_TEST_TMPDIR/stats" | python3 -c "import json, sys; print(json.load(sys.stdin)['log_lost'])"
}

@test "nginx, started by root, with workers that are nobody's: their lines arrive" {
    needs_root
    LOG=$BATS_TEST_TMPDIR/private/log
    mkdir -p "$BATS_TEST_TMPDIR/private"
    chmod 700 "$BATS_TEST_TMPDIR/private"
    PORT=$("$TOOLS/free-port")
    LINGER_LOG=$LOG start rst bash -c "${NGINX/user root/user nobody nogroup}" _ "$PORT" "$BATS_TEST_TMPDIR" 2
    await_listener
    for _ in {1..10}; do
        curl -s -H "Connection: close" "http://127.0.0.1:$PORT/" >/dev/null || true
    done
    kill "$PID"
    finish
    cat "$LOG"
    [ "$(grep 'event=close' "$LOG" | grep -c "local=127.0.0.1:$PORT")" -ge 10 ]
    [ "$(grep 'event=close' "$LOG" | grep "local=127.0.0.1:$PORT" | grep -c " pid=$PID ")" -le 1 ]
}

fetches() { # COUNT: each is a connection of a worker's, and a line of its log when it has ended
    local written=$(($(cat "$LOG" "$LOG.1" 2>/dev/null | grep -c event=close) + $1))
    for ((i = 0; i < $1; i++)); do
        curl -s "http://127.0.0.1:$PORT/" >/dev/null || true
    done
    eventually logged "$written"
}

logged() {
    [ "$(cat "$LOG" "$LOG.1" 2>/dev/null | grep -c event=close)" -ge "$1" ]
}

@test "logrotate by examples/linger.logrotate: the lines of workers that are nobody's are in the new file" {
    needs_root
    LOG=$BATS_TEST_TMPDIR/private/log
    mkdir -p "$BATS_TEST_TMPDIR/private"
    chmod 700 "$BATS_TEST_TMPDIR/private"
    sed "s|^/var/log/linger.log |$LOG |" "$ROOT/examples/linger.logrotate" >"$BATS_TEST_TMPDIR/rotation"
    chmod 644 "$BATS_TEST_TMPDIR/rotation"
    PORT=$("$TOOLS/free-port")
    LINGER_LOG=$LOG start rst bash -c "${NGINX/user root/user nobody nogroup}" _ "$PORT" "$BATS_TEST_TMPDIR" 2
    await_listener
    fetches 3
    before=$(wc -l <"$LOG")
    logrotate -f -s "$BATS_TEST_TMPDIR/state" "$BATS_TEST_TMPDIR/rotation"
    fetches 5
    expect "lines before" "$(wc -l <"$LOG.1")" "$before"
    expect "lines since, and other bytes" "$(grep -c "event=close.*local=127.0.0.1:$PORT" "$LOG") $(tr -dc '\0' <"$LOG" | wc -c)" "5 0"
    kill "$PID"
    finish
}

@test "after setuid(), with %p too, and after chroot(): lines arrive, and no log is made in the jail" {
    needs_root
    for name in log "log.%p"; do
        for steps in "os.setuid(65534)" "os.chroot(os.environ['JAIL'])" "os.chroot(os.environ['JAIL']); os.chdir('/'); os.setuid(65534)"; do
            programs "$BATS_TEST_TMPDIR/private/$name" "
close(1)
if os.fork() == 0:
    $steps
    close(5)
    os._exit(0)
assert os.wait()[1] == 0"
            expect "lines after $steps" "$(closes)" 6
            expect lost "$(lost)" 0
            expect "said" "$stderr" ""
            expect "files in the jail" "$(find "$BATS_TEST_TMPDIR/jail" -type f | wc -l)" 0
            rm "$BATS_TEST_TMPDIR"/private/*
        done
    done
}

@test "a program that closes everything gets its log back; one that drops privileges first gets one message" {
    needs_root
    programs "" "
os.closerange(3, 4096)
close(1)
os.setuid(65534)
close(5)"
    expect lines "$(closes)" 6
    programs "" "
os.closerange(3, 4096)
os.setuid(65534)
close(5)"
    expect "said" "$stderr" "liblinger: LINGER_LOG: '$LOG' cannot be written any more, so lines are lost"
    expect lost "$(lost)" 5
}

@test "the kept descriptor's number reused: not a byte of ours goes there" {
    needs_root
    start - "$TOOLS/peer" listen
    hear_port
    programs "" "
client = socket.create_connection(('127.0.0.1', int(os.environ['PORT'])))
[number] = kept()
assert number > 900 or number > os.sysconf('SC_OPEN_MAX') * 3 // 4, number
assert client.fileno() < 100, client.fileno()
os.dup2(client.fileno(), number)
close(3)
os.setuid(65534)
close(3)
client.send(b'mine')
client.close()
os.close(number)"
    [ "$(closes)" -ge 3 ]
    hear
    expect "the peer saw" "$REPLY" "bytes=4 eof=1 reset=0"
    finish
}

@test "a log that is renamed or removed is made again, and one descriptor is kept, which exec closes" {
    programs "" "
close(1)
before = kept()
assert len(before) == 1, before
os.rename('$BATS_TEST_TMPDIR/private/log', '$BATS_TEST_TMPDIR/private/log.1')
close(1)
os.unlink('$BATS_TEST_TMPDIR/private/log')
close(1)
assert kept() == before, kept()
del os.environ['LD_PRELOAD']
os.execvp('bash', ['bash', '-c', 'ls -l /proc/self/fd | grep -c /private/ || true'])"
    expect "lines in the renamed one" "$(grep -c event=close "$LOG.1")" 1
    expect "lines in the last one" "$(grep -c event=close "$LOG")" 1
    expect "descriptors after exec" "$output" 0
}

@test "a fork() beside threads that log: no child has the log open twice" {
    programs "" "
import threading
stop = False
def work():
    while not stop:
        close(1)
threads = [threading.Thread(target=work) for _ in range(3)]
[thread.start() for thread in threads]
more = 0
for _ in range(300):
    child = os.fork()
    if child == 0:
        os._exit(len(kept()))
    more += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 1
stop = True
[thread.join() for thread in threads]
print('children with more', more)"
    expect output "$output" "children with more 0"
}

@test "no call becomes a cancellation point, and nothing leaks when a thread is cancelled" {
    "$TOOLS/cancelled" >"$BATS_TEST_TMPDIR/plain"
    cat "$BATS_TEST_TMPDIR/plain"
    for log in "$BATS_TEST_TMPDIR/log" "$BATS_TEST_TMPDIR/log.%p" stderr; do
        LINGER_LOG=$log LINGER_STATS=$BATS_TEST_TMPDIR/stats LD_PRELOAD=$LIB LINGER_MODE="rst when=active; fin" \
            "$TOOLS/cancelled" >"$BATS_TEST_TMPDIR/policy" 2>"$BATS_TEST_TMPDIR/stderr"
        diff "$BATS_TEST_TMPDIR/plain" "$BATS_TEST_TMPDIR/policy"
    done
}

@test "on an alternate signal stack of 8,192 bytes no call takes more than 2 KiB" {
    for policy in rst "off port=1; rst role=client peer=127.0.0.0/8 when=active; fin share=10%"; do
        for log in "$BATS_TEST_TMPDIR/log" "$BATS_TEST_TMPDIR/log.%p" stderr; do
            LINGER_LOG=$log LINGER_STATS=$BATS_TEST_TMPDIR/stats LD_PRELOAD=$LIB LINGER_MODE=$policy \
                run --separate-stderr "$TOOLS/small-stack"
            [ "$status" != 77 ] || skip "$output"
            echo "$output"
            expect status "$status" 0
            expect "too much" "$(awk '$2 > 2048' <<<"$output")" ""
        done
    done
}
