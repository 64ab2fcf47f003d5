#!/usr/bin/env bats
# What reaches the user: make install, make dist, and the packages.
# bats file_tags=preload,plain
BATS_TEST_TIMEOUT=300
load helper

files_in() {
    (cd "$1" && find . ! -type d | sort)
}

# A copy to build in: the tree of the tests is left as it is.
copy_of_the_sources() {
    TREE=$BATS_TEST_TMPDIR/tree
    mkdir -p "$TREE"
    cp -r "$ROOT"/{Makefile,LICENSE,README.md,src,tests,examples} "$TREE"
}

# Makes Debian's packages in a copy of the sources, once for all tests of them: $TREE/build/deb, of which
# $PACKAGE is the binary one.
debian_package() {
    TREE=$BATS_FILE_TMPDIR/debian
    PACKAGE=$TREE/build/deb/liblinger_${VERSION}_$(dpkg --print-architecture).deb
    [ ! -e "$TREE" ] || return 0
    mkdir "$TREE"
    cp -r "$ROOT"/{Makefile,LICENSE,README.md,src,tests,examples} "$TREE"
    [ "$TREE/$(make -s -C "$TREE" deb)" = "$PACKAGE" ]
}

VERSION=$(sed -n 's/^VERSION = //p' "$ROOT/Makefile")
# Who packages.
export DEBFULLNAME="A Packager" DEBEMAIL=packager@example.org

@test "the version is the Makefile's: of linger, of the changelog's newest entry, of the examples' image" {
    expect "linger's" "$("$ROOT/linger" --version)" "linger $VERSION"
    read -r newest date <"$ROOT/src/packaging/changelog"
    expect "the changelog's" "$newest" "$VERSION"
    expect "its date" "$(date -d "$date" +%F)" "$date"
    expect "the examples'" "$(grep -rho 'liblinger:[0-9][0-9.]*' "$ROOT/examples/kubernetes" | sort -u)" "liblinger:$VERSION"
}

@test "one changelog: Debian's and RPM's are made from it" {
    local copy=$BATS_TEST_TMPDIR/packaging
    cp -r "$ROOT/src/packaging" "$copy"
    printf '%s\n' "2.1.0  2031-03-05" "" "  * Second," "    continued." "" "2.0.0  2031-03-04" "" "  * First." >"$copy/changelog"
    expect Debian "$("$copy/changelog-as" deb)" "liblinger (2.1.0) unstable; urgency=medium

  * Second,
    continued.

 -- A Packager <packager@example.org>  Wed, 05 Mar 2031 00:00:00 +0000

liblinger (2.0.0) unstable; urgency=medium

  * First.

 -- A Packager <packager@example.org>  Tue, 04 Mar 2031 00:00:00 +0000"
    expect RPM "$("$copy/changelog-as" rpm)" "* Wed Mar 05 2031 A Packager <packager@example.org> - 2.1.0-1
- Second,
  continued.

* Tue Mar 04 2031 A Packager <packager@example.org> - 2.0.0-1
- First."
    expect "the newest, in seconds" "$("$copy/changelog-as" date)" "$(date -u -d 2031-03-05 +%s)"
    run ! "$copy/changelog-as" pacman
}

@test "make install: everything is there and works; make uninstall leaves no file" {
    copy_of_the_sources
    at=$BATS_TEST_TMPDIR/at
    make -s -C "$TREE" install PREFIX="$at/usr"
    expect files "$(files_in "$at/usr" | tr '\n' ' ')" "./bin/linger ./lib/liblinger.so ./share/bash-completion/completions/linger ./share/man/man1/linger.1 ./share/man/man7/liblinger.7 ./share/zsh/site-functions/_linger "
    cmp "$TREE/liblinger.so" "$at/usr/lib/liblinger.so"
    LINGER_MODE=rst "$at/usr/bin/linger" run -n -m rst -- true | grep -q "$at/usr/lib/liblinger.so"
    "$at/usr/bin/linger" run -m rst -- true
    man -l "$at/usr/share/man/man1/linger.1" | grep -q "EXIT STATUS"
    make -s -C "$TREE" uninstall PREFIX="$at/usr"
    expect "files left" "$(files_in "$at/usr")" ""
}

@test "built for one prefix, installed in another, moved to a third: linger finds its library" {
    copy_of_the_sources
    at=$BATS_TEST_TMPDIR/at
    make -s -C "$TREE"
    make -s -C "$TREE" install PREFIX="$at/one"
    "$at/one/bin/linger" run -n -m rst -- true | grep -q "LD_PRELOAD=$at/one/lib/liblinger.so"
    expect "manuals with another prefix" "$(grep -l /usr/local/lib -r "$at/one/share/man")" ""
    grep -q "LD_PRELOAD=$at/one/lib/liblinger.so" "$at/one/share/man/man7/liblinger.7"
    mv "$at/one" "$at/two"
    "$at/two/bin/linger" run -n -m rst -- true | grep -q "LD_PRELOAD=$at/two/lib/liblinger.so"
    # A libdir that is not beside bin has to be known to the launcher, however it was built before.
    make -s -C "$TREE" install PREFIX="$at/three" LIBDIR="$at/elsewhere"
    "$at/three/bin/linger" run -n -m rst -- true | grep -q "LD_PRELOAD=$at/elsewhere/liblinger.so"
    # What is staged names the place it will have.
    make -s -C "$TREE" install DESTDIR="$at/stage" PREFIX=/opt/linger
    run ! grep -rq "$at/stage" "$at/stage"
}

@test "make install with DESTDIR touches nothing outside of it" {
    copy_of_the_sources
    make -s -C "$TREE" install DESTDIR="$BATS_TEST_TMPDIR/stage" PREFIX=/opt/linger
    expect "top of the stage" "$(ls "$BATS_TEST_TMPDIR/stage") $(ls "$BATS_TEST_TMPDIR/stage/opt")" "opt linger"
    [ ! -e /opt/linger ]
}

@test "make dist: two runs give the same bytes, and the tarball builds" {
    git -C "$ROOT" rev-parse HEAD >/dev/null 2>&1 || skip "this is no git repository"
    for name in one two; do
        git clone -q "$ROOT" "$BATS_TEST_TMPDIR/$name"
        tarball=$(make -s -C "$BATS_TEST_TMPDIR/$name" dist)
    done
    cmp "$BATS_TEST_TMPDIR/one/$tarball" "$BATS_TEST_TMPDIR/two/$tarball"
    tar -xzf "$BATS_TEST_TMPDIR/one/$tarball" -C "$BATS_TEST_TMPDIR"
    unpacked=$(echo "$BATS_TEST_TMPDIR"/liblinger-*)
    expect "top level" "$(cd "$unpacked" && echo *)" "LICENSE Makefile README.md examples src tests"
    make -s -C "$unpacked"
    "$unpacked/linger" run -m rst -- true
    make -s -C "$unpacked" install DESTDIR="$BATS_TEST_TMPDIR/stage"
    [ -x "$BATS_TEST_TMPDIR/stage/usr/local/bin/linger" ]
    # One file of tests stands for all of them.
    INSTALL=no make -s -C "$unpacked" check T=bad-input | tail -1 | grep -qx "[0-9]* passed, 0 failed, [0-9]* skipped"
}

@test "make dist in what is not a checkout: refused, and nothing is left" {
    command -v git >/dev/null || skip "no git"
    copy_of_the_sources
    git init -q "$BATS_TEST_TMPDIR" # somebody else's repository around it
    run ! make -s -C "$TREE" dist
    expect said "${lines[0]}" "make dist: no .git here; a tarball is made from the last commit of a checkout"
    [ ! -e "$TREE/build" ]
}

@test "make deb: a source package and what it builds, of the same bytes from another directory" {
    debian_package
    copy_of_the_sources
    (umask 077 && make -s -C "$TREE" deb)
    cmp "$PACKAGE" "$TREE/build/deb/${PACKAGE##*/}"
    cmp "$BATS_FILE_TMPDIR/debian/build/deb/liblinger_$VERSION.dsc" "$TREE/build/deb/liblinger_$VERSION.dsc"
    expect maintainer "$(dpkg-deb -f "$PACKAGE" Maintainer)" "A Packager <packager@example.org>"
    expect version "$(dpkg-deb -f "$PACKAGE" Version)" "$VERSION"
}

@test "make deb: lintian finds nothing in the source or in the package, pedantry included" {
    printf '2.115\n%s\n' "$(dpkg-query -W -f '${Version}' lintian)" | sort -VC || skip "this lintian has another form of overrides"
    debian_package
    lintian --allow-root -EIL +pedantic --fail-on error,warning,info,pedantic,experimental "$TREE"/build/deb/*.changes
}

@test "make deb without debhelper: says what to install" {
    mkdir "$BATS_TEST_TMPDIR/bin"
    ln -s /usr/bin/* "$BATS_TEST_TMPDIR/bin"
    rm -f "$BATS_TEST_TMPDIR/bin/dh"
    copy_of_the_sources
    run ! env PATH="$BATS_TEST_TMPDIR/bin" make -s -C "$TREE" deb
    expect said "${lines[0]}" \
        "make deb: no dpkg-buildpackage or no debhelper here: apt-get install build-essential debhelper"
}

@test "autopkgtest: the package's own tests pass with the package installed, on a root that is thrown away" {
    [ "$(id -u)" = 0 ] || skip "needs root"
    unshare -m sh -c 'mount -t tmpfs none "$0" && mkdir "$0/up" "$0/work" &&
        mount -t overlay -o lowerdir=/,upperdir="$0/up",workdir="$0/work" none "$0"' "$BATS_TEST_TMPDIR" ||
        skip "cannot mount an overlay here"
    debian_package
    # Nothing is fetched: what the tests depend on is on this machine.
    timeout 280 unshare -mn sh -ec 'mount -t tmpfs none /mnt
        mkdir /mnt/up /mnt/work /mnt/root
        mount -t overlay -o lowerdir=/,upperdir=/mnt/up,workdir=/mnt/work none /mnt/root
        mount -t proc proc /mnt/root/proc
        mount --bind /dev /mnt/root/dev
        rm -f /mnt/root/etc/apt/sources.list /mnt/root/etc/apt/sources.list.d/*
        mount --bind "$0" /mnt/root/mnt
        exec chroot /mnt/root sh -c "cd /mnt && exec autopkgtest ./*.deb ./*.dsc -- null"' \
        "$TREE/build/deb" >"$BATS_TEST_TMPDIR/said" 2>&1 || { tail -n 60 "$BATS_TEST_TMPDIR/said" && false; }
    grep -q "^demo *PASS" "$BATS_TEST_TMPDIR/said"
    grep -q "^modes *PASS" "$BATS_TEST_TMPDIR/said"
}

@test "the Debian package, installed into a root of its own and removed again" {
    [ "$(id -u)" = 0 ] || skip "needs root, as dpkg does"
    debian_package
    at=$BATS_TEST_TMPDIR/root
    mkdir -p "$at/var/lib/dpkg/"{info,updates,triggers}
    touch "$at/var/lib/dpkg/status"
    # libc6 is not in this root.
    dpkg --root="$at" --force-depends --force-script-chrootless -i "$PACKAGE" >"$BATS_TEST_TMPDIR/dpkg" 2>&1
    dpkg --root="$at" -s liblinger | grep -q "^Status: install ok \(installed\|triggers-awaited\)"
    files_in "$at/usr" >"$BATS_TEST_TMPDIR/files"
    grep -q "^./bin/linger$" "$BATS_TEST_TMPDIR/files"
    grep -q "^./share/man/man7/liblinger.7.gz$" "$BATS_TEST_TMPDIR/files"
    (cd "$at" && md5sum --quiet -c var/lib/dpkg/info/liblinger.md5sums)
    LIB=$(echo "$at"/usr/lib/*/liblinger.so) meet rst close
    sees 5 0 1 0
    dpkg --root="$at" --force-depends -r liblinger >>"$BATS_TEST_TMPDIR/dpkg" 2>&1
    expect "files left" "$(files_in "$at/usr")" ""
}

# bats test_tags=long
@test "the Debian package in a Debian 12 that has nothing else: installed, used, removed" {
    new=$ROOT/build/bookworm
    [ -e "$new/complete" ] || skip "tests/debian bookworm has not run"
    debian_package
    cp "$PACKAGE" "$new/liblinger.deb"
    unshare -m sh -ec 'mount -t proc proc "$0/proc"
        chroot "$0" dpkg -i /liblinger.deb
        chroot "$0" linger run -m rst -- true
        chroot "$0" linger run -n -m rst -- true
        chroot "$0" linger check true
        chroot "$0" env LD_PRELOAD=liblinger.so LINGER_MODE=rst true
        chroot "$0" dpkg -r liblinger' "$new" >"$BATS_TEST_TMPDIR/said" 2>&1 || { cat "$BATS_TEST_TMPDIR/said" && false; }
    cat "$BATS_TEST_TMPDIR/said"
    run ! grep -iE "error|warning" "$BATS_TEST_TMPDIR/said"
    [ ! -e "$new/usr/bin/linger" ]
    expect "libraries left" "$(find "$new/usr/lib" -name 'liblinger*')" ""
}
