#!/usr/bin/env bats
# What a stranger's compiler and a distribution's flags make of it: no warning, and the library asks
# no libc for more than it has to have.
load helper

# builds MAKE-ARGUMENT...: what is not up to date; without a warning, or says what is $expected.
builds() {
    echo "make $*"
    timeout 800 make -s -j2 WERROR=1 "$@" 3>&- >output 2>&1 || { cat output; return 1; }
    diff "${expected:-/dev/null}" output
    nm -D --undefined-only liblinger.so | awk '{ print $NF }' | sort >imports
    grep -v '^#' "$ROOT/tests/imports" | sort | comm -23 imports - >new
    diff /dev/null new
    run readelf -VW liblinger.so
    [[ $output == *"No version information found"* ]]
}

# works: what was built resets a connection.
works() {
    LIB=$PWD/liblinger.so meet rst close
    sees 5 0 1 0
    [ ! -x linger ] || ./linger --version | grep -q '^linger '
}

# bats test_tags=plain
@test "every gcc and clang that is installed, with -O0 and with -O3 -flto" {
    copy_of_the_sources
    cd "$TREE"
    declare -A seen
    for compiler in $(compgen -c | grep -xE '(gcc|clang)-[0-9]+' | sort -u) gcc clang; do
        program=$(realpath "$(command -v "$compiler")")
        # gcc and clang are mostly other names of one of these.
        [ -z "${seen[$program]:-}" ] || continue
        seen[$program]=yes
        make -s clean 3>&-
        builds CC="$compiler" CFLAGS=-O0
        make -s clean 3>&-
        lto=-flto=auto linker=
        if [[ $compiler == clang* ]]; then
            # clang's objects need a linker that knows them.
            command -v "ld.lld${compiler#clang}" >/dev/null || continue
            lto=-flto linker=-fuse-ld=lld${compiler#clang}
        fi
        builds CC="$compiler" CFLAGS="-O3 $lto" LDFLAGS=$linker
        works
    done
}

# bats test_tags=plain
@test "Debian's hardening flags, all of them, and link-time optimisation" {
    copy_of_the_sources
    cd "$TREE"
    command -v dpkg-buildflags >/dev/null || skip "no dpkg-buildflags"
    for options in "" hardening=+all "hardening=+all optimize=+lto"; do
        flag() { DEB_BUILD_MAINT_OPTIONS=$options dpkg-buildflags --get "$1"; }
        # Where the compiler's are the same only the linker's differ.
        [ "$(flag CFLAGS) $(flag CPPFLAGS)" = "${former:-}" ] || make -s clean 3>&-
        former="$(flag CFLAGS) $(flag CPPFLAGS)"
        rm -f liblinger.so linger
        builds CFLAGS="$(flag CFLAGS)" CPPFLAGS="$(flag CPPFLAGS)" LDFLAGS="$(flag LDFLAGS)"
        works
    done
}

# bats test_tags=plain
@test "-fhardened" {
    copy_of_the_sources
    cd "$TREE"
    gcc -fhardened -E -x c /dev/null >/dev/null 2>&1 || skip "gcc has no -fhardened before version 14"
    builds CFLAGS="-O2 -fhardened"
    works
}

# bats test_tags=plain
@test "-z defs is left out of the library's link, and the build says so" {
    copy_of_the_build
    cd "$TREE"
    for flag in -Wl,-z,defs -Wl,--no-undefined; do
        rm -f liblinger.so linger
        echo "liblinger.so: $flag left out: the library is linked against no libc" >told
        expected=told builds LDFLAGS=$flag
        works
    done
}

# bats test_tags=plain
@test "musl-gcc" {
    copy_of_the_sources
    cd "$TREE"
    command -v musl-gcc >/dev/null || skip "no musl-gcc"
    builds CC=musl-gcc
    works
}
