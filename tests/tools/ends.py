"""How a server at 127.0.0.1 ends connections: ends.py PORT WORD...; for each word it is sent, the
end that a reader sees: eof, reset."""
import socket
import sys

for word in sys.argv[2:]:
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=60) as connection:
        connection.sendall(word.encode())
        end = "eof"
        try:
            while connection.recv(4096):
                pass
        except ConnectionResetError:
            end = "reset"
        print(end, end=" ")
print()
