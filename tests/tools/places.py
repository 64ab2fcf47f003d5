#!/usr/bin/env python3
"""places.py ROOT [KIND=NAME...]: where a name of the program's tables is not mentioned and has to be.

Prints "KIND NAME: FILE, SECTION: PATTERN" for each such place, all at once. The names are those of the
arguments; without any, those that the sources have.
"""
import re
import subprocess
import sys

# KIND, FILE, the section of it (a line that begins it and one that ends it), and what has to be there
# for a name: {0}, {1} with '_' for '-', {2} without "__"; a pattern (A, B): in every line that has A.
# The last word, if there is one, is the name that needs it not.
END = r"\n\.S[hs] "
MODES = (r"a mode is one of:", r"a mode is one of:.*\b{0}\b")
PLACES = (
    ("mode", "src/man/linger.1", r"\.Sh DESCRIPTION", r"\n\.El", r"\n\.It Cm {0}\b"),
    ("mode", "src/man/liblinger.7", r"\.Ss Modes", END, r"\n\.It Cm {0}\b"),
    ("mode", "src/man/liblinger.7", r"\.Ss Grammar", END, r'"{0}:?"'),
    ("mode", "src/man/liblinger.7", r"\.Ss The counters", END, r"\barmed_{1}\b", "off"),
    ("mode", "src/man/liblinger.7", r"\.Ss The counters", END, r"\bclosed_active_{1}\b"),
    ("mode", "src/man/liblinger.7", r"\.Ss The counters", END, r"\bclosed_passive_{1}\b"),
    ("mode", "src/man/liblinger.7", r"\.Sh EXAMPLES", r"\n\.Sh ", MODES),
    ("mode", "src/man/liblinger.7", r"\.Sh DIAGNOSTICS", r"\n\.Sh ", MODES),
    ("mode", "README.md", r"## The modes", r"\n## ", r"\b{0}\b"),
    ("mode", "src/completion/linger.bash", "", r"\Z", (r":--mode\)", r'words="[^"]*\b{0}\b')),
    ("mode", "src/completion/_linger", "", r"\Z", (r"\]:policy:", r":policy:\([^)]*\b{0}\b")),
    ("mode", "tests/fuzz/policy.dict", "", r"\Z", r'"{0}:?"'),
    ("mode", "tests/unit/test_policy.c", "", r"\Z", MODES),
    ("mode", "tests/unit/test_settings.c", "", r"\Z", MODES),
    ("condition", "src/man/liblinger.7", r"\.Ss Conditions", END, r"\n\.It [^\n]*\b{0}="),
    ("condition", "src/man/liblinger.7", r"\.Ss Grammar", END, r'"{0}="'),
    ("condition", "src/man/liblinger.7", r"\.Sh DIAGNOSTICS", r"\n\.Sh ", r"a condition is one of:[^.]*\b{0}="),
    ("condition", "README.md", r"## The policy", r"\n## ", r"\b{0}="),
    ("condition", "tests/fuzz/policy.dict", "", r"\Z", r'" {0}="'),
    ("condition", "tests/unit/test_policy.c", "", r"\Z", (r"a condition is one of:", r"\b{0}=")),
    ("fact", "src/policy/condition.c", "", r"\Z", r"\bFACT_{0}\b"),
    ("fact", "src/socket/sock.c", "", r"\Z", r"\bFACT_{0}\b", "ROLE"),
    ("fact", "src/report/report.c", r"static void put_facts", r"\n}", r"\bFACT_{0}\b", "WHEN"),
    ("hook", "src/man/liblinger.7", r"\.Ss Moments", END, r"\n\.It [^\n]*\b{0}\b"),
    ("hook", "src/preload/real.h", r"#define REAL_FUNCTIONS", r"\n\n", r"ENTRY\w*\([^,]*, (?:{0}|{2}),"),
    ("hook", "src/preload/shim.c", "", r"\Z", r"\nEXPORT [^\n]*\b{0}\("),
    ("command", "src/man/linger.1", r"\.Sh SYNOPSIS", END, r"\n\.(?:Nm|Cm).* {0}\b|\n\.Cm {0}\b"),
    ("command", "src/man/linger.1", r"\.Sh DESCRIPTION", r"\n\.Sh ", r"\n\.Ss linger {0}\n"),
    ("command", "README.md", r"## The command", r"\n## ", r"\n    linger {0} "),
    ("command", "src/completion/linger.bash", "", r"\Z", (r'words="run |-W "run ', r"\b{0}\b")),
    ("command", "src/completion/linger.bash", r"_linger_word\(\)", r"\n}", r"\b{0}:"),
    ("command", "src/completion/_linger", "", r"\Z", (r"1:command:", r"[ (]{0}(?:\\:|[ )])")),
    ("command", "src/completion/_linger", r"\bcase \$words", r"\nesac|\Z", r"\n    (?:\w+ \| )*{0}\)"),
)


def read(root, path):
    with open(f"{root}/{path}", encoding="utf-8") as file:
        return file.read()


def names(root):
    def said(head, *command):
        text = subprocess.run([f"{root}/linger", *command], capture_output=True, text=True, check=True).stdout
        part = text.split(head)[1].split("\n\n")[0]
        return re.findall(r"^  ([a-z-]+)", part, re.M)

    yield from (("mode", name) for name in said("\nmodes:", "run", "--help"))
    yield from (("condition", name) for name in said("\nconditions of", "run", "--help"))
    yield from (("command", name) for name in said("[ARGUMENT...]\n\n", "--help"))
    policy, hooks = read(root, "src/policy/policy.h"), read(root, "src/preload/liblinger.map")
    yield from (("fact", name) for name in re.findall(r"\bFACT_(\w+) = ", policy) if name != "END")
    yield from (("hook", name) for name in re.findall(r"^ *(\w+);", hooks, re.M))


def pattern_of(name, pattern):
    words = name, name.replace("-", "_"), name.removeprefix("__")
    return (pattern[1] if isinstance(pattern, tuple) else pattern).format(*words)


def is_there(name, section, pattern):
    if not isinstance(pattern, tuple):
        return re.search(pattern_of(name, pattern), section)
    lines = [line for line in section.split("\n") if re.search(pattern[0], line)]
    return lines and all(re.search(pattern_of(name, pattern), line) for line in lines)


def main(root, *more):
    given = [tuple(word.split("=")) for word in more]
    for kind, name in given or names(root):
        for of, path, begin, end, pattern, *exempt in PLACES:
            if of != kind or name in exempt:
                continue
            text = read(root, path)
            start = re.search(begin, text)
            if not start:
                sys.exit(f"{path}: nothing is like {begin}")
            section = re.split(end, text[start.end():], maxsplit=1)[0]
            if not is_there(name, section, pattern):
                head = text[start.start():].split("\n")[0].rstrip(" \\") if begin else "anywhere"
                print(f"{kind} {name}: {path}, {head}: {pattern_of(name, pattern)}")


main(*sys.argv[1:])
