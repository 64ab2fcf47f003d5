#!/usr/bin/env bats
# What a test names and this machine lacks.
load helper

says() { # NAME-OF-A-COMMAND
    unlikely_helper "$1"
}
unlikely_helper() {
    echo "unlikely-command --of \"$1\""
}

@test "a test is skipped for what it, or what it calls, names and this machine lacks" {
    WHAT_TESTS_NAME+=$'\nunlikely-command some-package \\<unlikely-command\\>\n/no/such/file other \\<no_such\\>\nsh dash \\<says\\>'
    expect rows "$(rows_lacking | grep -E 'unlikely|/no/such|^sh ')" \
        "$(printf '%s\n' 'unlikely-command some-package \<unlikely-command\>' '/no/such/file other \<no_such\>')"
    names_it() { says x; }
    names_a_file() { echo no_such; }
    names_nothing() { echo sh; }
    for of in "names_it:unlikely-command is not on this machine (some-package)" \
        "names_a_file:/no/such/file is not on this machine (other)" names_nothing:; do
        # shellcheck disable=SC2317 # called by what is tested
        said=$(skip() { echo "$1" && exit; } && BATS_TEST_NAME=${of%:*} && needs_what_it_names)
        expect "skipped for" "$said" "${of#*:}"
    done
}

@test "each command that tests use is noticed when it is missing, and its package stands in tests/packages" {
    [ "$(PATH=/nonexistent rows_lacking | grep -vc '^/')" -ge 40 ]
    run comm -23 <(awk 'NF { print $2 }' <<<"$WHAT_TESTS_NAME" | sort -u) <(sed 's/ .*//' "$ROOT/tests/packages" | sort -u)
    expect "packages that tests/packages does not name" "$output" ""
}
