# shellcheck shell=bash
# What the suites share. A suite is a script in this directory with the commands
#
#     prepare            get and build what it needs
#     run MODE           run all of it; MODE is without, with, fin-rst or rst
#     ran MODE           how many tests the last run had, those that did not pass too
#     again MODE TEST... run these tests alone and print those that passed
#     exceptions MODE    one a line: a pattern of test names, a tab, the reason
#     limits             least=N tests, connections=N of TCP at least, most=N % of TIME_WAIT besides
#                        half_closed=N (see moved in run), limit=SECONDS, together=yes for all modes
#
# `run` leaves in build/suites: NAME.MODE.passed, the sorted names of the tests that passed;
# NAME.MODE.log, what the suite said; NAME.MODE.counters, by how much the kernel's counters grew.

set -u -o pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd) || exit 1
suite=${0##*/}
out=$root/build/suites
# The driver works on a copy: the file may be built anew while a suite runs.
library=${SUITES_LIBRARY:-$root/liblinger.so}
export LC_ALL=C
mkdir -p "$out" || exit 1

for name in LD_PRELOAD $(compgen -e LINGER_); do
    unset "$name"
done

# environment MODE: sets the array `under`, a prefix for the command that the library is loaded into;
# the commands around it, `timeout` too, are left alone.
environment() {
    [ "$1" = without ] || [ -r "$library" ] || die "$library: not there; run make first"
    case $1 in
        without) under=(env) ;;
        with) under=(env "LD_PRELOAD=$library") ;;
        *) under=(env "LD_PRELOAD=$library" "LINGER_MODE=$1") ;;
    esac
}

die() {
    echo "$suite: $*" >&2
    exit 1
}

# own_namespace ARG...: runs this script again in a network namespace of its own, so that the
# counters count this suite alone and fixed port numbers are free. Inside a namespace that belongs to a
# user namespace a further one can be made; where none can, the caller's has to be private.
own_namespace() {
    local unshare
    [ -z "${SUITES_NAMESPACE:-}" ] || return 0
    if unshare -n true 2>/dev/null; then
        unshare=(unshare -n)
    elif unshare -rn true 2>/dev/null; then
        unshare=(unshare -rn)
    elif [ "${TESTS_IN_NAMESPACE:-}" = 1 ]; then
        return 0
    else
        die "no network namespace can be made here"
    fi
    SUITES_NAMESPACE=own TESTS_IN_NAMESPACE=1 exec "${unshare[@]}" \
        sh -c 'ip link set lo up && exec "$@"' sh "$0" "$@"
}

# counters: the kernel's, since the namespace was made (-s and -a: without a history file).
counters() {
    nstat -asz TcpPassiveOpens TcpExtTW TcpExtTCPAbortOnData | awk '!/^#/ { print $1, $2 }'
}

# counted MODE COMMAND...: runs the command; its growth goes into NAME.MODE.counters.
counted() {
    local mode=$1 before status
    shift
    before=$(counters)
    "$@"
    status=$?
    { echo "$before"; counters; } |
        awk '$1 in n { print $1, $2 - n[$1] } { n[$1] = $2 }' >"$out/$suite.$mode.counters"
    return $status
}

# source_package NAME: Debian's source, with Debian's patches, in build/suites/src/NAME. Where the system
# has no deb-src entries, apt is given a list of its own, made from the deb entries that
# there are; nothing of the system's configuration is changed.
source_package() {
    local apt=$out/apt options=() file to version
    [ ! -e "$out/src/$1" ] || return 0
    mkdir -p "$out/src" "$apt/parts" "$apt/lists/partial" "$apt/cache/archives/partial"
    if ! apt-get source --print-uris "$1" >/dev/null 2>&1; then
        for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
            [ -r "$file" ] || continue
            to=$apt/parts/${file##*/}
            [ "${to%.list}" != "$to" ] || [ "${to%.sources}" != "$to" ] || to=$to.list
            sed -n -e '/^deb /s//deb-src /p' -e '/^deb-src /p' -e '/^Types:/{s/:.*/: deb-src/;p;d}' \
                -e '/^[A-Z][A-Za-z-]*:/p' -e '/^[[:space:]]/p' -e '/^$/p' "$file" >"$to"
        done
        options=(-o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$apt/parts"
            -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=)
        timeout 300 apt-get "${options[@]}" -qq update >&2
    fi
    # Into a directory of another name first: one that exists is complete. A security update's source may
    # lie where no mirror has it.
    for version in $(apt-cache "${options[@]}" showsrc "$1" 2>/dev/null | sed -n 's/^Version: //p' | sort -urV); do
        rm -rf "$out/src/$1.new"
        mkdir "$out/src/$1.new"
        (cd "$out/src/$1.new" && timeout 300 apt-get "${options[@]}" -qq source "$1=$version" >&2 &&
            mv "$(find . -mindepth 1 -maxdepth 1 -type d)" tree) && break
    done
    [ -d "$out/src/$1.new/tree" ] || die "no source of $1 is available"
    mv "$out/src/$1.new" "$out/src/$1"
}

# The commands: the suite defines suite_prepare, suite_run MODE, suite_ran MODE,
# suite_again MODE TEST..., suite_exceptions MODE and suite_limits. suite_run writes the names of the tests that passed to stdout.
suite_main() {
    local command=${1:-} mode=${2:-}
    case $command in
        prepare | limits) ;;
        run | ran | again | exceptions)
            case $mode in
                without | with | fin-rst | rst) ;;
                *) die "a mode is one of: without, with, fin-rst, rst" ;;
            esac
            ;;
        *) die "usage: $0 prepare | run MODE | ran MODE | again MODE TEST... | exceptions MODE | limits" ;;
    esac
    case $command in
        run | again)
            [ -n "${SUITES_NAMESPACE:-}" ] || suite_prepare
            own_namespace "$@"
            scratch=$(mktemp -d "${TMPDIR:-/tmp}/suite.XXXXXX") || exit 1
            trap 'rm -rf "$scratch"' EXIT
            shift 2
            ;;
    esac
    case $command in
        run)
            rm -f "$out/$suite.$mode".{passed,counters}
            counted "$mode" suite_run "$mode" >"$scratch/passed" 2>"$out/$suite.$mode.log" </dev/null
            local status=$?
            sort -u "$scratch/passed" >"$out/$suite.$mode.passed"
            return $status
            ;;
        again) suite_again "$mode" "$@" 2>>"$out/$suite.$mode.again.log" </dev/null | sort -u ;;
        *) "suite_$command" "$mode" ;;
    esac
}
