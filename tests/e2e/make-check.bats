#!/usr/bin/env bats
# What make check builds, runs and prints: in a copy of the tree, with stand-ins of apt and dpkg.
load helper

setup() {
    TREE=$BATS_TEST_TMPDIR/tree
    mkdir -p "$TREE/build" "$BATS_TEST_TMPDIR/bin"
    cp -a "$ROOT"/{Makefile,src,tests,examples} "$TREE"
    [ ! -e "$ROOT/build/sanitized" ] || cp -a "$ROOT/build/sanitized" "$TREE/build"
    for name in apt-get apt-cache dpkg-query sudo; do
        printf '#!/bin/sh\necho %s >>%q\n' "$name" "$BATS_TEST_TMPDIR/called" >"$BATS_TEST_TMPDIR/bin/$name"
        chmod +x "$BATS_TEST_TMPDIR/bin/$name"
    done
    # Tests that a tree of nothing but its sources can run at once.
    rm "$TREE"/tests/e2e/*.bats
    printf '@test "first" { %s; }\n@test "second" { %s; }\n' true true >"$TREE/tests/e2e/short.bats"
    printf '@test "lacks" { skip "%s"; }\n' "java is not on this machine (default-jdk-headless)" >"$TREE/tests/e2e/lacking.bats"
    printf '@test "lacks" { skip "%s"; }\n' "nginx is not on this machine (nginx-light)" >"$TREE/tests/e2e/lacking-less.bats"
    printf '@test "kernel" { skip "%s"; }\n@test "root" { skip "needs %s"; }\n' "this kernel has no such thing" root >"$TREE/tests/e2e/other.bats"
    # No library, no linger, no test program is built for these.
    sed -i 's/^test-tools:.*/test-tools:/' "$TREE/Makefile"
    touch -r "$ROOT/Makefile" "$TREE/Makefile" # what is built need not be built again
}

# make_check ARGUMENT...: in the copy.
make_check() {
    run env -u MAKEFLAGS -u MAKELEVEL PATH="$BATS_TEST_TMPDIR/bin:$PATH" make -C "$TREE" --no-print-directory check "$@"
    echo "$output"
}

@test "T=WORD: builds and runs only what has it in its name; a line for each file, the time, the sum; nothing is installed" {
    make_check T='test_text test_nearest'
    [ "$status" -eq 0 ]
    [ ! -e "$BATS_TEST_TMPDIR/called" ]
    expect "programs that were built" "$(cd "$TREE/build/tests" && echo unit/*[^d])" "unit/test_nearest unit/test_text"
    [ ! -e "$TREE/linger" ]
    [ "${lines[0]}" = "check: running what has 'test_text' or 'test_nearest' in its name" ]
    [[ ${lines[1]} = "check: building"* ]]
    expect "a line for each" "$(printf '%s\n' "${lines[@]:2:2}" | sort | sed -E 's/ +[0-9]+ passed, 0 failed, 0 skipped, [0-9]+ s$//' | xargs)" \
        "unit/test_nearest unit/test_text"
    [[ ${lines[4]} =~ ^check:\ [0-9]+\ min\ [0-9]+\ s$ ]]
    [[ ${lines[5]} =~ ^[0-9]+\ passed,\ 0\ failed,\ 0\ skipped$ ]]
    [ ${#lines[@]} -eq 6 ]
}

@test "T=WORD that no file has: the names that there are, and not a success" {
    make_check T=atach
    [ "$status" -ne 0 ]
    [[ $output = *"no file has 'atach' in its name: there are unit/*, e2e/*"* ]]
}

@test "what was skipped for want of a package: which, and the command; nothing that ran is no success" {
    make_check T=e2e/lacking
    [ "$status" -ne 0 ]
    [[ $output = *"check: skipped 2 for want of packages, which \`make test-deps ALL=1\` installs: default-jdk-headless (1), nginx-light (1)"* ]]
    [[ $output = *"check: nothing ran"* ]]
    make_check T=e2e/lacking-less
    [[ $output = *"check: skipped 1 for want of packages, which \`make test-deps\` installs: nginx-light (1)"* ]]
    make_check T='other short'
    [ "$status" -eq 0 ]
    [[ $output = *"check: skipped 1 for another reason: needs root (1)"* ]]
    [[ $output = *$'\n2 passed, 0 failed, 2 skipped' ]]
}

@test "what fails or ends early is shown at the end, in the order of the names, and is in the sum" {
    sed -i 's/"ab=xy"/"ab=yx"/' "$TREE/tests/unit/test_text.c"
    printf '@test "third" { echo because; false; }\n@test "fourth" { true; }\n' >"$TREE/tests/e2e/bad.bats"
    printf '@test "fifth" { kill -KILL $PPID; }\n@test "sixth" { true; }\n' >"$TREE/tests/e2e/ends.bats"
    make_check T='test_text bad ends short'
    [ "$status" -ne 0 ]
    expect "files that are shown" "$(grep '^--------' <<<"$output" | xargs)" \
        "-------- unit/test_text -------- e2e/bad -------- e2e/ends"
    [[ $output = *"-------- unit/test_text"*"not ok 1 - test_each_kind"*"-------- e2e/bad"*"not ok 1 third"*because* ]]
    [[ $output = *"e2e/ends: ended early"* ]]
    [[ $output = *" passed, 3 failed, 0 skipped"* ]]
}

@test "make help explains T" {
    env -u MAKEFLAGS make -C "$ROOT" -s help | grep -A3 '^check ' | grep -q 'T=attach'
}

@test "the end-to-end files that tests/check and tests/mutate name are there" {
    sed -n 's/^longest="\(.*\)"/\1/p' "$ROOT/tests/check" | tr ' ' '\n' >"$BATS_TEST_TMPDIR/names"
    sed -n '/^BASE = /,/^}/p' "$ROOT/tests/mutate" | grep -oE '"[a-z/-]+"[],]' | tr -d '"],' >>"$BATS_TEST_TMPDIR/names"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/names")" -ge 40 ]
    while read -r name; do
        [ -e "$ROOT/tests/e2e/${name##*/}.bats" ] || also expect "a file of tests" "" "$name"
    done <"$BATS_TEST_TMPDIR/names"
}
