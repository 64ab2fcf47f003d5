#!/usr/bin/python3
"""Purpose: pictures of a terminal, each from a real run. record.py writes what it records as text and draws
that as SVG; both stand beside it.

    record.py demo      records `make demo`
    record.py attach    records `linger states -w` while one nginx is under load, and linger attach mends it
    record.py watch     records `linger watch` beside nginx, linger attach, and `linger watch` again
    record.py draw FILE.txt    prints the picture of a recording

Expected output: demo.txt and demo.svg, or those of the other, beside this file.

A recording has a terminal's lines; a line that begins with `== ` opens another terminal. Needs root or user
namespaces, nginx, curl, tcpdump and a build; linger watch needs root. The first recording takes
some seconds, the second 85, the third 10.
"""
import os
import pathlib
import pty
import re
import signal
import subprocess
import sys
import threading
from html import escape

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
COLUMNS = 120

# -------- recording --------


def in_namespace():
    """A network of our own, in which nothing else is in the picture."""
    if "RECORDING" not in os.environ:
        unshare = "-n" if os.geteuid() == 0 else "-rn"
        os.execvpe("unshare", ["unshare", unshare, sys.executable, *sys.argv], os.environ | {"RECORDING": "1"})
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def in_terminal(command, rows=40):
    """What it prints in a terminal of that size."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp("sh", ["sh", "-c", f"stty rows {rows} cols {COLUMNS}; exec {command}"])
    printed = b""
    try:
        while part := os.read(terminal, 65536):
            printed += part
    except OSError:  # its other end is closed
        pass
    os.waitpid(pid, 0)
    return printed.decode().replace("\r\n", "\n")


def demo():
    return ["$ make demo", *in_terminal("make -s demo").splitlines()]


def last_screen(printed):
    """The screen of a program that draws from the top each time: its last whole one."""
    return re.sub(r"\033\[[KJ]", "", printed.split("\033[H")[-2]).splitlines()


def typed(*commands):
    """What stands in a terminal in which these were typed."""
    for command in commands:
        yield "$ " + command
        yield from subprocess.run(command.split(), capture_output=True, text=True, check=True).stdout.splitlines()


def attach():
    """Load while it is watched, and linger attach after 20 seconds. A socket stays in TIME_WAIT for 60."""
    mended = []
    commands = "linger states -p 80", "linger attach -m fin-rst --port 80"
    mend = threading.Timer(20, lambda: mended.extend(typed(*commands)))
    subprocess.run("nginx", check=True)
    load = subprocess.Popen(["sh", "-c", "while :; do curl -s0o /dev/null 'http://127.0.0.1/?[1-50]'; sleep 0.2; done"],
                            start_new_session=True)
    try:
        mend.start()
        screen = last_screen(in_terminal("timeout 80 linger states -w=3"))
        mend.join()
    finally:
        os.killpg(load.pid, signal.SIGTERM)
        subprocess.run(["nginx", "-s", "stop"], stderr=subprocess.DEVNULL, check=False)
    return [*mended, "== in another terminal, a minute later", "$ linger states -w=3", *screen]


def other_host():
    """A network namespace at 10.203.0.2, of the process that is returned; here is 10.203.0.1."""
    other = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo made; exec sleep 100"], stdout=subprocess.PIPE)
    other.stdout.readline()
    for line in (f"ip link add near type veth peer name far netns {other.pid}", "ip addr add 10.203.0.1/24 dev near",
                 "ip link set near up", f"nsenter -t {other.pid} -n ip addr add 10.203.0.2/24 dev far",
                 f"nsenter -t {other.pid} -n ip link set far up"):
        subprocess.run(line.split(), check=True)
    return other


def watch():
    """A server that closes first, linger attach, and the same server: nothing is left."""
    subprocess.run("nginx", check=True)
    other = other_host()
    load = subprocess.Popen(["nsenter", "-t", str(other.pid), "-n", "sh", "-c",
                             "while :; do curl -s0o /dev/null 'http://10.203.0.1/?[1-20]'; sleep 0.1; done"],
                            start_new_session=True)
    try:
        return list(typed("linger watch -p 80 -t 5", "linger attach -m fin-rst --port 80", "linger watch -p 80 -t 5"))
    finally:
        os.killpg(load.pid, signal.SIGTERM)
        other.terminate()
        subprocess.run(["nginx", "-s", "stop"], stderr=subprocess.DEVNULL, check=False)


# -------- drawing --------

LINE, CHARACTER, MARGIN = 18, 8, 16
STYLE = """text { font: 13.3px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #d8dee9; }
.screen { fill: #1c2128; stroke: #57606a; } .title { fill: #8b949e; }
.typed { fill: #ffffff; font-weight: bold; } .fin { fill: #7ee787; } .rst { fill: #ff9b8e; } .bar { fill: #79c0ff; }"""
WORDS = re.compile(r"(?P<rst>\bRST\b|ECONNRESET)|(?P<fin>\bFIN\b|\bEOF\b)|(?P<bar>[▁-█]+)")


def screens(lines):
    """The terminals of a recording, (title, lines), with long lines wrapped as a terminal does."""
    found = [("", [])]
    for line in lines:
        if line.startswith("== "):
            found.append((line[3:], []))
        else:
            found[-1][1].extend(line[at:at + COLUMNS] for at in range(0, max(len(line), 1), COLUMNS))
    return found


def runs(line):
    """What a line has between wide blanks, each in one kind of ink: (column, class, text)."""
    if line.startswith("$ "):
        return [(0, "typed", line)]
    found = []
    for part in re.finditer(r"\S+(?: \S+)*", line):
        at = part.start()
        for match in [*WORDS.finditer(line, *part.span()), None]:
            start, end = match.span() if match else (part.end(), part.end())
            found += [(at, "", line[at:start]), (start, match.lastgroup if match else "", line[start:end])]
            at = end
    return [(at + len(text) - len(text.lstrip()), kind, text.strip()) for at, kind, text in found if text.strip()]


def draw_line(line, y):
    for column, kind, text in runs(line):
        # Whatever the font: each run is as wide as its columns.
        yield (f'<text x="{MARGIN + column * CHARACTER}" y="{y}"' + (f' class="{kind}"' if kind else "") +
               f' textLength="{len(text) * CHARACTER}" lengthAdjust="spacingAndGlyphs">{escape(text)}</text>')


def draw_screen(lines, top, width):
    """A terminal below top; gives its shapes, and where it ends."""
    bottom = top + len(lines) * LINE + 2 * MARGIN - 4
    yield f'<rect class="screen" x="0.5" y="{top + 0.5}" width="{width - 1}" height="{bottom - top}" rx="8"/>', bottom
    for number, line in enumerate(lines):
        for shape in draw_line(line, top + MARGIN + 10 + number * LINE):
            yield shape, bottom


def draw(lines):
    width = 2 * MARGIN + COLUMNS * CHARACTER
    shapes, bottom = [], 0
    for title, screen in screens(lines):
        if title:
            shapes.append(f'<text x="{MARGIN}" y="{bottom + LINE}" class="title">{escape(title)}</text>')
            bottom += LINE + MARGIN // 2
        for shape, bottom in draw_screen(screen, bottom, width):
            shapes.append(shape)
    size = f'width="{width}" height="{bottom + 1}" viewBox="0 0 {width} {bottom + 1}"'
    return (f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n'
            f"<style>{STYLE}</style>\n" + "\n".join(shapes) + "\n</svg>\n")


def main(command, *files):
    if command == "draw":
        sys.stdout.write(draw(pathlib.Path(files[0]).read_text(encoding="utf-8").splitlines()))
        return
    in_namespace()
    os.environ["PATH"] = f"{ROOT}:/usr/sbin:/usr/bin:/sbin:/bin"
    os.chdir(ROOT)
    lines = {"demo": demo, "attach": attach, "watch": watch}[command]()
    (HERE / f"{command}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (HERE / f"{command}.svg").write_text(draw(lines), encoding="utf-8")


main(*sys.argv[1:])
