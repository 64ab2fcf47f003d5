"""Runs a program whose standard error is a terminal that nobody reads, and has less room than a line
of the log takes, though poll(2) calls it writable. Prints the program's exit status.

    full-terminal.py COMMAND [ARG...]
"""
import fcntl
import os
import select
import subprocess
import sys


def is_writable(fd):
    return bool(select.select([], [fd], [], 0)[1])


def fill(fd):
    """Up to the last byte that it takes."""
    os.set_blocking(fd, False)
    for size in 4096, 1:
        try:
            while True:
                os.write(fd, b"x" * size)
        except BlockingIOError:
            pass
    os.set_blocking(fd, True)


def main(command):
    reader, writer = os.openpty()
    fill(writer)
    while not is_writable(writer):
        os.read(reader, 1)
    print(subprocess.run(command, stderr=writer, timeout=60).returncode)


main(sys.argv[1:])
