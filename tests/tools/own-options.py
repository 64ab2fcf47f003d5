"""A server that has set SO_LINGER and TCP_LINGER2 itself: {1, 5} and 7 of its listener, {1, 3} and 9 of
the first connection that says "keep". Others get an answer and are closed. Prints "port N"; for each
line on standard input the options of the listener and of the connections that are kept, in their
order: "1,5,7 1,3,9". The line "drop" closes the first of those."""
import selectors
import socket
import struct
import sys


def give(s, seconds, linger2):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, seconds))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_LINGER2, linger2)


def options(s):
    on, seconds = struct.unpack("ii", s.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8))
    return f"{on},{seconds},{s.getsockopt(socket.IPPROTO_TCP, socket.TCP_LINGER2)}"


listener = socket.create_server(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0))
give(listener, 5, 7)
print("port", listener.getsockname()[1], flush=True)
events = selectors.DefaultSelector()
events.register(listener, selectors.EVENT_READ)
events.register(sys.stdin, selectors.EVENT_READ)
kept = []
while True:
    for key, _ in events.select():
        if key.fileobj is listener:
            connection, _ = listener.accept()
            if connection.recv(4) == b"keep":
                if not kept:
                    give(connection, 3, 9)
                kept.append(connection)
                connection.send(b"kept\n")
            else:
                connection.send(b"hello")
                connection.close()
        else:
            line = sys.stdin.readline()
            if not line:
                sys.exit()
            if line == "drop\n":
                kept.pop(0).close()
            print(*map(options, [listener, *kept]), flush=True)
