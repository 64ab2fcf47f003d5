"""Connections from one bound source address, as a proxy with several upstreams makes them.

sourced.py [-6] DESTINATIONS EACH: listens at so many ports, connects to each so often from one source
address and port 0, keeps all of them open, and says how many there are and what stopped it.
"""
import errno
import socket
import sys

arguments = sys.argv[1:]
family, address = socket.AF_INET, "127.0.0.1"
if arguments[0] == "-6":
    arguments.pop(0)
    family, address = socket.AF_INET6, "::1"
destinations, each = map(int, arguments)

listeners = []
for i in range(destinations):
    listener = socket.socket(family)
    listener.bind((address, 20000 + i))
    listener.listen(each + 1)
    listeners.append(listener)

connections = []
stopped = "all"
try:
    for _ in range(each):
        for listener in listeners:
            connection = socket.socket(family)
            connections.append(connection)
            connection.bind((address, 0))
            connection.connect(listener.getsockname())
except OSError as error:
    connections.pop()
    stopped = errno.errorcode[error.errno]
print(len(connections), stopped)
