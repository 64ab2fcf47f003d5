#!/usr/bin/env bats
# What reaches the user: make install, make dist, and the packages.
# bats file_tags=preload,plain
load helper

files_in() {
    (cd "$1" && find . ! -type d | sort)
}

# PREFIX has the examples, whole; the one for systemd names the library that is in DIRECTORY.
has_examples() { # PREFIX DIRECTORY
    local examples=$1/share/doc/liblinger/examples
    diff <(files_in "$ROOT/examples" | grep -v '\.pyc$') <(files_in "$examples")
    grep -qx "Environment=LD_PRELOAD=$2/liblinger.so" "$examples/systemd/liblinger.conf"
    expect "with another prefix" "$(grep -rl /usr/local/lib "$examples")" ""
}

# Without its examples.
programs_in() {
    files_in "$1" | grep -v '^./share/doc/liblinger/examples/' | tr '\n' ' '
}

# What make GOAL makes in a copy of the sources, once for all tests of it: $MADE, in $TREE.
made() { # GOAL
    TREE=$BATS_FILE_TMPDIR/$1
    if [ ! -e "$TREE" ]; then
        mkdir "$TREE"
        cp -r "$ROOT"/{Makefile,LICENSE,README.md,src,tests,examples} "$TREE"
        make -s -C "$TREE" "$1" >"$TREE.made"
    fi
    MADE=$TREE/$(cat "$TREE.made")
}

VERSION=$(sed -n 's/^VERSION = //p' "$ROOT/Makefile")
# Who packages.
export DEBFULLNAME="A Packager" DEBEMAIL=packager@example.org

# What abuild and makepkg read.
recipe() { # FILE
    # shellcheck source=/dev/null
    . "$ROOT/src/packaging/$1"
}

@test "the version is the Makefile's: of linger, of the changelog's newest entry, of each package" {
    expect "linger's" "$("$ROOT/linger" --version)" "linger $VERSION"
    read -r newest date <"$ROOT/src/packaging/changelog"
    expect "the changelog's" "$newest" "$VERSION"
    expect "its date" "$(date -d "$date" +%F)" "$date"
    for file in APKBUILD PKGBUILD; do
        expect "$file's" "$(recipe $file && echo "$pkgver")" "$VERSION"
    done
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
    copy_of_the_build
    at=$BATS_TEST_TMPDIR/at
    make -s -C "$TREE" install PREFIX="$at/usr"
    has_examples "$at/usr" "$at/usr/lib"
    expect files "$(programs_in "$at/usr")" "./bin/linger ./etc/linger/policy ./lib/liblinger.so ./lib/systemd/system/linger-keep.service ./share/bash-completion/completions/linger ./share/man/man1/linger.1 ./share/man/man7/liblinger.7 ./share/zsh/site-functions/_linger "
    cmp "$TREE/liblinger.so" "$at/usr/lib/liblinger.so"
    LINGER_MODE=rst "$at/usr/bin/linger" run -n -m rst -- true | grep -q "$at/usr/lib/liblinger.so"
    "$at/usr/bin/linger" run -m rst -- true
    man -l "$at/usr/share/man/man1/linger.1" | grep -q "EXIT STATUS"
    grep -qx "ExecStart=$at/usr/bin/linger keep -m @$at/usr/etc/linger/policy" "$at/usr/lib/systemd/system/linger-keep.service"
    make -s -C "$TREE" uninstall PREFIX="$at/usr"
    expect "files left" "$(files_in "$at/usr")" ""
    expect "directories of ours left" "$(find "$at/usr" -path '*liblinger*')" ""
    # A policy of one's own outlasts both.
    mkdir -p "$at/usr/etc/linger"
    echo "fin-rst port=80" >"$at/usr/etc/linger/policy"
    make -s -C "$TREE" install PREFIX="$at/usr"
    make -s -C "$TREE" uninstall PREFIX="$at/usr"
    expect "the policy" "$(cat "$at/usr/etc/linger/policy")" "fin-rst port=80"
}

@test "built for one prefix, installed in another, moved to a third: linger finds its library" {
    copy_of_the_build
    at=$BATS_TEST_TMPDIR/at
    make -s -C "$TREE"
    make -s -C "$TREE" install PREFIX="$at/one"
    "$at/one/bin/linger" run -n -m rst -- true | grep -q "LD_PRELOAD=$at/one/lib/liblinger.so"
    expect "lines of the manuals with another prefix" "$(sed 's/\\://g' "$at"/one/share/man/*/* | grep /usr/local/lib)" ""
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
    copy_of_the_build
    make -s -C "$TREE" install DESTDIR="$BATS_TEST_TMPDIR/stage" PREFIX=/opt/linger
    expect "top of the stage" "$(ls "$BATS_TEST_TMPDIR/stage") $(ls "$BATS_TEST_TMPDIR/stage/opt")" "opt linger"
    [ ! -e /opt/linger ]
}

@test "make dist: two runs give the same bytes, and the tarball builds" {
    git -C "$ROOT" rev-parse HEAD >/dev/null 2>&1 || skip "this is not a git repository"
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
    make -s -C "$unpacked" build/tests/subject build/tests/peer
    bats "$unpacked/tests/e2e/bad-input.bats"
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
    made deb
    copy_of_the_sources
    (umask 077 && make -s -C "$TREE" deb)
    cmp "$MADE" "$TREE/build/deb/${MADE##*/}"
    cmp "${MADE%/*}/liblinger_$VERSION.dsc" "$TREE/build/deb/liblinger_$VERSION.dsc"
    expect maintainer "$(dpkg-deb -f "$MADE" Maintainer)" "A Packager <packager@example.org>"
    expect version "$(dpkg-deb -f "$MADE" Version)" "$VERSION"
}

@test "make deb: lintian finds nothing in the source or in the package, pedantry included" {
    printf '2.115\n%s\n' "$(dpkg-query -W -f '${Version}' lintian)" | sort -VC || skip "this lintian has another form of overrides"
    made deb
    # Which version of the policy is the newest depends on the Debian that it is run on.
    lintian --allow-root -EIL +pedantic --suppress-tags out-of-date-standards-version,newer-standards-version \
        --fail-on error,warning,info,pedantic,experimental "$TREE"/build/deb/*.changes
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
    made deb
    # Nothing is fetched: what the tests depend on is on this machine.
    timeout 800 unshare -mn sh -ec 'mount -t tmpfs none /mnt
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
    made deb
    at=$BATS_TEST_TMPDIR/root
    mkdir -p "$at/var/lib/dpkg/"{info,updates,triggers}
    touch "$at/var/lib/dpkg/status"
    # libc6 is not in this root.
    dpkg --root="$at" --force-depends --force-script-chrootless -i "$MADE" >"$BATS_TEST_TMPDIR/dpkg" 2>&1
    dpkg --root="$at" -s liblinger | grep -q "^Status: install ok \(installed\|triggers-awaited\)"
    files_in "$at/usr" >"$BATS_TEST_TMPDIR/files"
    grep -q "^./bin/linger$" "$BATS_TEST_TMPDIR/files"
    grep -q "^./share/man/man7/liblinger.7.gz$" "$BATS_TEST_TMPDIR/files"
    has_examples "$at/usr" "$(echo "$at"/usr/lib/*/liblinger.so | sed "s|^$at||; s|/[^/]*$||")"
    (cd "$at" && md5sum --quiet -c var/lib/dpkg/info/liblinger.md5sums)
    LIB=$(echo "$at"/usr/lib/*/liblinger.so) meet rst close
    sees 5 0 1 0
    dpkg --root="$at" --force-depends -r liblinger >>"$BATS_TEST_TMPDIR/dpkg" 2>&1
    expect "files left" "$(files_in "$at/usr")" ""
}

@test "make rpm: installed into a root of its own it works, and is removed again" {
    made rpm
    ls "$TREE"/build/rpm/SRPMS/liblinger-"$VERSION"-*.src.rpm
    expect package "$(rpm -qp --qf '%{NAME} %{VERSION} %{LICENSE}' "$MADE")" "liblinger $VERSION MIT"
    rpm -qp --changelog "$MADE" | head -1 | grep -q "A Packager <packager@example.org> - $VERSION-1$"
    expect "the programs that it runs when it is installed" "$(rpm -qp --scripts --triggers "$MADE")" ""
    [ "$(id -u)" = 0 ] || skip "needs root, as rpm does"
    at=$BATS_TEST_TMPDIR/root
    mkdir "$at"
    rpm --root "$at" --nodeps -i "$MADE"
    rpm --root "$at" -V --nodeps liblinger
    library=$(echo "$at"/usr/lib*/liblinger.so)
    has_examples "$at/usr" "$(dirname "${library#"$at"}")"
    "$at/usr/bin/linger" run -n -m rst -- true | grep -q "LD_PRELOAD=$library "
    LIB=$library meet rst close
    sees 5 0 1 0
    rpm --root "$at" --nodeps -e liblinger
    expect "files left" "$(files_in "$at/usr")" ""
}

@test "make rpm: rpmlint finds nothing" {
    rpmlint --version | grep -q "^2" || skip "rpmlint before 2 has other filters"
    made rpm
    HOME=$BATS_TEST_TMPDIR rpmlint -r "$ROOT/src/packaging/liblinger.rpmlintrc" "$TREE"/build/rpm/{SPECS/*.spec,RPMS/*/*.rpm,SRPMS/*.rpm} |
        tee "$BATS_TEST_TMPDIR/said" | grep -q " 0 errors, 0 warnings," || { cat "$BATS_TEST_TMPDIR/said" && false; }
}

# Unpacks the tarball in $AT.
unpack() {
    made tarball
    AT=$BATS_TEST_TMPDIR/at
    mkdir "$AT"
    tar -C "$AT" -xzf "$MADE"
}

@test "make tarball: the same bytes from two directories at two times, without git, too; make dist says that it needs it" {
    command -v git >/dev/null || skip "no git"
    made tarball
    copy_of_the_sources
    find "$TREE" -exec touch -d 2001-02-03 {} +
    # And where there is no git.
    mkdir "$BATS_TEST_TMPDIR/bin" "$TREE/.git"
    ln -s /usr/bin/* "$BATS_TEST_TMPDIR/bin"
    rm -f "$BATS_TEST_TMPDIR/bin/git"
    run -0 env PATH="$BATS_TEST_TMPDIR/bin" bash -c 'umask 077 && make -s -C "$0" tarball' "$TREE"
    expect "what it says" "$output" "${MADE#"$BATS_FILE_TMPDIR/tarball/"}"
    cmp "$MADE" "$TREE/$output"
    run ! env PATH="$BATS_TEST_TMPDIR/bin" make -s -C "$TREE" dist
    expect "make dist" "${lines[0]}" "make dist: no git here; apt-get install git"
    rmdir "$TREE/.git"
    # Of a checkout the times are the last commit's. What is built, once more, does not matter.
    git -C "$TREE" init -q
    GIT_COMMITTER_DATE="2031-03-05 00:00:00 +0000" git -C "$TREE" -c user.name=n -c user.email=n@example.org \
        commit -q --allow-empty -m n
    make() { touch "$TREE"/build/tarball/{linger,liblinger.so}; }
    export -f make
    export TREE
    "$TREE/src/packaging/tarball" "$VERSION"
    expect time "$(TZ=UTC tar -tvzf "$TREE/build/${MADE##*/}" | awk '{ print $2, $4, $5 }' | sort -u)" "0/0 2031-03-05 00:00"
}

# links FILE: what its links lead to.
links() {
    grep -oE '\]\([^)#:]+\)' "$1" | tr -d '()]' | sort -u
}

@test "make tarball: its README links to what is in it, and says the rest without a link" {
    unpack
    cd "$AT/linger-$VERSION"
    for target in $(links README.md); do
        [ -e "$target" ] || also expect "a file in the tarball" "" "$target"
    done
    [ "$(links README.md | wc -l)" -lt "$(links "$ROOT/README.md" | wc -l)" ]
    expect "the other words" "$(tr -d '[]!' <README.md)" "$(sed -E 's/\]\((\.github|src|tests)\/[^)]*\)//g' "$ROOT/README.md" | tr -d '[]!')"
    diff <(files_in "$ROOT/examples" | grep -v '\.pyc$') <(files_in examples)
}

@test "make tarball: unpacked anywhere, linger finds its library and runs a dynamic and a static program" {
    unpack
    expect "what it needs" "$(readelf -dlW "$AT/linger-$VERSION/linger" | grep -E 'NEEDED|INTERP|interpreter')" ""
    cd "$AT"
    # shellcheck disable=SC2317 # meet calls it
    under() { exec ./linger-"$VERSION"/linger run -m "$1" -- "${@:2}"; }
    ./linger-"$VERSION"/linger run -n -m rst -- true | grep -q "LD_PRELOAD=$AT/linger-$VERSION/liblinger.so "
    meet rst close
    sees 5 0 1 0
    SUBJECT=$TOOLS/static/subject meet fin-rst close
    sees 5 1 0 0
}

@test "make tarball: in a directory that has nothing else" {
    [ "$(id -u)" = 0 ] || skip "needs root, as chroot does"
    unpack
    cp "$TOOLS/static/subject" "$AT"
    under() { exec chroot "$AT" "/linger-$VERSION/linger" run -m "$1" -- /subject "${@:3}"; }
    for mode in "rst 5 0 1 0" "fin-rst 5 1 0 0"; do
        meet "${mode%% *}" close
        sees ${mode#* }
    done
}

# bats test_tags=long
@test "make tarball: in a Debian 11, whose glibc is older than this one" {
    old=$ROOT/build/bullseye
    [ -e "$old/complete" ] || skip "tests/debian bullseye gcc libc6-dev make nginx-light curl has not run"
    unpack
    rm -rf "$old/linger-$VERSION"
    cp -r "$AT/linger-$VERSION" "$old"
    unshare -m sh -ec 'mount -t proc proc "$0/proc"
        chroot "$0" "/$1/linger" run -n -m rst -- nginx
        chroot "$0" "/$1/linger" check nginx
        chroot "$0" "/$1/linger" run -l -m rst -- nginx -v' "$old" "linger-$VERSION" >"$BATS_TEST_TMPDIR/said" 2>&1
    grep -q "LD_PRELOAD=/linger-$VERSION/liblinger.so" "$BATS_TEST_TMPDIR/said"
    grep -q "event=load version=$VERSION .*program=nginx" "$BATS_TEST_TMPDIR/said"
}

@test "APKBUILD and PKGBUILD: what they must have is there, their functions build, check and install" {
    copy_of_the_build
    ln -s . "$TREE/liblinger-$VERSION" # where makepkg and abuild go before they call them
    for file in APKBUILD PKGBUILD; do
        for name in pkgname pkgver pkgrel pkgdesc arch license source; do
            (recipe $file && [ -n "${!name}" ]) || { echo "$file: no $name" && false; }
        done
        for name in build check package; do
            (cd "$TREE" && pkgdir=$BATS_TEST_TMPDIR/$file && recipe $file && "$name") >>"$BATS_TEST_TMPDIR/said"
        done
        has_examples "$BATS_TEST_TMPDIR/$file/usr" /usr/lib
        expect "files of $file" "$(programs_in "$BATS_TEST_TMPDIR/$file/usr")" \
            "./bin/linger ./lib/liblinger.so ./lib/systemd/system/linger-keep.service ./share/bash-completion/completions/linger ./share/licenses/liblinger/LICENSE ./share/man/man1/linger.1 ./share/man/man7/liblinger.7 ./share/zsh/site-functions/_linger "
    done
    expect "the sums" "$(recipe APKBUILD && echo "$sha512sums")" "SKIP  liblinger-$VERSION.tar.gz"
    shellcheck "$ROOT/src/packaging/APKBUILD" "$ROOT/src/packaging/PKGBUILD"
}

@test "the public CI's workflow is what .ci/run does: each of its commands is a goal or a program of the tree" {
    workflow=$ROOT/.github/workflows/check.yml
    [ -e "$workflow" ] || skip "a tarball of the sources has no workflow"
    python3 -B "$ROOT/tests/tools/workflow.py" "$workflow" "$ROOT" >"$BATS_TEST_TMPDIR/commands"
    for command in .ci/run "make check T=architectures" "make deb" "make rpm" "make tarball" "make dist"; do
        grep -q " $command\$" "$BATS_TEST_TMPDIR/commands"
    done
    for instead in "make debs" tests/no-such-file "curl http://example.org"; do
        sed "s|run: .ci/run|run: $instead|" "$workflow" >"$BATS_TEST_TMPDIR/check.yml"
        run ! python3 -B "$ROOT/tests/tools/workflow.py" "$BATS_TEST_TMPDIR/check.yml" "$ROOT"
        [[ $output == *"check: '$instead' is neither a goal of the Makefile nor a program of the tree"* ]]
    done
}

# bats test_tags=long
@test "the Debian package in a Debian 12 that has nothing else: installed, used, removed" {
    new=$ROOT/build/bookworm
    [ -e "$new/complete" ] || skip "tests/debian bookworm has not run"
    made deb
    cp "$MADE" "$new/liblinger.deb"
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
