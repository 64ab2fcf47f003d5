"""A server with three listeners at one port, at 127.0.0.1, at 127.0.0.2 and at any address, whose
SO_LINGER is {1, 5}, {1, 6} and {1, 7}. Prints "port N"; for each line on standard input SO_LINGER of
the connections that it has accepted at 127.0.0.1, 127.0.0.2 and 127.0.0.3, made at the first line."""
import socket
import struct
import sys


def listen(address, port, seconds):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, seconds))
    listener.bind((address, port))
    listener.listen()
    return listener


def linger(s):
    return ",".join(map(str, struct.unpack("ii", s.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8))))


other = listen("0.0.0.0", 0, 7)
port = other.getsockname()[1]
one = listen("127.0.0.1", port, 5)
two = listen("127.0.0.2", port, 6)
print("port", port, flush=True)
clients, accepted = [], []
for _ in sys.stdin:
    for number, listener in enumerate([one, two, other], 1) if not accepted else ():
        clients.append(socket.create_connection((f"127.0.0.{number}", port)))
        accepted.append(listener.accept()[0])
    print(*map(linger, accepted), flush=True)
