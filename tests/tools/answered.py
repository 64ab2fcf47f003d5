"""Runs a command in a terminal of its own, and answers its question: answered.py ANSWER COMMAND...

Prints what it says, and ends with its status.
"""
import os
import pty
import signal
import sys

signal.alarm(60)
answer, command = sys.argv[1], sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(command[0], command)
said, asked = b"", False
while True:
    try:
        block = os.read(terminal, 4096)
    except OSError: # the last one has closed it
        break
    said += block
    if not asked and b"[y/N] " in said:
        asked = True
        os.write(terminal, answer.encode() + b"\n")
print(said.decode().replace("\r", ""))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
