"""Measures all rows and writes the JSON: bench.py RESULTS [ROW...]; ROW is a name in rows.ROWS. With
names, what was measured anew takes the place of what was there. The file is written after each row.
"""
import datetime
import json
import os
import platform
import re
import sys
import time

import rows
from measure import figure


def machine():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        model = re.search(r"^model name\s*: (.*)$", file.read(), re.MULTILINE)
    return {"date": datetime.date.today().isoformat(), "kernel": platform.release(),
            "cpu": model.group(1) if model else platform.machine(), "processors": os.cpu_count()}


def read(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def write(path, results):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
        file.write("\n")


def put(rows_, row):
    """In the place of the row of that name, or at the end."""
    for i, old in enumerate(rows_):
        if old["what"] == row["what"]:
            rows_[i] = row
            return
    rows_.append(row)


def main():
    path, names = sys.argv[1], sys.argv[2:]
    results = {"rows": []} | machine()
    later = {}
    if names and os.path.exists(path):
        results = read(path)
        later = {"measured": machine()["date"]} if machine()["date"] != results["date"] else {}
    begin = time.monotonic()
    for row in rows.all_rows(names):
        if "time_wait" in row:
            results["switched"] = row
        else:
            row["figures"] = {name: figure(values) for name, values in row.pop("values").items()}
            put(results["rows"], row | later)
            missed = [text for text, met, *_ in row["goals"] if not met]
            print(f"{time.monotonic() - begin:4.0f} s  {row['what']}: {'missed: ' + '; '.join(missed) if missed else 'as wanted'}", file=sys.stderr)
        write(path, results)


main()
