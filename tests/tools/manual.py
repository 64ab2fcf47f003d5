"""What the tests have to know of a manual page, as mandoc understands it.

    manual.py examples PAGE                 the names of its examples, one a line
    manual.py example PAGE NAME             the commands of one; output PAGE NAME: what it prints
    manual.py options PAGE COMMAND          "-m --mode =POLICY" for each option of "linger COMMAND"
    manual.py heads PAGE SECTION [SUBSECTION]    the heads of its lists, one a line
    manual.py text PAGE SECTION [SUBSECTION]     its words, in one line
    manual.py messages PAGE SOURCE...       compares DIAGNOSTICS with the messages of C sources
"""
import html.parser
import re
import subprocess
import sys

# -------- pages --------


class Page(html.parser.HTMLParser):
    """Lists what stands in a page: heads of lists, displays and quotes, and the running text."""

    def __init__(self, path):
        super().__init__()
        self.section = self.subsection = ""
        self.found = []  # (section, subsection, kind, text)
        self.open = []  # (tag, kind or None, text so far)
        html_text = subprocess.run(
            ["mandoc", "-Thtml", "-O", "fragment", path], check=True, capture_output=True, text=True
        ).stdout
        # mandoc before 1.14.6 (Debian 11) opens no paragraph after a subsection's head.
        self.feed(re.sub(r"</h2>\s*(?=[^<\s])", "</h2><p>", html_text))

    def handle_starttag(self, tag, attributes):
        classes = (dict(attributes).get("class") or "").split()
        kind = {"dt": "head", "pre": "display", "dd": "body", "p": "text"}.get(tag)
        if tag in ("h1", "h2"):
            kind = tag
        elif tag == "code" and "Li" in classes:
            kind = "quote"
        if tag not in ("br", "hr", "meta", "link"):
            self.open.append([tag, kind, ""])

    def handle_data(self, data):
        for element in self.open:
            element[2] += data

    def handle_endtag(self, tag):
        while self.open:
            name, kind, text = self.open.pop()
            words = " ".join(text.split())
            if kind == "h1":
                self.section, self.subsection = words, ""
            elif kind == "h2":
                self.subsection = words
            elif kind:
                self.found.append((self.section, self.subsection, kind, text if kind == "display" else words))
            if name == tag:
                return

    def all(self, kinds, section, subsection=None):
        return [
            text
            for at, below, kind, text in self.found
            if kind in kinds and at == section and subsection in (None, below)
        ]


def displays(path):
    """The displays of EXAMPLES: (kind, name, text). Each has a comment with its name before it."""
    source = open(path, encoding="ascii").read()
    section = source.split("\n.Sh EXAMPLES\n")[1].split("\n.Sh ")[0]
    names = []
    comment = None
    for line in section.split("\n"):
        if match := re.fullmatch(r'\.\\" (Example|Output): ([a-z-]+)', line):
            comment = match.groups()
        elif re.match(r"\.(Bd|Dl|D1)\b", line):
            if not comment:
                sys.exit(f"{path}: a display in EXAMPLES without a name before it: {line}")
            names.append(comment)
            comment = None
    texts = Page(path).all(("display",), "EXAMPLES")
    if len(texts) != len(names) or len(set(names)) != len(names):
        sys.exit(f"{path}: {len(names)} names and {len(texts)} displays in EXAMPLES, or one name twice")
    return [(kind, name, text) for (kind, name), text in zip(names, texts)]


def options_of(path, command):
    """A head such as "-m policy, --mode=policy"."""
    for head in Page(path).all(("head",), "DESCRIPTION", f"linger {command}"):
        if match := re.fullmatch(r"-(\w)(\S*| \S+), --([a-z-]+)(\S*)", head):
            short, short_argument, long, argument = match.groups()
            if short_argument.strip(" ").strip("[=]") != argument.strip("[=]"):
                sys.exit(f"{path}: the arguments differ in {head}")
            print(f"-{short} --{long} {argument.upper()}")
        elif head.startswith("-"):
            sys.exit(f"{path}: not an option as the others: {head}")


# -------- sources --------

TOKEN = re.compile(
    r"""/\*.*?\*/ | //[^\n]* | \#[^\n]* | "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' | \w+ | \s+ | .""",
    re.S | re.X,
)
DEFINITION = re.compile(r'#\s*define\s+(\w+)\s+((?:"(?:[^"\\]|\\.)*"\s*)+)(?:/\*.*)?')
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
CONVERSION = re.compile(r"%[-+ #0]*[\d.*]*(?:hh|h|ll|l|z|j|t)?[diouxXscpfg]|\033\[\w")

# Prose that is not a message: what is printed as a result, help, and tables of results.
RESULT_CALLS = {"name_closed", "name_counter", "printf", "puts", "print_row", "sscanf", "static_assert", "_Static_assert"}
STREAM_CALLS = {"dprintf", "fprintf", "fputs"}  # a message only on stderr, or STDERR_FILENO
RESULT_TABLES = {"help", "options", "conditions", "counters", "families", "figures", "known_outputs", "modes", "names", "separator"}
# Whose every word is a message; elsewhere it takes two of them.
MESSAGE_CALLS = {"cli_error", "cli_usage", "fail", "judge_supervised", "parser_fail", "warn"}
PROSE = re.compile(r"[a-z)',:;%]{2,} [a-z('%]{2,}|[a-z]{2,} a |\ba [a-z]{2,}")


def tokens(path):
    text = re.sub(r"\\\n", " ", open(path, encoding="utf-8").read())
    return [t for t in TOKEN.findall(text) if not t.isspace() and not t.startswith(("/*", "//"))]


def unquote(literal):
    escapes = {"n": "\n", "r": "\r", "033": "\033"}
    return re.sub(r"\\(033|.)", lambda m: escapes.get(m[1], m[1]), literal[1:-1])


def definitions(paths):
    """Macros that are strings; those of the build stand for what varies."""
    macros = {"LINGER_VERSION": "%s", "LINGER_LIBDIR": "%s"}
    for path in paths:
        for token in tokens(path):
            if token[0] == "#" and (match := DEFINITION.match(token)):
                macros[match[1]] = "".join(unquote(s) for s in STRING.findall(match[2]))
    return macros


def literals(path, macros):
    """(context, on_stderr, text) of each: the call or the table that it stands in."""
    source = tokens(path)
    calls = []  # [name, is stderr among its arguments]
    tables = []  # the names of the initialisers, "" for other braces
    found = []
    at = 0
    while at < len(source):
        token = source[at]
        before = source[at - 1] if at else ""
        if token == "(":
            depth, end = 1, at
            while depth and end + 1 < len(source):
                end += 1
                depth += {"(": 1, ")": -1}.get(source[end], 0)
            calls.append((before, bool({"stderr", "STDERR_FILENO"} & set(source[at:end]))))
        elif token == ")" and calls:
            calls.pop()
        elif token == "{":
            inside = tables and tables[-1]
            tables.append(inside or (initialised(source, at) if before == "=" else ""))
        elif token == "}" and tables:
            tables.pop()
        elif token[0] == '"' or token in macros:
            text = ""
            start = at
            while at < len(source) and (source[at][0] == '"' or source[at] in macros):
                text += unquote(source[at]) if source[at][0] == '"' else macros[source[at]]
                at += 1
            named = [call for call in calls if re.match(r"[a-z_]\w*$", call[0])]
            if named:
                found.append((named[-1][0], named[-1][1], text))
            elif tables and tables[-1]:
                found.append((tables[-1], False, text))
            else:
                found.append((initialised(source, start) if source[start - 1] == "=" else "", False, text))
            continue
        at += 1
    return found


def initialised(source, at):
    """The name before the '=' that stands before `at`."""
    at -= 2
    while source[at] == "]":
        while source[at] != "[":
            at -= 1
        at -= 1
    return source[at]


def is_message(context, on_stderr, text):
    if context in RESULT_CALLS or context in RESULT_TABLES or context.startswith("cli_") and context not in MESSAGE_CALLS:
        return False
    if context in STREAM_CALLS and not on_stderr or re.fullmatch(r"linger [a-z]+", text):
        return False
    if context in MESSAGE_CALLS:
        return re.search("[a-z]", CONVERSION.sub("", text)) is not None
    return PROSE.search(CONVERSION.sub("%s", text)) is not None


def fixed_parts(text):
    """What of a format does not vary."""
    parts = [" ".join(part.split()).strip(" .;:,'()?-\033") for part in CONVERSION.split(text)]
    return [part for part in parts if re.search("[A-Za-z]", part)]


def whole(words):
    """A pattern for them that does not begin or end within a word."""
    return rf"(?<![A-Za-z]){re.escape(words)}(?![A-Za-z])"


def pattern_of(text, form="{}"):
    """What does not vary, in this order, with anything between."""
    return re.compile(".*?".join(form.format(whole(part)) for part in fixed_parts(text)))


def compare(page, sources):
    macros = definitions(sources)
    known = [literal for path in sources for literal in literals(path, macros)]
    heads = Page(page).all(("head",), "DIAGNOSTICS")
    texts = heads + Page(page).all(("quote",), "DIAGNOSTICS")
    messages = {text for context, on_stderr, text in known if is_message(context, on_stderr, text)}
    if len(messages) < 30:
        sys.exit(f"{len(messages)} messages in the sources: that cannot be all")
    wrong = 0
    for message in sorted(messages):
        if not any(message in text or pattern_of(message).search(text) for text in texts):
            print(f"not in DIAGNOSTICS of {page}: {message!r}")
            wrong += 1
    # And the other way round: nothing in a head but messages, and words in capitals.
    everything = {text for _, _, text in known if fixed_parts(text)}
    everything = sorted(everything, key=lambda text: len("".join(fixed_parts(text))), reverse=True)
    patterns = [pattern_of(text, "({})") for text in everything]
    for head in heads:
        left = head
        for pattern in patterns:
            if match := pattern.search(left):
                for group in range(pattern.groups, 0, -1):
                    left = left[: match.start(group)] + left[match.end(group) :]
        if re.search("[a-z]{2}", left):
            print(f"in DIAGNOSTICS of {page} and in no source: {head!r}, of which {left.strip()!r} is left")
            wrong += 1
    print(f"{len(messages)} messages, {len(heads)} heads", file=sys.stderr)
    sys.exit(wrong > 0)


def main(verb, page, *rest):
    if verb == "examples":
        print("\n".join(name for kind, name, _ in displays(page) if kind == "Example"))
    elif verb in ("example", "output"):
        text = [text for kind, name, text in displays(page) if (kind.lower(), name) == (verb, rest[0])]
        if not text:
            sys.exit(f"{page}: no {verb} {rest[0]}")
        print(text[0].strip("\n"))
    elif verb == "options":
        options_of(page, *rest)
    elif verb == "heads":
        print("\n".join(Page(page).all(("head",), *rest)))
    elif verb == "text":
        print(" ".join(Page(page).all(("head", "body", "text", "display"), *rest)))
    elif verb == "messages":
        compare(page, rest)
    else:
        sys.exit(__doc__)


main(*sys.argv[1:])
