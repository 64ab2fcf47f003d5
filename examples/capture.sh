#!/bin/bash
# Purpose: the packets that end a connection under each mode, for two servers that do not know
# SO_LINGER: one in C, into which the library is preloaded, and one in Go, whose system calls are
# supervised. `linger run` finds out by itself which of the two is needed.
#
# Run: make examples && examples/capture.sh
# It needs tcpdump, and a network namespace of its own (root, or user namespaces).
#
# Expected output (ACKs are left out):
#
#   server  mode     server --> client, <-- back    the client got
#   C       fin      FIN-->  <--FIN                 12 bytes, then EOF
#   C       rst      RST-->                         12 bytes, then ECONNRESET (Connection reset by peer)
#   C       fin-rst  FIN-->  <--FIN  RST-->         12 bytes, then EOF
#   C       wait:1   FIN-->  <--FIN                 12 bytes, then EOF
#   Go      fin      FIN-->  <--FIN                 12 bytes, then EOF
#   Go      rst      RST-->                         12 bytes, then ECONNRESET (Connection reset by peer)
#   Go      fin-rst  FIN-->  <--FIN  RST-->         12 bytes, then EOF
#   Go      wait:1   FIN-->  <--FIN                 12 bytes, then EOF
#
# wait:1 is fin on the wire: it is close() that waits. Under fin-rst the client's FIN is missing if its
# kernel acknowledged the server's FIN before the client closed: the RST answers that ACK.
. "$(dirname "$0")/lib.sh"
needs tcpdump
own_namespace "$@"

# Root stays root: this namespace need not map any other user.
tcpdump=(tcpdump -i lo -Z root -n -l --immediate-mode "tcp or udp port 9")
start sh -c 'exec "$@" 2>&1' sh "${tcpdump[@]}" || die "tcpdump does not start: $complaint"
packets=$out
until [[ $said == *"listening on"* ]]; do
    IFS= read -r line <&"$packets" || die "tcpdump may not capture here: $said"
    said=$line
done

port=8000
converse() { # SERVER-LANGUAGE MODE DIRECTORY
    port=$((port + 1))
    start "$linger" run -m "$2" -- "$3/echo-server" $port || die "the server does not start: $complaint"
    got=$("$3/echo-client" $port)
    stop "$pid"
    printf '%s %s %s %s\n' "$port" "$1" "$2" "$got" >>"$work/got"
}

for mode in fin rst fin-rst wait:1; do converse C $mode "$programs"; done
if [ -x "$programs/go/echo-server" ]; then
    for mode in fin rst fin-rst wait:1; do converse Go $mode "$programs/go"; done
else
    echo "(without the server in Go: make examples, where Go is installed)"
fi

# When nothing is under way any more, send one last packet: everything before it has been captured.
while [ -n "$(ss -Htan exclude time-wait)" ]; do :; done
echo end >/dev/udp/127.0.0.1/9
while IFS= read -r -t 30 line <&"$packets" && [[ $line != *UDP* ]]; do
    echo "$line"
done >"$work/packets"
[[ $line == *UDP* ]] || die "the capture ended early"

printf '%-7s %-8s %-30s %s\n' server mode "server --> client, <-- back" "the client got"
while read -r port language mode got; do
    shown=$(awk -v server="127.0.0.1.$port" '
        $3 == server && /Flags \[F/ { printf "FIN-->  " }
        $3 == server && /Flags \[R/ { printf "RST-->  " }
        $5 == server ":" && /Flags \[F/ { printf "<--FIN  " }
        $5 == server ":" && /Flags \[R/ { printf "<--RST  " }' "$work/packets")
    printf '%-7s %-8s %-30s %s\n' "$language" "$mode" "$shown" "$got"
done <"$work/got"
