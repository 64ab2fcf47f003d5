"""Measures all rows and writes the JSON: bench.py RESULTS [ROW...]; ROW is a name in rows.ROWS.
"""
import datetime
import json
import os
import platform
import re
import sys

import rows
from measure import figure


def machine():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        model = re.search(r"^model name\s*: (.*)$", file.read(), re.MULTILINE)
    return {"date": datetime.date.today().isoformat(), "kernel": platform.release(),
            "cpu": model.group(1) if model else platform.machine(), "processors": os.cpu_count()}


def main():
    results = {**machine(), "rows": []}
    for row in rows.all_rows(sys.argv[2:]):
        row["figures"] = {name: figure(values) for name, values in row.pop("values").items()}
        results["rows"].append(row)
        missed = [text for text, met, _ in row["goals"] if not met]
        print(f"{row['what']}: {'missed: ' + '; '.join(missed) if missed else 'as wanted'}", file=sys.stderr)
    if len(sys.argv) == 2:
        results["switched"] = rows.switched()
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
        file.write("\n")


main()
