"""A server that does not close what its peers have closed: owing.py COUNT [PORT]. Makes COUNT connections
to itself and closes their other ends; prints "port N" when all COUNT are in CLOSE_WAIT. Then it serves:
each further connection gets "hello" and is kept until it has an end; then it is closed, and "eof" or
the errno's name is printed ("data" for data). Ends with standard input."""
import errno
import resource
import select
import socket
import sys

count = int(sys.argv[1])
limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
listener = socket.create_server(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 0), backlog=1024)
owed = []
for _ in range(count):
    socket.create_connection(listener.getsockname()).close()
    owed.append(listener.accept()[0])
for connection in owed:
    connection.recv(1)  # its FIN is here
print("port", listener.getsockname()[1], flush=True)
served = {}
waiting = select.poll()
waiting.register(listener, select.POLLIN)
waiting.register(sys.stdin, select.POLLIN)
while True:
    for fd, _ in waiting.poll():
        if fd == listener.fileno():
            connection, _ = listener.accept()
            connection.send(b"hello\n")
            served[connection.fileno()] = connection
            waiting.register(connection, select.POLLIN)
        elif fd == sys.stdin.fileno():
            sys.exit()
        else:
            try:
                said = "eof" if served[fd].recv(100) == b"" else "data"
            except OSError as error:
                said = errno.errorcode[error.errno]
            if said != "data":
                waiting.unregister(fd)
                served.pop(fd).close()
            print(said, flush=True)
