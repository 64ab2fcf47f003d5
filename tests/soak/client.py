"""The clients' side of the soak: conversations of which every byte is known beforehand.

A conversation (Talk) is a list of exchanges over one connection, each a request and its exact reply.
It only notes what it saw; whether that is as it should be, soak.py judges.
"""
import random
import socket
import time
from typing import NamedTuple

PATIENCE = 12  # seconds without a byte, after which a connection is said to hang
AT_ONCE = 16384  # a reply of up to this size leaves with one write(), and fits the first window
GATEWAY_SAYS = b"HTTP/1.1 50"  # haproxy's own replies: 502, 503, 504
SIZES = (0, 1, 700, 5000, 16000, 70000, 300000, 1 << 20, 4000000)
OFTEN = (8, 16, 32, 32, 32, 12, 6, 2, 1)
LARGE = (0, 0, 0, 0, 0, 0, 0, 2, 1)

# closed, mixed: the server closes first, after one reply or several. kept: the client does. slow: the
# reply is still queued when the server closes. rude: the client goes with half of it unread.
STYLES = ("closed", "mixed", "kept", "slow", "rude")
STYLES_OFTEN = (8, 3, 2, 2, 1)


class Exchange(NamedTuple):
    request: bytes
    reply: bytes
    goodbye: bytes = b""  # the reply of a server that has been told to stop
    date: slice = slice(0, 0)  # of the reply; what stands there changes
    in_pieces: bool = False  # of several write()s; the next may wait for an ACK (Nagle)


class Talk:
    """what: whole, cut, wrong, refused, hang, or left (the client went away on purpose);
    how: eof, reset, own (the client closed first), goodbye, or what the kernel or haproxy said."""

    def __init__(self, daemon, style, exchanges):
        self.daemon, self.stretch, self.style, self.exchanges = daemon, daemon.stretch, style, exchanges
        self.what, self.how, self.saw_goodbye = "whole", "own", False
        self.at = self.got = self.of = self.bytes = self.port = 0
        self.socket = socket.socket()
        self.start = self.end = time.monotonic()

    def leaves_in_pieces(self):
        """Some of the reply may still be on its way when the server closes, so that a RST loses it."""
        return self.style == "slow" or self.of > AT_ONCE or self.exchanges[self.at].in_pieces

    def is_last(self):
        return self.saw_goodbye or (self.style != "kept" and self.at == len(self.exchanges) - 1)

    def server_was_first(self):
        return self.how in ("eof", "reset")

    def perform(self):
        """Leaves the connection open."""
        is_connected = False
        try:
            self.connect()
            is_connected = True
            for self.at, exchange in enumerate(self.exchanges):
                self.exchange(exchange)
                if self.what != "whole":
                    return
            if self.style not in ("kept", "rude"):
                self.finish()
        except TimeoutError:
            self.what, self.how = "hang", f"nothing for {PATIENCE} s"
        except OSError as error:
            if self.what == "whole":
                self.what = "cut" if is_connected else "refused"
                self.how = "reset" if isinstance(error, ConnectionResetError) else error.strerror
        finally:
            self.end = time.monotonic()

    def connect(self):
        self.socket.settimeout(PATIENCE)
        if self.style == "slow":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        self.socket.connect((self.stretch.address, self.daemon.port))
        self.port = self.socket.getsockname()[1]

    def exchange(self, exchange):
        self.got, self.of = 0, len(exchange.reply)
        data = memoryview(bytearray(self.of))
        wanted = self.of // 2 if self.style == "rude" and self.is_last() else self.of
        try:
            self.socket.sendall(exchange.request)
            while self.got < wanted and data[: len(GATEWAY_SAYS)] != GATEWAY_SAYS:
                count = self.socket.recv_into(data[self.got : self.got + 65536])
                if count == 0:
                    self.what, self.how = "cut", "eof"
                    break
                self.got += count
                if self.style == "slow":
                    time.sleep(0.001)
        finally:
            self.bytes += self.got
            self.verify(exchange, data[: self.got])
        if wanted < self.of and self.what == "whole":
            self.what = "left"

    def verify(self, exchange, data):
        date = slice(exchange.date.start, min(exchange.date.stop, len(data)))
        if date.start < date.stop:
            data[date] = exchange.reply[date]
        if data == memoryview(exchange.reply)[: self.got]:
            return
        if data == memoryview(exchange.goodbye)[: self.got]:
            self.of, self.saw_goodbye = len(exchange.goodbye), True
            if self.got == self.of:
                self.what, self.how = "cut", "goodbye"
        elif data[: len(GATEWAY_SAYS)] == GATEWAY_SAYS:
            self.what, self.how = "cut", bytes(data[:12]).decode()
        else:
            at = next(i for i in range(self.got) if data[i] != exchange.reply[i])
            expected = exchange.reply[at : at + 16]
            self.what, self.how = "wrong", f"at byte {at}: {bytes(data[at:at + 16])}, not {expected}"

    def finish(self):
        try:
            self.how = "eof"
            if self.socket.recv(1):
                self.what, self.how = "wrong", "more than the reply"
        except ConnectionResetError:
            self.how = "reset"


class Client:
    """Makes the conversations; `number` is this client's own, `known` what learn() found."""

    def __init__(self, daemon, number, rng, known):
        self.daemon, self.number, self.rng, self.known = daemon, number, rng, known

    def talk(self):
        style = self.rng.choices(STYLES, STYLES_OFTEN)[0]
        often = LARGE if style in ("slow", "rude") else OFTEN
        count = self.rng.randrange(1, 6) if style in ("mixed", "kept") else 0
        exchanges = [self.keep(self.rng.choices(SIZES, OFTEN)[0]) for _ in range(count)]
        if style != "kept":
            exchanges += self.close(self.rng.choices(SIZES, often)[0])
        return Talk(self.daemon, style, exchanges)


class HttpClient(Client):
    def keep(self, size, last=False):
        path = self.rng.choice(("sent", "copied"))
        request, reply, date = self.known[path, size, last]
        goodbye = self.known[path, size, True][1]
        return Exchange(request, reply, goodbye, date, path == "sent")

    def close(self, size):
        return [self.keep(size, True)]


class RedisClient(Client):
    """Values are set and read back, each client its own."""

    content = random.Random(1).randbytes(max(SIZES) * 2)

    def store(self, size):
        key = b"%d:%d" % (self.number, self.rng.randrange(4))
        begin = self.rng.randrange(len(self.content) - size)
        value = self.content[begin : begin + size]
        store = b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (len(key), key, size, value)
        return store, b"GET %s\r\n" % key, b"$%d\r\n%s\r\n" % (size, value)

    def keep(self, size):
        store, get, value = self.store(size)
        return Exchange(store + get, b"+OK\r\n" + value)

    def close(self, size):
        store, get, value = self.store(size)
        return [Exchange(store, b"+OK\r\n"), Exchange(get + b"QUIT\r\n", value + b"+OK\r\n")]


def learn(daemon, files):
    """The replies of a server as it is without the library: nginx's two locations, with sendfile() and
    without, on a connection that is kept and on one that is not."""
    known = {}
    for path in ("sent", "copied"):
        for name, content in files.items():
            for last, header in (False, ""), (True, "Connection: close\r\n"):
                request = f"GET /{path}/{name} HTTP/1.1\r\nHost: soak\r\n{header}\r\n".encode()
                reply = ask(daemon, request, b"\r\n\r\n" + content)
                head, _, body = reply.partition(b"\r\n\r\n")
                if not head.startswith(b"HTTP/1.1 200 ") or body != content:
                    raise ValueError(f"{daemon.name}, without the library: {request} got {head}")
                date = head.lower().index(b"\r\ndate: ") + 8
                known[path, len(content), last] = request, reply, slice(date, head.index(b"\r\n", date))
    return known


def ask(daemon, request, end):
    """The whole reply, which ends like that."""
    reply = b""
    with socket.create_connection((daemon.stretch.address, daemon.port), PATIENCE) as connection:
        connection.sendall(request)
        while not reply.endswith(end):
            block = connection.recv(65536)
            if not block:
                raise EOFError(f"{daemon.name}: {request} got {reply[:80]}")
            reply += block
    return reply
