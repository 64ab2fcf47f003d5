#!/usr/bin/env bats
# What stands in examples/ runs, prints what its header says, and cleans up after itself.
load helper

EXAMPLES=$ROOT/examples
LINGER=$ROOT/linger

# expected FILE: the output that its header quotes: the indented lines after "Expected output".
expected() {
    awk '
        /Expected output/ { on = 1; next }
        on && /^( \*\/|""")|^[^ #\/]/ { exit } # the header ends
        { sub(/^( \*|#|\/\/)/, "") }
        on && /^(   |\t)/ { print blanks $0; blanks = ""; seen = 1; next }
        on && seen && /^ *$/ { blanks = blanks "\n"; next }
        seen { exit }' "$1"
}

# as_expected FILE [SED-EXPRESSION]: $OUTPUT is what the header of FILE says, in that shape.
as_expected() {
    diff <(expected "$EXAMPLES/$1" | sed -E "${2:-}" | normal) <(sed -E "${2:-}" "$OUTPUT" | normal)
}

# said_in FILE: $OUTPUT has each line that the header of FILE quotes.
said_in() {
    local line
    normal <"$OUTPUT" >"$BATS_TEST_TMPDIR/normal"
    while read -r line; do
        [ -z "$line" ] || grep -qF -- "$line" "$BATS_TEST_TMPDIR/normal" || { echo "missing: $line" && return 1; }
    done < <(expected "$EXAMPLES/$1" | normal)
}

# example SCRIPT: runs it; what it prints is in the file $OUTPUT.
example() {
    begin_example "$1"
    finish
    cat "$OUTPUT"
    nothing_left
    expect status "$STATUS" 0
}

begin_example() {
    needs_namespace
    OUTPUT=$BATS_TEST_TMPDIR/output
    TEMPORARY=$BATS_TEST_TMPDIR/tmp
    mkdir "$TEMPORARY"
    exec {OUT}</dev/null
    TMPDIR=$TEMPORARY "$EXAMPLES/$1" >"$OUTPUT" 2>&1 3>&- &
    PID=$!
    STARTED+=("$PID")
}

# Neither a file, nor a process that was started with that TMPDIR.
processes_left() {
    grep -lsz "^TMPDIR=$TEMPORARY\$" /proc/[0-9]*/environ
}

no_processes_left() {
    ! processes_left
}

# What was sent a signal may take a moment to end.
nothing_left() {
    expect "files left" "$(ls -A "$TEMPORARY")" ""
    eventually no_processes_left
}

# field ROW N: the Nth word of the row of $OUTPUT that begins with ROW.
field() {
    awk -v row="$1" -v n="$2" 'index($0, row) == 1 { print $n; exit }' "$OUTPUT"
}

@test "each file says what it is for, how to run it and what to expect" {
    cd "$EXAMPLES"
    mapfile -t files < <(find . -type f ! -name lib.sh ! -name README.md ! -name '*.pyc' ! -path './pictures/*.txt' ! -name '*.svg')
    [ "${#files[@]}" -ge 20 ]
    for file in "${files[@]}"; do
        header=$(head -20 "$file")
        for word in "Purpose" "[Rr]un|make" "[Ee]xpected output"; do
            [[ $header =~ $word ]] || { echo "$file: no $word" && return 1; }
        done
    done
}

@test "echo server and client, in C and in Go" {
    OUTPUT=$BATS_TEST_TMPDIR/output
    for language in c go; do
        programs=$ROOT/build/examples
        [ $language = c ] || programs=$programs/go
        rm -f "$OUTPUT"
        for mode in fin rst; do
            start - "$LINGER" run -m $mode -- "$programs/echo-server"
            hear
            echo "$REPLY" >"$OUTPUT.server"
            "$programs/echo-client" "${REPLY##* }" >>"$OUTPUT"
            kill "$PID"
            finish
        done
        as_expected echo-client.$language
        mv "$OUTPUT.server" "$OUTPUT"
        as_expected echo-server.$language
    done
}

@test "capture.sh: FIN, RST, and the RST after a FIN" {
    begin_example capture.sh
    finish
    cat "$OUTPUT"
    nothing_left
    if grep -q "may not capture here" "$OUTPUT"; then
        # In a user namespace of somebody who is not root.
        run -1 grep -q '^ *0 *0 *4294967295$' /proc/self/uid_map
        skip "tcpdump needs root"
    fi
    expect status "$STATUS" 0
    as_expected capture.sh '/fin-rst/s/<--FIN//'
    for language in C Go; do
        grep -Eq "^$language +rst +RST--> +12 " "$OUTPUT"
        grep -Eq "^$language +fin-rst +FIN--> .*RST--> +12 .*EOF" "$OUTPUT"
        expect "RST in $language" "$(grep -E "^$language " "$OUTPUT" | grep -o 'RST-->\|<--RST' | wc -l)" 2
        expect "FIN of the server in $language" "$(grep -E "^$language " "$OUTPUT" | grep -c 'FIN-->')" 3
    done
}

@test "restart.sh: EADDRINUSE, and its cures" {
    example restart.sh
    as_expected restart.sh
    expect "in use" "$(grep -c 'Address already in use' "$OUTPUT")" 2
    expect "started again" "$(grep -c 'listening on' "$OUTPUT")" 3
}

@test "port-wall.sh: EADDRNOTAVAIL after 1,000 connections, none under fin-rst and rst" {
    example port-wall.sh
    # A machine under load sees a few TIME_WAIT go early, and their ports used again.
    as_expected port-wall.sh 's/[0-9]+ left/few left/'
    [ "$(field plain 2)" -ge 990 ] && [ "$(field plain 2)" -le 1500 ]
    [ "$(field plain 3)" -ge 900 ] && [ "$(field plain 3)" -le 1000 ]
    for mode in fin-rst rst; do
        expect "connections under $mode" "$(field $mode 2)" 3000
        expect "TIME_WAIT under $mode" "$(field $mode 3)" 0
    done
}

@test "live-ab.sh: what the client saw is what the two instances counted" {
    example live-ab.sh
    as_expected live-ab.sh
    eof=$(field "the client" 6) reset=$(field "the client" 9)
    expect "all" $((eof + reset)) 400
    expect "fin" "$(field "instance fin" 3)" "$eof"
    expect "rst" "$(field "instance rst" 3)" "$reset"
    [ "$eof" -gt 100 ] && [ "$reset" -gt 100 ]
    # The kernel's list can be a few short.
    [ "$(field "left behind" 3)" -le "$eof" ] && [ "$(field "left behind" 3)" -ge $((eof * 95 / 100)) ]
}

@test "a script that is stopped leaves nothing" {
    begin_example port-wall.sh
    until grep -qs ^mode "$OUTPUT"; do kill -0 "$PID"; done
    kill -TERM "$PID"
    finish
    expect status "$STATUS" 1
    nothing_left
}

@test "a program that loses its first SIGTERM is stopped all the same" {
    timeout 60 bash -c '. "$0/lib.sh"
        work=$1
        start bash -c "trap \"trap - TERM\" TERM; echo up; while :; do sleep 0.01; done"
        stop "$pid"
        ! kill -0 "$pid" 2>/dev/null' "$EXAMPLES" "$BATS_TEST_TMPDIR"
}

@test "without tcpdump, a namespace, the example programs or linger they say so" {
    mkdir "$BATS_TEST_TMPDIR/bin"
    for tool in bash dirname ip ss; do
        ln -s "$(command -v $tool)" "$BATS_TEST_TMPDIR/bin/$tool"
    done
    printf '#!/bin/sh\nexit 1\n' >"$BATS_TEST_TMPDIR/bin/unshare"
    chmod +x "$BATS_TEST_TMPDIR/bin/unshare"
    cp "$BATS_TEST_TMPDIR/bin/unshare" "$BATS_TEST_TMPDIR/bin/sysctl"
    bash=$(command -v bash)
    PATH=$BATS_TEST_TMPDIR/bin run -1 "$bash" "$EXAMPLES/capture.sh"
    expect capture "$output" "capture.sh: needs tcpdump, which is not on this machine"
    PATH=$BATS_TEST_TMPDIR/bin run -1 "$bash" "$EXAMPLES/restart.sh"
    expect restart "$output" "restart.sh: needs a network namespace of its own: root, or user namespaces (unshare -rn)"
    # Elsewhere, with linger on PATH or without.
    cp -r "$EXAMPLES" "$BATS_TEST_TMPDIR"
    PATH=$ROOT:$PATH run -1 "$BATS_TEST_TMPDIR/examples/live-ab.sh"
    expect live-ab "$output" "live-ab.sh: build/examples/echo-server is not there: \`make examples\`, with the sources"
    run -1 "$BATS_TEST_TMPDIR/examples/demo.sh"
    expect demo "$output" "demo.sh: build/examples/echo-server is not there: \`make demo\`, with the sources"
    run -1 "$BATS_TEST_TMPDIR/examples/live-ab.sh"
    expect "live-ab without linger" "$output" \
        "live-ab.sh: linger is neither beside examples/ (make) nor on PATH (make install)"
}

# The project NAME of test-wrappers, in a directory of its own; linger is on PATH.
wrapped() { # NAME
    cp -r "$EXAMPLES/test-wrappers" "$BATS_TEST_TMPDIR"
    cd "$BATS_TEST_TMPDIR/test-wrappers/$1" || return
    unset MAKEFLAGS MAKELEVEL
    PATH=$ROOT:$PATH
    OUTPUT=$BATS_TEST_TMPDIR/output
}

@test "pytest: fails without, passes with conftest.py" {
    wrapped pytest
    export PYTHONDONTWRITEBYTECODE=1
    for pytest in "python3 -m pytest -s" "pytest-3"; do
        $pytest -p no:cacheprovider >"$OUTPUT" 2>&1
        cat "$OUTPUT"
        expect summaries "$(grep -c ' in .*s =*$' "$OUTPUT")" 1
        grep -q "= 2 passed in" "$OUTPUT"
    done
    UNDER_LINGER=no run -1 pytest-3 -p no:cacheprovider
    echo "$output" | tee -a "$OUTPUT"
    said_in test-wrappers/pytest/conftest.py
    # Not there: pytest says so, and runs nothing.
    PATH=${PATH#*:} run -4 pytest-3 -p no:cacheprovider
    [[ $output == *"conftest.py: linger cannot be run: No such file or directory"* ]]
}

@test "make test: fails without, passes with linger" {
    wrapped make
    make --no-print-directory test >"$OUTPUT" 2>&1
    cat "$OUTPUT"
    run -2 make --no-print-directory test LINGER=
    echo "$output" | tee -a "$OUTPUT"
    # Between them make shows its commands.
    grep -A 1 '^2 rounds' "$OUTPUT"
    expect passed "$(grep -cx '2 rounds on one port' "$OUTPUT")" 1
    expect failed "$(grep -cx 'round 2: bind: Address already in use' "$OUTPUT")" 1
}

@test "ctest: fails without, passes by ENVIRONMENT and by a launcher" {
    wrapped ctest
    cmake -B build >/dev/null
    cmake --build build >/dev/null
    run -8 env -C build ctest --output-on-failure
    echo "$output" | tee "$OUTPUT"
    sed -i -E 's/ +[0-9.]+ sec$//' "$OUTPUT"
    said_in test-wrappers/ctest/CMakeLists.txt
    # The policy's semicolon is its own, and separates no list.
    env -C build ctest --show-only=json-v1 | python3 -c '
import json, sys
tests = {t["name"]: {p["name"]: p["value"] for p in t["properties"]} for t in json.load(sys.stdin)["tests"]}
print(*tests["under_linger"]["ENVIRONMENT"], sep="\n")' >"$BATS_TEST_TMPDIR/environment"
    diff - "$BATS_TEST_TMPDIR/environment" <<END
LD_PRELOAD=$LIB
LINGER_REUSEADDR=1
LINGER_MODE=off port=22;fin-rst role=server
END
    env -i "$(tail -1 "$BATS_TEST_TMPDIR/environment")" "$LINGER" run -n /bin/true | grep -q "rule 2 *fin-rst role=server"
    # The first name is CMake's since 3.29, the second before.
    cmake -B build "-DCMAKE_TEST_LAUNCHER=linger;run;-r;--" "-DCMAKE_CROSSCOMPILING_EMULATOR=linger;run;-r;--" >/dev/null
    cmake --build build >/dev/null
    env -C build ctest -R plain | grep '^100% tests passed'
}

# A unit of a name, as hardened as those of real daemons, with the drop-in.
unit() { # NAME
    UNITS=$BATS_TEST_TMPDIR/units
    mkdir -p "$UNITS/$1.service.d"
    cp "$EXAMPLES/systemd/liblinger.conf" "$UNITS/$1.service.d"
    cat >"$UNITS/$1.service" <<END
[Unit]
DefaultDependencies=no
[Service]
ExecStart=$ROOT/build/examples/echo-server
Environment=OF_THE_UNIT=1
RuntimeDirectory=$1
DynamicUser=yes
NoNewPrivileges=yes
ProtectSystem=strict
MemoryDenyWriteExecute=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
END
}

well_formed() { # UNIT...
    run systemd-analyze verify "$@"
    # Older ones want the whole of a manager's surroundings.
    [[ $output != *"Cannot determine cgroup"* ]] || skip "systemd-analyze verify needs cgroups, which are not here"
    expect complaints "$output" ""
    expect status "$status" 0
}

# What systemd makes of the unit NAME; its test mode refuses root.
understood() { # NAME
    local user=()
    [ "$(id -u)" != 0 ] || user=(unshare --user --map-user=1000)
    env -i PATH="$PATH" SYSTEMD_UNIT_PATH="$UNITS" XDG_RUNTIME_DIR="$BATS_TEST_TMPDIR" \
        "${user[@]}" /lib/systemd/systemd --test --system --unit="$1.service" 2>/dev/null
}

@test "systemd: the drop-in is well-formed, and its quotes are understood" {
    unit nginx
    SYSTEMD_UNIT_PATH=$UNITS well_formed "$UNITS/nginx.service"
    # In a chroot nobody may make a user namespace.
    understood nginx >"$BATS_TEST_TMPDIR/understood" || true
    [ -s "$BATS_TEST_TMPDIR/understood" ] || skip "systemd's test mode does not run here"
    sed -n 's/^\t*Environment: //p' "$BATS_TEST_TMPDIR/understood" >"$BATS_TEST_TMPDIR/environment"
    diff - "$BATS_TEST_TMPDIR/environment" <<'END'
OF_THE_UNIT=1
LD_PRELOAD=/usr/local/lib/liblinger.so
LINGER_MODE=fin-rst role=server
LINGER_REUSEADDR=1
LINGER_STATS=/run/linger/nginx/counters
END
    grep -q 'EnvironmentFile: -/etc/linger/nginx.env$' "$BATS_TEST_TMPDIR/understood"
    grep -q 'RuntimeDirectory: .*linger/nginx' "$BATS_TEST_TMPDIR/understood"
    # It is what liblinger takes.
    env -i "$(grep ^LINGER_MODE "$BATS_TEST_TMPDIR/environment")" "$LINGER" run -n /bin/true >"$BATS_TEST_TMPDIR/plan"
    grep -q 'rule 1 *fin-rst role=server$' "$BATS_TEST_TMPDIR/plan"
}

@test "systemd: so are those of the EnvironmentFile" {
    # The generator of environment.d reads such files with the same parser of systemd.
    mkdir -p "$BATS_TEST_TMPDIR/environment.d"
    cp "$EXAMPLES/systemd/service.env" "$BATS_TEST_TMPDIR/environment.d/service.conf"
    env -i XDG_CONFIG_HOME="$BATS_TEST_TMPDIR" HOME="$BATS_TEST_TMPDIR" \
        /lib/systemd/user-environment-generators/30-systemd-environment-d-generator |
        sed -n 's/^\(LINGER_[A-Z]*=\)"\(.*\)"$/\1\2/p' >"$BATS_TEST_TMPDIR/environment"
    diff <(expected "$EXAMPLES/systemd/service.env" | sed 's/^ *//') "$BATS_TEST_TMPDIR/environment"
    mapfile -t variables <"$BATS_TEST_TMPDIR/environment"
    env -i "${variables[@]}" "$LINGER" run -n /bin/true >"$BATS_TEST_TMPDIR/plan"
    grep -q 'rule 2 *fin-rst role=server share=10%' "$BATS_TEST_TMPDIR/plan"
    grep -q 'on port=80,443' "$BATS_TEST_TMPDIR/plan"
}

# bats test_tags=plain
@test "systemd: SystemCallFilter, RestrictAddressFamilies: the library needs no more than a daemon" {
    LINGER_STATS=$BATS_TEST_TMPDIR/counters LINGER_LOG=$BATS_TEST_TMPDIR/log LINGER_REUSEADDR=1 \
        start "off port=22; fin-rst role=server share=50% when=active; rst" \
        strace -f -o "$BATS_TEST_TMPDIR/strace" "$ROOT/build/examples/echo-server" "$("$TOOLS/free-port")"
    hear
    "$ROOT/build/examples/echo-client" "${REPLY##* }" 20
    server=$(pgrep -P "$PID")
    kill "$server"
    finish
    grep -q event=close "$BATS_TEST_TMPDIR/log"
    sed -nE 's/^[0-9]+ +([a-z0-9_]+)\(.*/\1/p' "$BATS_TEST_TMPDIR/strace" | sort -u >"$BATS_TEST_TMPDIR/made"
    grep -qx setsockopt "$BATS_TEST_TMPDIR/made"
    group @system-service | sort -u >"$BATS_TEST_TMPDIR/permitted"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/permitted")" -gt 200 ]
    expect "beyond the filter" "$(comm -23 "$BATS_TEST_TMPDIR/made" "$BATS_TEST_TMPDIR/permitted")" ""
    expect "sockets made" "$(grep -o ' socket([A-Z_0-9]*' "$BATS_TEST_TMPDIR/strace")" " socket(AF_INET"
}

# bats test_tags=plain
@test "systemd: the supervisor needs seccomp and pidfd_getfd besides" {
    start - strace -f -o "$BATS_TEST_TMPDIR/strace" "$LINGER" run -m fin-rst -- "$ROOT/build/examples/go/echo-server"
    hear
    "$ROOT/build/examples/echo-client" "${REPLY##* }" 2
    kill "$(pgrep -P "$PID")"
    finish
    sed -nE 's/^[0-9]+ +([a-z0-9_]+)\(.*/\1/p' "$BATS_TEST_TMPDIR/strace" | sort -u >"$BATS_TEST_TMPDIR/made"
    # systemd 257 has seccomp in @system-service.
    printf '%s\n' pidfd_getfd seccomp >"$BATS_TEST_TMPDIR/named"
    expect "named and not used" "$(comm -23 "$BATS_TEST_TMPDIR/named" "$BATS_TEST_TMPDIR/made")" ""
    group @system-service | sort -u - "$BATS_TEST_TMPDIR/named" >"$BATS_TEST_TMPDIR/permitted"
    expect "beyond the filter" "$(comm -23 "$BATS_TEST_TMPDIR/made" "$BATS_TEST_TMPDIR/permitted")" ""
}

@test "prometheus: one file of all services' counters, whole at any time, and as promtool wants it" {
    PATH=$ROOT:$PATH
    OUTPUT=$BATS_TEST_TMPDIR/out/linger.prom
    mkdir -p "$BATS_TEST_TMPDIR/out" "$BATS_TEST_TMPDIR/run"/{nginx,redis,idle}
    textfile=("$EXAMPLES/prometheus/linger-textfile.sh" "$BATS_TEST_TMPDIR/out" "$BATS_TEST_TMPDIR/run")
    "${textfile[@]}"
    [ -e "$OUTPUT" ] && [ ! -s "$OUTPUT" ]
    for service in nginx redis; do
        start - linger run -m fin-rst -s="$BATS_TEST_TMPDIR/run/$service/counters" -- "$ROOT/build/examples/echo-server"
        hear
        "$ROOT/build/examples/echo-client" "${REPLY##* }" 20
        kill "$PID"
        finish
    done
    "${textfile[@]}"
    promtool check metrics <"$OUTPUT"
    said_in prometheus/linger-textfile.sh
    expect samples "$(grep -c '{service="redis"' "$OUTPUT")" "$(linger stats -P "$BATS_TEST_TMPDIR/run/redis/counters" | grep -vc '^#')"
    expect mode "$(stat -c %a "$OUTPUT")" 644
    # What cannot be read is an error; the file stays as it was, and nothing lies about.
    cp "$OUTPUT" "$BATS_TEST_TMPDIR/before"
    echo garbage >"$BATS_TEST_TMPDIR/run/idle/counters"
    run ! "${textfile[@]}"
    cmp "$OUTPUT" "$BATS_TEST_TMPDIR/before"
    expect files "$(ls -A "$BATS_TEST_TMPDIR/out")" linger.prom
}

@test "prometheus: the timer and its service are well-formed" {
    for name in linger-textfile.service linger-textfile.timer; do
        sed "s:/usr/local/bin/:$EXAMPLES/prometheus/:" "$EXAMPLES/prometheus/$name" >"$BATS_TEST_TMPDIR/$name"
    done
    well_formed "$BATS_TEST_TMPDIR"/linger-textfile.{service,timer}
}

# The files of the image, built once.
image() {
    needs_root
    needs_mount_namespace
    IMAGE=$BATS_FILE_TMPDIR/image
    if [ ! -e "$IMAGE.json" ]; then
        unshare -m python3 "$ROOT/tests/tools/image.py" "$EXAMPLES/kubernetes/Dockerfile" "$ROOT" "$IMAGE" \
            >"$BATS_TEST_TMPDIR/json" 2>"$BATS_TEST_TMPDIR/build" || { cat "$BATS_TEST_TMPDIR/build" && return 1; }
        mv "$BATS_TEST_TMPDIR/json" "$IMAGE.json"
    fi
    # A container may write into its own.
    cp -a "$IMAGE" "$BATS_TEST_TMPDIR/image"
    IMAGE=$BATS_TEST_TMPDIR/image
}

@test "Dockerfile: each step runs, and the image is the library, linger and cp, for any libc" {
    image
    expect files "$(cd "$IMAGE" && find . -type f | sort | xargs)" "./bin/cp ./liblinger.so ./linger"
    for program in bin/cp linger; do
        expect "interpreters of $program" "$(readelf -lW "$IMAGE/$program" | grep -c INTERP || true)" 0
    done
    expect settings "$(<"$BATS_FILE_TMPDIR/image.json")" '{"user": "65534:65534", "entrypoint": ["/linger"]}'
    setpriv --reuid=65534 --regid=65534 --clear-groups chroot "$IMAGE" /linger --version >"$BATS_TEST_TMPDIR/output" ||
        chroot --userspec=65534:65534 "$IMAGE" /linger --version >"$BATS_TEST_TMPDIR/output"
    OUTPUT=$BATS_TEST_TMPDIR/output
    as_expected kubernetes/Dockerfile
}

@test "deployment.yaml: the volume, the paths and the variables fit together" {
    python3 - "$EXAMPLES/kubernetes" <<'END'
import re, sys, yaml
pod = yaml.safe_load(open(sys.argv[1] + "/deployment.yaml"))["spec"]["template"]["spec"]
init, server = pod["initContainers"][0], pod["containers"][0]
[volume] = pod["volumes"]
mounts = [c["volumeMounts"][0] for c in (init, server)]
assert "emptyDir" in volume and all(m["name"] == volume["name"] for m in mounts), mounts
assert not mounts[0].get("readOnly") and mounts[1]["readOnly"]
# What is copied, to where, and from where it is preloaded.
image = open(sys.argv[1] + "/Dockerfile").read()
program, *sources, target = init["command"]
assert re.search(r"^COPY --from=build \S+ " + program + "$", image, re.M)
assert all(re.search(r"^COPY --from=build .*" + source + r"\b.* /$", image, re.M) for source in sources)
assert target.rstrip("/") == mounts[0]["mountPath"]
environment = {e["name"]: e["value"] for e in server["env"]}
assert environment["LD_PRELOAD"] == mounts[1]["mountPath"] + "/liblinger.so" and "/liblinger.so" in sources
assert all(isinstance(value, str) for value in environment.values())
assert init["image"] in open(sys.argv[1] + "/attach.yaml").read()
assert "-t " + init["image"] in image
END
}

# in_pod COMMAND...: in namespaces of its own, under $PID; its first process, 1 there, is $ONE.
in_pod() {
    start - unshare -m -p -f "$@"
    hear
    ONE=$(pgrep -P "$PID")
    STARTED+=("$ONE")
}

# Everything in a process namespace ends with its first process.
end_pod() {
    kill -KILL "$ONE"
    finish
}

@test "deployment.yaml: run by its letter, in images of glibc, of musl, and of a Go program alone" {
    image
    for libc in glibc musl go; do
        rootfs $libc
        command=(/server)
        if [ $libc = go ]; then
            # The commented line, as it stands there.
            read -ra command < <(sed -n 's/.*command: \[\(.*run.*\)\]$/\1/p' "$EXAMPLES/kubernetes/deployment.yaml" | tr -d ,)
        fi
        in_pod python3 "$ROOT/tests/tools/pod.py" run "$EXAMPLES/kubernetes/deployment.yaml" "$IMAGE" "$ROOTFS" "${command[@]}"
        port=${REPLY##* }
        expect "the client under $libc" "$("$ROOT/build/examples/echo-client" "$port" 20)" "240 bytes, then EOF"
        expect "TIME_WAIT under $libc" "$(time_wait "$port")" 0
        end_pod
        cat "$BATS_TEST_TMPDIR/stderr"
        [ $libc != go ] || continue # the supervisor logs what it arms, and does not see close()
        OUTPUT=$BATS_TEST_TMPDIR/closed
        grep event=close "$BATS_TEST_TMPDIR/stderr" | tr ' ' '\n' >"$OUTPUT"
        for field in $(expected "$EXAMPLES/kubernetes/deployment.yaml"); do
            [[ $field == fd=* ]] || grep -qx "$field" "$OUTPUT"
        done
        # No word of a variable that it does not know.
        expect "other words" "$(grep -Ev '^time=|^unshare: ' "$BATS_TEST_TMPDIR/stderr" || true)" ""
    done
}

@test "attach.yaml: from beside the pod, with its two privileges alone" {
    image
    rootfs glibc
    # Another user's, and process 1 of its namespace, as a pod's is.
    in_pod chroot --userspec=12345:12345 "$ROOTFS" /server 8080
    read -ra command < <(sed -n 's/^#  *kubectl debug .* -- //p' "$EXAMPLES/kubernetes/attach.yaml")
    expect "the command" "${command[0]} ${command[1]}" "/linger attach"
    OUTPUT=$BATS_TEST_TMPDIR/output
    # In the processes' namespace, like kubectl debug --target, with files of its own.
    nsenter -t "$ONE" -p unshare -m python3 "$ROOT/tests/tools/pod.py" debug "$EXAMPLES/kubernetes/attach.yaml" \
        "$IMAGE" "${command[@]}" >"$OUTPUT"
    cat "$OUTPUT"
    as_expected kubernetes/attach.yaml
    expect "the client" "$("$ROOT/build/examples/echo-client" 8080 20)" "240 bytes, then EOF"
    expect TIME_WAIT "$(time_wait 8080)" 0
    end_pod
}

# A pod of the node whose first process is $ONE: its server, of another user in a network of its own.
pod_of_node() {
    start - nsenter -t "$ONE" -p unshare -n sh -c 'ip link set lo up && exec chroot --userspec=12345:12345 "$0" /server 8080' "$ROOTFS"
    hear
    there=(nsenter -t "$(pgrep -P "$PID")" -n)
}

# Lines of the node's linger keep, until one is like that.
node_says() { # PATTERN
    REPLY=
    # shellcheck disable=SC2053  # it is a pattern
    until [[ $REPLY == $1 ]]; do
        OUT=$KEEP_OUT hear
        echo "$REPLY"
    done
}

@test "keep.yaml: the pods of a node, with its three privileges alone; the ConfigMap changes" {
    image
    needs_events
    rootfs glibc
    start - unshare -m -p -f sh -c 'mount -t tmpfs none /run && exec "$@"' sh \
        python3 "$ROOT/tests/tools/pod.py" own "$EXAMPLES/kubernetes/keep.yaml" "$IMAGE"
    KEEP_OUT=$OUT
    eventually pgrep -P "$PID" linger
    ONE=$(pgrep -P "$PID")
    STARTED+=("$ONE")
    OUTPUT=$BATS_TEST_TMPDIR/output
    for pod in one two; do
        pod_of_node
        node_says "listener *" | tee "$OUTPUT"
        as_expected kubernetes/keep.yaml
        expect "the client of pod $pod" "$("${there[@]}" "$ROOT/build/examples/echo-client" 8080 20)" "240 bytes, then EOF"
        eventually expect "in pod $pod" "$("${there[@]}" ss -Htan "sport = :8080" | awk '{ print $1 }' | sort -u)" LISTEN
    done
    # As the kubelet does it.
    mkdir "$IMAGE.policy/..2"
    echo "rst port=8080" >"$IMAGE.policy/..2/policy"
    ln -s ..2 "$IMAGE.policy/..new"
    mv -T "$IMAGE.policy/..new" "$IMAGE.policy/..data"
    node_says "listener * verdict rst  applied  rule 1, server *"
    node_says "listener * verdict rst  applied  rule 1, server *"
    expect "the client of the last pod" "$("${there[@]}" "$ROOT/build/examples/echo-client" 8080 1)" "12 bytes, then ECONNRESET (Connection reset by peer)"
    kill -KILL "$ONE"
}

@test "attach to a process of other namespaces, from outside, with CAP_SYS_PTRACE alone" {
    needs_root
    needs_mount_namespace
    in_pod setpriv --reuid=12345 --regid=12345 --clear-groups "$ROOT/build/examples/echo-server" 8080
    setpriv --reuid=12345 --regid=12345 --clear-groups --bounding-set=-all,+sys_ptrace \
        --inh-caps=-all,+sys_ptrace --ambient-caps=-all,+sys_ptrace "$LINGER" attach -m rst "$ONE"
    expect "the client" "$("$ROOT/build/examples/echo-client" 8080 1)" "12 bytes, then ECONNRESET (Connection reset by peer)"
    end_pod
}
