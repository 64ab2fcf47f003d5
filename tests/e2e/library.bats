#!/usr/bin/env bats
# The file itself: one for every libc.
load helper

@test "no symbol-version requirement" {
    run readelf -VW "$LIB"
    [[ $output == *"No version information found"* ]]
}

@test "imports are on the list, and nothing else is" {
    nm -D --undefined-only "$LIB" | awk '{ print $NF }' | sort >"$BATS_TEST_TMPDIR/imports"
    grep -v '^#' "$ROOT/tests/imports" | sort >"$BATS_TEST_TMPDIR/allowed"
    # mem* and strncmp() come and go with the compiler's choices, and clang makes bcmp of memcmp; ntohs() is a
    # function where musl's headers are; syscall() is asked for where base/kernel.h does not know the
    # architecture.
    comm -23 "$BATS_TEST_TMPDIR/imports" "$BATS_TEST_TMPDIR/allowed" >"$BATS_TEST_TMPDIR/new"
    comm -13 "$BATS_TEST_TMPDIR/imports" "$BATS_TEST_TMPDIR/allowed" | grep -vE '^(mem|bcmp|strncmp$|ntohs$|syscall$)' >"$BATS_TEST_TMPDIR/gone" || true
    diff /dev/null "$BATS_TEST_TMPDIR/new"
    diff /dev/null "$BATS_TEST_TMPDIR/gone"
}

@test "exports are those of liblinger.map" {
    nm -D --defined-only "$LIB" | awk '{ print $NF }' | sort >"$BATS_TEST_TMPDIR/exports"
    # The names for a time of 64 bits are those of a library for 32 bits.
    sed -n '/global:/,/local:/s/^ *\([a-z0-9_]*\);/\1/p' "$ROOT/src/preload/liblinger.map" | grep -v '^__.*64$' | sort >"$BATS_TEST_TMPDIR/map"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/map")" -ge 14 ]
    diff "$BATS_TEST_TMPDIR/map" "$BATS_TEST_TMPDIR/exports"
}

# bats test_tags=plain
@test "under 64 KiB, no segment writable and executable, no executable stack, needs libc alone" {
    [ "$(stat -c %s "$LIB")" -lt 65536 ]
    run readelf -lW "$LIB"
    [[ $output != *RWE* ]]
    [[ $output == *GNU_STACK*"RW "* ]]
    expect needed "$(readelf -dW "$LIB" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | sort | tr '\n' ' ')" "libc.so.6 "
}

@test "the same file in a program linked with musl" {
    SUBJECT=$BATS_TEST_TMPDIR/subject
    musl-gcc -D_GNU_SOURCE -o "$SUBJECT" -idirafter /usr/include -idirafter "/usr/include/$(gcc -dumpmachine)" "$ROOT/tests/tools/subject.c"
    readelf -lW "$SUBJECT" | grep -q ld-musl
    for way in close fclose dup2 exec sigkill scm_rights scm_rights_mmsg; do
        meet rst $way
        sees 5 0 1 0
        meet "fin-rst role=server" $way
        sees 5 1 0 0
    done
    # musl has none of the last three.
    for way in fclose freopen64 closefrom libc_close_range; do
        meet "rst when=active" $way
        sees 5 0 1 0
        expect "$way: status" "$STATUS" 0
    done
    # And the kernel none before Linux 5.9.
    printf '#!/bin/sh\nexec "%s" 38 close_range "%s" "$@"\n' "$TOOLS/refuse" "$SUBJECT" >"$BATS_TEST_TMPDIR/old"
    chmod +x "$BATS_TEST_TMPDIR/old"
    for policy in rst "rst when=active"; do
        SUBJECT=$BATS_TEST_TMPDIR/old meet "$policy" closefrom
        sees 5 0 1 0
        expect "status under $policy" "$STATUS" 0
    done
    status=0
    (under nonsense "$SUBJECT" nothing) 2>"$BATS_TEST_TMPDIR/complaint" || status=$?
    expect status $status 125
    grep -q "unknown mode 'nonsense'" "$BATS_TEST_TMPDIR/complaint"
}

@test "still right when another library's constructor calls first" {
    gcc -shared -fPIC -o "$BATS_TEST_TMPDIR/early.so" "$ROOT/tests/tools/early.c"
    for order in "$BATS_TEST_TMPDIR/early.so:$LIB" "$LIB:$BATS_TEST_TMPDIR/early.so"; do
        start - env ${WITHOUT_LIBRARY:+-u LINGER_MODE} LD_PRELOAD="${WITHOUT_LIBRARY:+$BATS_TEST_TMPDIR/early.so }${WITHOUT_LIBRARY:-$order}" LINGER_MODE=rst "$TOOLS/subject" -r close
        hear
        expect "the early socket's SO_LINGER" "$REPLY" "early 1,0"
        hear_port
        SEEN=$("$TOOLS/peer" -k connect "$PORT")
        finish
        expect "the peer saw" "$SEEN" "bytes=5 eof=0 reset=1"
    done
}

@test "a thread of another library's constructor calls while it loads: loaded once, no socket without the policy" {
    gcc -shared -fPIC -D_GNU_SOURCE -o "$BATS_TEST_TMPDIR/early.so" "$ROOT/tests/tools/early-thread.c" -pthread -ldl
    for at in dl_iterate_phdr getauxval; do
        for row in socket,rst,1,1 "listen,rst role=server,1,0" "connect,rst role=client,0,1"; do
            IFS=, read -r late policy listener client <<<"$row"
            run -0 --separate-stderr env EARLY=$at LATE=$late LD_PRELOAD="${WITHOUT_LIBRARY:-$LIB}:$BATS_TEST_TMPDIR/early.so" LINGER_MODE="$policy; $policy" true
            expect "SO_LINGER under $policy, $late() held from $at" "$output" "listener $listener,0"$'\n'"client $client,0"
            expect "warnings" "$(grep -c "rule 2 can never decide" <<<"$stderr")" 1
        done
    done
}

# In a symbol table of either kind; of two versions the one that a program linked today gets; and not
# what it only calls itself.
@test "a library that comes after it is called next" {
    printf 'ONE { global: close; setsockopt; recvmmsg; }; TWO { global: close; } ONE;\n' >"$BATS_TEST_TMPDIR/map"
    printf '%s\n' '#define _GNU_SOURCE' '#include <sys/syscall.h>' '#include <unistd.h>' \
        '__asm__(".symver one, close@ONE\n.symver two, close@@TWO");' \
        'int one(int fd) { write(1, "one\n", 4); return syscall(SYS_close, fd); }' \
        'int two(int fd) { write(1, "next\n", 5); return syscall(SYS_close, fd); }' \
        'int setsockopt(void) { write(1, "set ", 4); return 0; }' \
        'int recvmmsg(void) { write(1, "received ", 9); return 0; }' \
        'int shutdown(int, int); int calls(void) { return shutdown(0, 2); }' >"$BATS_TEST_TMPDIR/next.c"
    printf '%s\n' 'int setsockopt(), recvmmsg(), shutdown(), close();' \
        'int main(void) { setsockopt(0, 0, 0, 0, 0); recvmmsg(0, 0, 0, 0, 0); shutdown(0, 2); return close(0); }' >"$BATS_TEST_TMPDIR/closes.c"
    gcc -w -fno-builtin -o "$BATS_TEST_TMPDIR/closes" "$BATS_TEST_TMPDIR/closes.c"
    for style in gnu sysv; do
        gcc -w -shared -fPIC -Wl,--hash-style=$style,--version-script="$BATS_TEST_TMPDIR/map" -o "$BATS_TEST_TMPDIR/next.so" "$BATS_TEST_TMPDIR/next.c"
        for policy in rst "rst when=active"; do
            expect "under $policy, $style" "$(LIB="$LIB:$BATS_TEST_TMPDIR/next.so" under "$policy" "$BATS_TEST_TMPDIR/closes")" "set received next"
        done
    done
}

# As dlsym() finds them too: chosen as the program starts, without a type, mapped below where it was linked to.
@test "a library that comes after it is called next, whatever kind of symbol it has and wherever it was linked to" {
    local next='long next(int fd) { write(1, "next\n", 5); return syscall(SYS_close, fd); }'
    printf '%s\n' 'int close(); int main(void) { return close(0); }' >"$BATS_TEST_TMPDIR/closes.c"
    gcc -w -o "$BATS_TEST_TMPDIR/closes" "$BATS_TEST_TMPDIR/closes.c"
    while IFS=: read -r kind definition options; do
        printf '%s\n' '#include <sys/syscall.h>' '#include <unistd.h>' "$next" "$definition" >"$BATS_TEST_TMPDIR/next.c"
        for style in gnu sysv; do
            gcc -w -fno-builtin -shared -fPIC -Wl,--hash-style=$style $options -o "$BATS_TEST_TMPDIR/next.so" "$BATS_TEST_TMPDIR/next.c"
            expect "$kind, $style" "$(LIB="$LIB:$BATS_TEST_TMPDIR/next.so" under rst "$BATS_TEST_TMPDIR/closes")" next
        done
    done <<'EOF'
chosen:static void *choose(void) { return next; } int close(int) __attribute__((ifunc("choose")));:
untyped:__asm__(".globl close\n.set close, next\n.type close, @notype");:
linked high:int close(int fd) { return next(fd); }:-Wl,-Ttext-segment=0xffffffff00000000
EOF
}

# Libc comes before it then.
@test "loaded by the program as it runs, its functions are libc's" {
    LINGER_MODE=rst python3 -c "
import ctypes, os, sys
library = ctypes.CDLL(sys.argv[1])
fd = os.dup(0)
assert library.close(fd) == 0 and library.close(fd) == -1
assert library.socket(2, 1, 0) == fd" "$LIB"
}

# System calls of a program under MODE that has only its standard descriptors, and 20 beyond FIRST.
load_calls() { # FIRST MODE
    (
        for fd in /proc/"$BASHPID"/fd/*; do
            [ "${fd##*/}" -le 2 ] || eval "exec ${fd##*/}>&-"
        done
        for ((fd = $1; fd < $1 + 20; fd++)); do
            eval "exec $fd</dev/null"
        done
        exec strace -qq -o "$BATS_TEST_TMPDIR/strace" -E LINGER_MODE="$2" -E LD_PRELOAD="$LIB" true
    ) </dev/null
    wc -l <"$BATS_TEST_TMPDIR/strace"
}

@test "loading asks once about each open descriptor, and makes four calls to know which these are" {
    for first in 10 250; do
        for mode in rst "fin-rst role=server"; do
            expect "calls under $mode, from $first" $(($(load_calls $first "$mode") - $(load_calls $first off))) $((23 + 4))
        done
    done
}

@test "loading costs at most 4 page faults more than an empty library" {
    gcc -shared -nostdlib -fPIC -x c /dev/null -x none -Wl,--no-as-needed -lc -o "$BATS_TEST_TMPDIR/empty.so"
    run -0 python3 -c "
import os, statistics, sys
def faults(library):
    pid = os.posix_spawn('/bin/true', ['true'], {'LD_PRELOAD': library, 'LINGER_MODE': 'fin-rst role=server'})
    return os.wait4(pid, 0)[2].ru_minflt
print(statistics.mean(faults(sys.argv[1]) - faults(sys.argv[2]) for _ in range(50)))" "$LIB" "$BATS_TEST_TMPDIR/empty.so"
    echo "$output more"
    [ "${output%.*}" -lt 4 ]
}

@test "the library twice in one process" {
    cp "$LIB" "$BATS_TEST_TMPDIR/other.so"
    LIB="$LIB:$BATS_TEST_TMPDIR/other.so" meet "rst when=active" close
    sees 5 0 1 0
}

@test "in an ASan program, after its runtime" {
    SUBJECT=$BATS_TEST_TMPDIR/subject
    gcc -fsanitize=address -D_GNU_SOURCE -o "$SUBJECT" "$ROOT/tests/tools/subject.c" -pthread
    LIB="$(gcc -print-file-name=libasan.so):$LIB" meet rst close
    sees 5 0 1 0
}

@test "under an auditor of the dynamic linker, which sees each symbol bound" {
    gcc -shared -fPIC -D_GNU_SOURCE -include link.h -x c -o "$BATS_TEST_TMPDIR/audit.so" - <<'END'
unsigned la_version(unsigned version) { return version; }
unsigned la_objopen(struct link_map *map, Lmid_t list, uintptr_t *cookie) { return LA_FLG_BINDTO | LA_FLG_BINDFROM; }
END
    LD_AUDIT=$BATS_TEST_TMPDIR/audit.so meet "rst when=active" close
    sees 5 0 1 0
}

@test "dlmopen(): libraries in a namespace of their own are out of reach, and the others are not" {
    gcc -D_GNU_SOURCE -x c -o "$BATS_TEST_TMPDIR/two" - <<'END'
#include <dlfcn.h>
#include <stdio.h>
#include <sys/socket.h>
static int lingers(int (*make)(int, int, int))
{
    struct linger linger = {0, 0};
    socklen_t size = sizeof(linger);
    getsockopt(make(AF_INET, SOCK_STREAM, 0), SOL_SOCKET, SO_LINGER, &linger, &size);
    return linger.l_onoff;
}
int main(void)
{
    void *other = dlmopen(LM_ID_NEWLM, "libc.so.6", RTLD_NOW);
    printf("%d %d\n", other ? lingers(dlsym(other, "socket")) : -1, lingers(socket));
}
END
    expect "without and with the library" "$("$BATS_TEST_TMPDIR/two") $(under rst "$BATS_TEST_TMPDIR/two")" "0 0 0 1"
}
