#!/usr/bin/env bats
# The sources as a house: which file may stand on which, and how large each may be.
load helper

# asks ROOM: what its objects leave to others to define.
asks() {
    nm -u "$ROOT/build/$1"/*.o | sed -n 's/^ *[Uw] //p' | sort -u
}

@test "no object of the core binds to a name that the library hooks, or to a cancellation point of libc" {
    sed -n '/global:/,/local:/s/^ *\([a-z0-9_]*\);/\1/p' "$ROOT/src/preload/liblinger.map" >"$BATS_TEST_TMPDIR/hooks"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/hooks")" -ge 14 ]
    # pthreads(7), those that a library like this one could want.
    printf '%s\n' open openat read pread write pwrite poll ppoll select fcntl sigtimedwait nanosleep send sendto \
        sendmsg recv recvfrom fsync usleep wait waitpid >"$BATS_TEST_TMPDIR/points"
    asks core | sed 's/64$//' | sort >"$BATS_TEST_TMPDIR/asked"
    grep -qx memcpy "$BATS_TEST_TMPDIR/asked"
    grep -Fxf "$BATS_TEST_TMPDIR/hooks" -f "$BATS_TEST_TMPDIR/points" "$BATS_TEST_TMPDIR/asked" | diff /dev/null -
}
