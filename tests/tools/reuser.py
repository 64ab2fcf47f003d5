"""A server whose descriptors are used again all the time, beside sockets in CLOSE_WAIT: a client closes
first on every second connection, and the server lets such a socket wait a while, closes it, and accepts
the next under the same number. Prints "port N", and at SIGTERM "served N of M": how many of the other
conversations were whole."""
import collections
import signal
import socket
import threading

listener = socket.create_server(("127.0.0.1", 0), backlog=128)
print("port", listener.getsockname()[1], flush=True)


def serve():
    owed = collections.deque()
    while True:
        connection, _ = listener.accept()
        try:
            has_ended = connection.recv(1) == b""
        except OSError:  # in CLOSE_WAIT, and ended already
            has_ended = True
        if has_ended:
            owed.append(connection)
            if len(owed) > 5:
                owed.popleft().close()
            continue
        try:
            connection.sendall(b"hello")
            connection.recv(1)
            connection.sendall(b"world")
        except OSError:
            pass
        connection.close()


threading.Thread(target=serve, daemon=True).start()
whole = count = 0
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
while not stop.is_set():
    socket.create_connection(listener.getsockname()).close()
    try:
        with socket.create_connection(listener.getsockname()) as client:
            client.sendall(b"k")
            first = client.recv(5, socket.MSG_WAITALL)
            client.sendall(b"k")
            whole += first + client.recv(5, socket.MSG_WAITALL) == b"helloworld"
    except OSError:
        pass
    count += 1
print("served", whole, "of", count, flush=True)
