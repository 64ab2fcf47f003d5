"""Ends COUNT connections in one WAY: endings.py [-6] WAY [COUNT [ADDRESS]]. Prints the server's port
first, and goes on when it has read a line. The server's end and the client's are this process's; the
server is the one that acts, unless the way says otherwise."""

import ctypes
import os
import select
import signal
import socket
import struct
import subprocess
import sys

RST = struct.pack("ii", 1, 0)


def until_closed(end):
    """Waits for a FIN, or for a RST, whatever data is there."""
    try:
        while end.recv(65536):
            pass
    except ConnectionError:
        pass


def until_hup(end):
    """Waits for the peer's RST or FIN, and reads nothing."""
    poll = select.poll()
    poll.register(end, select.POLLRDHUP)
    poll.poll(20000)


def until_state(end, wanted):
    while end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != wanted:
        pass


def close(server, client):
    server.close()
    until_closed(client)
    client.close()


def client_close(server, client):
    close(client, server)


def unread(server, client):
    client.send(b"request")
    select.select([server], [], [])
    server.close()
    until_closed(client)
    client.close()


def client_unread(server, client):
    unread(client, server)


def read_first(server, client):
    """As unread, cured."""
    client.send(b"request")
    server.recv(100)
    close(server, client)


def linger0(server, client):
    server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
    server.close()
    until_closed(client)
    client.close()


def client_linger0(server, client):
    linger0(client, server)


def unspec(server, client):
    libc = ctypes.CDLL(None)
    libc.connect(server.fileno(), ctypes.create_string_buffer(16), 16)
    until_closed(client)
    client.close()
    server.close()


def fin_rst(server, client):
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_LINGER2, -1)
    server.close()
    until_closed(client)
    until_state(client, 7)  # the RST after its FIN has come: TCP_CLOSE
    client.close()


def client_fin_rst(server, client):
    fin_rst(client, server)


def half_close(server, client):
    server.shutdown(socket.SHUT_WR)
    until_closed(client)
    client.send(b"the rest")
    client.close()
    until_closed(server)
    server.close()


def half_close_fin_rst(server, client):
    """close() after shutdown() and the peer's acknowledgement."""
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_LINGER2, -1)
    server.shutdown(socket.SHUT_WR)
    until_state(server, 5)  # TCP_FIN_WAIT2
    server.close()
    until_hup(client)
    client.close()


def answered_by_linger0(server, client):
    """The client's FIN is answered by RST."""
    client.shutdown(socket.SHUT_WR)
    until_hup(server)
    linger0(server, client)


def answered_by_unread(server, client):
    client.send(b"request")
    client.shutdown(socket.SHUT_WR)
    until_hup(server)
    server.close()
    until_closed(client)
    client.close()


def orphan(server, client):
    """Data comes for a socket that is closed."""
    server.close()
    until_hup(client)
    client.send(b"too late")
    until_state(client, 7)
    client.close()


def orphan_late(server, client):
    """Data comes once the FIN is acknowledged and the program has closed."""
    server.close()
    until_hup(client)
    while not subprocess.run(["ss", "-Htn", "state", "fin-wait-2", "sport", "=",
                              str(client.getpeername()[1])], capture_output=True).stdout:
        pass
    client.send(b"too late")
    until_state(client, 7)
    client.close()


def orphan_before_ack(server, client):
    server.send(b"x" * 3000000, socket.MSG_DONTWAIT)  # as much as there is room for
    client.send(b"y")
    server.recv(1)
    server.close()  # FIN_WAIT1, as the client reads nothing
    client.send(b"too late")
    until_state(client, 7)
    client.close()


def held(server, client):
    """FIN_WAIT2 until the client closes, which it does once it has read a line."""
    server.close()
    until_hup(client)
    print("held", flush=True)
    sys.stdin.readline()
    client.close()


class Cut:
    """Meanwhile no packet of the connection arrives anywhere, or none that the end sends."""

    def __init__(self, end, is_half=False):
        self.port = end.getsockname()[1]
        self.to_it = "" if is_half else f"tcp dport {self.port} drop; "

    def __enter__(self):
        rule = (f"table inet cut {{ chain in {{ type filter hook input priority 0; "
                f"{self.to_it}tcp sport {self.port} drop; }}; }}")
        subprocess.run(["nft", rule], check=True)

    def __exit__(self, *_):
        subprocess.run(["nft", "delete table inet cut"], check=True)


def await_at(port, state, is_there):
    while bool(subprocess.run(["ss", "-Htan", "state", state, f"( sport = :{port} or dport = :{port} )"], check=True,
                              capture_output=True).stdout) != is_there:
        pass


def last_ack_lost(server, client):
    """TIME_WAIT answers the client's FIN again."""
    port = server.getsockname()[1]
    lossy = Cut(server, True)
    server.close()
    until_hup(client)
    with lossy:
        client.close()
        await_at(port, "last-ack", True)
    await_at(port, "last-ack", False)


def port_again(listener):
    """TIME_WAIT answers a SYN, and makes room for the client's next connection from the same port."""
    address = listener.getsockname()[:2]
    client = socket.create_connection(address)
    port = client.getsockname()[1]
    close(listener.accept()[0], client)
    await_at(port, "time-wait", True)
    again = socket.socket(listener.family)
    again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    while True:
        try:
            again.bind((address[0], port))
            break
        except OSError:  # until the last ACK has come to the first one
            pass
    again.connect(address)
    close(again, listener.accept()[0])


def forgotten(server, client):
    """CLOSE_WAIT until a line is read."""
    client.close()
    until_hup(server)
    print("held", flush=True)
    sys.stdin.readline()
    server.close()


def simultaneous(server, client):
    with Cut(server):
        server.shutdown(socket.SHUT_WR)
        client.shutdown(socket.SHUT_WR)
    until_closed(server)
    until_closed(client)
    client.close()
    server.close()


def timeout(server, client):
    """The client is gone, and the server sends."""
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 300)
    with Cut(server):
        server.send(b"are you there?")
        until_state(server, 7)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
    client.close()
    server.close()


def keepalive(server, client):
    for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 1)):
        server.setsockopt(socket.IPPROTO_TCP, option, value)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    with Cut(server):
        until_state(server, 7)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
    client.close()
    server.close()


def unacknowledged(server, client):
    """Nobody acknowledges the server's FIN."""
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 300)
    with Cut(server):
        server.shutdown(socket.SHUT_WR)
        until_state(server, 7)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
    client.close()
    server.close()


def serve(family, address, port=0):
    return socket.create_server((address, port), family=family, backlog=1024)


def pair(listener):
    client = socket.create_connection(listener.getsockname()[:2])
    server, _ = listener.accept()
    return server, client


def unaccepted(listener):
    client = socket.create_connection(listener.getsockname()[:2])
    listener.close()
    until_closed(client)
    client.close()


def reset_before_accept(listener):
    client = socket.create_connection(listener.getsockname()[:2])
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
    client.close()
    server, _ = listener.accept()
    until_closed(server)
    server.close()


def fast_open(listener):
    """Data in the SYN, without cookies."""
    with open("/proc/sys/net/ipv4/tcp_fastopen", "w", encoding="ascii") as setting:
        setting.write("519")
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
    client = socket.socket(listener.family)
    client.sendto(b"request", socket.MSG_FASTOPEN, listener.getsockname()[:2])
    server, _ = listener.accept()
    server.recv(100)
    close(server, client)


def overflow(listener):
    """More connections than the queue holds."""
    listener.listen(1)
    clients = []
    for _ in range(6):
        client = socket.socket(listener.family)
        client.setblocking(False)
        client.connect_ex(listener.getsockname()[:2])
        clients.append(client)
    for client in clients:
        client.close()


def given_up(listener):
    """close() before the answer to the SYN."""
    with Cut(listener):
        client = socket.socket(listener.family)
        client.setblocking(False)
        try:
            client.connect(listener.getsockname()[:2])
        except BlockingIOError:
            pass
        client.close()


def unanswered(listener):
    with Cut(listener):
        client = socket.socket(listener.family)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 300)
        try:
            client.connect(listener.getsockname()[:2])
        except OSError:
            pass


def destroyed(server, client):
    """ss -K, as root."""
    ends = server.getpeername()
    subprocess.run(["ss", "-K", "sport", "=", str(server.getsockname()[1]), "dport", "=", str(ends[1])],
                   check=True, stdout=subprocess.DEVNULL)
    until_closed(client)
    client.close()
    server.close()


def exit_with(how):
    """The server's process ends."""

    def end(server, client):
        go, gone = os.pipe()
        child = os.fork()
        if child == 0:
            client.close()
            os.close(gone)
            signal.alarm(20)
            os.read(go, 1)  # until the parent has closed its copy of the server's end
            if how == "exit":
                os._exit(0)
            os.kill(os.getpid(), signal.SIGKILL)
        server.close()
        os.close(gone)
        until_closed(client)
        client.close()
        os.close(go)
        os.waitpid(child, 0)

    return end


def refused(listener):
    address = listener.getsockname()[:2]
    listener.close()
    try:
        socket.create_connection(address)
    except ConnectionRefusedError:
        pass


WAYS = {
    f.__name__.replace("_", "-"): f
    for f in (close, client_close, unread, client_unread, read_first, linger0, client_linger0, unspec, fin_rst,
              client_fin_rst, half_close, half_close_fin_rst, answered_by_linger0, last_ack_lost, port_again,
              answered_by_unread, orphan, orphan_late, orphan_before_ack, held, forgotten, simultaneous, timeout,
              keepalive, unacknowledged, destroyed, unaccepted, refused, overflow, reset_before_accept, fast_open, given_up, unanswered)
}
LISTENERS = ("port-again", "unaccepted", "reset-before-accept", "fast-open", "refused", "overflow", "given-up", "unanswered")
WAYS["exit"] = exit_with("exit")
WAYS["sigkill"] = exit_with("sigkill")


def main():
    arguments = sys.argv[1:]
    family = socket.AF_INET
    if arguments[0] == "-6":
        family = socket.AF_INET6
        arguments = arguments[1:]
    way = arguments[0]
    count = int(arguments[1]) if len(arguments) > 1 else 1
    address = "::1" if family == socket.AF_INET6 else "127.0.0.1"
    address = arguments[2] if len(arguments) > 2 else address
    if "NAME" in os.environ:
        with open("/proc/self/comm", "wb") as comm:
            comm.write(os.environb[b"NAME"])
    listener = serve(family, address)
    print("port", listener.getsockname()[1], flush=True)
    sys.stdin.readline()
    for _ in range(count):
        if way in LISTENERS:
            port = listener.getsockname()[1]
            WAYS[way](listener)
            listener.close()
            listener = serve(family, address, port)
        else:
            WAYS[way](*pair(listener))
    print("done", flush=True)


if __name__ == "__main__":
    signal.alarm(60)
    main()
