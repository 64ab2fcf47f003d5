"""Reads log lines from standard input; every line has to be whole. Prints how many there are of
each event, sorted: "close=3 load=1". With a file name: checks that each line is under 513 bytes."""
import collections
import re
import sys

PAIR = re.compile(rb'([A-Za-z_]+)=("(?:[^"\\]|\\["\\]|\\x[0-9a-f]{2})*"|[^ "]+)(?: |$)')
START = re.compile(rb"time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z mono=\d+\.\d{6} pid=\d+ event=([a-z]+)( |$)")

events = collections.Counter()
for number, line in enumerate(sys.stdin.buffer, 1):
    if not line.endswith(b"\n") or len(line) > 512 or re.search(rb"[^ -~]", line[:-1]):
        sys.exit(f"line {number} is not whole: {line!r}")
    line = line[:-1]
    start = START.match(line)
    at = 0
    while at < len(line) and (pair := PAIR.match(line, at)):
        at = pair.end()
    if not start or at != len(line):
        sys.exit(f"line {number} does not parse at {at}: {line!r}")
    events[start[1].decode()] += 1
print(" ".join(f"{event}={count}" for event, count in sorted(events.items())))
