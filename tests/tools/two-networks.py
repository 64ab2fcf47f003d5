"""A process with a listener and an accepted connection in its own network namespace, and the same at
the same port in another one, whose connection has SO_LINGER {1, 0}. Prints "port N"; for each line on
standard input SO_LINGER of the four and the state of the connections: "0,0 0,0 0,0 1,0 1 1"."""
import ctypes
import os
import socket
import struct
import subprocess
import sys

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def serve(port):
    listener = socket.create_server(("127.0.0.1", port))
    client = socket.create_connection(listener.getsockname())
    return [listener, listener.accept()[0], client]


def linger(s):
    return ",".join(map(str, struct.unpack("ii", s.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8))))


here = serve(0)
port = here[0].getsockname()[1]
if libc.unshare(CLONE_NEWNET) != 0:
    sys.exit(os.strerror(ctypes.get_errno()))
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
there = serve(port)
there[1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
print("port", port, flush=True)
for _ in sys.stdin:
    print(*map(linger, here[:2] + there[:2]), here[1].getsockopt(6, 11, 1)[0], there[1].getsockopt(6, 11, 1)[0], flush=True)
