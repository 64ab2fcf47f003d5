#!/usr/bin/env bats
# glibc 2.31: the library that was built here, in the programs of a Debian 11, for which see
# tests/debian.
# bats file_tags=long,preload
load helper

OLD=$ROOT/build/bullseye

# The library is this machine's build; the subject is the old system's.
setup() {
    [ -e "$OLD/complete" ] || skip "tests/debian bullseye gcc libc6-dev make nginx-light curl has not run"
    cp "$LIB" "$OLD/liblinger.so"
    cp "$ROOT/tests/tools/"{subject.c,common.h} "$OLD/tmp"
    chroot "$OLD" gcc -O1 -D_GNU_SOURCE -o /subject /tmp/subject.c -pthread
    SUBJECT=/subject
}

under() { # MODE COMMAND...
    local mode=$1 preload=/liblinger.so
    shift
    case $1 in
        "$SUBJECT" | nginx) ;;
        *) exec "$@" ;;
    esac
    if [ "$mode" = - ] || [ -n "${WITHOUT_LIBRARY:-}" ]; then
        preload=
    fi
    exec chroot "$OLD" env LD_PRELOAD=$preload LINGER_MODE="$mode" "$@"
}

@test "it is glibc 2.31" {
    chroot "$OLD" ldd --version | grep -q "GLIBC 2.31"
}

@test "each mode and way out" {
    keeps_the_promise
}

@test "a mistake in the policy ends the program with status 125" {
    status=0
    (under rts /subject nothing) 2>"$BATS_TEST_TMPDIR/complaint" || status=$?
    expect status $status 125
    grep -q "unknown mode 'rts'" "$BATS_TEST_TMPDIR/complaint"
}

@test "the log and the counters, read by this machine's linger" {
    rm -f "$OLD/log" "$OLD/stats"
    LINGER_LOG=/log LINGER_STATS=/stats meet rst close
    sees 5 0 1 0
    expect events "$(python3 "$ROOT/tests/tools/parse-log.py" <"$OLD/log")" "arm=1 close=1 load=1"
    "$ROOT/linger" stats -j "$OLD/stats" | grep -q '"armed_rst":1'
}

@test "nginx: TIME_WAIT without us, none under rst and fin-rst" {
    for mode in - fin-rst rst; do
        PORT=$("$TOOLS/free-port")
        printf '%s\n' "worker_processes 1; error_log stderr; pid /tmp/nginx.pid;" "events {}" \
            "http { access_log off; keepalive_timeout 0; server { listen 127.0.0.1:$PORT; return 200 hello; } }" >"$OLD/tmp/nginx.conf"
        start "$mode" nginx -c /tmp/nginx.conf -g "daemon off;"
        await_listener
        daemon=$PID daemon_out=$OUT
        talk 20 http
        kill -TERM "$daemon"
        PID=$daemon OUT=$daemon_out
        finish
        case $mode in
            -) expect "without us" "$SEEN, TIME_WAIT $LEFT" "whole=20 eof=20 reset=0, TIME_WAIT 20" ;;
            rst) expect "under rst" "$SEEN, TIME_WAIT $LEFT" "whole=20 eof=0 reset=20, TIME_WAIT 0" ;;
            *) expect "under $mode" "$SEEN, TIME_WAIT $LEFT" "whole=20 eof=20 reset=0, TIME_WAIT 0" ;;
        esac
    done
}

@test "the sources build there, and its linger runs a program" {
    rm -rf "$OLD/src"
    mkdir "$OLD/src"
    cp -r "$ROOT/Makefile" "$ROOT/src" "$OLD/src"
    chroot "$OLD" make -s -C /src
    # In a mount namespace, so that its /proc goes with the command.
    unshare -m sh -ec 'mount -t proc proc "$0/proc"
        chroot "$0" /src/linger run -m rst -- /subject nothing
        chroot "$0" /src/linger check /subject' "$OLD" | grep -q "dynamically linked, glibc"
}
