#!/usr/bin/env bats
# What must not change: everything that is not a TCP teardown, and the system calls of a program.
load helper

# How many calls of that name COMMAND made under MODE, by strace.
calls() { # NAME MODE COMMAND...
    local name=$1 mode=$2
    shift 2
    (under - strace -f -qq -e trace="$name" -o "$BATS_TEST_TMPDIR/strace" \
        -E LINGER_MODE="$mode" -E LD_PRELOAD="${WITHOUT_LIBRARY:-$LIB}" "$@" >/dev/null)
    grep -c "$name(" "$BATS_TEST_TMPDIR/strace" || true
}

# The same for a server that accepts and closes N connections.
server_calls() { # NAME MODE N
    start - strace -f -qq -e trace="$1" -o "$BATS_TEST_TMPDIR/strace" -E LINGER_MODE="$2" \
        -E LD_PRELOAD="${WITHOUT_LIBRARY:+/}${WITHOUT_LIBRARY:-$LIB}" "$TOOLS/subject" -n "$3" -r close
    hear_port
    SEEN=$("$TOOLS/peer" -k -n "$3" connect "$PORT")
    finish
    CALLS=$(grep -cE "(${1//,/|})\(" "$BATS_TEST_TMPDIR/strace" || true)
}

@test "rst: a server's 1,000 connections cost as many setsockopt calls as 1: one" {
    server_calls setsockopt rst 1
    expect "calls for 1" "$CALLS" 1
    server_calls setsockopt rst 1000
    expect "calls for 1,000" "$CALLS" 1
    expect "the peer saw" "$SEEN" "bytes=5000 eof=0 reset=1000"
}

@test "role=server, port=: listen() decides, no call per connection" {
    for policy in "rst role=server" "fin-rst port=1-65535" "off port=22; rst role=server"; do
        server_calls setsockopt,getsockopt,getsockname "$policy" 1
        one=$CALLS
        server_calls setsockopt,getsockopt,getsockname "$policy" 1000
        expect "calls for 1,000 under $policy" "$CALLS" "$one"
        # It was listen() that set the option.
        grep -q 'setsockopt(3, .*\(SO_LINGER\|TCP_LINGER2\)' "$BATS_TEST_TMPDIR/strace"
    done
}

# A program that closes $1 files.
closes_files() { # CALL MODE COUNT
    calls "$1" "$2" python3 -c "
import os, sys
for _ in range(int(sys.argv[1])):
    os.close(os.dup(0))" "$3"
}

@test "closing 1,000 files adds no system call" {
    for call in getsockopt setsockopt getsockname; do
        expect $call "$(closes_files $call rst 1000)" "$(closes_files $call rst 1)"
    done
}

@test "when=: closing a file adds one system call, which fails" {
    one=$(closes_files getsockopt "rst when=active" 1)
    expect getsockopt "$(closes_files getsockopt "rst when=active" 1000)" $((one + 999))
    expect setsockopt "$(closes_files setsockopt "rst when=active" 1000)" 0
}

@test "UDP, AF_UNIX, pipes, files and errors: the same results and errno under every policy" {
    mirror() {
        (under "$1" "$TOOLS/mirror" </dev/null)
    }
    mirror - >"$BATS_TEST_TMPDIR/plain"
    for policy in off fin rst fin-rst wait:5 "rst when=active" "rst role=client" \
        "off peer=10.0.0.0/8; rst share=50%"; do
        mirror "$policy" >"$BATS_TEST_TMPDIR/policy"
        also diff --label "$policy" "$BATS_TEST_TMPDIR"/{plain,policy}
    done
    LINGER_REUSEADDR=1 LINGER_REUSEPORT=1 mirror rst >"$BATS_TEST_TMPDIR/policy"
    diff "$BATS_TEST_TMPDIR/plain" "$BATS_TEST_TMPDIR/policy"
}

@test "a program in a seccomp filter that kills on setsockopt and getsockopt closes under rst" {
    start rst "$TOOLS/sandboxed"
    hear_port
    SEEN=$("$TOOLS/peer" -k -n 10 connect "$PORT")
    finish
    expect status "$STATUS" 0
    expect "the peer saw" "$SEEN" "bytes=50 eof=0 reset=10"
}

# bats test_tags=preload
@test "a sandbox that permits only read, write, close, shutdown and recvmsg, under each plain mode" {
    for policy in off fin rst fin-rst wait:5 "rst role=server"; do
        start "$policy" "$TOOLS/sandboxed" strict
        hear_port
        SEEN=$("$TOOLS/peer" -k connect "$PORT")
        finish
        expect "status under $policy" "$STATUS" 0
        [[ $policy == rst* ]] || expect "the peer saw" "$SEEN" "bytes=5 eof=1 reset=0"
        [[ $policy != rst* ]] || expect "the peer saw" "$SEEN" "bytes=5 eof=0 reset=1"
    done
}

@test "a seccomp filter that refuses: the program goes on, armed at birth, and at close undisturbed" {
    for policy in fin-rst "rst when=active"; do
        start "$policy" "$TOOLS/sandboxed" refuse
        hear_port
        SEEN=$("$TOOLS/peer" -k -n 10 connect "$PORT")
        finish
        expect status "$STATUS" 0
        expect "the peer saw" "$SEEN" "bytes=50 eof=10 reset=0"
        [ "$policy" != fin-rst ] || expect "TIME_WAIT left" "$(time_wait "$PORT")" 0
    done
}

@test "a chroot without /proc: the inherited socket is armed, the program runs" {
    [ "$(id -u)" = 0 ] || skip "needs root or a user namespace"
    start - "$TOOLS/peer" listen
    hear_port
    (
        mkdir -p "$BATS_TEST_TMPDIR/root"
        for file in "$LIB" "$TOOLS/subject" /usr/bin/env $(ldd "$LIB" "$TOOLS/subject" | grep -o '=> /[^ ]*\|^\s*/lib[^ ]*' | grep -o '/.*'); do
            mkdir -p "$BATS_TEST_TMPDIR/root/$(dirname "$file")"
            cp "$file" "$BATS_TEST_TMPDIR/root/$file"
        done
        exec 8<>"/dev/tcp/127.0.0.1/$PORT"
        exec chroot "$BATS_TEST_TMPDIR/root" /usr/bin/env LINGER_MODE=rst \
            "LD_PRELOAD=${WITHOUT_LIBRARY:-$LIB}" "$TOOLS/subject" nothing
    )
    hear
    expect "the peer saw" "$REPLY" "bytes=0 eof=0 reset=1"
    finish
}

@test "closed standard descriptors: nothing is opened in their place" {
    (under rst bash -c 'exec "$0" nothing <&- >&- 2>&-' "$TOOLS/subject")
    # A bad policy has nowhere to complain, and still ends the program before main.
    [ -z "${WITHOUT_LIBRARY:-}" ]
    status=0
    (exec <&- >&- 2>&-; LD_PRELOAD=$LIB LINGER_MODE=nonsense exec "$TOOLS/subject" nothing) || status=$?
    expect status $status 125
}

@test "off, an empty value, no variable, or rules that decide at close() alone: no added call at load" {
    for mode in off "" "rst prog=somebody-else" "off when=passive; rst when=active"; do
        for call in getsockopt setsockopt getsockname getdents64; do
            expect "$call under '$mode'" "$(calls $call "$mode" /bin/true)" 0
        done
    done
}

# A handler that leaves by longjmp() finds the mask that the program has.
# bats test_tags=preload
@test "connect() and bind() leave the signal mask alone" {
    for mode in "rst peer=:80" "off local=[::]; rst role=client"; do
        expect "calls under $mode" "$(LINGER_REUSEADDR=1 calls rt_sigprocmask "$mode" python3 -c "
import socket
for family, address in (socket.AF_INET, '127.0.0.1'), (socket.AF_INET6, '::1'):
    with socket.create_server((address, 0), family=family) as listener:
        socket.create_connection(listener.getsockname()[:2]).close()")" 0
    done
}

# bats test_tags=preload
@test "a bad pointer is EFAULT, as without the library; an address may end with its page" {
    for policy in "rst peer=:80" "rst role=client" rst; do
        start "$policy" env LINGER_REUSEADDR=1 python3 -c "
import ctypes, errno, mmap, socket
libc = ctypes.CDLL(None, use_errno=True)
page = mmap.PAGESIZE
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
memory = libc.mmap(None, 2 * page, 3, 34, -1, 0)
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.munmap(memory + page, page)
ipv4 = b'\\2\\0' + bytes(2) + socket.inet_aton('127.0.0.1') + bytes(8)
ipv6 = b'\\n\\0' + bytes(6) + socket.inet_pton(socket.AF_INET6, '::1') + bytes(4)
for call in libc.connect, libc.bind:
    call.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint]
    for address, missing in (ipv4, -8), (ipv4, 0), (ipv4, 8), (ipv4, 16), (ipv6, 4), (ipv6, 12), (ipv6, 28):
        there = memory + page - len(address) + missing
        if missing < 0:
            there = -missing
        elif missing < len(address):
            ctypes.memmove(there, address, len(address) - missing)
        fd = libc.socket(address[0], 1, 0)
        status = call(fd, there, len(address))
        print(missing, errno.errorcode.get(ctypes.get_errno()) if status else 'bound', flush=True)
        libc.close(fd)"
        for last in ECONNREFUSED bound; do
            for missing in -8 0 8 16 4 12 28; do
                hear
                expect "$policy: what it says" "$REPLY" "$missing $([ "$missing" = 0 ] && echo $last || echo EFAULT)"
            done
        done
        finish
        expect status "$STATUS" 0
    done
}
