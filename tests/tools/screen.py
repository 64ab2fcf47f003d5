"""What a terminal of that size shows, once a command has drawn it so many times; then ends the command.

    screen.py COLUMNS ROWS TIMES COMMAND [ARGUMENT...]

A line for each row, without trailing blanks. Knows what linger sends: text, newlines, and the sequences
that go to the top and clear the rest of a line or of the screen.
"""
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios

SEQUENCE = re.compile(r"\x1b\[([HKJ])|\r|\n|.", re.S)


def draw(columns, rows, text):
    screen = [[" "] * columns for _ in range(rows)]
    row = column = 0

    def go_down():
        nonlocal row
        if row + 1 < rows:
            row += 1
        else:
            screen.append([" "] * columns)
            del screen[0]

    for found in SEQUENCE.finditer(text):
        if found[1] == "H":
            row = column = 0
        elif found[1]:
            # A cursor that waits behind the last column still stands in it.
            screen[row][min(column, columns - 1):] = [" "] * (columns - min(column, columns - 1))
            if found[1] == "J":
                screen[row + 1:] = [[" "] * columns for _ in screen[row + 1:]]
        elif found[0] == "\r":
            column = 0
        elif found[0] == "\n":
            go_down()
        else:
            if column == columns:
                column = 0
                go_down()
            screen[row][column] = found[0]
            column += 1
    return ["".join(line).rstrip() for line in screen]


def main(columns, rows, times, *command):
    signal.alarm(60)
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.execvpe(command[0], command, os.environ | {"TERM": "xterm", "LC_ALL": "C.UTF-8"})
    text = b""
    while text.count(b"\x1b[J") < times:
        text += os.read(terminal, 4096)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    text = text[:text.rindex(b"\x1b[J") + 3].decode()
    print("\n".join(draw(columns, rows, text)))


main(*map(int, sys.argv[1:4]), *sys.argv[4:])
