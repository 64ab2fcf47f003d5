"""Talks to a server over N connections, one after the other: sends a request, reads to the end and
looks whether the reply came whole. Prints "whole=N eof=N reset=N". Then it waits for
a line on standard input before it closes any of them, as a peer would that is more than a few
microseconds away: a server that calls shutdown(SHUT_WR) and then close() is not overtaken by the
peer's FIN in between.

    talk.py PORT N http             GET /, the body has Content-Length bytes
    talk.py PORT N REQUEST REPLY    the request and the reply, with \\r\\n spelled out
"""
import socket
import sys


def whole_http(reply):
    head, found, body = reply.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    lengths = [int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")]
    return bool(found) and b" 200 " in lines[0] and lengths == [len(body)] and len(body) > 0


def main(port, count, request, expected=None):
    whole = eof = reset = 0
    if request == "http":
        message = b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
    else:
        message = request.encode().decode("unicode_escape").encode()
        expected = expected.encode().decode("unicode_escape").encode()
    connections = []
    for _ in range(int(count)):
        connection = socket.create_connection(("127.0.0.1", int(port)), timeout=60)
        connections.append(connection)
        connection.sendall(message)
        reply = b""
        try:
            while block := connection.recv(65536):
                reply += block
            eof += 1
        except ConnectionResetError:
            reset += 1
        whole += whole_http(reply) if expected is None else reply == expected
    print(f"whole={whole} eof={eof} reset={reset}", flush=True)
    sys.stdin.readline()
    for connection in connections:
        connection.close()


main(*sys.argv[1:])
