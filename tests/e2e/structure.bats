#!/usr/bin/env bats
# The sources as a house: which file may stand on which, how large each may be, and that src/README.md tells it.
load helper

rooms() {
    python3 "$ROOT/tests/tools/rooms.py" "$@"
}

# asks ROOM...: what their objects leave to others to define.
asks() {
    (cd "$ROOT/build" && find "$@" -name '*.o' -exec nm -u {} +) | sed -n 's/^ *[Uw] //p' | sort -u
}

@test "no object of the shared rooms calls a name that the library hooks, or a cancellation point of libc" {
    sed -n '/global:/,/local:/s/^ *\([a-z0-9_]*\)\**;/\1/p' "$ROOT/src/preload/liblinger.map" >"$BATS_TEST_TMPDIR/hooks"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/hooks")" -ge 14 ]
    # pthreads(7), those that a library like this one could want.
    printf '%s\n' open openat read pread write pwrite poll ppoll select fcntl sigtimedwait nanosleep send sendto \
        sendmsg recv recvfrom fsync usleep wait waitpid >"$BATS_TEST_TMPDIR/points"
    asks base policy socket report core | sed 's/64$//' | sort >"$BATS_TEST_TMPDIR/asked"
    grep -qx memcpy "$BATS_TEST_TMPDIR/asked"
    grep -Fxf "$BATS_TEST_TMPDIR/hooks" -f "$BATS_TEST_TMPDIR/points" "$BATS_TEST_TMPDIR/asked" | diff /dev/null -
}

@test "arrows between rooms point down, and files make no circle, in includes and in calls" {
    rooms includes "$ROOT/src" "$ROOT/build" >"$BATS_TEST_TMPDIR/includes"
    rooms calls "$ROOT/src" "$ROOT/build" >"$BATS_TEST_TMPDIR/calls"
    grep -qx "core/moments.c -> socket/sock.h" "$BATS_TEST_TMPDIR/includes"
    grep -qx "core/moments.c -> socket/sock.c" "$BATS_TEST_TMPDIR/calls"
    grep -qx "cli/supervise -> core" "$BATS_TEST_TMPDIR/calls"
}

@test "an arrow that points up, or a circle, is found and named" {
    local src=$BATS_TEST_TMPDIR/src
    cp -r "$ROOT/src" "$src"
    echo '#include "cli/supervise/filter.h"' >>"$src/cli/process/processes.h"
    run ! rooms includes "$src" "$ROOT/build"
    [[ ${lines[-1]} == "a circle: "*"cli/process -> cli/supervise"* ]]
    cp -r "$ROOT/src/." "$src"
    echo '#include "policy/mode.h"' >>"$src/policy/cursor.h"
    run ! rooms includes "$src" "$ROOT/build"
    [[ ${lines[-1]} == "a circle: "*"policy/cursor.h -> policy/mode.h"* ]]
    cp -r "$ROOT/src/." "$src"
    echo '#include "preload/real.h"' >>"$src/core/settings.h"
    run ! rooms includes "$src" "$ROOT/build"
    expect "what is named" "${lines[-1]}" "upward: core -> preload"
    local build=$BATS_TEST_TMPDIR/build
    mkdir "$build"
    cp -r "$ROOT"/build/{base,policy,socket,report,core,preload,cli} "$build"
    echo 'int close(int); int circle(void); int circle(void) { return close(0); }' |
        cc -x c -c -o "$BATS_TEST_TMPDIR/circle.o" -
    ld -r -o "$build/base/text.o" "$ROOT/build/base/text.o" "$BATS_TEST_TMPDIR/circle.o"
    run ! rooms calls "$ROOT/src" "$build"
    expect "what is named" "${lines[-1]}" "upward: base -> preload"
}

# large LINES: "N FILE FUNCTION" for each function in the sources with more lines than that.
large() {
    find "$ROOT/src" "$ROOT/examples" -name '*.[ch]' -exec awk -v most="$1" '
        /^$|;$|^}/ && !body { begin = 0 }
        /^[A-Za-z_]/ && !body && !begin { begin = FNR; name = $0 }
        /^{$/ { body = 1 }
        /^}$/ && body {
            if (FNR - begin + 1 > most)
                print FNR - begin + 1, FILENAME, name
            body = begin = 0
        }' {} +
}

@test "a file has at most 500 lines, a function 50, a room 8 files of C with their headers" {
    [ "$(large 0 | wc -l)" -gt 300 ]
    also expect "functions that are larger" "$(large 50)" ""
    also expect "files that are larger" "$(find "$ROOT/src" "$ROOT/examples" -name '*.[ch]' -exec wc -l {} \; | awk '$1 > 500')" ""
    also expect "rooms that are larger" \
        "$(find "$ROOT/src/cli" -mindepth 2 -name '*.[ch]' -printf '%h\n' | sort | uniq -c | awk '$1 > 8')" ""
}

@test "a comment of several lines begins and ends with a line that has nothing else" {
    expect "comments with a stranded beginning" \
        "$(find "$ROOT/src" "$ROOT/examples" -name '*.[ch]' -exec awk '/^ *\/\*./ && !/\*\// { print FILENAME ":" FNR ": " $0 }' {} +)" ""
}

# What src/README.md says there is in src, two levels deep, as the lines of its layout begin.
told() {
    sed -n '/^    src\/base\/ /,/^$/p' "$ROOT/src/README.md" | awk '
        /^    [^ ]/ { top = $1; print top }
        /^      [^ ]/ { print top $1 }' | grep '^src/'
}

# What there is: a .c with its .h in one, directories with a slash. The files of the subcommands are
# those that linger has; what is in src/man, src/completion and src/packaging stands in no list.
there() {
    local commands
    commands=$("$ROOT/linger" --help | awk 'NF == 0 { part++ } part == 2 && NF { print $1 }' | paste -sd'|')
    (cd "$ROOT" && find src -mindepth 1 -maxdepth 2 \( -type d -printf '%p/\n' -o -print \)) |
        grep -vxE "src/cli/($commands)\.c" | grep -vE '^src/((man|completion|packaging)/.|README.md)' |
        awk '{ names[$0] }
             END {
                 for (name in names) {
                     base = substr(name, 1, length(name) - 1)
                     if (name ~ /\.[ch]$/ && (base "c") in names && (base "h") in names)
                         name = base "[ch]"
                     print name
                 }
             }' | sort -u
}

@test "the layout in src/README.md is the real one: src, two levels deep" {
    told | sort | diff - <(there)
}

places() {
    python3 "$ROOT/tests/tools/places.py" "$ROOT" "$@"
}

@test "each mode, condition, fact, hook and command is mentioned wherever its kind has to be" {
    places >"$BATS_TEST_TMPDIR/missing"
    expect "what is missing, and where" "$(cat "$BATS_TEST_TMPDIR/missing")" ""
}

@test "one that is nowhere yet is missed at every place, all at once" {
    places mode=nowhere condition=nowhere fact=NOWHERE hook=nowhere command=nowhere | tee "$BATS_TEST_TMPDIR/missing"
    expect "places of all kinds" "$(wc -l <"$BATS_TEST_TMPDIR/missing")" \
        "$(grep -cE '^    \("(mode|condition|fact|hook|command)"' "$ROOT/tests/tools/places.py")"
    for place in "mode nowhere: README.md" "condition nowhere: src/man/liblinger.7, .Ss Grammar" "fact NOWHERE: src/report/report.c" \
        "hook nowhere: src/man/liblinger.7, .Ss Moments" "command nowhere: src/completion/linger.bash"; do
        grep -qF "$place" "$BATS_TEST_TMPDIR/missing" || also expect "a place" "" "$place"
    done
}

@test "what src/README.md tells to touch is there" {
    sed -n '/^| to add/,/^$/p' "$ROOT/src/README.md" | grep -oE '`[a-z/]+\.[a-z]+`' | tr -d '`' | sort -u >"$BATS_TEST_TMPDIR/told"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/told")" -ge 8 ]
    while read -r file; do
        [ -e "$ROOT/$file" ] || [ -n "$(find "$ROOT/src" -name "$file")" ] || also expect "a file" "" "$file"
    done <"$BATS_TEST_TMPDIR/told"
}
