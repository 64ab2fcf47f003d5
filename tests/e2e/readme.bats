#!/usr/bin/env bats
# README.md: a reader decides in one screen, and what it shows is what happens.
load helper

README=$ROOT/README.md

# words: how many; what has no letter and no digit (a table's lines, an arrow) is none.
words() {
    grep -oE '[^ |]*[[:alnum:]][^ |]*' | wc -l
}

@test "README is short: 1,200 words, of which 280 decide" {
    also [ "$(words <"$README")" -le 1200 ]
    also [ "$(sed '/^| symptom/,$d' "$README" | words)" -le 280 ]
    also expect "sections, in order" "$(grep '^## ' "$README" | cut -c4- | paste -sd,)" \
        "See it,Try it,Do I need this?,The modes on the wire,The policy,The command,Alternatives,The price,Limits,How it works,Contributing and faults"
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

# Debian's own nginx.conf has sendfile and tcp_nopush on, and serves a page at port 80.
nginx_of_debian() {
    (set -- 80 "$BATS_TEST_TMPDIR" 2 && eval "cat <<END
${NGINX_CONF/127.0.0.1:/}
END") >"$BATS_TEST_TMPDIR/nginx.conf"
    in_one_packet "$BATS_TEST_TMPDIR/nginx.conf" "$BATS_TEST_TMPDIR"
    # shellcheck disable=SC2046  # two words or none
    start - nginx $(nginx_log) -c "$BATS_TEST_TMPDIR/nginx.conf"
    PORT=80 await_listener
}

# other_host: a network namespace, $OTHER, at 10.203.0.2; here is 10.203.0.1.
other_host() {
    other_network
    ip link add name near type veth peer name far netns "$OTHER"
    ip addr add 10.203.0.1/24 dev near
    ip link set near up
    nsenter -t "$OTHER" -n sh -c 'ip addr add 10.203.0.2/24 dev far; ip link set far up'
}

# Figures as 9, columns side by side, without what is open at that moment, ends otherwise, was lost, or is not nginx's:
# watch shows the whole host, and a test beside this one may use that port in a namespace of its own.
shape() {
    sed -E '/^ +(server|client) /{/, nginx/!d}; s/[0-9,]+/9/g; s/connection in/connections in/; s/  +/  /g; s/ \(pid 9\)//' | grep -vE "the peer|both at once|^connection |events lost"
}

@test "the first screen: who closes first, linger attach, and nothing is left" {
    needs_namespace
    needs_events
    nginx_of_debian
    other_host
    # Not as many as it can: that takes both processors from the other tests.
    start - nsenter -t "$OTHER" -n sh -c 'while :; do curl -s0o /dev/null "http://10.203.0.1/?[1-20]"; sleep 0.1; done'
    mapfile -t commands < <(sed -n '/^```console/,/^```$/s/^# //p' "$README")
    expect commands "${#commands[@]}" 3
    for command in "${commands[@]}"; do
        echo "# $command"
        PATH=$ROOT:$PATH bash -c "$command" | sed '/^advice/,$d'
    done >"$BATS_TEST_TMPDIR/seen"
    cat "$BATS_TEST_TMPDIR/seen"
    diff <(sed -n '/^```console/,/^```$/p' "$README" | grep -v '^`' | shape) <(shape <"$BATS_TEST_TMPDIR/seen")
    # Nearly all of them, and a client on a busy machine may close as the server does.
    awk 'function check() { if (most < all * 0.9) exit 1 }
        /ended$/ { check(); all = most = 0 } /, nginx/ { all += $NF; if ($NF > most) most = $NF } END { check() }' "$BATS_TEST_TMPDIR/seen"
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
    printf '%0140d\n' 7 >>"$BATS_TEST_TMPDIR/recording"
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
    needs_events
    command -v tcpdump >/dev/null
    # A column is as wide as the server's pid makes it.
    said() {
        grep -v -- '---' | sed -E 's/pid [0-9]+/pid N/; s/^[0-9]+ s at/N s at/; s/  +/  /g'
    }
    local tries=0
    # The kernel may fail to deliver an event: then linger says so.
    until
        (unset TESTS_IN_NAMESPACE && exec "$ROOT/examples/demo.sh") >"$BATS_TEST_TMPDIR/demo"
        sed 1d "$PICTURES/demo.txt" | said | diff - <(said <"$BATS_TEST_TMPDIR/demo")
    do
        grep -q "events lost" "$BATS_TEST_TMPDIR/demo" && [ $((++tries)) -lt 5 ]
    done
}
