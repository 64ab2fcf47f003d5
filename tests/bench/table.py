"""The tables, from the JSON that the benchmark has written: a line for each row, and everything.

table.py RESULTS                  prints a line for each row
table.py RESULTS --keep README    puts the lines of SHORT between the two marks in README, and everything
                                  into README.md beside RESULTS
table.py RESULTS --check README   fails where these two have others
"""
import json
import os
import pathlib
import sys

MARKS = ("<!-- cost: from tests/bench/results.json, by tests/bench/table.py -->\n", "<!-- end of cost -->\n")
NOTES = pathlib.Path(__file__).with_name("notes.md")  # what the rows do not explain by themselves
OURS = ("fin-rst", "liblinger", "supervised", "linger run", "when=active", "log", "rst")
# The lines in README, by what stands in the results: a sentence, and what follows each figure.
SHORT = {
    "the wall: 200,000 connections to one destination": ("200,000 connections of one client to one port", "a second"),
    "restart with 15,000 connections, until the port is bound":
        ("restart of a server that has 15,000 connections: its port is free after", "s"),
    "accept, close of a server's connection": ("a connection that a server accepts, reads and closes", "us"),
}
HEADER = ["what", "without", "with", "nearest other", "goal"]


def number(value):
    """Three digits that count."""
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    digits = max(0, 2 - len(str(int(abs(value)))) + 1) if abs(value) >= 1 else 3
    return f"{value:,.{digits}f}"


def goal(text, met, figure, bounds):
    within = f" ({number(bounds[0])} to {number(bounds[1])})" if bounds and bounds[0] != bounds[1] else ""
    return f"{text}: {number(figure)}{within} {'✓' if met else '✗'}"


def head(results):
    return f"{results['date']}, Linux {results['kernel']}, {results['processors']} x {results['cpu']}"


def what(row):
    """With the date, where the row was measured after the others."""
    return f"{row['what']}" + (f", {row['unit']}" if row["unit"] else "") + (f" ({row['measured']})" if "measured" in row else "")


def columns(row):
    """The variants in the columns without, with, nearest other; None where there is none."""
    figures, chosen = row["figures"], row.get("columns", {})
    ours = chosen.get("with") or next((name for name in OURS if name in figures), None)
    others = [name for name in figures if name not in OURS + (ours, "without")]
    nearest = max if row["unit"].endswith("/s") else min
    peer = chosen.get("peer") or ("columns" not in row and others and
                                  nearest(others, key=lambda name: figures[name]["median"])) or None
    return [chosen.get("without") or ("without" if "without" in figures else None), ours, peer]


def line(row):
    """The cells of the table of all rows. The column `without` has no need of a name; ours has none where the
    row says which it is."""
    def cell(variant, anonymous):
        if variant is None:
            return ""
        figure = number(row["figures"][variant]["median"])
        return figure if variant in anonymous else f"{figure} ({variant})"

    without, ours, peer = columns(row)
    goals = sorted(row["goals"], key=lambda one: one[1])[:1]
    return [what(row), cell(without, ("without",)), cell(ours, OURS), cell(peer, ()),
            "; ".join(goal(*one) for one in goals)]


def as_table(lines):
    cells = [HEADER, ["---"] * len(HEADER), *lines]
    return "".join("| " + " | ".join(one) + " |\n" for one in cells)


def as_text(results):
    lines = [HEADER] + [line(row) for row in results["rows"]]
    widths = [max(len(one[i]) for one in lines) for i in range(len(HEADER))]
    return head(results) + "\n" + "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(one, widths)).rstrip() + "\n" for one in lines)


def as_short(results):
    rows = {row["what"]: row["figures"] for row in results["rows"]}
    lines = [["", "without", "with `fin-rst`"], ["---"] * 3]
    for name, (sentence, unit) in SHORT.items():
        figures = rows.get(name)
        if figures:
            medians = (figures[variant]["median"] for variant in ("without", "fin-rst"))
            lines.append([sentence, *(f"{number(one) if one >= 0.01 else 'under 0.01'} {unit}" for one in medians)])
    return "".join("| " + " | ".join(one) + " |\n" for one in lines)


INTRODUCTION = """
A goal is a count (system calls, instructions, page faults, sockets), which every machine tells alike, or a ratio
to another variant of the same run: times depend on the machine, and no goal is a time. All variants of a row take
turns, round after round; a ratio is the median of the rounds' ratios, and behind it stands its interval of 95 %
(of all rounds, where they are fewer than ten). ✗ marks a goal that was missed: a ratio only where
all of its interval lies beyond it. `rows.py`, `scale.py` and `commands.py` say how each row is measured.

- *naive* is what one writes in five minutes, `naive.c`: a preload whose close() sets SO_LINGER {1, 0} on every
  descriptor, file or socket, and closes it. *naive fin-rst* sets TCP_LINGER2.
- *empty library* is a preload with no code, *empty filter* a seccomp filter that allows everything, and *empty
  notification* (`notified.c`) a supervisor that lets each call go on: the least that each technique costs.
- An *exponent* says what becomes of the cost as the work grows: 1 is linear, 2 is quadratic.
"""


def as_long(results):
    parts = ["# What it costs\n",
             "Written by `tests/bench/run --keep`, as this table and README.md's are of one run: "
             f"{head(results)}. `make bench` measures and keeps nothing.",
             INTRODUCTION,
             as_table(line(row) for row in results["rows"]),
             NOTES.read_text(encoding="utf-8"),
             "## The rounds\n"]
    for row in results["rows"]:
        parts.append(f"**{what(row)}**\n")
        parts.append("| variant | median | lowest | highest | rounds |\n|---|---|---|---|---|\n" + "".join(
            f"| {name} | {number(f['median'])} | {number(f['low'])} | {number(f['high'])} | {f['rounds']} |\n"
            for name, f in row["figures"].items()))
        parts.append("".join(f"- {goal(*one)}\n" for one in row["goals"]) or "No goal.\n")
    return "\n".join(parts)


def with_table(path, text):
    """The file's text with the table in it."""
    with open(path, encoding="utf-8") as file:
        before, mark, rest = file.read().partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not mark or not end:
        sys.exit(f"{path}: the marks of the table are not there")
    return before + mark + text + end + after


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        results = json.load(file)
    if len(sys.argv) == 2:
        print(as_text(results), end="")
        return
    action, readme = sys.argv[2:]
    everything = os.path.join(os.path.dirname(sys.argv[1]), "README.md")
    for path, text in ((readme, with_table(readme, as_short(results))), (everything, as_long(results))):
        if action == "--keep":
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        elif not os.path.exists(path) or open(path, encoding="utf-8").read() != text:
            sys.exit(f"{path}: its table is not that of {sys.argv[1]}")


main()
