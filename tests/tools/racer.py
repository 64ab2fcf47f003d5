"""Two echo servers in one process, "ports A B", and threads that open and close descriptors of all
kinds at full speed meanwhile, so that every number is reused all the time."""
import os
import socket
import threading


def serve(listener):
    while True:
        connection, _ = listener.accept()
        connection.recv(1)
        connection.send(b"hello")
        connection.close()


def churn():
    while True:
        fds = [os.open("/dev/null", os.O_RDONLY), os.dup(0)]
        own = [socket.socket(), socket.socket(socket.AF_UNIX), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)]
        for fd in fds:
            os.close(fd)
        for sock in own:
            sock.close()


listeners = [socket.create_server(("127.0.0.1", 0), backlog=256) for _ in range(2)]
threads = [threading.Thread(target=serve, args=(listener,), daemon=True) for listener in listeners]
threads += [threading.Thread(target=churn, daemon=True) for _ in range(2)]
print("ports", *(listener.getsockname()[1] for listener in listeners), flush=True)
for thread in threads:
    thread.start()
threads[0].join()
