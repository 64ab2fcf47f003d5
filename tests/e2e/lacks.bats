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
    WHAT_TESTS_NAME+=$'\nunlikely-command \\<unlikely-command\\>\n/no/such/file \\<no_such\\>\nsh \\<says\\>'
    expect rows "$(rows_lacking | grep -E 'unlikely|/no/such|^sh ')" \
        "$(printf '%s\n' 'unlikely-command \<unlikely-command\>' '/no/such/file \<no_such\>')"
    names_it() { says x; }
    names_a_file() { echo no_such; }
    names_nothing() { echo sh; }
    for of in names_it:unlikely-command names_a_file:/no/such/file names_nothing:; do
        # shellcheck disable=SC2317 # called by what is tested
        said=$(skip() { echo "${1% is not on this machine}" && exit; } && BATS_TEST_NAME=${of%:*} && needs_what_it_names)
        expect "skipped for" "$said" "${of#*:}"
    done
}

@test "each command of tests/packages that tests use is noticed when it is missing" {
    # On a PATH of nothing but what has no row of its own each row is one that lacks.
    [ "$(PATH=/nonexistent rows_lacking | grep -vc '^/')" -ge 40 ]
    [ "$(PATH=/nonexistent rows_lacking | wc -l)" -le "$(grep -c . <<<"$WHAT_TESTS_NAME")" ]
}
