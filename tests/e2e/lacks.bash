# shellcheck shell=bash
# A test that names what this machine lacks is skipped, and says what. A test names what stands in
# its own text and in that of the functions that it calls. The table: a command, or a file by an
# absolute path, and how tests name it.
WHAT_TESTS_NAME='
aarch64-linux-gnu-gcc   \<aarch64\>
ab                      \<ab -
autopkgtest             \<autopkgtest\>
busybox                 \<busybox\>
clang                   \<clang\>|fuzz
cmake                   \<cmake\>|\<ctest\>
curl                    \<curl\>
dh                      \<made deb\>
dpkg-buildpackage       \<made deb\>
go                      GO_TOOLS|/go/|\<go build\>|go-static|go-cgo|go-stripped
gunicorn                \<gunicorn\>
haproxy                 \<haproxy\>
i686-linux-gnu-gcc      \<i[36]86\>
ip                      \<ip (addr|link|netns|route)\>|needs_namespace
java                    \<java\>|\<javac\>
kamailio                \<kamailio\>
lintian                 \<lintian\>
man                     \<man -
mandoc                  \<mandoc\>
memcached               \<memcached\>
musl-gcc                \<musl
nft                     \<nft\>
nginx                   \<nginx\>|\<NGINX
node                    \<node\>
prometheus              \<prometheus\>
promtool                \<promtool\>
ps                      \<(ps|pgrep|sysctl)\>
pytest-3                \<pytest\>
python3                 \<python3?\>
qemu-aarch64            (works_on|build) aarch64
qemu-i386               (works_on|build) i686
qemu-riscv64            (works_on|build) riscv64
qemu-s390x              (works_on|build) s390x
readelf                 \<(readelf|nm|strip|strings|size)\>
redis-server            \<redis\>
riscv64-linux-gnu-gcc   \<riscv64\>
rpmbuild                \<made rpm\>
rpmlint                 \<rpmlint\>
s390x-linux-gnu-gcc     \<s390x\>
setcap                  \<setcap\>
shellcheck              \<shellcheck\>
ss                      \<ss -|\<nstat\>
squid                   \<squid\>
strace                  \<strace\>
sudo                    \<sudo -
systemd-analyze         \<systemd\>|\<systemd-analyze\>
systemd-socket-activate \<systemd-socket-activate\>
tcpdump                 \<tcpdump\>|capture\.sh
torsocks                \<torsocks\>
unshare                 \<unshare\>
valgrind                \<valgrind\>
wrk                     \<wrk\>
zsh                     \<zsh\>
/usr/share/gocode/src/gvisor.dev    netstack
/usr/include/lwip                   \<lwip\>
/usr/sbin/php-fpm*      \<php\>
/usr/lib/php/*/redis.so \<redis\.php\>|connect\.php
/usr/lib/python3/dist-packages/uvicorn \<uvicorn\>
/usr/lib/*/libeatmydata.so.1        libeatmydata
/usr/lib/*/faketime/libfaketime.so.1 faketime
/usr/lib/*/libjemalloc.so.2         libjemalloc
/usr/lib/*/libsocket_wrapper.so     libsocket_wrapper
'

# Printed by the first test that asks: the rows of the table that this machine cannot serve.
rows_lacking() {
    local what named
    while read -r what named; do
        [ -z "$what" ] || command -v "$what" >/dev/null || compgen -G "$what" >/dev/null || echo "$what $named"
    done <<<"$WHAT_TESTS_NAME"
}

# The text of the function $1 and of all that it calls.
text_of() {
    local todo=("$1") seen=" $1 " name function text
    while [ ${#todo[@]} -gt 0 ]; do
        name=${todo[0]}
        todo=("${todo[@]:1}")
        text=$(declare -f "$name")
        echo "$text"
        for function in "${FUNCTIONS[@]}"; do
            [[ $seen != *" $function "* && $text =~ (^|[^A-Za-z0-9_])"$function"([^A-Za-z0-9_]|$) ]] || continue
            seen+="$function "
            todo+=("$function")
        done
    done
}

# In setup(), where `skip` works. bats before 1.8 knows no tags.
needs_what_it_names() {
    local what named rows text
    ! declare -F needs_no_tag_left_out >/dev/null || needs_no_tag_left_out
    rows=$(rows_lacking)
    [ -n "$rows" ] || return 0
    mapfile -t FUNCTIONS < <(compgen -A function | grep -vE '^(bats|test)_|^(skip|run|load|setup|teardown|setup_file|teardown_file)$')
    text=$(text_of "$BATS_TEST_NAME")
    while read -r what named; do
        ! grep -qE -- "$named" <<<"$text" || skip "$what is not on this machine"
    done <<<"$rows"
}
