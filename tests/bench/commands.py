"""What linger's own commands take where there are many sockets."""
import contextlib
import resource
import time

from measure import LINGER, ROOT, fresh_network, ratio, rounds, run, started, tool

ROUNDS = 5
EACH = 16667  # connections of a process: the limit of descriptors is 20,000 in some containers


@contextlib.contextmanager
def connections(processes, each):
    """The servers' pids; both ends are here."""
    fresh_network()
    with open("/proc/sys/net/ipv4/ip_local_port_range", "w", encoding="ascii") as file:
        file.write("1024 65535")
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
        yield [str(server.pid) for server in servers]


def seconds(*command):
    begin = time.monotonic()
    run(*command)
    return time.monotonic() - begin


def attach():
    modes = ["fin-rst", "rst"]
    with connections(6, EACH) as pids:
        values = []
        for _ in range(ROUNDS):
            values.append(seconds(LINGER, "attach", "-q", "-m", modes[0], *pids))
            modes.reverse()
    return {"what": f"linger attach -q to {6 * EACH:,} connections", "unit": "s", "values": {"linger attach": values},
            "columns": {"with": "linger attach"},
            "goals": [("at most 2 s", sorted(values)[ROUNDS // 2] <= 2, sorted(values)[ROUNDS // 2])]}


def states():
    commands = {"linger states": [LINGER, "states"], "ss -tan": ["ss", "-tan"]}
    with connections(2, 15000):
        values = rounds(9, commands, lambda command: seconds(*command))
    figure = ratio(values, "linger states", "ss -tan")
    return {"what": "linger states, 60,000 sockets", "unit": "s", "values": values,
            "columns": {"with": "linger states", "peer": "ss -tan"},
            "goals": [("faster than ss -tan", figure < 1, figure)]}
