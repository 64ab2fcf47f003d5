"""Types at a shell in a terminal of its own, as somebody would who runs a program there: stops it
(Ctrl-Z), lets it go on (fg), interrupts it (Ctrl-C). Prints what the shell says of it.

    terminal.py COMMAND     a command line that prints "ready" and then "tick" for ever
"""
import os
import pty
import re
import select
import signal
import sys


def main(command):
    signal.alarm(60)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], os.environ | {"PS1": "$ ", "TERM": "dumb"})
    seen = ""

    def expect(pattern):
        nonlocal seen
        while not (found := re.search(pattern, seen)):
            select.select([terminal], [], [])
            seen += os.read(terminal, 4096).decode()
        seen = seen[found.end():]
        return found

    def enter(text):
        os.write(terminal, text.encode())

    enter(command + "\n")
    expect(r"\nready")
    expect(r"\ntick")
    enter("\x1a")
    print("stopped" if expect(r"Stopped|\$ ").group() == "Stopped" else "not stopped")
    enter("jobs -p | sed 's/^/jobs /'\n")
    expect(r"jobs \d+")
    enter("fg\n")
    expect(r"\ntick")
    print("went on")
    enter("\x03")
    expect(r"\$ ")
    enter("echo status $?\n")
    print(expect(r"status \d+").group())
    enter("exit\n")
    os.waitpid(pid, 0)


main(*sys.argv[1:])
