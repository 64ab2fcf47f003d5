"""Calls shutdown(SHUT_RDWR) and prints what the caller sees of its socket afterwards, then what
the peer sees."""
import errno
import select
import socket


def outcome(call):
    try:
        return call()
    except OSError as error:
        return errno.errorcode[error.errno]


listener = socket.create_server(("127.0.0.1", 0))
peer = socket.create_connection(listener.getsockname())
own, _ = listener.accept()
own.shutdown(socket.SHUT_RDWR)
poll = select.poll()
poll.register(own, 0xFFFF)
print(
    [hex(events) for _, events in poll.poll(0)],
    outcome(lambda: own.recv(1)),
    outcome(lambda: own.send(b"x", socket.MSG_NOSIGNAL)),
    outcome(lambda: own.recv(1)),
    own.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR),
    flush=True,
)
print(outcome(lambda: peer.recv(1)) or "eof", flush=True)
