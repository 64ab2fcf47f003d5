#!/usr/bin/env bats
# README.md: a reader decides in one screen, and what it shows is what happens.
load helper

README=$ROOT/README.md

@test "README is short: 130 lines, and one screen before its second section" {
    also [ "$(wc -l <"$README")" -le 130 ]
    also [ "$(head -30 "$README" | grep -c '^## ')" -eq 1 ]
}

@test "what README links to is there, and make has the goals that it names" {
    grep -oE '\]\([^)]*\)' "$README" | tr -d ']()' >"$BATS_TEST_TMPDIR/links"
    grep -oE '`[a-z]+/[a-z./]+`' "$README" | tr -d '`' >>"$BATS_TEST_TMPDIR/links"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/links")" -ge 3 ]
    while read -r link; do
        also expect "a file" "$(cd "$ROOT" && compgen -G "$link")" "$link"
    done <"$BATS_TEST_TMPDIR/links"
    grep -oE '(`|&& |^    |, |: )make [a-z-]+' "$README" | grep -oE '[a-z-]+$' | sort -u >"$BATS_TEST_TMPDIR/goals"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/goals")" -ge 4 ]
    while read -r goal; do
        also expect "a goal of make" "$(grep -o "^$goal:" "$ROOT/Makefile")" "$goal:"
    done <"$BATS_TEST_TMPDIR/goals"
}

@test "each policy that README shows is understood, and each rule of it can decide" {
    grep -oE "LINGER_MODE=('[^']*'|[^ ]+)" "$README" | sed "s/LINGER_MODE=//; s/'//g" >"$BATS_TEST_TMPDIR/policies"
    expect examples "$(wc -l <"$BATS_TEST_TMPDIR/policies")" 5
    # And those of the table by symptom.
    grep -oE '`(off|fin|rst|fin-rst) [^`]*`' "$README" | tr -d '`' >>"$BATS_TEST_TMPDIR/policies"
    while read -r policy; do
        "$ROOT/linger" run -n -m "$policy" -- true >"$BATS_TEST_TMPDIR/plan" 2>&1 || cat "$BATS_TEST_TMPDIR/plan"
        also expect "rules of $policy" "$(grep -c '^  rule ' "$BATS_TEST_TMPDIR/plan")" "$(tr -cd ';' <<<"$policy;" | wc -c)"
        also expect "in the plan of $policy" "$(grep "can never decide" "$BATS_TEST_TMPDIR/plan")" ""
    done <"$BATS_TEST_TMPDIR/policies"
}

# session: the commands of the first screen, without their prompts; output: what they print.
session() {
    sed -n '/^```console/,/^```$/s/^\$ //p' "$README"
}

output() {
    sed -n '/^```console/,/^```$/p' "$README" | grep -v '^[$`]'
}

# Debian's own nginx.conf has sendfile and tcp_nopush on, and serves a page at port 80.
nginx_of_debian() {
    mkdir -p "$BATS_TEST_TMPDIR/bin"
    (set -- 80 "$BATS_TEST_TMPDIR" 1 && eval "cat <<END
${NGINX_CONF/daemon off;/}
END") >"$BATS_TEST_TMPDIR/nginx.conf"
    in_one_packet "$BATS_TEST_TMPDIR/nginx.conf" "$BATS_TEST_TMPDIR"
    printf '#!/bin/sh\nexec /usr/sbin/nginx %s -c %s/nginx.conf "$@"\n' "$(nginx_log)" "$BATS_TEST_TMPDIR" >"$BATS_TEST_TMPDIR/bin/nginx"
    chmod +x "$BATS_TEST_TMPDIR/bin/nginx"
}

# perform COMMAND...: in a network namespace of its own, where nothing is left of what was before.
perform() {
    printf '%s\n' 'ip link set lo up; cd "$BATS_TEST_TMPDIR"; trap "nginx -s stop" EXIT' "$@" >"$BATS_TEST_TMPDIR/commands"
    PATH=$BATS_TEST_TMPDIR/bin:$ROOT:$PATH unshare -n timeout -k 5 60 bash -e "$BATS_TEST_TMPDIR/commands" 2>"$BATS_TEST_TMPDIR/stderr"
}

# ss can be short of some, a port may be used again after a second (tcp_tw_reuse on loopback), and a
# client on a busy machine may close as the server does.
near() { # GOT SAID
    local apart=$(($1 - $2))
    [ "${apart#-}" -le $((20 + $2 / 5)) ] || expect "sockets in TIME_WAIT, about" "$1" "$2"
}

@test "the first screen: TIME_WAIT of nginx under fin, and under fin-rst" {
    needs_namespace
    curl --version >/dev/null && ss -V >/dev/null
    nginx_of_debian
    export BATS_TEST_TMPDIR
    mapfile -t lines < <(session)
    expect commands "${#lines[@]}" 4
    # A namespace of its own instead of the minute.
    [[ ${lines[2]} == "nginx -s stop; sleep 60; "* ]]
    lines[2]=${lines[2]#*sleep 60; }
    mapfile -t counts < <(output)
    expect "counts shown" "${counts[*]}" "1000 0"
    near "$(perform "${lines[@]:0:2}")" "${counts[0]}"
    near "$(perform "${lines[@]:2:2}")" "${counts[1]}"
}

# -------- the pictures --------

PICTURES=$ROOT/examples/pictures

@test "each picture is small, well-formed, and drawn from the recording beside it" {
    expect recordings "$(cd "$PICTURES" && echo *.txt)" "attach.txt demo.txt watch.txt"
    for recording in "$PICTURES"/*.txt; do
        picture=${recording%.txt}.svg
        python3 -B "$PICTURES/record.py" draw "$recording" >"$BATS_TEST_TMPDIR/drawn"
        also diff "$BATS_TEST_TMPDIR/drawn" "$picture"
        also python3 -c 'import sys, xml.etree.ElementTree; xml.etree.ElementTree.parse(sys.argv[1])' "$picture"
        also [ "$(wc -c <"$picture")" -lt 30000 ]
    done
}

@test "a picture has all that the terminals had" {
    cat >"$BATS_TEST_TMPDIR/recording" <<'END'
$ some <command>
a FIN, and an RST of 3 & more    far right
== the other
END
    printf '%0120d\n' 7 >>"$BATS_TEST_TMPDIR/recording"
    python3 -B "$PICTURES/record.py" draw "$BATS_TEST_TMPDIR/recording" >"$BATS_TEST_TMPDIR/picture"
    cat "$BATS_TEST_TMPDIR/picture"
    expect terminals "$(grep -c '<rect' "$BATS_TEST_TMPDIR/picture")" 2
    # Line by line, as far right as it was; a line that is too long goes on in the next.
    sed -n 's/^<text x="\([0-9]*\)" y="\([0-9]*\)".*>\(.*\)<.text>/\2 \1 \3/p' "$BATS_TEST_TMPDIR/picture" >"$BATS_TEST_TMPDIR/drawn"
    expect lines "$(cut -d' ' -f1 "$BATS_TEST_TMPDIR/drawn" | sort -un | wc -l)" 5
    expect texts "$(cut -d' ' -f2- "$BATS_TEST_TMPDIR/drawn" | sed 's/0\{9,\}/0.../' | paste -sd'|')" \
        "16 \$ some &lt;command&gt;|16 a|32 FIN|56 , and an|128 RST|160 of 3 &amp; more|280 far right|16 the other|16 0...|16 0...7"
}

# Where this fails, `examples/pictures/record.py demo` makes a new picture.
@test "make demo prints what its picture shows; the order of the packets may differ" {
    needs_namespace
    command -v tcpdump >/dev/null
    (unset TESTS_IN_NAMESPACE && exec "$ROOT/examples/demo.sh") >"$BATS_TEST_TMPDIR/demo"
    sed 1d "$PICTURES/demo.txt" | grep -v -- '---' | diff - <(grep -v -- '---' "$BATS_TEST_TMPDIR/demo")
}
