"""Under a policy with share=50%: does a child that sets SO_LINGER itself end with the verdict that
the parent's connect() got? Prints how many of 200 sockets agreed, and how many were armed."""
import os
import socket
import struct

OFF = struct.pack("ii", 0, 0)


def armed(sock):
    return struct.unpack("ii", sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)) == (1, 0)


listener = socket.create_server(("127.0.0.1", 0), backlog=256)
agreed = total = 0
for _ in range(200):
    client = socket.create_connection(listener.getsockname())
    before = armed(client)
    child = os.fork()
    if child == 0:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, OFF)
        os._exit(armed(client))
    after = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    agreed += before == after
    total += before
    client.close()
print(agreed, total)
