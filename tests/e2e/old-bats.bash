# shellcheck shell=bash
# What the tests use and bats before 1.8 (Debian 11 has 1.2) lacks; tests/check sets
# TESTS_LEFT_OUT, BATS_RUN_TMPDIR and BATS_FILE_TMPDIR for it.

bats_require_minimum_version() { :; }

if [ -z "${BATS_FILE_TMPDIR:-}" ]; then
    BATS_RUN_TMPDIR=$(mktemp -d)
    export BATS_RUN_TMPDIR BATS_FILE_TMPDIR=$BATS_RUN_TMPDIR
fi
BATS_TEST_TMPDIR=$(mktemp -d -p "$BATS_FILE_TMPDIR")
export BATS_TEST_TMPDIR
chmod 755 "$BATS_TEST_TMPDIR"

# run [-STATUS | !] [--separate-stderr] COMMAND...
run() {
    local flags=$- wanted='' apart=''
    while :; do
        case $1 in
            !) wanted=other ;;
            -[0-9]*) wanted=${1#-} ;;
            --separate-stderr) apart=yes ;;
            *) break ;;
        esac
        shift
    done
    set +eET
    # shellcheck disable=SC2034 # for the test
    if [ -n "$apart" ]; then
        output=$("$@" 2>"$BATS_TEST_TMPDIR/.stderr")
        status=$?
        stderr=$(cat "$BATS_TEST_TMPDIR/.stderr")
        mapfile -t stderr_lines <<<"$stderr"
    else
        output=$("$@" 2>&1)
        status=$?
    fi
    # shellcheck disable=SC2034
    mapfile -t lines <<<"$output"
    set "-$flags"
    case $wanted in
        '') return 0 ;;
        other) [ $status -ne 0 ] ;;
        *) [ $status -eq "$wanted" ] ;;
    esac || {
        echo "status $status: $*"
        echo "$output"
        return 1
    }
}

# Of the tags only the ones that are left out: TESTS_LEFT_OUT is !TAG,!TAG...
needs_no_tag_left_out() {
    local tag
    for tag in ${TESTS_LEFT_OUT//,/ }; do
        ! grep -F -B 1 "@test \"$BATS_TEST_DESCRIPTION\"" "$BATS_TEST_FILENAME" | grep -q "test_tags=.*${tag#!}" ||
            skip "left out here: tag ${tag#!}"
    done
}
