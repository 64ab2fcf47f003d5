#!/usr/bin/env bats
# Every architecture: built by Debian's cross compilers; i386 runs as it is where the kernel takes it,
# all else under qemu's user emulation, which hands SO_LINGER, TCP_LINGER2 and TCP_INFO on to this kernel.
load helper

# build ARCHITECTURE: in a copy of the sources, once for all tests of it, without a warning. Sets LIB,
# SUBJECT and EMULATOR.
build() {
    local tree=$BATS_FILE_TMPDIR/$1 compiler=$1-linux-gnu-gcc
    if [ ! -e "$tree/linger" ]; then
        mkdir -p "$tree"
        cp -r "$ROOT/Makefile" "$ROOT/src" "$tree"
        make -s -C "$tree" WERROR=1 CC="$compiler" 2>&1 | diff /dev/null -
    fi
    LIB=$tree/liblinger.so
    SUBJECT=$BATS_TEST_TMPDIR/$1-subject
    "$compiler" -O1 -D_GNU_SOURCE -o "$SUBJECT" "$ROOT/tests/tools/subject.c" -pthread
    EMULATOR=(qemu-"$1" -L "/usr/$1-linux-gnu")
    if [ "$1" = i686 ]; then
        EMULATOR=(qemu-i386 -L /usr/i686-linux-gnu)
        ! runs_32_bit_programs || EMULATOR=()
    fi
}

# The subject is a program of that architecture, all else one of this machine.
under() { # MODE COMMAND...
    local mode=$1
    shift
    [ "$1" = "$SUBJECT" ] || exec "$@"
    if [ "$mode" = - ] || [ -n "${WITHOUT_LIBRARY:-}" ]; then
        exec "${EMULATOR[@]}" "$@"
    elif [ ${#EMULATOR[@]} -eq 0 ]; then
        LD_PRELOAD=$LIB LINGER_MODE=$mode exec "$@"
    fi
    # By -E, so that the emulator itself is left alone.
    exec "${EMULATOR[@]}" -E LD_PRELOAD="$LIB" -E LINGER_MODE="$mode" \
        -E LINGER_LOG="${LINGER_LOG:-}" -E LINGER_STATS="${LINGER_STATS:-}" "$@"
}

works_on() { # ARCHITECTURE WHAT-READELF-SAYS
    build "$1"
    readelf -hW "$LIB" | grep -E "Class|Data|Machine" | tr -s ' \n' ' ' | grep -q "$2"
    nm -D --undefined-only "$LIB" | awk '{ print $NF }' | sort >"$BATS_TEST_TMPDIR/imports"
    grep -v '^#' "$ROOT/tests/imports" | sort | comm -23 "$BATS_TEST_TMPDIR/imports" - | diff /dev/null -
    readelf -VW "$LIB" | grep -q "No version information found"
    keeps_the_promise
    # The log and the counters; the byte order of the file is this machine's own or said to be another.
    LINGER_LOG=$BATS_TEST_TMPDIR/log LINGER_STATS=$BATS_TEST_TMPDIR/stats meet rst close
    expect events "$(python3 "$ROOT/tests/tools/parse-log.py" <"$BATS_TEST_TMPDIR/log")" "arm=1 close=1 load=1"
    status=0
    (under rts "$SUBJECT" nothing) 2>"$BATS_TEST_TMPDIR/complaint" || status=$?
    expect "status of a bad policy" "$status" 125
    # The command line, as far as it needs no other process.
    "${EMULATOR[@]}" "${LIB%/*}/linger" check "$SUBJECT" | grep -q "dynamically linked, glibc"
}

# bats test_tags=plain
@test "i386" {
    works_on i686 "ELF32 .*little endian .*Intel 80386"
    "$ROOT/linger" stats -j "$BATS_TEST_TMPDIR/stats" | grep -q '"armed_rst":1'
}

# Where the library has no instruction of its own that enters the kernel, libc's syscall() sets errno.
# bats test_tags=plain
@test "i386: a call of the library's own leaves errno alone" {
    build i686
    i686-linux-gnu-gcc -D_GNU_SOURCE -include errno.h -include unistd.h -x c -o "$SUBJECT" - <<<\
        'int main(void) { errno = 7; return close_range(900, 900, 0) == 0 ? errno : 99; }'
    local status=0
    (under - "$SUBJECT") || status=$?
    [ $status != 99 ] || skip "close_range() needs Linux 5.9"
    status=0
    (LINGER_LOG=$BATS_TEST_TMPDIR/log under off "$SUBJECT") || status=$?
    expect "errno with a log" "$status" 7
}

build_with_64_bit_time() {
    build i686
    i686-linux-gnu-gcc -O1 -D_GNU_SOURCE -D_TIME_BITS=64 -D_FILE_OFFSET_BITS=64 -o "$SUBJECT" "$ROOT/tests/tools/subject.c" -pthread
    nm -D --undefined-only "$SUBJECT" | grep -q " __.*64" || skip "this glibc has no time of 64 bits for i386"
}

# bats test_tags=plain
@test "i386 with 64-bit time: glibc has other names for it" {
    build_with_64_bit_time
    for name in __setsockopt64 __recvmsg64 __recvmmsg64; do
        nm -D --undefined-only "$SUBJECT" | grep -q " $name"
    done
    meet rst -o 0,0 close
    sees 5 0 1 0
}

# bats test_tags=plain
@test "i386 with 64-bit time: a descriptor that is received" {
    runs_32_bit_programs || skip "this kernel runs no 32-bit programs, and qemu-i386 spins in recvmsg() with a descriptor"
    build_with_64_bit_time
    for way in scm_rights scm_rights_mmsg; do
        rm -f "$BATS_TEST_TMPDIR/log"
        LINGER_LOG=$BATS_TEST_TMPDIR/log meet rst $way
        expect "received and armed" "$(grep -c " event=arm at=receive " "$BATS_TEST_TMPDIR/log")" 1
    done
}

# bats test_tags=plain
@test "aarch64" {
    works_on aarch64 "ELF64 .*little endian .*AArch64"
    "$ROOT/linger" stats -j "$BATS_TEST_TMPDIR/stats" | grep -q '"armed_rst":1'
}

# bats test_tags=plain
@test "riscv64" {
    works_on riscv64 "ELF64 .*little endian .*RISC-V"
    "$ROOT/linger" stats -j "$BATS_TEST_TMPDIR/stats" | grep -q '"armed_rst":1'
}

# bats test_tags=plain
@test "s390x, which is big-endian" {
    works_on s390x "ELF64 .*big endian .*S/390"
    run "$ROOT/linger" stats "$BATS_TEST_TMPDIR/stats"
    expect "status for a file of another byte order" "$status" 125
    "${EMULATOR[@]}" "${LIB%/*}/linger" stats -j "$BATS_TEST_TMPDIR/stats" | grep -q '"armed_rst":1'
    # Alone but for alpha it has words of 8 bytes in DT_HASH.
    SUBJECT=$BATS_TEST_TMPDIR/closes
    echo 'int close(int); int main(void) { return close(0); }' | s390x-linux-gnu-gcc -o "$SUBJECT" -x c -
    echo 'long write(int, const char *, long); int close(int fd) { return write(1, "next", 4) - 4 + 0 * fd; }' |
        s390x-linux-gnu-gcc -w -shared -fPIC -Wl,--hash-style=sysv -o "$BATS_TEST_TMPDIR/next.so" -x c -
    expect "what comes next" "$(LIB="$LIB:$BATS_TEST_TMPDIR/next.so" under rst "$SUBJECT")" next
}
