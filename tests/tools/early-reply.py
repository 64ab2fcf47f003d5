"""A server that replies with 413 before it has read the request's body, and closes; and its client.

    early-reply.py serve plain|lingering
    early-reply.py post PORT

serve prints "port N" and takes one connection; lingering, it sends its FIN first and reads to the end. post
sends 20 MB by http.client, and prints the status of the reply, or "lost"."""
import http.client
import signal
import socket
import sys

signal.alarm(30)
if sys.argv[1] == "serve":
    listener = socket.create_server(("127.0.0.1", 0))
    print("port", listener.getsockname()[1], flush=True)
    connection = listener.accept()[0]
    connection.recv(10)
    connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    if sys.argv[2] == "lingering":
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass
    connection.close()
else:
    client = http.client.HTTPConnection("127.0.0.1", int(sys.argv[2]))
    try:
        client.request("POST", "/", b"x" * 20000000)
        print(client.getresponse().status)
    except OSError:
        print("lost")
