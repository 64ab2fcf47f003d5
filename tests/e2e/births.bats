#!/usr/bin/env bats
# Sockets that come into a process another way than by socket() and accept().
load helper

# A program without the library makes a listener and hands it over to one with it, by exec; with
# WAITS, as a socket activator does it: when the first connection waits in the queue already.
activated_under() { # MODE
    start - python3 -c "
import os, select, socket, sys
listener = socket.create_server(('127.0.0.1', 0))
listener.set_inheritable(True)
print('port', listener.getsockname()[1], flush=True)
if os.environ.get('WAITS'):
    select.select([listener], [], [])
if sys.argv[1]:
    os.environ.update(LD_PRELOAD=sys.argv[1], LINGER_MODE=sys.argv[2])
os.execvp('python3', ['python3', '-c', '''
import socket, sys
listener = socket.socket(fileno=int(sys.argv[1]))
print(\"loaded\", flush=True)
for _ in range(2):
    connection, _ = listener.accept()
    connection.recv(1)
    connection.send(b\"hello\")
    connection.close()''', str(listener.fileno())])" "${WITHOUT_LIBRARY:-$LIB}" "$1"
    hear_port
    [ -n "${WAITS:-}" ] || hear # loaded
    SEEN=$("$TOOLS/peer" -k -n 2 connect "$PORT")
    finish
    LEFT=$(time_wait "$PORT")
}

activated_under_each_mode() {
    activated_under rst
    sees 10 0 2 0
    activated_under "fin-rst role=server"
    sees 10 2 0 0
    activated_under "rst peer=127.0.0.1"
    sees 10 0 2 0
    activated_under "rst role=client"
    sees 10 2 0 2
}

@test "socket activation: an inherited listener is armed at load" {
    activated_under_each_mode
}

@test "socket activation: a connection that waited in the queue before the load, too" {
    export WAITS=1
    activated_under_each_mode
}

@test "inetd: a connection on descriptors 0, 1 and 2 is a server's by its port" {
    needs_namespace
    inetd() { # MODE
        start - python3 -c "
import os, socket, sys
listener = socket.create_server(('127.0.0.1', 7))
print('listens', flush=True)
connection, _ = listener.accept()
for fd in 0, 1, 2:
    os.dup2(connection.fileno(), fd)
if sys.argv[1]:
    os.environ.update(LD_PRELOAD=sys.argv[1], LINGER_MODE=sys.argv[2])
os.execvp('head', ['head', '-c1'])" "${WITHOUT_LIBRARY:-$LIB}" "$1"
        hear
        SEEN=$("$TOOLS/peer" -k connect 7)
        finish
    }
    inetd "rst role=server"
    expect "the peer saw" "$SEEN" "bytes=1 eof=0 reset=1"
    inetd "rst port=7"
    expect "the peer saw" "$SEEN" "bytes=1 eof=0 reset=1"
    inetd "rst role=client"
    expect "the peer saw" "$SEEN" "bytes=1 eof=1 reset=0"
}

# A process without the library accepts, and passes the connection on to one that has it.
received_under() { # POLICY MESSAGE [many]
    start - python3 -c "
import os, socket, subprocess, sys
listener = socket.create_server(('127.0.0.1', 0))
print('port', listener.getsockname()[1], flush=True)
connection, _ = listener.accept()
connection.recv(1)
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
receiver = subprocess.Popen(sys.argv[4:], stdin=theirs,
    env=dict(os.environ, LD_PRELOAD=sys.argv[1], LINGER_MODE=sys.argv[2]))
socket.send_fds(ours, [sys.argv[3].encode()], [connection.fileno()])
connection.close()
sys.exit(receiver.wait())" "${WITHOUT_LIBRARY:-$LIB}" "$1" "$2" "$TOOLS/receiver" ${3:-}
    hear_port
    SEEN=$("$TOOLS/peer" -k connect "$PORT")
    finish
    expect status "$STATUS" 0
    LEFT=$(time_wait "$PORT")
}

# bats test_tags=preload
@test "a connection that another process passes is armed as it is received" {
    for how in "" many; do
        received_under rst x $how
        sees 5 0 1 0
        received_under fin-rst "" $how
        sees 5 1 0 0
        received_under off x $how
        sees 5 1 0 1
    done
}

# bats test_tags=preload
@test "descriptor 0 is one as any other: from socket(), accept4() and accept()" {
    LISTENER="import os
os.close(0)
listener = socket.create_server(('127.0.0.1', 0))
assert listener.fileno() == 0"
    serve_python rst
    sees 5 0 1 0
    LISTENER="import os
listener = socket.create_server(('127.0.0.1', 0))
os.close(0)"
    serve_python "rst peer=127.0.0.1"
    sees 5 0 1 0
    LISTENER="import ctypes, os
class Plain(socket.socket):
    def accept(self):
        connection = socket.socket(fileno=ctypes.CDLL(None).accept(self.fileno(), None, None))
        assert connection.fileno() == 0
        return connection, None
listener = Plain()
listener.bind(('127.0.0.1', 0))
listener.listen()
os.close(0)"
    serve_python "rst peer=127.0.0.1"
    sees 5 0 1 0
}

# bats test_tags=preload
@test "MPTCP: where a listener refuses TCP_LINGER2, accept() sets it" {
    [ -e /proc/sys/net/mptcp/enabled ] || skip "this kernel has no MPTCP"
    LISTENER="listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
listener.bind(('127.0.0.1', 0))
listener.listen()"
    for mode in fin-rst "fin-rst role=server" rst; do
        serve_python "$mode"
        if [ "$mode" = rst ]; then
            sees 5 0 1 0
        else
            sees 5 1 0 0
        fi
    done
}

# bats test_tags=preload
@test "MPTCP: a client that fell back to TCP is reported as MPTCP, whenever it is decided" {
    [ -e /proc/sys/net/mptcp/enabled ] || skip "this kernel has no MPTCP"
    for policy in fin-rst "fin-rst role=client" "fin-rst local=127.0.0.1" "fin-rst when=active"; do
        start - "$TOOLS/peer" listen
        hear_port
        rm -f "$BATS_TEST_TMPDIR/log"
        (LINGER_LOG=$BATS_TEST_TMPDIR/log under "$policy" python3 -c "
import socket, sys
client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
client.connect(('127.0.0.1', int(sys.argv[1])))
client.send(b'hello')
client.close()" "$PORT" 3>&-)
        hear
        finish
        expect "the peer saw" "$REPLY" "bytes=5 eof=1 reset=0"
        expect "TIME_WAIT left" "$(time_wait "$PORT")" 1
        grep -q " event=fail fd=[0-9]* option=TCP_LINGER2 " "$BATS_TEST_TMPDIR/log"
        ! grep -q " event=arm " "$BATS_TEST_TMPDIR/log"
    done
}

@test "a listener made by socket() and listen() without bind()" {
    LISTENER="listener = socket.socket()
listener.listen()"
    serve_python "rst port=1024-65535"
    sees 5 0 1 0
}

@test "vfork and posix_spawn: a child's close tears nothing down" {
    start "rst when=active; fin" python3 -c "
import socket, subprocess
listener = socket.create_server(('127.0.0.1', 0))
print('port', listener.getsockname()[1], flush=True)
connection, _ = listener.accept()
connection.recv(1)
subprocess.run(['true'], close_fds=True, check=True)
connection.send(b'hello')
connection.close()"
    hear_port
    SEEN=$("$TOOLS/peer" -k connect "$PORT")
    finish
    expect "the peer saw" "$SEEN" "bytes=5 eof=0 reset=1"
}

# The program has only the connection: no call of its own shows the role, and the port does not either.
# inherits POLICY SERVER-OR-CLIENT: what the other end sees.
inherits() {
    local program='import socket, struct
socket.socket(fileno=0).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 5))'
    run -0 env POLICY="$1" WHICH="$2" PROGRAM="$program" LIBRARY="${WITHOUT_LIBRARY:-$LIB}" python3 -c "
import os, socket, subprocess, sys
low = int(open('/proc/sys/net/ipv4/ip_local_port_range').read().split()[0])
listener = socket.create_server(('127.0.0.1', 0))
client = socket.socket()
for port in range(low - 1, 1023, -1): # of a service, and free
    try:
        client.bind(('127.0.0.1', port))
        break
    except OSError:
        pass
client.connect(listener.getsockname())
server = listener.accept()[0]
mine, other = (server, client) if os.environ['WHICH'] == 'server' else (client, server)
mine.send(b'hello')
other.recv(5)
child = subprocess.Popen([sys.executable, '-c', os.environ['PROGRAM']], stdin=mine,
    env=os.environ | {'LD_PRELOAD': os.environ['LIBRARY'], 'LINGER_MODE': os.environ['POLICY']})
mine.close()
listener.close()
child.wait()
try:
    print('EOF' if other.recv(1) == b'' else 'data')
except ConnectionResetError:
    print('reset')"
    SEEN=$output
}

# bats test_tags=preload
@test "the role of an inherited connection is who connected, whatever its port is" {
    for end in server client; do
        inherits "rst role=$end" $end
        expect "a $end's under rst role=$end" "$SEEN" reset
    done
    inherits "rst role=client" server
    expect "a server's under rst role=client" "$SEEN" EOF
    inherits "rst role=server" client
    expect "a client's under rst role=server" "$SEEN" EOF
}
