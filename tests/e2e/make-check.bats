#!/usr/bin/env bats
# What make check prints, and make check T=WORD: in a copy of the tree, with stand-ins of apt and dpkg.
load helper

setup() {
    TREE=$BATS_TEST_TMPDIR/tree
    mkdir -p "$TREE/build" "$BATS_TEST_TMPDIR/bin"
    cp -a "$ROOT"/{Makefile,src,tests,examples,linger,liblinger.so} "$TREE"
    for part in "$ROOT"/build/*; do
        case $part in */go-cache | *.log) ;; *) cp -a "$part" "$TREE/build" ;; esac
    done
    for name in apt-get apt-cache dpkg-query sudo; do
        printf '#!/bin/sh\necho %s >>%q\n' "$name" "$BATS_TEST_TMPDIR/called" >"$BATS_TEST_TMPDIR/bin/$name"
        chmod +x "$BATS_TEST_TMPDIR/bin/$name"
    done
}

# make_check ARGUMENT...: in the copy.
make_check() {
    run env -u MAKEFLAGS -u MAKELEVEL PATH="$BATS_TEST_TMPDIR/bin:$PATH" make -C "$TREE" --no-print-directory check "$@"
}

@test "T=WORD: only the files that have it in their name, nothing is installed, a line for each phase, the time, the sum" {
    make_check T='test_text test_nearest'
    echo "$output"
    [ "$status" -eq 0 ]
    [ ! -e "$BATS_TEST_TMPDIR/called" ]
    [ "${lines[0]}" = "check: installing nothing; running what has 'test_text' or 'test_nearest' in its name" ]
    [[ ${lines[1]} = "check: building "* ]]
    [[ ${lines[2]} = "check: running"* ]]
    [[ ${lines[3]} =~ ^unit/test_nearest\ +[0-9]+\ passed,\ 0\ failed,\ 0\ skipped$ ]]
    [[ ${lines[4]} =~ ^unit/test_text\ +[0-9]+\ passed,\ 0\ failed,\ 0\ skipped$ ]]
    [[ ${lines[5]} =~ ^check:\ [0-9]+\ min\ [0-9]+\ s$ ]]
    [[ ${lines[6]} =~ ^[0-9]+\ passed,\ 0\ failed,\ 0\ skipped$ ]]
    [ ${#lines[@]} -eq 7 ]
}

@test "T=WORD that no file has: the names that there are, and not a success" {
    make_check T=atach
    [ "$status" -ne 0 ]
    [[ $output = *"no file has 'atach' in its name: there are unit/*, e2e/*"* ]]
    [[ $output = *"0 passed, 1 failed, 0 skipped"* ]]
}

@test "a test that fails is shown, and is in the sum" {
    sed -i 's/"ab=xy"/"ab=yx"/' "$TREE/tests/unit/test_text.c"
    make_check T=test_text
    [ "$status" -ne 0 ]
    [[ $output = *"not ok 1 - test_each_kind"* ]]
    [[ $output = *" passed, 1 failed, 0 skipped"* ]]
}

@test "make help explains T" {
    env -u MAKEFLAGS make -C "$ROOT" -s help | grep -A3 '^check ' | grep -q 'T=attach'
}
