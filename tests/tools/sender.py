"""A program that sends and closes first.

    sender.py abort|release BYTES listen ADDRESS
    sender.py abort|release BYTES connect ADDRESS PORT

Prints "port N" where it listens. Asks for an abort or an orderly release by SO_LINGER, waits for a knock,
sends, waits until the peer's TCP has acknowledged all, and closes."""
import array
import fcntl
import signal
import socket
import struct
import sys
import termios

signal.alarm(30)
if sys.argv[3] == "listen":
    listener = socket.create_server((sys.argv[4], 0))
    print("port", listener.getsockname()[1], flush=True)
    connection = listener.accept()[0]
else:
    connection = socket.create_connection((sys.argv[4], int(sys.argv[5])))
connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", sys.argv[1] == "abort", 0))
connection.recv(1)
connection.sendall(b"x" * int(sys.argv[2]))
unsent = array.array("i", [1])
while unsent[0]:
    fcntl.ioctl(connection, termios.TIOCOUTQ, unsent)
connection.close()
