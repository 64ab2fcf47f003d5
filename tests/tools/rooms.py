#!/usr/bin/env python3
"""rooms.py includes|calls SRC BUILD: who stands on whom.

Prints an arrow a line, first between files, then between rooms: a directory is a room, and at the
top of src/cli each .c with its .h. Ends with status 1 and names the circle where arrows make one, or
the arrow that points up: from a room of FLOORS to one above it, or into cli from elsewhere.

includes   as the sources say by #include "..."
calls      as the object files do, of the library and of linger: a symbol that one leaves undefined
           and another one defines
"""
import os
import re
import subprocess
import sys

FLOORS = ("base", "policy", "socket", "report", "core", "preload", "cli")


def sources(src):
    for directory, _, names in os.walk(src):
        for name in names:
            if name.endswith((".c", ".h")):
                yield os.path.relpath(os.path.join(directory, name), src)


def includes(src, _):
    known = set(sources(src))
    for path in sorted(known):
        with open(os.path.join(src, path)) as file:
            for name in re.findall(r'^#include "(.*)"', file.read(), re.M):
                if name not in known:
                    sys.exit(f"{path}: nobody has {name}")
                yield path, name


def symbols(path):
    for line in subprocess.check_output(["nm", path], text=True).splitlines():
        kind, name = line.split()[-2:]
        yield kind, name


def calls(src, build):
    shared = FLOORS[:FLOORS.index("core") + 1]
    for linked in (*shared, "preload"), (*shared, "cli"):
        defined, asked = {}, []
        for path in sorted(sources(src)):
            if path.endswith(".h") or path.split("/")[0] not in linked:
                continue
            for kind, name in symbols(os.path.join(build, path[:-1] + "o")):
                if kind in "Uw":
                    asked.append((path, name))
                elif kind.isupper():
                    defined[name] = path
        yield from ((path, defined[name]) for path, name in asked if name in defined)


def room(path):
    directory = os.path.dirname(path)
    return os.path.splitext(path)[0] + ".c" if directory == "cli" else directory


def upward(arrows):
    """The arrows that point up. preload and cli stand side by side."""
    def floor(name):
        return min(FLOORS.index(name.split("/")[0]), FLOORS.index("preload"))

    for a, b in arrows:
        same_floor = a.split("/")[0] == b.split("/")[0]
        if not same_floor and floor(b) >= floor(a):
            yield a, b


def circle(arrows):
    """The nodes of one circle, in order, or None."""
    after, done = {}, set()
    for a, b in arrows:
        after.setdefault(a, []).append(b)

    def walk(node, path):
        if node in path:
            return path[path.index(node):] + [node]
        if node in done:
            return None
        for other in after.get(node, []):
            found = walk(other, path + [node])
            if found:
                return found
        done.add(node)
        return None

    for node in after:
        found = walk(node, [])
        if found:
            return found
    return None


def main():
    draw = {"includes": includes, "calls": calls}[sys.argv[1]]
    files = sorted({(a, b) for a, b in draw(*sys.argv[2:]) if a != b})
    rooms = sorted({(room(a), room(b)) for a, b in files if room(a) != room(b)})
    for arrow in files + rooms:
        print(*arrow, sep=" -> ")
    for a, b in upward(rooms):
        sys.exit(f"upward: {a} -> {b}")
    for arrows in files, rooms:
        found = circle(arrows)
        if found:
            sys.exit("a circle: " + " -> ".join(found))


main()
