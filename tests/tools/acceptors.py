"""A server whose threads have waited for a connection since before they are supervised, each way on a listener
of its own: acceptors.py THREADS [-6]. Prints "WAY PORT" for each, when all of them wait. A connection says a
byte, and gets "hello" and a close(). What the kernel says where a supervisor is killed in the moment, number 0,
is passed over with the line "number 0" on standard error.

accept, accept4: the calls; timed: accept() with SO_RCVTIMEO; epoll: a listener that does not block.
"""
import ctypes
import os
import select
import socket
import struct
import sys
import threading

libc = ctypes.CDLL(None, use_errno=True)
family, host = (socket.AF_INET6, "::1") if "-6" in sys.argv else (socket.AF_INET, "127.0.0.1")
ACCEPTS = ("43 ", "288 ") if os.uname().machine == "x86_64" else ("202 ", "242 ")
WAITS = ("232 ", "281 ") if os.uname().machine == "x86_64" else ("22 ",)


def number_of(listener, call, *rest):
    fd = 0
    while fd == 0:
        fd = call(listener.fileno(), None, None, *rest)
        if fd == 0:
            print("number 0", file=sys.stderr, flush=True)
    if fd < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return socket.socket(fileno=fd)


def accept(listener):
    return number_of(listener, libc.accept)


def accept4(listener):
    return number_of(listener, libc.accept4, socket.SOCK_CLOEXEC)


def epoll(listener):
    with select.epoll() as events:
        listener.setblocking(False)
        events.register(listener, select.EPOLLIN)
        while True:
            events.poll()
            try:
                connection = accept4(listener)
            except BlockingIOError:
                continue
            connection.setblocking(True)
            return connection


def serve(listener, way):
    while True:
        try:
            connection = way(listener)
            connection.recv(1)
            connection.send(b"hello")
            connection.close()
        except OSError as error:
            print(way.__name__, error, file=sys.stderr, flush=True)
            os._exit(1)


def calls():
    for thread in os.listdir("/proc/self/task"):
        if int(thread) != os.getpid():
            with open(f"/proc/self/task/{thread}/syscall") as file:
                yield file.read()


def all_wait(count):
    waiting = [call for call in calls() if call.startswith(ACCEPTS + WAITS)]
    return len(waiting) == count


count = int(sys.argv[1])
ports = []
for name, way in (("accept", accept), ("accept4", accept4), ("timed", accept), ("epoll", epoll)):
    listener = socket.create_server((host, 0), family=family)
    if name == "timed":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 600, 0))
    ports.append((name, listener.getsockname()[1]))
    for _ in range(count):
        threading.Thread(target=serve, args=(listener, way), daemon=True).start()
while not all_wait(4 * count):
    pass
for name, port in ports:
    print(name, port, flush=True)
threading.Event().wait()
