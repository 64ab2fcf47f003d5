"""half-closed.py COUNT: connections to a listener of its own whose client has sent its FIN: FIN_WAIT2
there, CLOSE_WAIT here. Prints "port N"; on a line of input the client closes its sockets, which then
nobody holds, and prints "closed"; on another one it ends."""
import socket
import sys

count = int(sys.argv[1])
listener = socket.create_server(("127.0.0.1", 0), backlog=count)
port = listener.getsockname()[1]
clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
servers = [listener.accept()[0] for _ in range(count)]
for client in clients:
    client.shutdown(socket.SHUT_WR)
print("port", port, flush=True)
sys.stdin.readline()
for client in clients:
    client.close()
print("closed", flush=True)
sys.stdin.readline()
