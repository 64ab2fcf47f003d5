"""Rounds, medians and network namespaces.

A row compares variants of one thing. All variants are measured in turns, round after round, so what
disturbs the machine meets them alike; a ratio is the median of the rounds' ratios.
"""
import collections
import contextlib
import ctypes
import os
import re
import statistics
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILT = os.path.join(ROOT, "build/bench")
LINGER = os.path.join(ROOT, "linger")
LIBRARY = os.path.join(ROOT, "liblinger.so")
DEBIAN = f"/usr/lib/{os.uname().machine}-linux-gnu"
TIME_LIMIT = 150  # seconds, of one command

CLONE_NEWNET = 0x40000000


def preload(*libraries, **variables):
    """The environment of a variant."""
    return {"LD_PRELOAD": " ".join(libraries), **variables}


def policy(text, **variables):
    return preload(LIBRARY, LINGER_MODE=text, **variables)


WITHOUT = {}
NAIVE = preload(f"{BUILT}/naive.so")
NAIVE_FIN_RST = preload(f"{BUILT}/naive-fin-rst.so")
FIN_RST = policy("fin-rst")
RST = policy("rst")


def set_network(name, value):
    with open(f"/proc/sys/net/{name}", "w", encoding="ascii") as file:
        file.write(value)


def fresh_network():
    """A network namespace of its own for this process and what it starts: empty tables, loopback up."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWNET)")
    run("ip", "link", "set", "lo", "up")
    # 2, the default, hides the wall on loopback.
    set_network("ipv4/tcp_tw_reuse", "0")
    # A SYN that finds the queue full comes again after a second, and a benchmark would measure that.
    set_network("core/somaxconn", "65535")
    # The kernel clears the one before away, in the background.
    time.sleep(0.1)


def environment(variant):
    kept = {name: value for name, value in os.environ.items()
            if name != "LD_PRELOAD" and not name.startswith("LINGER_")}
    # Debian's programs, whatever else is on this machine.
    kept["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
    return {**kept, **variant}


def run(*command, variant=None):
    """What the command prints; that it fails ends the benchmark."""
    done = subprocess.run(command, env=environment(variant or {}), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=TIME_LIMIT, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: status {done.returncode}\n{done.stderr}{done.stdout}")
    return done.stdout


@contextlib.contextmanager
def started(*command, variant=None, ready=True):
    """A program in the background; .line is the first that it printed. It is ended by SIGTERM."""
    # pylint: disable=subprocess-run-check
    process = subprocess.Popen(command, env=environment(variant or {}), stdout=subprocess.PIPE,
                               stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        process.line = process.stdout.readline() if ready else ""
        yield process
    finally:
        process.terminate()
        process.wait(TIME_LIMIT)
        process.stdout.close()
        process.stdin.close()


def port_in(line):
    return line.split()[1]


def tool(name):
    return os.path.join(BUILT, name)


def rounds(count, variants, measure):
    """{variant's name: [a value of each round]}; measure(environment) gives the value."""
    values = {name: [] for name in variants}
    names = list(variants)
    for _ in range(count):
        for name in names:
            values[name].append(measure(variants[name]))
        # What one leaves to be cleared away must not meet the same one each time.
        names = names[1:] + names[:1]
    return values


def figure(values):
    return {"median": statistics.median(values), "low": min(values), "high": max(values),
            "rounds": len(values)}


def ratio(values, name, to="without"):
    return statistics.median(a / b for a, b in zip(values[name], values[to]))


def difference(values, name, to="without"):
    return statistics.median(a - b for a, b in zip(values[name], values[to]))


def interval(ratios):
    """Of 95 %, of the rounds' median (order statistics, the sign test's); all of them, of fewer than ten."""
    ratios = sorted(ratios)
    rank = max(0, int(len(ratios) / 2 - 0.98 * len(ratios) ** 0.5))
    return ratios[rank], ratios[-1 - rank]


def count_at_most(count, limit, text):
    """A goal that any machine tells alike."""
    return text, count <= limit, count, None


def at_most(values, name, limit, to="without", text=None):
    """A goal that is missed only where all of the interval lies beyond it."""
    low, high = interval(a / b for a, b in zip(values[name], values[to]))
    return text or f"{name} at most {limit:g} of {to}", low <= limit, ratio(values, name, to), (low, high)


def at_least(values, name, limit, to="without", text=None):
    low, high = interval(a / b for a, b in zip(values[name], values[to]))
    return text or f"{name} at least {limit:g} of {to}", high >= limit, ratio(values, name, to), (low, high)


def instructions(command, variant):
    """In user space, of a command and its libraries: valgrind counts them on every machine."""
    log = os.path.join(BUILT, "valgrind")
    run("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", f"--log-file={log}", *command, variant=variant)
    with open(log, encoding="utf-8", errors="replace") as file:
        return int(re.search(r"Collected : (\d+)", file.read()).group(1))


def each_of(count, variant, *command):
    """What one more call adds, by count(command, variant); the command's last argument says how many."""
    less, more = (count([*command, str(times)], variant) for times in (1000, 2000))
    return (more - less) / 1000


def syscalls(command, variant, drive=None):
    """System calls of a command that is run under strace, as many as it and its threads make."""
    log = os.path.join(BUILT, "strace")
    traced = ["strace", "-f", "-qq", "-o", log]
    for name, value in variant.items():
        traced += ["-E", f"{name}={value}"]
    if drive is None:
        run(*traced, *command)
    else:
        with started(*traced, *command) as process:
            drive(process.line)
            process.wait(TIME_LIMIT)
    with open(log, encoding="utf-8", errors="replace") as file:
        return sum("(" in line and "resumed" not in line for line in file)


def answering_calls(prefix, *calls):
    """System calls of the thread that answers, while clients under a supervisor make connections: `connections
    CALLS` towards a server that answers."""
    log = os.path.join(BUILT, "strace")
    fresh_network()
    with started(tool("connections"), "answer") as server:
        run("strace", "-f", "-qq", "-o", log, *prefix, tool("connections"), calls[0], port_in(server.line), *calls[1:])
    made, ioctls = collections.Counter(), collections.Counter()
    with open(log, encoding="utf-8", errors="replace") as file:
        for line in file:
            thread, call = line.split(None, 1)
            made[thread] += "resumed>" not in call
            ioctls[thread] += call.startswith("ioctl(")
    return sum(made[thread] for thread in made if ioctls[thread] > made[thread] / 5)
