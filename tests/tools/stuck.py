"""stuck.py: four connections to itself, named as the lines that it prints: "NAME PORT", the client's port.

unread      the client reads nothing, and what the server sends fills both queues
trickle     the same by small segments, which the kernel goes on sending again
idle        nothing was sent
ack-lost    what the client, connected to port 81, sends after a line of input: somebody drops it then

Then, for "drain" on standard input: the client reads all of unread, which is then as idle; "drained".
"""
import socket
import sys


def pair(listener):
    client = socket.create_connection(listener.getsockname())
    return client, listener.accept()[0]


def fill(sender, size):
    sender.setblocking(False)
    sent = 0
    try:
        while True:
            sent += sender.send(b"x" * size)
    except BlockingIOError:
        return sent


listener = socket.create_server(("127.0.0.1", 0))
unread = pair(listener)
sent = fill(unread[1], 65536)
trickle = pair(listener)
trickle[1].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
trickle[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
fill(trickle[1], 100)
idle = pair(listener)
for name, (client, _) in ("unread", unread), ("trickle", trickle), ("idle", idle):
    print(name, client.getsockname()[1], flush=True)
for line in sys.stdin:
    if line == "drain\n":
        while sent:
            sent -= len(unread[0].recv(65536))
        print("drained", flush=True)
    else:
        lost = pair(socket.create_server(("127.0.0.1", 81)))
        print("ack-lost", lost[0].getsockname()[1], flush=True)
        sys.stdin.readline()
        lost[0].send(b"hello")
        print("sent", flush=True)
