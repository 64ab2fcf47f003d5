# bash completion for linger(1)

_linger() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local command=${COMP_WORDS[1]-} words=

    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "run check states stats attach close ab --help --version" -- "$current")
        return
    fi
    case $command:$previous in
    run:-m | run:--mode | attach:-m | attach:--mode | close:-m | close:--mode | ab:-m | ab:--mode) words="off fin rst fin-rst wait:" ;;
    run:-b | run:--backend) words="auto preload supervise" ;;
    *:-p | *:--port) return ;;
    close:-s | close:--state) words="established syn-sent fin-wait-1 fin-wait-2 close-wait last-ack closing connected synchronized" ;;
    attach:-s | attach:--save | attach:-r | attach:--restore) mapfile -t COMPREPLY < <(compgen -f -- "$current") && return ;;
    esac
    if [ -z "$words" ]; then
        case $command:$current in
        run:-*) words="-m --mode= -r --reuseaddr -R --reuseport -B --bind-no-port -l --log -s --stats -b --backend= -n --dry-run -h --help --" ;;
        check:-*) words="-h --help" ;;
        states:*) words="-p --port= -w --watch -j --json -h --help" ;;
        attach:-*) words="-m --mode= -p --port= -s --save= -r --restore= -n --dry-run -j --json -q --quiet -h --help" ;;
        close:-*) words="-m --mode= -p --port= -s --state= -i --idle= -a --all -n --dry-run -j --json -q --quiet -h --help" ;;
        ab:-*) words="-m --mode= -p --port= -l --load= -r --rounds= -a --attach= -c --client -b --both -M --metric= -t --timeout= -g --grace= -o --output= -N --no-namespace -j --json -h --help --" ;;
        attach:* | close:*) mapfile -t COMPREPLY < <(compgen -W "$(ps -A -o pid=)" -- "$current") && return ;;
        stats:-*) words="-j --json -P --prometheus -w --watch -h --help" ;;
        esac
    fi
    if [ -n "$words" ]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    else
        mapfile -t COMPREPLY < <(compgen -c -f -- "$current")
    fi
}

complete -o nospace -F _linger linger
