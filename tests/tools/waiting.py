"""A server whose processes wait in accept() on one listener that blocks: waiting.py COUNT [PORT]. Prints
"port N"; each connection gets the number of the process that has it, 1 to COUNT, and is closed. The
first signal USR1 interrupts the first process, which then closes its listener, makes another one at
the same port, and prints "again"."""
import os
import signal
import socket
import sys


class Interrupted(Exception):
    pass


def interrupt(*_):
    raise Interrupted


def serve(listener, number):
    while True:
        connection, _ = listener.accept()
        connection.send(b"%d" % number)
        connection.close()


count = int(sys.argv[1])
listener = socket.create_server(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 0))
print("port", listener.getsockname()[1], flush=True)
for number in range(2, count + 1):
    if os.fork() == 0:
        serve(listener, number)
signal.signal(signal.SIGUSR1, interrupt)
try:
    serve(listener, 1)
except Interrupted:
    address = listener.getsockname()
    listener.close()
listener = socket.socket()
listener.bind(address)
listener.listen()
print("again", flush=True)
serve(listener, 1)
