"""A peer that does the STEPs in that order: connects to PORT, knocks; "wait" until poll() tells of an error
and print the events, "read" to the end, "send" a byte, and prints what each says."""
import errno
import select
import socket
import sys

NAMES = ["POLLIN", "POLLERR", "POLLHUP", "POLLRDHUP"]


def wait(connection):
    poll = select.poll()
    poll.register(connection, select.POLLERR)
    poll.poll(20000)
    poll.register(connection, select.POLLIN | select.POLLRDHUP)
    events = poll.poll(0)[0][1]
    return " ".join(name for name in NAMES if events & getattr(select, name))


def read(connection):
    length = 0
    while block := connection.recv(65536):
        length += len(block)
    return f"{length} EOF"


def send(connection):
    try:
        connection.send(b"x", socket.MSG_NOSIGNAL)
        return "sent"
    except OSError as error:
        return errno.errorcode[error.errno]


peer = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
peer.sendall(b"k")
print(*[{"wait": wait, "read": read, "send": send}[step](peer) for step in sys.argv[2:]])
