"""Connects, reads a byte and closes, for as long as standard input is open: steady.py PORT

Prints "ready" after the first connections. To each line it answers "made N failed N", and the last error.
"""
import select
import signal
import socket
import sys

signal.alarm(120)
port = int(sys.argv[1])
made = failed = 0
error = ""
while True:
    if select.select([sys.stdin], [], [], 0)[0]:
        if not sys.stdin.readline():
            break
        print("made", made, "failed", failed, error, flush=True)
    try:
        with socket.socket() as connection:
            connection.connect(("127.0.0.1", port))
            connection.recv(1)
        made += 1
    except OSError as caught:
        failed += 1
        error = caught
    if made == 100:
        print("ready", flush=True)
