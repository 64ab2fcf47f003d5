#!/usr/bin/env bats
# What the shells complete after `linger`.
# bats file_tags=preload,plain
load helper

some_files() {
    cd "$BATS_TEST_TMPDIR" || return
    "$ROOT/linger" run -s="$PWD/counted.stats" -- true
    echo "not counters" | tee counted.sum >counted.text
    mkdir counted.d
}

# in_bash WORD...: what bash offers for the last word, as readline splits them.
in_bash() {
    bash -c 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _linger; echo "${COMPREPLY[*]}"' \
        _ "$ROOT/src/completion/linger.bash" linger "$@"
}

@test "bash: modes after -m and --mode=, values after =" {
    some_files
    for command in run attach close ab; do
        expect "$command -m" "$(in_bash $command -m f)" "fin fin-rst"
        expect "$command --mode=" "$(in_bash $command --mode = f)" "fin fin-rst"
        expect "$command --mode= and nothing" "$(in_bash $command --mode =)" "off fin rst fin-rst wait:"
    done
    expect "-r=" "$(in_bash run -r = o)" "on off"
    expect "-b" "$(in_bash run -b p)" "preload"
    expect "-l=" "$(in_bash run -l = counted.t)" "counted.text"
    expect help "$(in_bash help at)" "attach"
}

@test "bash: programs, and then their files and not our options" {
    some_files
    expect "a program" "$(in_bash run -m rst -r apt-ge)" "apt-get"
    expect "a program" "$(in_bash run --mode = rst -- apt-ge)" "apt-get"
    expect "a program to check" "$(in_bash check apt-ge)" "apt-get"
    expect "its argument" "$(in_bash run -m rst cat counted.te)" "counted.text"
    expect "its option" "$(in_bash run -m rst cat --mo)" ""
    expect "after --" "$(in_bash run -- cat counted.te)" "counted.text"
}

# With a service manager that runs one unit.
with_units() {
    mkdir "$BATS_TEST_TMPDIR/bin"
    printf '#!/bin/sh\necho "squid.service loaded active running a proxy"\n' >"$BATS_TEST_TMPDIR/bin/systemctl"
    chmod +x "$BATS_TEST_TMPDIR/bin/systemctl"
    PATH=$BATS_TEST_TMPDIR/bin:$PATH
}

@test "bash: pids and units for attach, files of counters for stats" {
    some_files
    with_units
    expect "a unit" "$(in_bash attach -m rst squ)" "squid.service"
    expect "a unit to measure" "$(in_bash ab --attach = squ)" ""
    [[ " $(in_bash attach -m rst $$) " == *" $$ "* ]]
    [[ " $(in_bash ab --attach = $$) " == *" $$ "* ]]
    expect "counters" "$(in_bash stats coun | tr ' ' '\n' | sort | xargs)" "counted.d counted.stats"
}

# in_zsh LINE...: what the command line is when the Tab in it has been pressed, words in brackets.
in_zsh() {
    cat >zsh-driver <<'END'
zmodload zsh/zpty
TERM=vt100 zpty it zsh -f -i
zpty -w it "PS1= PS2= fpath=($1 \$fpath)"
zpty -w it 'autoload -Uz compinit && compinit -D -u; setopt no_list_beep; linger() { print -r -- "GOT<$*>" }; print READY'
zpty -r it REPLY $'*\nREADY*'
zpty -w it "linger $2"
zpty -r it REPLY $'*GOT<*>*'
print -r -- ${${REPLY##*GOT<}%%>*}
zpty -d it
END
    timeout 60 zsh -f zsh-driver "$ROOT/src/completion" "$1"
}

@test "zsh: modes, values, programs, pids, files of counters" {
    some_files
    command -v zsh >/dev/null || skip "no zsh"
    needs_terminal
    expect "-m" "$(in_zsh $'run -m fin-\t true')" "run -m fin-rst true"
    expect "--mode=" "$(in_zsh $'attach --mode=fin-\t 1')" "attach --mode=fin-rst 1"
    expect "-r=" "$(in_zsh $'run --reuseaddr=of\t true')" "run --reuseaddr=off true"
    expect "a program" "$(in_zsh $'run -m rst apt-ge\t')" "run -m rst apt-get"
    expect "a program to check" "$(in_zsh $'check apt-ge\t')" "check apt-get"
    expect "its argument" "$(in_zsh $'run -m rst cat counted.te\t')" "run -m rst cat counted.text"
    expect "counters" "$(in_zsh $'stats counted.s\t')" "stats counted.stats"
    with_units
    expect "a unit" "$(in_zsh $'close -m rst squ\t')" "close -m rst squid.service"
    expect "a pid" "$(in_zsh $'attach -m rst '$$$'\t')" "attach -m rst $$"
}
