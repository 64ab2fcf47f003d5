"""What a program sees of connections that somebody else ends. Listens, connects to itself, and waits on
the accepted ends: blocked in recv(), blocked in send(), in poll() to read, in poll() to write, and not
at all (three bytes have arrived there). Prints "port N" when all of them wait. After a line on standard
input it prints a line for each: what the waiting call said, and the two calls after it."""
import errno
import os
import platform
import select
import socket
import sys
import threading

# recvfrom(2), sendto(2), poll(2) or ppoll(2), as /proc/TID/syscall has them, proc(5).
CALLS = {"x86_64": ("45", "44", "7"), "aarch64": ("207", "206", "73"), "riscv64": ("207", "206", "73")}
EVENTS = [name for name in dir(select) if name in ("POLLIN", "POLLOUT", "POLLERR", "POLLHUP", "POLLRDHUP")]


def outcome(call):
    try:
        result = call()
    except OSError as error:
        return errno.errorcode[error.errno]
    return {b"": "EOF"}.get(result) or (result.decode() if isinstance(result, bytes) else str(result))


def polled(s, wanted):
    waiting = select.poll()
    waiting.register(s, wanted | select.POLLRDHUP)
    return "+".join(name for name in EVENTS if waiting.poll()[0][1] & getattr(select, name))


def fill(s):
    s.setblocking(False)
    try:
        while True:
            s.send(bytes(65536))
    except BlockingIOError:
        s.setblocking(True)
    return s


# A busy machine delivers late, and then there is room again.
def polled_full(s):
    said = "POLLOUT"
    while said == "POLLOUT":
        said = polled(fill(s), select.POLLOUT)
    return said


def receive(s):
    return s.recv(100)


def send(s, size=65536):
    return s.send(bytes(size))


def send_much(s):  # more than the buffers of both ends
    return send(s, 50_000_000)


# What each does first (its own result is the first word), and its next two calls.
WAYS = {
    "blocked-reader": (lambda s: s, receive, (receive, send)),
    "blocked-writer": (fill, send_much, (send, receive)),
    "polling-reader": (lambda s: s, lambda s: polled(s, select.POLLIN), (receive, send)),
    "polling-writer": (lambda s: s, polled_full, (send, receive)),
}
listener = socket.create_server(("127.0.0.1", 0))
peers = []
said = {}
threads = []


def accepted():
    peers.append(socket.create_connection(listener.getsockname()))
    return listener.accept()[0]


def wait(name, s, first, then):
    said[name] = [outcome(lambda: first(s))] + [outcome(lambda: call(s)) for call in then]


for name, (prepare, first, then) in WAYS.items():
    thread = threading.Thread(target=wait, args=(name, prepare(accepted()), first, then), daemon=True)
    thread.start()
    threads.append(thread)
late = accepted()
peers[-1].send(b"abc")
late.recv(3, socket.MSG_PEEK | socket.MSG_WAITALL)
for thread in threads:
    path = f"/proc/self/task/{thread.native_id}/syscall"
    while platform.machine() in CALLS and open(path).read().split()[0] not in CALLS[platform.machine()]:
        pass
print("port", listener.getsockname()[1], flush=True)
sys.stdin.readline()
for thread in threads:
    thread.join(20)
wait("late-reader", late, receive, (receive, send))
for name, words in said.items():
    print(name, *words, flush=True)
os._exit(0)
