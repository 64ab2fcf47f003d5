"""The table, from the JSON that the benchmark has written.

table.py RESULTS               prints it
table.py RESULTS --readme FILE puts it between the two marks in FILE
table.py RESULTS --check FILE  fails where FILE has another one
"""
import json
import sys

MARKS = ("<!-- cost: from tests/bench/results.json, by tests/bench/table.py -->\n", "<!-- end of cost -->\n")


def number(value):
    """Three digits that count."""
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    digits = max(0, 2 - len(str(int(abs(value)))) + 1) if abs(value) >= 1 else 3
    return f"{value:,.{digits}f}"


def variant(name, figure):
    return f"{name} {number(figure['median'])} ({number(figure['low'])} to {number(figure['high'])})"


def goal(text, met, figure):
    return f"{text}: {number(figure)}{'' if met else ', MISSED'}"


def head(results):
    return f"{results['date']}, Linux {results['kernel']}, {results['processors']} x {results['cpu']}"


def what(row):
    """With the date, where the row was measured after the others."""
    return f"{row['what']}, {row['unit']}" + (f" ({row['measured']})" if "measured" in row else "")


def as_text(results):
    lines = [head(results)]
    for row in results["rows"]:
        lines.append(f"\n{what(row)}")
        lines += [f"    {variant(name, figure)}" for name, figure in row["figures"].items()]
        lines += [f"  -> {goal(*one)}" for one in row["goals"]]
    return "\n".join(lines) + "\n"


def as_markdown(results):
    lines = [f"{head(results)}; medians (lowest to highest round).", "",
             "| what | without | liblinger | others | to reach: reached |", "|---|---|---|---|---|"]
    ours = ("fin-rst", "rst", "liblinger", "supervised", "linger run", "when=active", "log")
    for row in results["rows"]:
        figures = dict(row["figures"])
        without = figures.pop("without", None)
        cells = [what(row),
                 variant("", without).strip() if without else "",
                 "; ".join(variant(name, figure) for name, figure in figures.items() if name in ours),
                 "; ".join(f"{name} {number(figure['median'])}" for name, figure in figures.items() if name not in ours),
                 "; ".join(goal(*one) for one in row["goals"])]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


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
    action, path = sys.argv[2:]
    text = with_table(path, as_markdown(results))
    if action == "--readme":
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    elif open(path, encoding="utf-8").read() != text:
        sys.exit(f"{path}: its table is not that of {sys.argv[1]}")


main()
