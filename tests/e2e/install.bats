#!/usr/bin/env bats
# make test-deps on a machine whose packages are missing: on stand-ins of apt and dpkg.
load helper

# stand_in NAME <SCRIPT; each writes down how it was called.
stand_in() {
    { printf '#!/bin/bash\necho "%s $*" >>%q\n' "$1" "$BATS_TEST_TMPDIR/calls" && cat; } >"$BATS_TEST_TMPDIR/bin/$1"
    chmod +x "$BATS_TEST_TMPDIR/bin/$1"
}

# A machine that has gcc and make, and a Debian that knows no `gone`; tests/packages is ours.
machine() {
    TREE=$BATS_TEST_TMPDIR/tree
    mkdir -p "$BATS_TEST_TMPDIR/bin" "$TREE/tests"
    cp "$ROOT/tests/install-packages" "$TREE/tests"
    printf '# ours\n%s\n' gcc 'old | new | newer' 'gone | -' 'make | gmake' daemon '# With ALL=1:' large >"$TREE/tests/packages"
    stand_in dpkg-query <<'END'
case ${*: -1} in gcc | make) printf 'install ok installed' ;; *) exit 1 ;; esac
END
    stand_in apt-cache <<'END'
shift
case $* in
*show*) printf 'Package: new\nSize: 2500000\nInstalled-Size: 7000\n\nPackage: daemon\nSize: 600000\nInstalled-Size: 1000\n' ;;
*) for name; do
    case $name in
    gone | -) ;;
    old) printf 'old:\n  Candidate: (none)\n' ;;
    *) printf '%s:\n  Candidate: 1.0\n' "$name" ;;
    esac
done ;;
esac
END
    stand_in apt-get <<'END'
case $* in
-s*) printf 'Inst new (1.0 Debian)\nInst daemon (1.0 Debian)\n' ;;
*Status-Fd*)
    printf 'dlstatus:1:55.0:Retrieving\npmstatus:new:12.5:Installing new\npmstatus:daemon:100:Installed daemon\n' >&3
    echo 'Setting up new'
    [ -z "${FAILS:-}" ] || { echo "E: no space left" && exit 100; }
    ln -s /lib/systemd/system/daemon.service /etc/systemd/system/multi-user.target.wants/daemon.service ;;
esac
END
    stand_in systemctl <<'END'
rm "/etc/systemd/system/multi-user.target.wants/$2"
END
    stand_in sudo <<'END'
exit 1
END
}

# installs [COMMAND...]: the script on that machine, as what COMMAND makes of us; what it says is $output.
# ALL=1 for the large package too.
installs() {
    : >"$BATS_TEST_TMPDIR/calls"
    run env PATH="$BATS_TEST_TMPDIR/bin:$PATH" "$@" "$TREE/tests/install-packages" </dev/null
    echo "$output"
    cat "$BATS_TEST_TMPDIR/calls"
}

# with_units COMMAND...: systemd's directory is another one, in which one service is on already.
with_units() {
    mkdir -p "$BATS_TEST_TMPDIR/units/multi-user.target.wants"
    ln -sf /lib/systemd/system/mine.service "$BATS_TEST_TMPDIR/units/multi-user.target.wants/mine.service"
    unshare -m sh -c 'mount --bind "$0" /etc/systemd/system && exec "$@"' "$BATS_TEST_TMPDIR/units" "$@"
}

in_the_way() {
    needs_mount_namespace
    [ -d /etc/systemd/system ] || skip "needs systemd's directory"
    [ -e /usr/sbin/policy-rc.d ] || [ -w /usr/sbin ] || skip "needs root"
}

@test "one line says how much, then come progress and what is off again; what Debian lacks is named" {
    machine
    in_the_way
    export -f with_units
    installs bash -c 'with_units "$@"' with_units
    expect status "$status" 0
    expect said "$output" "test-deps: not in the package lists of this machine, and their tests are skipped: gone
test-deps: installs 2 packages, 4 MB to download, 9 MB on disk
test-deps:  50 % downloaded
test-deps:  10 % installed
test-deps: 100 % installed
test-deps: does not start with the machine: daemon.service (systemctl enable changes that)"
    grep -q '^apt-get .* install new daemon$' "$BATS_TEST_TMPDIR/calls"
    expect "services left" "$(ls "$BATS_TEST_TMPDIR/units/multi-user.target.wants")" mine.service
    grep -q 'Setting up new' "$TREE/build/install.log"
}

@test "an installation that fails ends with its status, with its last words and the way out" {
    machine
    in_the_way
    export -f with_units
    FAILS=1 installs bash -c 'with_units "$@"' with_units
    expect status "$status" 1
    [[ $output = *"E: no space left"*"make check runs what it can without it" ]]
}

@test "ALL=1 installs the second part too" {
    machine
    in_the_way
    export -f with_units
    ALL=1 installs bash -c 'with_units "$@"' with_units
    expect status "$status" 0
    grep -q '^apt-get .* install new daemon large$' "$BATS_TEST_TMPDIR/calls"
}

@test "where nothing is missing it says nothing" {
    machine
    sed -i '/^old/d; /^daemon/d; /^gone/d' "$TREE/tests/packages"
    installs
    expect "status, and what is said" "$status $output" "0 "
    run ! grep -q '^apt' "$BATS_TEST_TMPDIR/calls"
}

@test "neither root nor sudo: the exact command, and how to do without" {
    machine
    stand_in id <<'END'
echo 1000
END
    installs
    expect status "$status" 1
    expect said "$output" "test-deps: packages are missing, and this is neither root nor may it use sudo. As root, run
    apt-get install --no-install-recommends new daemon
test-deps: make check runs what it can without them"
    run ! grep -q '^apt-get' "$BATS_TEST_TMPDIR/calls"
}

@test "a package that this release of Debian does not have keeps nobody from the tests, and asks for no root" {
    machine
    sed -i '/^old/d; /^daemon/d' "$TREE/tests/packages"
    stand_in id <<'END'
echo 1000
END
    installs
    expect status "$status" 0
    expect said "$output" "test-deps: not in the package lists of this machine, and their tests are skipped: gone"
    run ! grep -q '^apt-get' "$BATS_TEST_TMPDIR/calls"
}

@test "sudo asks for its password on a terminal" {
    needs_terminal
    machine
    stand_in id <<'END'
echo 1000
END
    stand_in sudo <<'END'
[ "$1" != -n ] || exit 1
[ "$1" = -v ] && read -r -p "Password: " word </dev/tty && [ "$word" = secret ]
END
    PATH=$BATS_TEST_TMPDIR/bin:$PATH timeout 60 script -qec "$TREE/tests/install-packages" /dev/null \
        <<<secret >"$BATS_TEST_TMPDIR/said" || true
    cat "$BATS_TEST_TMPDIR/said" "$BATS_TEST_TMPDIR/calls"
    grep -q 'needs root to install 2 packages that the tests use: sudo asks for your password' "$BATS_TEST_TMPDIR/said"
    grep -q '^sudo env .* sh -c' "$BATS_TEST_TMPDIR/calls"
}

@test "every line of tests/packages has a package that this Debian knows or has" {
    sed '/^# With/,$d' "$ROOT/tests/packages" | grep -v '^#' | LC_ALL=C sort -c
    sed '1,/^# With/d' "$ROOT/tests/packages" | LC_ALL=C sort -c
    known=" $(grep -v '^#' "$ROOT/tests/packages" | tr '|' ' ' | LC_ALL=C xargs apt-cache policy 2>/dev/null |
        awk '/^[^ ].*:$/ { sub(/:$/, ""); name = $0 } /^  Candidate:/ && $2 != "(none)" { print name }' | xargs) "
    [[ $known = *" gcc "* ]] || skip "no package lists here"
    while read -r line; do
        for package in ${line//|/ }; do
            [[ $package != - && $known != *" $package "* ]] || continue 2
        done
        echo "$line"
    done < <(grep -v '^#' "$ROOT/tests/packages") >"$BATS_TEST_TMPDIR/unknown"
    expect unknown "$(cat "$BATS_TEST_TMPDIR/unknown")" ""
}
