"""The commands of a workflow, each of which has to be one that runs on any machine: workflow.py FILE TREE.

Prints them, one a line. Exits with 1, and says which, where one is neither `make` with a goal of the
Makefile, a program of the tree, nor apt-get or git."""
import os
import re
import shlex
import subprocess
import sys

import yaml

path, tree = sys.argv[1:]
with open(path) as file:
    workflow = yaml.safe_load(file)
makefile = open(os.path.join(tree, "Makefile")).read()
goals = set(re.search(r"^\.PHONY: (.*)$", makefile, re.M).group(1).split()) - {"FORCE"}


def goes(words):
    if words[0] == "make":
        return all("=" in word or word in goals for word in words[1:]) and any(word in goals for word in words[1:])
    if words[:2] == ["apt-get", "install"]:
        names = [word for word in words[2:] if not word.startswith("-")]
        shown = subprocess.run(["apt-cache", "show", *names], capture_output=True, text=True).stdout
        return not shown or all(f"\nPackage: {name}\n" in "\n" + shown for name in names)
    if words[0] in ("apt-get", "git"):
        return True
    program = os.path.join(tree, words[0])
    return "/" in words[0] and os.path.isfile(program) and os.access(program, os.X_OK)


bad = 0
assert workflow[True] == ["push", "pull_request"]  # YAML reads `on` as true
for name, job in workflow["jobs"].items():
    assert job["timeout-minutes"] and job["container"]["image"].startswith("debian:"), name
    for step in job["steps"]:
        if "uses" in step:
            assert re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"]), step
            continue
        for line in step["run"].splitlines():
            print(name, line)
            if not goes(shlex.split(line)):
                print(f"{path}: {name}: '{line}' is neither a goal of the Makefile nor a program of the tree", file=sys.stderr)
                bad = 1
sys.exit(bad)
