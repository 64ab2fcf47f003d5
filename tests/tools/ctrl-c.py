"""Runs a command as the session leader of a terminal of its own, presses Ctrl-C when it says "ready",
tells it by SIGRTMIN to end, and prints its last line: ctrl-c.py COMMAND..."""
import os
import pty
import signal
import sys

signal.alarm(60)
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
said = b""
while b"ready" not in said:
    said += os.read(terminal, 4096)
os.write(terminal, b"\x03")
while b"^C" not in said:
    said += os.read(terminal, 4096)
os.kill(pid, signal.SIGRTMIN)
try:
    while part := os.read(terminal, 4096):
        said += part
except OSError:  # EIO: nobody has the terminal open
    pass
print([line for line in said.decode().splitlines() if "=" in line][0].replace("^C", ""))
