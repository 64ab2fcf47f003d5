"""
Purpose: tests of a server as many suites have them: each starts it on the port that it is known
by, and the server closes its connections first.

Run: see conftest.py beside it.

Expected output: see there.
"""
import socket
import threading


def free_port():
    with socket.socket() as finder:
        finder.bind(("127.0.0.1", 0))
        return finder.getsockname()[1]


PORT = free_port()


def greet(listener):
    with listener:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"hello")


def start_server():
    listener = socket.socket()
    listener.bind(("127.0.0.1", PORT))
    listener.listen()
    server = threading.Thread(target=greet, args=(listener,))
    server.start()
    return server


def read_all():
    with socket.create_connection(("127.0.0.1", PORT)) as client:
        with client.makefile("rb") as replies:
            return replies.read()


def test_greeting():
    server = start_server()
    assert read_all() == b"hello"
    server.join()


def test_greeting_again():
    server = start_server()
    assert read_all() == b"hello"
    server.join()
