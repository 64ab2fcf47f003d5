"""A peer that reads only when poll() has told it of an error: connects to PORT, knocks, waits for
POLLERR, and prints the events, what it received, and what send() says."""
import errno
import select
import socket
import sys

NAMES = ["POLLIN", "POLLERR", "POLLHUP", "POLLRDHUP"]

connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
connection.sendall(b"k")
poll = select.poll()
poll.register(connection, select.POLLERR)
poll.poll(20000)
poll.register(connection, select.POLLIN | select.POLLRDHUP)
events = poll.poll(0)[0][1]
data = b""
while block := connection.recv(65536):
    data += block
try:
    connection.send(b"x", socket.MSG_NOSIGNAL)
    sent = "sent"
except OSError as error:
    sent = errno.errorcode[error.errno]
print(" ".join(name for name in NAMES if events & getattr(select, name)), len(data), "EOF", sent)
