#!/usr/bin/env bats
# linger check: what reaches which program, and why not.
load helper

LINGER=$ROOT/linger

# if_here COMMAND...: a test that wants the result is skipped elsewhere.
if_here() {
    ! command -v "$1" >/dev/null || "$@"
}

setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    echo 'int main(void) { return 0; }' >main.c
    gcc -static -no-pie -o static main.c
    gcc -static-pie -o static-pie main.c
    if_here musl-gcc -o musl main.c
    if_here musl-gcc -static -o musl-static main.c
    if_here i686-linux-gnu-gcc -o i386 main.c
    if_here i686-linux-gnu-gcc -static -o i386-static main.c
    if_here aarch64-linux-gnu-gcc -o aarch64 main.c
    mkdir go && echo 'package main
import "net"
func main() { net.LookupHost("localhost") }' >go/main.go
    (cd go && export GO111MODULE=off GOCACHE="$ROOT/build/go-cache" &&
        CGO_ENABLED=0 if_here /usr/bin/go build -o ../go-static main.go &&
        CGO_ENABLED=1 if_here /usr/bin/go build -o ../go-cgo main.go)
    [ ! -e go-static ] || strip -o go-stripped go-static
    : >empty && chmod +x empty
    echo 'echo hello' >text && chmod +x text
    head -c 100 static >truncated && chmod +x truncated
    printf '#!/bin/sh -e\n:\n' >shell && chmod +x shell
    printf '#!/usr/bin/env python3\n' >python && chmod +x python
    printf '#!/usr/bin/env -S LANG=C python3 -u\n' >python-S && chmod +x python-S
    for options in '-iS' '-S --unset=LD_PRELOAD' '-S -u LINGER_MODE' '-S LD_PRELOAD=libc.so.6' '-S - LANG=C' '-S env -i'; do
        printf '#!/usr/bin/env %s python3\n' "$options" >"python $options" && chmod +x "python $options"
    done
    for options in '-S -u FOO' '-vS "-uFOO" LANG=C' '-S -C /' '-S env'; do
        printf '#!/usr/bin/env %s python3\nimport os\nprint(os.environ.get("LINGER_MODE"))\n' "$options" >"kept $options" && chmod +x "kept $options"
    done
    printf '#!/usr/bin/env -i python3\n' >python-i && chmod +x python-i
    printf '#!/usr/bin/env -S -u FOO\n' >no-program && chmod +x no-program
    printf '#!%s/static\n' "$PWD" >script-of-static && chmod +x script-of-static
    printf '#!%s/script-of-static\n' "$PWD" >script-of-script && chmod +x script-of-script
    printf '#!%s/endless\n' "$PWD" >endless && chmod +x endless
    printf '#!/no/such/interpreter\n' >orphan && chmod +x orphan
    printf '#!python3\n' >pathless && chmod +x pathless
    printf '#!\n' >nameless && chmod +x nameless
    cp /bin/true setuid && chmod 4755 setuid
    cp /bin/true caps && chmod 755 caps
    chmod -R a+rX . && chmod a+rx "$BATS_FILE_TMPDIR" "$BATS_RUN_TMPDIR"
}

# judged NAME STATUS HOW WHY: the two lines, WHY as a pattern.
judged() {
    local status=0
    "$LINGER" check "$1" >"$BATS_TEST_TMPDIR/out" 2>&1 || status=$?
    cat "$BATS_TEST_TMPDIR/out"
    expect "status of $1" "$status" "$2"
    expect "reached by" "$(sed -n 's/^  reached by *//p' "$BATS_TEST_TMPDIR/out")" "$3"
    grep -qE "^  why  *$4" "$BATS_TEST_TMPDIR/out"
}

@test "dynamic programs of glibc and musl: by preload" {
    judged /bin/ls 0 preload 'dynamically linked, glibc$'
    judged ls 0 preload 'dynamically linked, glibc$'
    grep -q '^  file  *\(/usr\)\?/bin/ls$' "$BATS_TEST_TMPDIR/out"
    judged "$BATS_FILE_TMPDIR/musl" 0 preload 'dynamically linked, musl$'
}

@test "static and static-pie: by a supervisor" {
    judged "$BATS_FILE_TMPDIR/static" 1 supervisor 'statically linked: '
    judged "$BATS_FILE_TMPDIR/static-pie" 1 supervisor 'statically linked \(static-pie\): '
    judged "$BATS_FILE_TMPDIR/musl-static" 1 supervisor 'statically linked'
}

@test "Go, with cgo and without, stripped too: by a supervisor" {
    judged "$BATS_FILE_TMPDIR/go-static" 1 supervisor 'a Go program: '
    judged "$BATS_FILE_TMPDIR/go-stripped" 1 supervisor 'a Go program: '
    judged "$BATS_FILE_TMPDIR/go-cgo" 1 supervisor 'a Go program, though dynamically linked: '
}

# bats test_tags=preload
@test "the library in a Go program says once that it has no effect, and only under a policy" {
    go_program() {
        env LD_PRELOAD="$LIB" "$@" "$BATS_FILE_TMPDIR/go-cgo" 2>&1
    }
    expect "without a policy" "$(go_program)" ""
    expect "with one" "$(go_program LINGER_MODE=rst)" \
        "liblinger: a Go program makes system calls without libc, so the library does not reach it; start it with: linger run"
    expect "a program of libc" "$(LD_PRELOAD=$LIB LINGER_MODE=rst true 2>&1)" ""
}

@test "scripts: their interpreter is judged, through env too" {
    judged "$BATS_FILE_TMPDIR/shell" 0 preload 'dynamically linked, glibc$'
    grep -q '^  through  *\(/usr\)\?/bin/sh$' "$BATS_TEST_TMPDIR/out"
    for name in python python-S; do
        judged "$BATS_FILE_TMPDIR/$name" 0 preload 'dynamically linked, glibc$'
        grep -q '^  through  *\(/usr\)\?/bin/python3$' "$BATS_TEST_TMPDIR/out"
    done
    for script in "$BATS_FILE_TMPDIR/kept "*; do
        judged "$script" 0 preload 'dynamically linked, glibc$'
        grep -q '^  through  *\(/usr\)\?/bin/python3$' "$BATS_TEST_TMPDIR/out"
        expect "what env makes of it" "$("$LINGER" run -m rst -- "$script")" rst
    done
    for script in "$BATS_FILE_TMPDIR/python "*; do
        judged "$script" 1 supervisor 'env in its #! line removes LD_PRELOAD or a LINGER_ variable$'
    done
    judged "$BATS_FILE_TMPDIR/script-of-static" 1 supervisor 'statically linked'
    judged "$BATS_FILE_TMPDIR/script-of-script" 1 supervisor 'statically linked'
}

@test "scripts that lead nowhere" {
    judged "$BATS_FILE_TMPDIR/endless" 2 error 'its chain of #! lines is too long'
    judged "$BATS_FILE_TMPDIR/orphan" 2 error '/no/such/interpreter, which its #! line names, does not exist'
    judged "$BATS_FILE_TMPDIR/python-i" 2 error 'its #! line has options that env refuses'
    judged "$BATS_FILE_TMPDIR/no-program" 2 error 'its #! line has env without a program'
    judged "$BATS_FILE_TMPDIR/pathless" 2 error 'its #! line names python3 without a path'
    judged "$BATS_FILE_TMPDIR/nameless" 2 error 'its #! line names no interpreter'
}

@test "programs of another architecture: not at all, until there is a library of theirs" {
    needs_32_bit_programs
    judged "$BATS_FILE_TMPDIR/i386-static" 2 "not at all" 'a 32-bit i386 program, statically linked: the supervisor is for 64-bit '"$(uname -m | tr _ -)"' programs only$'
    judged "$BATS_FILE_TMPDIR/i386" 2 "not at all" 'a 32-bit i386 program: .*liblinger.so is of another architecture'
    judged "$BATS_FILE_TMPDIR/aarch64" 2 "not at all" 'a 64-bit aarch64 program: .*liblinger.so is of another architecture'
}

@test "a kernel that runs no 32-bit programs is named, by check and by run" {
    [ "$(uname -m)" = x86_64 ] || skip "a kernel for x86-64"
    # Such a kernel answers ENOEXEC; so does this posix_spawn().
    echo '#include <errno.h>
int posix_spawn(void); int posix_spawn(void) { return ENOEXEC; }' | gcc -shared -fPIC -x c -o "$BATS_TEST_TMPDIR/refuses.so" -
    for program in i386 i386-static; do
        LD_PRELOAD=$BATS_TEST_TMPDIR/refuses.so judged "$BATS_FILE_TMPDIR/$program" 2 error \
            'a 32-bit i386 program: this kernel runs no 32-bit programs$'
        run env LD_PRELOAD="$BATS_TEST_TMPDIR/refuses.so" "$LINGER" run -m rst -- "$BATS_FILE_TMPDIR/$program"
        expect status "$status" 126
        [[ $output == *": a 32-bit i386 program: this kernel runs no 32-bit programs" ]]
    done
    # That the question itself is a program the kernel takes where it runs others:
    needs_32_bit_programs
    judged "$BATS_FILE_TMPDIR/i386-static" 2 "not at all" 'a 32-bit i386 program, statically linked: the supervisor'
}

@test "setuid programs and file capabilities: not at all, except for users who gain nothing by them" {
    needs_root
    needs_setuid
    judged "$BATS_FILE_TMPDIR/setuid" 0 preload 'dynamically linked'
    setcap cap_net_bind_service=ep "$BATS_FILE_TMPDIR/caps"
    for program in setuid caps "$(command -v su)" "$(command -v sudo)"; do
        case $program in /*) ;; *) program=$BATS_FILE_TMPDIR/$program ;; esac
        run setpriv --reuid=65534 --clear-groups "$LINGER" check "$program"
        echo "$output"
        expect status "$status" 2
        [[ $output == *"reached by  not at all"*"the loader ignores LD_PRELOAD"* ]]
    done
}

@test "what is not a program" {
    judged "$BATS_FILE_TMPDIR/empty" 2 error 'an empty file$'
    judged "$BATS_FILE_TMPDIR/text" 2 error 'neither an ELF file nor a script'
    judged "$BATS_FILE_TMPDIR/truncated" 2 error 'a broken ELF file: it ends within its program headers$'
    judged "$BATS_FILE_TMPDIR" 2 error 'a directory$'
    judged /etc/passwd 2 error 'cannot be executed: Permission denied$'
    judged no-such-program 2 error 'no such program$'
    for process in $$ nginx.service; do
        judged $process 2 error 'no such program$'
        grep -qx "  but         of a running process: linger check --pid $process" "$BATS_TEST_TMPDIR/out"
    done
    judged "" 2 error 'no such program$'
}

@test "several programs: the worst decides the status" {
    run "$LINGER" check ls "$BATS_FILE_TMPDIR/static" cat
    expect status "$status" 1
    expect programs "$(grep -c '^  reached by' <<<"$output")" 3
    run "$LINGER" check
    expect status "$status" 125
}

# -------- running programs --------

# running STATUS PATTERN PID
running() {
    run "$LINGER" check --pid "$3"
    echo "$output"
    expect status "$status" "$1"
    # shellcheck disable=SC2053 # it is a pattern
    [[ $output == $2 ]]
}

@test "--pid: the library and the policy, though the program has overwritten its environment" {
    start "off port=22; fin-rst role=server prog=python3*; rst" python3 -c '
import ctypes, socket, time
at, end = [int(field) for field in open("/proc/self/stat").read().rsplit(")", 1)[1].split()[47:49]]
ctypes.memset(at, 0, end - at)
listener = socket.create_server(("127.0.0.1", 0))
print("port", listener.getsockname()[1], flush=True)
time.sleep(100)'
    hear_port
    expect "its environment" "$(tr -d '\0' <"/proc/$PID/environ" | wc -c)" 0
    running 0 "python3* (pid $PID)
  library     $LIB
  policy      off port=22; fin-rst role=server*; rst
  listener    127.0.0.1:$PORT  fin-rst" "$PID"
}

@test "--pid: not loaded, and what attach left on a listener" {
    start - "$TOOLS/subject" -r close
    hear_port
    running 2 "subject (pid $PID)
  library     not loaded
  why         it was started without LD_PRELOAD, or *
  listener    127.0.0.1:$PORT  fin" "$PID"
    "$LINGER" attach -q -m rst "$PID"
    running 0 "*
  listener    127.0.0.1:$PORT  rst" "$PID"
    kill "$PID"
    finish
}

@test "--pid: the supervisor, of linger run and of linger supervise" {
    start - "$LINGER" run -b supervise -m rst -- "$TOOLS/subject" -r close
    hear_port
    pid=$(ss -Htlnp "sport = :$PORT" | grep -oP '"subject",pid=\K\d+')
    running 1 "*  library     not loaded
  supervisor  pid $PID: $LINGER run -b supervise -m rst -- $TOOLS/subject -r close
*" "$pid"
    kill "$PID"
    finish
    start - "$TOOLS/subject" -r close
    hear_port
    "$LINGER" supervise -q -y -m rst "$PID"
    running 1 "*  supervisor  pid *: $LINGER supervise -q -y -m rst $PID
*" "$PID"
    kill "$PID"
    finish
}

@test "--pid: another user's process, no process, no word" {
    needs_root
    start - "$TOOLS/subject" -r close
    hear_port
    cp "$LINGER" "$BATS_TEST_TMPDIR"
    chmod 755 "$BATS_TEST_TMPDIR"
    says_no "*pid $PID: it belongs to user 0: root, or CAP_SYS_PTRACE*" \
        setpriv --reuid=65534 --clear-groups "$BATS_TEST_TMPDIR/linger" check --pid "$PID"
    kill "$PID"
    finish
    says_no "*pid $PID: no such process" "$LINGER" check --pid "$PID"
    says_no "*a pid or the name of a unit is missing*" "$LINGER" check --pid
}
