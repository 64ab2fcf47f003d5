"""What becomes of a cost as the work grows: a row each, two sizes, and the exponent between them (1 is
linear, 0 is constant)."""
import math
import os
import statistics
import time

from measure import (BUILT, LINGER, WITHOUT, answering_calls, at_most, count_at_most, each_of, fresh_network,
                     instructions, interval, policy, port_in, rounds, run, set_network, started, tool)

ROUNDS = 5


def row_of(what, unit, sizes, values, limit=1.1):
    """`sizes` are {name: size}, the small one first, and `values` what each took."""
    (small, less), (large, more) = sizes.items()
    exponents = [math.log(b / a) / math.log(more / less) for a, b in zip(values[small], values[large])]
    low, high = interval(exponents)
    return {"what": what, "unit": unit, "values": values, "columns": {"without": small, "with": large},
            "goals": [(f"exponent at most {limit}", low <= limit, statistics.median(exponents), (low, high))]}


def grown(what, unit, sizes, measure, count=ROUNDS):
    """measure(size) is the cost of the whole."""
    return row_of(what, unit, sizes, rounds(count, sizes, measure))


def decisions():
    def decide(rules):
        return float(run(tool("decides"), str(rules), "200000"))

    counts = [each_of(instructions, WITHOUT, tool("decides"), rules) for rules in ("16", "64")]
    return {"what": "a decision by 16 rules with 64 addresses, by 64 with 256", "unit": "ns",
            "values": rounds(ROUNDS, {"16 rules": 16, "64 rules": 64}, decide),
            "columns": {"without": "16 rules", "with": "64 rules"},
            "goals": [count_at_most(math.log(counts[1] / counts[0], 4), 1.1, "exponent of its instructions at most 1.1")]}


def listeners_born():
    def listen(count):
        fresh_network()
        with started(tool("connections"), "listen", str(count), variant=policy("fin-rst role=server")) as server:
            return float(server.line) * count / 1e3

    return grown("a program that makes 1,000 listeners, 10,000", "ms", {"1,000": 1000, "10,000": 10000}, listen)


def listeners_attached():
    def attach(count):
        fresh_network()
        with started(tool("connections"), "listen", str(count)) as server:
            begin = time.monotonic()
            run(LINGER, "attach", "-q", "-m", "fin-rst", str(server.pid))
            return (time.monotonic() - begin) * 1e3

    return grown("linger attach to 1,000 listeners, to 10,000", "ms", {"1,000": 1000, "10,000": 10000}, attach)


def threads():
    """All count in one file; the hooks take no lock."""
    counted = policy("rst", LINGER_STATS=os.path.join(BUILT, "stats"))
    values = rounds(ROUNDS, {f"{name}, {count}": (variant, count) for name, variant in
                             (("without", WITHOUT), ("with", counted)) for count in (1, 200)},
                    lambda pair: float(run(tool("calls"), "threads", "100000", str(pair[1]), variant=pair[0])))
    grows = {name: [more / less for less, more in zip(values[f"{name}, 1"], values[f"{name}, 200"])]
             for name in ("without", "with")}
    return {"what": "socket, close in 200 threads, counted", "unit": "ns", "values": values,
            "columns": {"without": "without, 200", "with": "with, 200"},
            "goals": [at_most(grows, "with", 1.1, text="from 1 thread to 200: at most 1.1 of what it is without")]}


SWARMS = {"without": [], "empty notification": [tool("notified"), "connect"],
          "supervised": [LINGER, "run", "-b", "supervise", "-m", "fin-rst", "--"]}


def processes():
    """Each makes 16 connections and ends. Growth is compared with that of what no supervisor could do less: the
    rest is the scheduler's."""
    def swarm(case):
        prefix, count = case
        fresh_network()
        set_network("ipv4/ip_local_port_range", "1024 65535")  # half of the ports are more than all connections
        with started(tool("connections"), "answer") as server:
            each = run(*prefix, tool("connections"), "swarm", port_in(server.line), str(16 * count), str(count))
        return float(each) * 16 * count / 1e3

    values = rounds(ROUNDS, {f"{name}, {count:,}": (prefix, count) for name, prefix in SWARMS.items()
                             for count in (100, 1000)}, swarm)
    grows = {name: [more / less for less, more in zip(values[f"{name}, 100"], values[f"{name}, 1,000"])]
             for name in SWARMS}
    few, many = (answering_calls(SWARMS["supervised"], "swarm", str(16 * count), str(count)) / 16 / count
                 for count in (100, 400))
    return {"what": "16 connections of each of 100 processes at a time, of 1,000", "unit": "ms", "values": values,
            "columns": {"without": "without, 1,000", "with": "supervised, 1,000", "peer": "empty notification, 1,000"},
            "goals": [count_at_most(many / few, 1.15, "system calls for a connect(), by 400 processes and by 100: at most 1.15"),
                      at_most(grows, "supervised", 1.1, "empty notification",
                              "from 100 processes to 1,000: at most 1.1 of an empty notification's growth")]}


SCALE = (decisions, listeners_born, listeners_attached, threads, processes)
