# bash completion for linger(1)

# Sets program: the index of the first word that is neither an option nor the value of one; $1 has
# the letters of the options that take one.
_linger_find_program() {
    for ((program = 2; program < COMP_CWORD; program++)); do
        case ${COMP_WORDS[program]} in
        --) program=$((program + 1)) && return ;;
        =) program=$((program + 1)) ;; # bash makes three words of --mode=rst
        -?) [[ $1 != *${COMP_WORDS[program]#-}* || ${COMP_WORDS[program + 1]} == = ]] || program=$((program + 1)) ;;
        -*) ;;
        *) return ;;
        esac
    done
}

# Sets words or kind: what may stand after the option $2 of the command $1. With an = is $3.
_linger_after() {
    case $1:$2 in
    *:-p | *:--port) kind=number ;;
    run:-m | run:--mode | attach:-m | attach:--mode | keep:-m | keep:--mode | supervise:-m | supervise:--mode | close:-m | close:--mode | ab:-m | ab:--mode) words="off fin rst fin-rst wait:" ;;
    run:-b | run:--backend) words="auto preload supervise" ;;
    run:-[rRB] | run:--reuse* | run:--bind-no-port) [ -z "$3" ] || words="on off" ;;
    run:-[ls] | run:--log | run:--stats) [ -z "$3" ] || kind=files ;;
    attach:-[sr] | attach:--save | attach:--restore | supervise:-[sl] | supervise:--save | supervise:--log) kind=files ;;
    keep:-P | keep:--prometheus) kind=files ;;
    watch:-t | watch:--time) kind=number ;;
    close:-s | close:--state) words="established syn-sent fin-wait-1 fin-wait-2 close-wait last-ack closing time-wait connected synchronized" ;;
    close:-[iSw] | close:--idle | close:--stuck | close:--watch) kind=number ;;
    ab:-a | ab:--attach) kind=pids ;;
    ab:-o | ab:--output) kind=directories ;;
    ab:-[lrMtg] | ab:--load | ab:--rounds | ab:--metric | ab:--timeout | ab:--grace) kind=number ;;
    esac
}

# Sets words or kind: what else may stand in the place of $2.
_linger_word() {
    case $1:$2 in
    help:*) words="run check states watch stats attach keep supervise close ab" ;;
    run:-*) words="-m --mode= -r --reuseaddr -R --reuseport -B --bind-no-port -l --log -s --stats -b --backend= -n --dry-run -h --help --" ;;
    check:-*) words="-p --pid -h --help" ;;
    states:*) words="-p --port= -w --watch -j --json -h --help" ;;
    watch:-*) words="-p --port= -t --time= -e --events -v --verbose -j --json -h --help" ;;
    attach:-*) words="-m --mode= -p --port= -s --save= -r --restore= -n --dry-run -j --json -q --quiet -h --help" ;;
    keep:*) words="-m --mode= -f --follow -P --prometheus= -r --restore-at-end -n --dry-run -j --json -q --quiet -h --help" ;;
    supervise:-*) words="-m --mode= -p --port= -t --tree -l --log= -s --save= -y --yes -n --dry-run -j --json -q --quiet -h --help" ;;
    close:-*) words="-m --mode= -p --port= -s --state= -i --idle= -S --stuck= -a --all -w --watch= -n --dry-run -j --json -q --quiet -h --help" ;;
    ab:-*) words="-m --mode= -p --port= -l --load= -r --rounds= -a --attach= -c --client -b --both -M --metric= -t --timeout= -g --grace= -o --output= -w --watch -N --no-namespace -j --json -h --help --" ;;
    stats:-*) words="-j --json -P --prometheus -w --watch -h --help" ;;
    watch:* | attach:* | supervise:* | close:*) kind=processes ;;
    stats:*) kind=counters ;;
    run:* | check:* | ab:*) kind=programs ;;
    esac
}

# Files of counters begin with these bytes; and directories.
_linger_counters() {
    local file magic
    while IFS= read -r file; do
        if [ -d "$file" ]; then
            COMPREPLY+=("$file")
        elif [ -f "$file" ] && LC_ALL=C IFS= read -r -N 7 magic <"$file" && [ "$magic" = $'linger\2' ]; then
            COMPREPLY+=("$file")
        fi
    done < <(compgen -f -- "$1") 2>/dev/null
}

# As bash-completion has it for the program, where that is loaded.
_linger_arguments() {
    if declare -F _command_offset >/dev/null; then
        _command_offset "$program"
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$1")
    fi
}

_linger() {
    local current=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD - 1]} equals=""
    local command=${COMP_WORDS[1]-} words="" kind="" program=$COMP_CWORD

    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "run check states watch stats attach keep supervise close ab help --help --version" -- "$current")
        return
    fi
    if [ "$current" = = ]; then
        current="" equals="="
    elif [ "$option" = = ]; then
        option=${COMP_WORDS[COMP_CWORD - 2]} equals="="
    fi
    case $command in
    run) _linger_find_program mb ;;
    ab) _linger_find_program mplraMtgo ;;
    esac
    if [ "$program" -lt "$COMP_CWORD" ]; then
        _linger_arguments "$current"
        return
    fi
    _linger_after "$command" "$option" "$equals"
    [ -n "$words$kind" ] || _linger_word "$command" "$current"
    case $kind in
    pids) words=$(ps -A -o pid=) ;;
    processes) words=$(ps -A -o pid=; systemctl list-units -q --plain --state=running '*.service' 2>/dev/null | cut -d' ' -f1) ;;
    directories) mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
    counters) _linger_counters "$current" ;;
    files) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
    programs) mapfile -t COMPREPLY < <(compgen -c -- "$current" | sort -u && compgen -f -- "$current") ;;
    esac
    if [ -n "$words" ]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    else
        compopt -o filenames 2>/dev/null
    fi
    # More is to be typed right after these.
    [[ ${#COMPREPLY[@]} -ne 1 || ${COMPREPLY[0]} != *[=:] ]] || compopt -o nospace 2>/dev/null
}

complete -F _linger linger
