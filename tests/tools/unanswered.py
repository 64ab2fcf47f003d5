"""Connections of which the other end does not answer any more: unanswered.py STATE COUNT, with STATE
fin-wait-1 or syn-sent. The caller has to drop what goes to port 81, and for fin-wait-1 only after
"connected"; it is told to go on by a line. Says "ready" when all are in that state."""
import signal
import socket
import sys

state, count = sys.argv[1], int(sys.argv[2])
connections = []
if state == "fin-wait-1":
    listener = socket.create_server(("127.0.0.1", 81), backlog=2 * count)
    for _ in range(count):
        connections.append(socket.create_connection(("127.0.0.1", 81)))
    print("connected", flush=True)
    sys.stdin.readline()
    for connection in connections:
        connection.close()
else:
    for _ in range(count):
        connection = socket.socket()
        connection.setblocking(False)
        connection.connect_ex(("127.0.0.1", 81))
        connections.append(connection)
print("ready", flush=True)
signal.pause()
