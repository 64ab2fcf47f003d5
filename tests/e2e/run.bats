#!/usr/bin/env bats
# linger run: one pid, signals and exit status of the program's own, and clear refusals.
load helper

LINGER=$ROOT/linger

# refused STATUS FIRST-LINE ARGUMENT...: FIRST-LINE is a pattern; COMPLAINT has all of them.
refused() {
    local want=$1 line=$2 status=0
    shift 2
    "$LINGER" run "$@" >"$BATS_TEST_TMPDIR/stdout" 2>"$BATS_TEST_TMPDIR/complaint" || status=$?
    COMPLAINT=$(cat "$BATS_TEST_TMPDIR/complaint")
    echo "$COMPLAINT"
    expect status "$status" "$want"
    # shellcheck disable=SC2053  # it is a pattern
    [[ ${COMPLAINT%%$'\n'*} == $line ]]
    [ ! -s "$BATS_TEST_TMPDIR/stdout" ]
}

@test "the mode takes effect, and the pid stays: \$! names the program" {
    start - "$LINGER" run -m rst -- "$TOOLS/subject" -r close
    hear_port
    expect "comm of the pid" "$(cat /proc/$PID/comm)" subject
    SEEN=$("$TOOLS/peer" -k connect "$PORT")
    finish
    LEFT=$(time_wait "$PORT")
    expect status "$STATUS" 0
    sees 5 0 1 0
    start - "$LINGER" run --mode="fin-rst role=server" "$TOOLS/subject" -r close
    hear_port
    SEEN=$("$TOOLS/peer" -k connect "$PORT")
    finish
    LEFT=$(time_wait "$PORT")
    sees 5 1 0 0
}

@test "nginx keeps the pid, answers SIGTERM, and its exit status is passed on" {
    PORT=$("$TOOLS/free-port")
    start - bash -c "set -- \"\$1\" \"\$2\" 1; ${NGINX/exec nginx/exec \"$LINGER\" run -m rst -- nginx}" daemon "$PORT" "$BATS_TEST_TMPDIR"
    until [ -s "$BATS_TEST_TMPDIR/nginx.pid" ] && [ -n "$(ss -Htln "sport = :$PORT")" ]; do kill -0 "$PID"; done
    expect "pid" "$(cat "$BATS_TEST_TMPDIR/nginx.pid")" "$PID"
    expect "the page" "$(curl -s "http://127.0.0.1:$PORT/")" "a page of nginx"
    kill -TERM "$PID"
    finish
    expect status "$STATUS" 0
}

@test "exit status and death by signal are the program's" {
    run "$LINGER" run -m rst -- sh -c 'exit 7'
    expect status "$status" 7
    run "$LINGER" run -m rst -- sh -c 'kill -TERM $$'
    expect status "$status" 143
}

@test "the program's own options need no --" {
    run "$LINGER" run -m rst echo -n --help -m
    expect output "$output" "--help -m"
}

@test "refusals: 125, 126, 127" {
    refused 127 "linger run: no-such-program: no such program" -m rst no-such-program
    refused 126 "linger run: $BATS_TEST_TMPDIR: a directory" -m rst "$BATS_TEST_TMPDIR"
    refused 126 "linger run: /etc/passwd: cannot be executed: Permission denied" -m rst /etc/passwd
    refused 125 "linger run: -m: unknown mode 'rts'; did you mean 'rst'?" -m "off; rts" true
    diff - <(printf '%s\n' "$COMPLAINT") <<'END'
linger run: -m: unknown mode 'rts'; did you mean 'rst'?
  off; rts
       ^~~
  a mode is one of: off, fin, rst, fin-rst, wait:SECONDS
END
    refused 125 "linger run: -r: unknown value 'maybe'" -r=maybe true
    refused 125 "linger run: -R: condition that is not known before bind(): 'peer'" "--reuseport=on peer=1.2.3.4" true
    refused 125 "linger run: nothing to do: give a policy with -m, or -r, -R, -B, -l or -s" true
    refused 125 "linger run: nothing to do: *" -m "" true
    refused 125 "linger run: a program is missing" -m rst
    refused 125 "linger run: option '-m' needs an argument" -m
    refused 125 "linger run: unknown option '--mdoe=rst'; did you mean '--mode'?" --mdoe=rst true
    refused 125 "linger run: unknown option '-x'" -x true
    refused 125 "linger run: option '--dry-run=yes' takes no argument" --dry-run=yes true
    refused 125 "linger run: -b: unknown backend 'magic'*" -b magic -m rst true
    refused 125 "linger run: -b: unknown backend 'prelod'; did you mean 'preload'?" -b prelod -m rst true
    refused 125 "linger run: -r: unknown value 'of'; did you mean 'off'?" -r=of true
    refused 125 "linger run: -m: unknown role 'clint'; did you mean 'client'?" -m "rst role=clint" true
    refused 125 "linger run: -l: the log cannot go to standard output: 'stdout'" -l=stdout true
    refused 125 "linger run: -m: cannot read '/no/such/policy'" -m @/no/such/policy true
}

@test "linger help and linger version say what --help and --version say" {
    expect "of linger" "$("$LINGER" help)" "$("$LINGER" --help)"
    for command in run check states watch stats attach close ab; do
        expect "of $command" "$("$LINGER" help $command)" "$("$LINGER" $command --help)"
    done
    expect version "$("$LINGER" version)" "$("$LINGER" --version)"
    run -125 --separate-stderr "$LINGER" help rnu
    expect "the mistake" "${stderr_lines[0]}" "linger: unknown command 'rnu'; did you mean 'run'?"
    run -125 --separate-stderr "$LINGER" vresion
    expect "the mistake" "${stderr_lines[0]}" "linger: unknown command 'vresion'; did you mean 'version'?"
}

@test "a program that asks another to start programs: one warning, with what to do" {
    for name in systemctl docker; do
        ln -s /bin/true "$BATS_TEST_TMPDIR/$name"
        expect "$name" "$("$LINGER" run -m rst -- "$BATS_TEST_TMPDIR/$name" start nginx 2>&1)" \
            "linger run: warning: $name has another process start programs, and they get no policy; set the variables that '-n' prints in the unit or the container"
    done
    expect "no such program" "$("$LINGER" run -m rst -- true 2>&1)" ""
}

# says_of MESSAGE COMMAND...: run says that, the program runs, and by -b supervise nothing is said.
says_of() {
    expect "${*:2}" "$("$LINGER" run -m rst -- "${@:2}" 2>&1)" "${1:+linger run: warning: $1}"
    expect "supervised, ${*:2}" "$("$LINGER" run -b supervise -m rst -- "${@:2}" 2>&1)" ""
}

@test "launchers that clear the environment or change the root: said by run and check" {
    says_of "env -i changes the environment, and what it starts is not reached; -b supervise reaches it" env -i true
    says_of "env -u LD_PRELOAD changes the environment, and what it starts is not reached; -b supervise reaches it" env -u LD_PRELOAD true
    says_of "setpriv --reset-env changes the environment, and what it starts is not reached; -b supervise reaches it" setpriv --no-new-privs --reset-env true
    says_of "" env A=1 true -i
    for name in sudo doas pkexec login bwrap chroot kubectl tmux; do
        printf '#!/bin/sh\n' >"$BATS_TEST_TMPDIR/$name"
        chmod +x "$BATS_TEST_TMPDIR/$name"
        what=environment
        [[ $name != @(bwrap|chroot) ]] || what="root directory"
        said="$name changes the $what, and what it starts is not reached; -b supervise reaches it"
        [[ $name != @(kubectl|tmux) ]] || said="$name has another process start programs, and they get no policy; set *"
        run -0 "$LINGER" run -m rst -- "$BATS_TEST_TMPDIR/$name" true
        [[ $output == "linger run: warning: "$said ]]
        run -0 "$LINGER" check "$BATS_TEST_TMPDIR/$name"
        [[ "$(tr -s ' \n' ' ' <<<"$output")" == *" but "$said* ]]
    done
    # Behind others, too, as far as their arguments say what they start.
    sudo=$BATS_TEST_TMPDIR/sudo
    said="sudo changes the environment, and what it starts is not reached; -b supervise reaches it"
    says_of "$said" timeout 60 "$sudo" true
    says_of "$said" timeout -k 1 --signal=KILL 60 "$sudo" true
    says_of "$said" env -u TERM A=1 nice -n 1 setsid -w stdbuf -oL -e 0 "$sudo" true
    says_of "$said" taskset -c 0 nice -1 -- "$sudo" true
    says_of "$said" xargs -I {} -n1 "$sudo" true </dev/null
    says_of "env -i changes the environment, and what it starts is not reached; -b supervise reaches it" timeout 60 env -i true
    says_of "" timeout 60 true "$sudo"
    says_of "" stdbuf -oL true
    # It is true: the peer sees FIN, and under the supervisor RST.
    for backend in preload supervise; do
        start - "$TOOLS/peer" listen
        hear_port
        "$LINGER" run -b $backend -m rst -- env -i "$SUBJECT" -c "$PORT" close >"$BATS_TEST_TMPDIR/said" 2>&1
        hear
        expect "$backend" "$REPLY" "bytes=5 eof=$([ $backend = preload ] && echo "1 reset=0" || echo "0 reset=1")"
        finish
    done
}

@test "a library that the program's user cannot read is named before the start" {
    needs_root
    mkdir -m 700 "$BATS_TEST_TMPDIR/closed"
    cp "$LINGER" "$LIB" "$BATS_TEST_TMPDIR/closed"
    LINGER=$BATS_TEST_TMPDIR/closed/linger
    start=(setpriv --reuid=65534 --clear-groups true)
    run -0 "$LINGER" run -m rst -- "${start[@]}"
    expect said "${lines[0]}" "linger run: warning: setpriv may become a user who cannot read $BATS_TEST_TMPDIR/closed/liblinger.so, and what it starts then is not reached; install the library where everybody may read it, or use -b supervise"
    expect supervised "$("$LINGER" run -b supervise -m rst -- "${start[@]}" 2>&1)" ""
    chmod 755 "$BATS_TEST_TMPDIR/closed" "$BATS_TEST_TMPDIR" "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR/test"
    expect "open to all" "$("$LINGER" run -m rst -- "${start[@]}" 2>&1)" ""
}

@test "a value in the place of the program: did you mean -l=FILE?" {
    refused 127 "linger run: a.log: no such program; did you mean -l=a.log?" -m rst -l a.log true
    refused 127 "linger run: a.stats: no such program; did you mean -s=a.stats?" -s a.stats true
    refused 127 "linger run: on: no such program; did you mean --reuseaddr=on?" --reuseaddr on true
    refused 126 "linger run: /etc/passwd: cannot be executed: Permission denied; did you mean -l=/etc/passwd?" -m rst -l /etc/passwd true
    # Where the options end, that is what it says.
    refused 127 "linger run: a.log: no such program" -m rst -l -- a.log true
    refused 127 "linger run: a.log: no such program" -l -m rst a.log true
}

@test "a bad variable in the environment is refused by its name" {
    LINGER_REUSEADDR=maybe
    export LINGER_REUSEADDR
    refused 125 "linger run: LINGER_REUSEADDR: unknown value 'maybe'" -m rst true
    unset LINGER_REUSEADDR
    # What an option replaces does not matter any more.
    LINGER_MODE=rts run "$LINGER" run -m rst true
    expect status "$status" 0
}

# bats test_tags=plain
@test "LD_PRELOAD is extended, of any length, without duplicates" {
    show='printf %s "$LD_PRELOAD"'
    expect "none before" "$("$LINGER" run -m rst sh -c "$show")" "$LIB"
    other=$(ldconfig -p | awk '/libm\.so\.6/ { print $NF; exit }')
    export LD_PRELOAD=$other
    expect "one before" "$("$LINGER" run -m rst sh -c "$show")" "$other:$LIB"
    export LD_PRELOAD="$LIB $other"
    expect "there already" "$("$LINGER" run -m rst sh -c "$show")" "$LIB $other"
    LD_PRELOAD=$(printf "$other:%.0s" $(seq 300))
    [ ${#LD_PRELOAD} -gt 4096 ]
    before=$LD_PRELOAD
    expect "300 before" "$("$LINGER" run -m rst sh -c "$show")" "$before:$LIB"
    unset LD_PRELOAD
    expect "within itself" "$("$LINGER" run -m rst "$LINGER" run -m fin sh -c "$show; echo \" \$LINGER_MODE\"")" "$LIB fin"
}

@test "-r and -R set the variables, -n prints the plan and runs nothing" {
    expect values "$("$LINGER" run -r -R=off sh -c 'echo $LINGER_REUSEADDR $LINGER_REUSEPORT')" "on off"
    run "$LINGER" run -n -m 'off port=22; rst share=10%' -r -- touch "$BATS_TEST_TMPDIR/a file"
    expect status "$status" 0
    diff - <(printf '%s\n' "$output") <<END
backend     preload: dynamically linked, glibc
command     LINGER_MODE='off port=22; rst share=10%' LINGER_REUSEADDR=on LD_PRELOAD=$LIB $(command -v touch) '$BATS_TEST_TMPDIR/a file'
LINGER_MODE
  rule 1    off port=22
  rule 2    rst share=10%
  else      left alone
LINGER_REUSEADDR
  rule 1    on
  else      left alone
END
    [ ! -e "$BATS_TEST_TMPDIR/a file" ]
    # The printed command is one: pasted into a shell it does the thing.
    eval "$(sed -n 's/^command *//p' <<<"$output")"
    [ -e "$BATS_TEST_TMPDIR/a file" ]
}

@test "-n with -s and no file names no file of counters, and makes none" {
    mkdir "$BATS_TEST_TMPDIR/tmp"
    run env TMPDIR="$BATS_TEST_TMPDIR/tmp" LINGER_STATS=/nowhere "$LINGER" run -n -s -m rst -- true
    expect status "$status" 0
    expect command "$(sed -n 's/^command *//p' <<<"$output" | grep -o '^[A-Z_]*=\w* [A-Z_]*')" "LINGER_MODE=rst LD_PRELOAD"
    expect "what it made" "$(ls "$BATS_TEST_TMPDIR/tmp")" ""
}

@test "file names are relative to where linger was called: the program may be elsewhere" {
    cd "$BATS_TEST_TMPDIR"
    echo "rst # a file of rules" >rules
    "$ROOT/linger" run -m @rules -l=log -s=stats -- sh -c 'cd / && /bin/true && /bin/true'
    expect loads "$(grep -c event=load log)" 3
    "$ROOT/linger" stats -j stats | grep -q '"armed_rst":0'
    (cd / && ! ls log stats 2>/dev/null)
}

@test "@FILE is read once, by linger: later changes to the file do not reach the children" {
    printf '%s\n' "off port=22 # ssh" "fin-rst  role=server" >"$BATS_TEST_TMPDIR/rules"
    show='printf "%s|%s" "$LINGER_MODE" "$LINGER_REUSEADDR"'
    printf 'on port=80 # web\n' >"$BATS_TEST_TMPDIR/ports"
    expect text "$("$LINGER" run -m "@$BATS_TEST_TMPDIR/rules" -r="@$BATS_TEST_TMPDIR/ports" sh -c "$show")" \
        "off port=22; fin-rst role=server|on port=80"
    expect "text of a file that a variable names" \
        "$(LINGER_MODE=@$BATS_TEST_TMPDIR/rules "$LINGER" run -l=/dev/null sh -c "$show")" "off port=22; fin-rst role=server|"
    export FILE=$BATS_TEST_TMPDIR/rules
    run "$LINGER" run -m "@$FILE" sh -c 'echo rts >"$FILE"; /bin/true && rm "$FILE" && /bin/true'
    expect "status after a typo and a rm" "$status: $output" "0: "
}

@test "the library: beside the executable, then in the installed libdir, never in the current directory" {
    cp "$LINGER" "$BATS_TEST_TMPDIR/linger"
    cd "$BATS_TEST_TMPDIR"
    cp "$LIB" liblinger.so
    mkdir bin
    cp "$LINGER" bin
    run bin/linger run -m rst true
    expect status "$status" 125
    [[ $output == *"liblinger.so is not in $BATS_TEST_TMPDIR/bin, nor in ../lib from there, nor in /usr/local/lib"* ]]
    cp "$LIB" bin
    expect library "$(bin/linger run -m rst sh -c 'echo $LD_PRELOAD')" "$BATS_TEST_TMPDIR/bin/liblinger.so"
    mkdir "with blank"
    cp "$LINGER" "$LIB" "with blank"
    run "with blank/linger" run -m rst true
    expect status "$status" 125
    [[ $output == *"LD_PRELOAD cannot name a path with a blank or a colon"* ]]
}

@test "a library of another version, or one that is not ours, is refused" {
    mkdir "$BATS_TEST_TMPDIR/other"
    cp "$LINGER" "$BATS_TEST_TMPDIR/other"
    version=$("$LINGER" --version | cut -d' ' -f2)
    sed "s/$version/${version//[0-9]/9}/g" "$LIB" >"$BATS_TEST_TMPDIR/other/liblinger.so"
    run "$BATS_TEST_TMPDIR/other/linger" run -m rst true
    expect status "$status" 125
    [[ $output == *"other/liblinger.so is version ${version//[0-9]/9}, and this is linger $version" ]]
    cp "$(ldconfig -p | awk '/libm\.so\.6/ { print $NF; exit }')" "$BATS_TEST_TMPDIR/other/liblinger.so"
    run "$BATS_TEST_TMPDIR/other/linger" run -m rst true
    expect status "$status" 125
    [[ $output == *"it names no version, so it is not liblinger" ]]
}

@test "32-bit and 64-bit programs both find theirs, by \$LIB" {
    needs_32_bit_programs
    i686-linux-gnu-gcc -o "$BATS_TEST_TMPDIR/i386" -D_GNU_SOURCE "$ROOT/tests/tools/subject.c" -pthread
    "$BATS_TEST_TMPDIR/i386" nothing || skip "no 32-bit libc here to run it"
    # Which directory $LIB is, the loaders themselves show.
    meant_by_lib() {
        strace -qq -e trace=open,openat -E 'LD_PRELOAD=/x/$LIB/y.so' "$1" nothing 2>&1 | sed -n 's|.*"/x/\(.*\)/y.so".*|\1|p'
    }
    lib32=$(meant_by_lib "$BATS_TEST_TMPDIR/i386")
    lib64=$(meant_by_lib "$TOOLS/subject")
    [[ $lib32 == lib* && $lib64 == lib* && $lib32 != "$lib64" ]]
    cp -r "$ROOT/src" "$ROOT/Makefile" "$BATS_TEST_TMPDIR"
    make -s -C "$BATS_TEST_TMPDIR" CC=i686-linux-gnu-gcc liblinger.so 3>&-
    prefix=$BATS_TEST_TMPDIR/prefix
    install -D "$BATS_TEST_TMPDIR/liblinger.so" "$prefix/$lib32/liblinger.so"
    install -D "$LIB" "$prefix/$lib64/liblinger.so"
    make -s -C "$BATS_TEST_TMPDIR" clean 3>&-
    make -s -C "$BATS_TEST_TMPDIR" LIBDIR="$prefix/$lib64" BUILD="$BATS_TEST_TMPDIR/build" linger 3>&-
    install -D "$BATS_TEST_TMPDIR/linger" "$prefix/bin/linger"
    for program in "$BATS_TEST_TMPDIR/i386" "$TOOLS/subject"; do
        start - "$prefix/bin/linger" run -m rst -- sh -c 'echo "$LD_PRELOAD"; exec "$0" -r close' "$program"
        hear
        expect LD_PRELOAD "$REPLY" "$prefix/\$LIB/liblinger.so"
        hear_port
        SEEN=$("$TOOLS/peer" -k connect "$PORT")
        finish
        expect "the peer saw" "$SEEN" "bytes=5 eof=0 reset=1"
    done
    run "$prefix/bin/linger" check "$BATS_TEST_TMPDIR/i386"
    expect status "$status" 0
}

@test "help fits 80 columns and has an example; version; unknown commands get a suggestion" {
    for command in "" run check states watch stats attach close ab; do
        run "$LINGER" $command --help
        expect "status of $command --help" "$status" 0
        expect "lines over 80 columns" "$(awk 'length > 80' <<<"$output")" ""
        [[ $output == *example* ]]
    done
    run "$LINGER" --version
    [[ $output =~ ^linger\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
    run "$LINGER" nonsense
    expect status "$status" 125
    run "$LINGER" chekc
    [[ $output == "linger: unknown command 'chekc'; did you mean 'check'?"* ]]
    run "$LINGER"
    expect status "$status" 125
    run "$LINGER" --nonsense
    expect status "$status" 125
}

@test "completion: bash completes commands, options and modes; zsh's parses" {
    complete_with() {
        bash -c 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _linger; echo "${COMPREPLY[*]}"' \
            _ "$ROOT/src/completion/linger.bash" "$@"
    }
    commands=$("$LINGER" --help | sed -n 's/^  \([a-z][a-z]*\)  .*/\1/p' | grep -v linger | xargs)
    expect "linger.bash has commands" "$(complete_with linger "")" "$commands help --help --version"
    expect "_linger has commands" "$(sed -n "s/.*'1:command:((\(.*\)))'.*/\1/p" "$ROOT/src/completion/_linger" |
        grep -oE '[a-z]+\\:' | tr -d '\\:' | xargs)" "$commands help"
    expect modes "$(complete_with linger run -m f)" "fin fin-rst"
    expect options "$(complete_with linger states --j)" "--json"
    # Each long option of each command is offered.
    for command in $commands; do
        for option in $("$LINGER" $command --help | grep -oE -- '--[a-z-]+' | sort -u); do
            [[ $(complete_with linger $command --) == *"$option"* ]]
            grep -q -- "$option" "$ROOT/src/completion/_linger"
        done
    done
    zsh -n "$ROOT/src/completion/_linger"
    # The modes are those of the help, wherever they stand.
    modes=$("$ROOT/linger" run --help | sed -n '/^modes/,/^$/s/^  \([a-z-]*:\{0,1\}\).*/\1/p' | xargs)
    [[ $modes == *rst*wait:* ]]
    for file in linger.bash _linger; do
        expect "$file has modes" "$(tr -d "\\\\" <"$ROOT/src/completion/$file" | grep -oE '[("]off [^)"]*' | tr -d '("' | sort -u)" "$modes"
    done
}
