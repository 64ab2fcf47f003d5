# shellcheck shell=bash
# A test that names what this machine lacks is skipped, and says what. A test names what stands in
# its own text and in that of the functions that it calls. The table: a command, or a file by an
# absolute path, Debian's package that has it, and how tests name it.
WHAT_TESTS_NAME='
aarch64-linux-gnu-gcc   gcc-aarch64-linux-gnu    \<aarch64\>
ab                      apache2-utils            \<ab -
autopkgtest             autopkgtest              \<autopkgtest\>
busybox                 busybox-static           \<busybox\>
mkfs.btrfs              btrfs-progs              \<btrfs\>
clang                   clang                    \<clang\>|fuzz
cmake                   cmake                    \<cmake\>|\<ctest\>
curl                    curl                     \<curl\>
dh                      debhelper                \<made deb\>
dpkg-buildpackage       dpkg-dev                 \<made deb\>
go                      golang-go                GO_TOOLS|/go/|\<go build\>|go-static|go-cgo|go-stripped
gunicorn                gunicorn                 \<gunicorn\>
haproxy                 haproxy                  \<haproxy\>
i686-linux-gnu-gcc      gcc-i686-linux-gnu       \<i[36]86\>
ip                      iproute2                 \<ip (addr|link|netns|route)\>|needs_namespace
java                    default-jdk-headless     \<java\>|\<javac\>
kamailio                kamailio                 \<kamailio\>
lintian                 lintian                  \<lintian\>
logrotate               logrotate                \<logrotate\>
man                     man-db                   \<man -
mandoc                  mandoc                   \<mandoc\>
memcached               memcached                \<memcached\>
musl-gcc                musl-tools               \<musl
nft                     nftables                 \<nft\>
nginx                   nginx-light              \<nginx\>|\<NGINX
node                    nodejs                   \<node\>
prometheus              prometheus               \<prometheus\>
promtool                prometheus               \<promtool\>
ps                      procps                   \<(ps|pgrep|sysctl)\>
pytest-3                python3-pytest           \<pytest\>
python3                 python3                  \<python3?\>
qemu-aarch64            qemu-user                (works_on|build) aarch64
qemu-i386               qemu-user                (works_on|build) i686
qemu-riscv64            qemu-user                (works_on|build) riscv64
qemu-s390x              qemu-user                (works_on|build) s390x
readelf                 binutils                 \<(readelf|nm|strip|strings|size)\>
redis-server            redis-server             \<redis\>
riscv64-linux-gnu-gcc   gcc-riscv64-linux-gnu    \<riscv64\>
rpmbuild                rpm                      \<made rpm\>
rpmlint                 rpmlint                  \<rpmlint\>
s390x-linux-gnu-gcc     gcc-s390x-linux-gnu      \<s390x\>
setcap                  libcap2-bin              \<setcap\>
shellcheck              shellcheck               \<shellcheck\>
ss                      iproute2                 \<ss -|\<nstat\>
squid                   squid                    \<squid\>
strace                  strace                   \<strace\>
sudo                    sudo                     \<sudo -
systemd-analyze         systemd                  \<systemd\>|\<systemd-analyze\>
systemd-socket-activate systemd                  \<systemd-socket-activate\>
tcpdump                 tcpdump                  \<tcpdump\>|capture\.sh
torsocks                torsocks                 \<torsocks\>
unshare                 util-linux               \<unshare\>
valgrind                valgrind                 \<valgrind\>
wrk                     wrk                      \<wrk\>
zsh                     zsh                      \<zsh\>
/usr/share/gocode/src/gvisor.dev golang-gvisor-gvisor-dev netstack
/usr/include/lwip liblwip-dev \<lwip\>
/usr/sbin/php-fpm* php-fpm \<php\>
/usr/lib/php/*/redis.so php-redis \<redis\.php\>|connect\.php
/usr/lib/python3/dist-packages/uvicorn python3-uvicorn \<uvicorn\>
/usr/lib/*/libeatmydata.so.1 libeatmydata1 libeatmydata
/usr/lib/*/faketime/libfaketime.so.1 libfaketime faketime
/usr/lib/*/libjemalloc.so.2 libjemalloc2 libjemalloc
/usr/lib/*/libsocket_wrapper.so libsocket-wrapper libsocket_wrapper
'

# Printed by the first test that asks: the rows of the table that this machine cannot serve.
rows_lacking() {
    local what package named
    while read -r what package named; do
        [ -z "$what" ] || command -v "$what" >/dev/null || compgen -G "$what" >/dev/null || echo "$what $package $named"
    done <<<"$WHAT_TESTS_NAME"
}

# The text of the function $1 and of all that it calls, of this project's.
text_of() {
    declare -f | awk -v todo="$1" '
        /^[^ ]+ \(\) *$/ { name = $1 }
        { text[name] = text[name] $0 "\n" }
        END {
            for (name in text)
                if (name ~ /^(bats|test)_|^(skip|run|load|setup|teardown|setup_file|teardown_file)$/)
                    seen[name] = 1
            for (count = split(todo, queue); done++ < count; ) {
                printf "%s", text[queue[done]]
                n = split(text[queue[done]], words, /[^A-Za-z0-9_]+/)
                for (i = 1; i <= n; i++)
                    if (words[i] in text && !seen[words[i]]++)
                        queue[++count] = words[i]
            }
        }'
}

# In setup(), where `skip` works. bats before 1.8 knows no tags.
needs_what_it_names() {
    local what package named rows text
    ! declare -F needs_no_tag_left_out >/dev/null || needs_no_tag_left_out
    rows=$(rows_lacking)
    [ -n "$rows" ] || return 0
    text=$(text_of "$BATS_TEST_NAME")
    while read -r what package named; do
        ! grep -qE -- "$named" <<<"$text" || skip "$what is not on this machine ($package)"
    done <<<"$rows"
}
