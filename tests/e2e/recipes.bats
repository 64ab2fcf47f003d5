#!/usr/bin/env bats
# examples/README.md: what stands in its blocks is typed, in a network namespace of its own, and has to
# print what stands there.
load helper

GALLERY=$ROOT/examples/README.md

# block NAME: what stands in the gallery between ```console NAME and ```.
block() {
    awk -v first="\`\`\`console $1" '$0 == first { on = 1; next } /^```$/ { on = 0 } on' "$GALLERY"
}

# typing: of a block, the script that types its commands. After one that goes to the background it waits
# for $PORT, as somebody who types does.
typing() {
    awk '/^\$ / {
        print "cat <<\047END OF COMMAND\047\n" $0 "\nEND OF COMMAND"
        print substr($0, 3)
        if (/&$/)
            print "PID=$!; await_listener"
    }'
}

# recipe NAME PORT [FIXTURE]: FIXTURE is what the reader has running, in the directory where he types. What
# was printed is in the file typed, and has the shape of what the gallery shows.
recipe() {
    needs_namespace
    cd "$BATS_TEST_TMPDIR" || return
    [ -z "${WITHOUT_LIBRARY:-}" ] || without_the_library
    block "$1" >shown
    [ -s shown ]
    {
        declare -f
        echo "ip link set lo up; PORT=$2; PATH=$PWD/bin:$ROOT:$PATH"
        echo 'trap "kill \$(jobs -p); wait" EXIT'
        echo "${3:-}"
        typing <shown
    } >script
    unshare -n timeout -k 5 60 bash script >typed 2>errors 3>&- || true
    cat typed errors
    diff <(normal <shown) <(normal <typed)
}

# A command of that name for the recipe.
command_is() { # NAME COMMAND
    mkdir -p bin
    printf '#!/bin/sh\nexec %s "$@"\n' "$2" >"bin/$1"
    chmod +x "bin/$1"
}

without_the_library() {
    # shellcheck disable=SC2016
    command_is linger "bash -c '[ \"\$0\" = run ] || exit 0
        until [ \"\$1\" = -- ]; do shift; done
        shift && exec \"\$@\"'"
}

# The nginx of the reader's system, with a configuration of the test's.
nginx_of_the_system() {
    cd "$BATS_TEST_TMPDIR" || return
    (set -- 80 "$PWD" 2 && eval "cat <<END
$NGINX_CONF
END") >nginx.conf
    sed -i 's/listen 127.0.0.1:80;/listen 80;/' nginx.conf
    in_one_packet nginx.conf "$PWD"
    command_is nginx "/usr/sbin/nginx $(nginx_log) -c $PWD/nginx.conf"
}

# below REGEX [N]: what was printed below the command, or the Nth command, that matches.
below() {
    awk -v regex="$1" -v n="${2:-1}" '/^\$ / { on = $0 ~ regex && ++seen == n; next } on' typed
}

@test "each block has its test, each anchor its recipe, and there is no second" {
    sed -n 's/^```console //p' "$GALLERY" | sort >"$BATS_TEST_TMPDIR/blocks"
    sed -n 's/^    recipe \([a-z-]*\) .*/\1/p' "$BATS_TEST_FILENAME" | sort >"$BATS_TEST_TMPDIR/tests"
    diff "$BATS_TEST_TMPDIR/blocks" "$BATS_TEST_TMPDIR/tests"
    grep -o '](#[a-z0-9-]*)' "$GALLERY" | tr -d '](#)' | sort -u >"$BATS_TEST_TMPDIR/anchors"
    sed -n 's/^## //p' "$GALLERY" | tr 'A-Z ' 'a-z-' | tr -d '(),:' | sort >"$BATS_TEST_TMPDIR/heads"
    expect "anchors without a recipe" "$(comm -23 "$BATS_TEST_TMPDIR/anchors" "$BATS_TEST_TMPDIR/heads")" ""
    [ "$(wc -l <"$GALLERY")" -le 320 ]
}

@test "each file and each link is there, and each file is listed" {
    cd "$ROOT/examples"
    for target in $(grep -o '](\.\{0,2\}/\?[a-z][A-Za-z./_-]*)' README.md | tr -d '()]'); do
        [ -e "$target" ] || { echo "$target is not there" && return 1; }
        echo "$target"
    done >"$BATS_TEST_TMPDIR/links"
    for file in *; do
        grep -qE "^$file(/|$)" "$BATS_TEST_TMPDIR/links" || [ "$file" = README.md ] || { echo "$file is not listed" && return 1; }
    done
}

@test "nginx" {
    nginx_of_the_system
    recipe nginx 80 'nginx & PID=$!; await_listener'
    [ "$(below ' ab ' 2 | tail -1)" -ge 1800 ]
}

@test "haproxy" {
    cd "$BATS_TEST_TMPDIR"
    cat >haproxy.cfg <<END
global
    tune.bufsize 1100000
defaults
    mode http
    timeout client 20s
    timeout server 20s
    timeout connect 20s
    option httpclose
    option nolinger
frontend test
    bind 127.0.0.1:8080
    http-request return status 200 content-type text/plain file $PWD/page
END
    head -c 1000000 /dev/zero >page
    # A client as far away as real ones: what it has not taken yet is still here when haproxy closes.
    recipe haproxy 8080 'sysctl -qw net.ipv4.tcp_rmem="4096 8192 16384"'
    [[ $(below curl 1) != "curl: 0, "* ]]
    expect "whole" "$(below curl 2)" "curl: 0, 1000000 bytes"
}

@test "wrk" {
    cd "$BATS_TEST_TMPDIR"
    recipe wrk 8080 'node -e "require(\"http\").createServer((request, response) => response.end(\"hello\")).listen(8080)" &
        PID=$!; await_listener'
}

@test "ab" {
    nginx_of_the_system
    recipe ab 80 'nginx & PID=$!; await_listener'
    [ "$(below ' ab ' 2 | tail -1)" -ge 1800 ]
}

@test "fault injection" {
    nginx_of_the_system
    recipe reset 80
    resets=$(below ' ab ' | sed -n 's/.*Receive: \([0-9]*\),.*/\1/p')
    [ "$resets" -ge 8 ] && [ "$resets" -le 65 ] # 30 of 3000
}
