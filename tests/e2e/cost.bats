#!/usr/bin/env bats
# What it costs, as far as it can be counted: instructions of linger itself, and its system calls.
load helper

LINGER=$ROOT/linger

# count WHAT CONNECTIONS PROCESSES COMMAND...: in a namespace with no process besides.
count() {
    needs_namespace
    unshare -fp --mount-proc --kill-child bash -c '
        what=$1 file=$2
        exec {from}< <(exec python3 "$3" "$4" "$5")
        pid=$! && read -r -u "$from" word port
        shift 5
        set -- "${@/#PORT/$port}"
        set -- "${@/#PID/$pid}"
        if [ "$what" = opens ]; then
            # Of its children, too: they run on, and nobody else is here.
            "$@" >/dev/null
            rm -f "$file"
            strace -f -qq -e trace=openat,exit_group -o "$file" "$@" >/dev/null &
            until grep -q "exit_group(0)" "$file" 2>/dev/null; do :; done
            grep -c openat "$file"
        elif [ "$what" = instructions ]; then
            valgrind --tool=callgrind --callgrind-out-file=/dev/null "$@" >/dev/null 2>"$file"
            sed -n "s/.*Collected : //p" "$file"
        else
            strace -c -U calls,name -o "$file" "$@" >/dev/null
            awk "\$NF == \"total\" { print \$1 }" "$file"
        fi' _ "$1" "$BATS_TEST_TMPDIR/counted" "$ROOT/tests/tools/holder.py" "${@:2}"
}

# Linear: from two to four units costs twice what it costs from one to two. Quadratic: four times.
# opens: files that are opened, the second time.
is_linear() { # calls|instructions|opens UNIT connections|processes COMMAND...: PORT and PID in it are replaced
    local factor sizes costs=()
    for factor in 1 2 4; do
        sizes=($(($2 * factor)) 1)
        [ "$3" = connections ] || sizes=(0 $(($2 * factor)))
        costs+=("$(count "$1" "${sizes[@]}" "${@:4}")")
    done
    echo "$1: ${costs[*]}, with $2, twice and four times $2 $3"
    [ "${costs[1]}" -gt "${costs[0]}" ]
    [ $((10 * (costs[2] - costs[1]))) -le $((24 * (costs[1] - costs[0]))) ]
}

@test "states and states -p are linear in the sockets of a process" {
    also is_linear instructions 500 connections "$LINGER" states
    also is_linear instructions 500 connections "$LINGER" states -p PORT
    also is_linear calls 500 connections "$LINGER" states -p PORT
}

@test "attach, close and keep are linear in the sockets of a process" {
    also is_linear calls 500 connections "$LINGER" attach -q -m fin-rst PID
    also is_linear calls 500 connections "$LINGER" attach -q -m fin-rst -p PORT
    also is_linear calls 500 connections "$LINGER" close -q -a -m rst -p PORT
    also is_linear calls 500 connections "$LINGER" keep -n -q -m fin-rst
}

@test "states, attach, supervise and keep are linear in processes" {
    also is_linear calls 25 processes "$LINGER" states -p PORT
    also is_linear calls 25 processes "$LINGER" attach -q -m fin-rst -p PORT
    also is_linear calls 25 processes "$LINGER" keep -n -q -m fin-rst
    also is_linear calls 25 processes "$LINGER" supervise -n -q -m fin-rst -p PORT
}

# The system calls of the thread that answers while so many connections are made.
count_answers() { # POLICY CONNECTIONS
    strace -f -qq -o "$BATS_TEST_TMPDIR/strace" "$LINGER" run -b supervise -m "$1" -- "$TOOLS/flood" "$PORT" "$2" >/dev/null 3>&-
    awk '{ calls[$1] += !/resumed>/ }
         /ioctl\(/ { ioctls[$1]++ }
         END { for (thread in ioctls) if (ioctls[thread] > calls[thread] / 5) sum += calls[thread]; print sum }' "$BATS_TEST_TMPDIR/strace"
}

@test "supervise is linear in children that run already" {
    also is_linear calls 25 processes "$LINGER" supervise -y -q -m fin-rst PID
}

@test "supervise is linear in processes that are supervised already" {
    also is_linear opens 6 processes "$LINGER" supervise -y -q -m fin-rst -p PORT
}

@test "watch is linear in processes" {
    also is_linear calls 50 processes "$LINGER" watch -t 1 PID
}

@test "a supervised connect() takes five system calls: receive, duplicate, set, close, answer" {
    local few many
    start - "$TOOLS/peer" -s 1 -n 300 listen
    hear_port
    few=$(count_answers fin-rst 50)
    many=$(count_answers fin-rst 250)
    finish
    echo "$few of 50 connections, $many of 250"
    expect "calls of 200 connections" $((many - few)) 1000
}
