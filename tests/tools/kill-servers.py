"""Ends the server of a program, or its partner, again and again at random moments: kill-servers.py SERVER

The partner is the server's child, and its successor. The next is ended as soon as there are both again.
On SIGTERM prints "killed N".
"""
import itertools
import os
import random
import signal
import sys
import time

server, ended, count = int(sys.argv[1]), 0, 0
signal.alarm(100)


def partner_of(pid, other_than):
    while True:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            found = [int(child) for child in file.read().split()]
        if found and found[0] != other_than:
            return found[0]


def stop(*_):
    print("killed", count)
    sys.exit()


signal.signal(signal.SIGTERM, stop)
for count in itertools.count():
    partner = partner_of(server, ended)
    end = time.monotonic() + random.random() * 0.02
    while time.monotonic() < end:
        pass
    ended = partner if count % 4 == 0 else server
    os.kill(ended, signal.SIGKILL)
    server = server if ended == partner else partner
