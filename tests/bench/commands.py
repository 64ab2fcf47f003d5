"""What linger's own commands take where there are many sockets, or many processes."""
import contextlib
import resource
import time

from measure import LINGER, ROOT, at_most, count_at_most, fresh_network, run, set_network, started, syscalls, tool
from scale import grown, row_of

ROUNDS = 3
EACH = 16667  # connections of a process: the limit of descriptors is 20,000 in some containers


@contextlib.contextmanager
def connections(processes, each=EACH):
    """The servers' pids, and the port of the last; both ends are here."""
    fresh_network()
    set_network("ipv4/ip_local_port_range", "1024 65535")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with contextlib.ExitStack() as stack:
        servers = []
        for _ in range(processes):
            port = run(f"{ROOT}/build/tests/free-port").strip()
            servers.append(stack.enter_context(started(tool("connections"), "keep", port)))
            stack.enter_context(started(tool("connections"), "hold", port, str(each)))
            # Until the server has accepted the last of them.
            while run("ss", "-Htln", f"sport = :{port}").split()[1] != "0":
                pass
        yield [str(server.pid) for server in servers], port


def seconds(*command):
    """Of processor time: what else runs does not matter."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run(*command)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def elapsed(*command):
    begin = time.monotonic()
    run(*command)
    return time.monotonic() - begin


def in_sockets():
    """Both ends of all connections are here."""
    values = {name: {} for name in ("states", "attach", "close", "ss")}
    for processes in (3, 6):
        with connections(processes) as (pids, _):
            size = f"{processes * EACH * 2:,}"
            for name, command in (("states", [LINGER, "states"]), ("ss", ["ss", "-tanp"]),
                                  ("attach", [LINGER, "attach", "-q", "-m", "fin-rst", *pids])):
                values[name][size] = [seconds(*command) for _ in range(ROUNDS)]
            values["close"][size] = [seconds(LINGER, "close", "-q", "-a", "-m", "rst", *pids)]
    sizes = {f"{processes * EACH * 2:,}": processes for processes in (3, 6)}
    large = list(sizes)[1]
    yield row_of("linger states in a network of 100,000 sockets, of 200,000", "s", sizes, values["states"])
    both = {"linger states": values["states"][large], "ss -tanp": values["ss"][large]}
    yield {"what": "linger states in a network of 200,000 sockets", "unit": "s", "values": both,
           "columns": {"with": "linger states", "peer": "ss -tanp"}, "goals": [at_most(both, "linger states", 1, "ss -tanp")]}
    yield row_of("linger attach to 50,000 connections, to 100,000", "s", sizes, values["attach"])
    yield row_of("linger close of 50,000 connections, of 100,000", "s", sizes, values["close"])


def at_a_port():
    def states(count):
        with connections(1, count) as (_, port):
            return seconds(LINGER, "states", "-p", port)

    return grown("linger states -p, 8,000 sockets of one process, 16,000", "s", {"8,000": 8000, "16,000": 16000},
                 states, ROUNDS)


@contextlib.contextmanager
def processes(count):
    """So many listen on one port."""
    fresh_network()
    with started(tool("connections"), "share", str(count)) as server:
        yield server.line.split()[1]


def in_processes(what, *command, took=seconds):
    def measure(count):
        with processes(count) as port:
            return took(LINGER, *(port if word == "PORT" else word for word in command))

    return grown(f"{what} 250 processes, 1,000", "s", {"250": 250, "1,000": 1000}, measure, ROUNDS)


def calls_of_attach():
    """Of one socket, by twice as many."""
    def calls(count):
        with connections(1, count) as (pids, _):
            return syscalls([LINGER, "attach", "-q", "-m", "fin-rst", *pids], {})

    each = (calls(400) - calls(200)) / 200
    return {"what": "system calls of linger attach for a connection", "unit": "calls", "values": {"linger attach": [each]},
            "columns": {"with": "linger attach"}, "goals": [count_at_most(each, 18, "at most 18")]}


def all_rows():
    yield from in_sockets()
    yield at_a_port()
    yield calls_of_attach()
    yield in_processes("linger states -p for", "states", "-p", "PORT")
    yield in_processes("linger attach to", "attach", "-q", "-m", "fin-rst", "-p", "PORT")
    yield in_processes("linger keep -n with", "keep", "-n", "-q", "-m", "fin-rst")
    yield in_processes("linger supervise of", "supervise", "-q", "-y", "-m", "fin-rst", "-p", "PORT", took=elapsed)
