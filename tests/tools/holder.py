"""holder.py CONNECTIONS PROCESSES: both ends of so many connections to a listener that so many processes
have. Prints "port N", and waits to be killed."""
import os
import resource
import signal
import socket
import sys

connections, processes = int(sys.argv[1]), int(sys.argv[2])
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
listener = socket.create_server(("127.0.0.1", 0), backlog=16)
life, ours = os.pipe()
for _ in range(processes - 1):
    if os.fork() == 0:
        os.close(ours)
        os.read(life, 1)  # until the first of them ends
        os._exit(0)
ends = []
for _ in range(connections):
    ends += [socket.create_connection(listener.getsockname()), listener.accept()]
print("port", listener.getsockname()[1], flush=True)
signal.pause()
