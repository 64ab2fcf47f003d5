"""What is measured, a function for each row. It gives a dict:

    what      the row's name
    unit      of its figures
    values    {variant: [a value of each round]}
    goals     [(what is to be reached, whether it was, the figure that says so, its interval or None)]; the one
              that counts first. A goal is a count, or a ratio to another variant of the same run: never a time
    columns   of the short table, {"with": variant, "peer": variant}; table.py finds those that are missing
"""
import contextlib
import os
import re
import signal
import statistics
import subprocess
import tempfile
import time

from measure import (BUILT, DEBIAN, FIN_RST, LIBRARY, LINGER, NAIVE, NAIVE_FIN_RST, ROOT, RST, WITHOUT, answering_calls, at_least,
                     at_most, count_at_most, difference, each_of, environment, fresh_network, instructions,
                     policy, port_in, preload, ratio, rounds, run, set_network,
                     started, syscalls, tool)
from scale import SCALE

import commands

ROUNDS = 5

# Peers in the field that hook close().
CLOSING_PEERS = {
    "socket_wrapper": preload(f"{DEBIAN}/libsocket_wrapper.so", SOCKET_WRAPPER_DIR=BUILT),
    "torsocks": preload(f"{DEBIAN}/torsocks/libtorsocks.so"),
    "proxychains4": preload(f"{DEBIAN}/libproxychains.so.4", PROXYCHAINS_QUIET_MODE="1"),
    "fiu-utils": preload("/usr/lib/fiu/fiu_run_preload.so", "/usr/lib/fiu/fiu_posix_preload.so"),
}


def nanoseconds_of(call):
    return lambda variant: float(run(tool("calls"), call, "50000", variant=variant))


def close_of_a_file(call):
    variants = {"without": WITHOUT, "fin-rst": FIN_RST, "naive": NAIVE, **CLOSING_PEERS}
    values = rounds(9, variants, nanoseconds_of(call))
    nearest = min(("naive", *CLOSING_PEERS), key=lambda name: difference(values, name))
    command = [tool("calls"), call]
    added = each_of(instructions, FIN_RST, *command) - each_of(instructions, WITHOUT, *command)
    calls = each_of(syscalls, FIN_RST, *command) - each_of(syscalls, WITHOUT, *command)
    return {"what": f"{call} and close of a file", "unit": "ns", "values": values,
            "goals": [count_at_most(calls, 0, "no added system call"),
                      count_at_most(added, 12, "at most 12 added instructions"),
                      at_most(values, "fin-rst", 1.02), at_most(values, "fin-rst", 1.0, nearest)]}


def close_with(what, variant):
    """The cost where each close() is looked at, beside a program that asks the least of each file itself."""
    variants = {"without": ("dup", WITHOUT), what: ("dup", variant), "a failing getsockopt": ("ask", WITHOUT)}
    values = rounds(ROUNDS, variants, lambda pair: nanoseconds_of(pair[0])(pair[1]))
    command = [tool("calls"), "dup"]
    more = each_of(syscalls, variant, *command) - each_of(syscalls, WITHOUT, *command)
    return {"what": f"dup and close of a file, {what}", "unit": "ns", "values": values,
            "columns": {"with": what, "peer": "a failing getsockopt"},
            "goals": [count_at_most(more, 1, "one added system call"),
                      at_most(values, what, 1.05, "a failing getsockopt")]}


def served(variant, count=5000):
    """Microseconds for each connection that a server under the variant closes first."""
    fresh_network()
    with started(tool("connections"), "serve", str(count), variant=variant) as server:
        return float(run(tool("connections"), "visit", port_in(server.line), str(count)))


def called(variant, count=10000):
    """The same of a client under the variant."""
    fresh_network()
    with started(tool("connections"), "answer") as server:
        return float(run(tool("connections"), "call", port_in(server.line), str(count), variant=variant))


def server_syscalls(variant):
    """System calls for each connection."""
    def visits(count):
        return lambda line: run(tool("connections"), "visit", port_in(line), count)

    fresh_network()
    return (syscalls([tool("connections"), "serve", "300"], variant, visits("300")) -
            syscalls([tool("connections"), "serve", "100"], variant, visits("100"))) / 200


def client_syscalls(variant):
    fresh_network()
    with started(tool("connections"), "answer") as server:
        calls = [syscalls([tool("connections"), "call", port_in(server.line), count], variant)
                 for count in ("300", "100")]
    return (calls[0] - calls[1]) / 200


CONNECTION_VARIANTS = {"without": WITHOUT, "fin-rst": FIN_RST, "rst": RST, "naive": NAIVE,
                       "naive fin-rst": NAIVE_FIN_RST}


def server_connections():
    values = rounds(9, CONNECTION_VARIANTS, served)
    more = [server_syscalls(variant) - server_syscalls(WITHOUT) for variant in (FIN_RST, RST)]
    return {"what": "accept, close of a server's connection", "unit": "us", "values": values,
            "goals": [count_at_most(max(more), 0, "no added system call"),
                      at_most(values, "fin-rst", 1.02), at_most(values, "rst", 1.00)]}


def client_connections():
    values = rounds(9, CONNECTION_VARIANTS, called)
    more = [client_syscalls(variant) - client_syscalls(WITHOUT) for variant in (FIN_RST, RST)]
    return {"what": "socket, connect, close of a client", "unit": "us", "values": values,
            "columns": {"peer": "naive fin-rst"},
            "goals": [count_at_most(max(more), 1, "one added system call"),
                      at_most(values, "fin-rst", 1.03, "naive fin-rst"), at_most(values, "rst", 1.03, "naive")]}


WALL = 200000    # connections
PERIOD = 61      # seconds: the 60 s of TIME_WAIT, and the first ports that are free again


def series_of(text):
    return [[float(time_), int(made)] for time_, made in (line.split() for line in text.splitlines())]


def begin_wall(variant):
    """In a namespace of its own; the server ends with the shell's process group."""
    fresh_network()
    server = subprocess.Popen([tool("connections"), "answer"], stdout=subprocess.PIPE, text=True,
                              env=environment({}))
    client = subprocess.Popen([tool("connections"), "wall", port_in(server.stdout.readline()), str(WALL),
                               str(PERIOD)], stdout=subprocess.PIPE, text=True, env=environment(variant))
    return server, client


def end_wall(server, client):
    text = client.communicate()[0]
    server.kill()
    server.communicate()
    if client.returncode != 0:
        raise RuntimeError(f"connections wall: status {client.returncode}")
    return series_of(text)


def wall_row(without):
    series = {"without": [without],
              **rounds(2, {"fin-rst": FIN_RST, "rst": RST}, lambda variant: end_wall(*begin_wall(variant)))}
    values = {name: [made / took for took, made in (one[-1] for one in all_)] for name, all_ in series.items()}
    failed = sum(one[-1][1] != WALL for name in ("fin-rst", "rst") for one in series[name])
    return {"what": f"the wall: {WALL:,} connections to one destination", "unit": "connections/s",
            "values": values, "series": {name: all_[0] for name, all_ in series.items()},
            "goals": [count_at_most(failed, 0, "no failure"),
                      at_least(values, "fin-rst", 10), at_least(values, "rst", 10)]}


# tcp_tw_reuse, and the environment of the client.
REUSE = {"without": ("0", WITHOUT), "tcp_tw_reuse=1": ("1", WITHOUT), "tcp_tw_reuse=2": ("2", WITHOUT),
         "fin-rst": ("0", FIN_RST), "rst": ("0", RST)}
PORTS = 28000    # of 28,232: the last few are a matter of luck


def latency_curve(setting):
    """[connections made, p50, p99 of connect() in microseconds], for every 500."""
    reuse, variant = setting
    fresh_network()
    set_network("ipv4/tcp_tw_reuse", reuse)
    with started(tool("connections"), "answer") as server:
        text = run(tool("connections"), "latency", port_in(server.line), str(PORTS), variant=variant)
    return [[float(word) for word in line.split()] for line in text.splitlines()]


def connect_latency():
    """The ports of one parity are searched first: from half of them on connect() meets all that are
    taken. (Where that takes more than a minute, the first TIME_WAIT go, and it is fast again.)"""
    curves = rounds(1, REUSE, latency_curve)
    values = {name: [max(p50 for _, p50, _ in curve) for curve in all_] for name, all_ in curves.items()}
    return {"what": "connect(), p50 of the slowest 500 on the way to the wall", "unit": "us", "values": values,
            "latency": {name: all_[0] for name, all_ in curves.items()},
            "goals": [at_most(values, "fin-rst", 0.05), at_most(values, "rst", 0.05)]}


def free_port():
    return run(os.path.join(ROOT, "build/tests/free-port")).strip()


def nginx(directory, port, keepalive):
    path = os.path.join(directory, "nginx.conf")
    with open(path, "w", encoding="ascii") as file:
        file.write(f"""daemon off; worker_processes 1; pid {directory}/pid; error_log {directory}/error.log;
            events {{ worker_connections 1000; }}
            http {{ access_log off; keepalive_requests 1000000; keepalive_timeout {60 if keepalive else 0};
                    server {{ listen 127.0.0.1:{port} backlog=4096; return 200 hello; }} }}
            """)
    return ["nginx", "-c", path]


def await_listener(port):
    limit = time.monotonic() + 30
    while not run("ss", "-Htln", f"sport = :{port}"):
        if time.monotonic() > limit:
            raise RuntimeError(f"nobody listens on port {port}")


@contextlib.contextmanager
def watched(port, spent):
    """`linger watch` beside it; its seconds of processor time for 10,000 connections go to `spent`."""
    process = subprocess.Popen([LINGER, "watch", "-p", port], stdout=subprocess.PIPE, text=True, env=environment({}))
    # Its handler of SIGINT is there when all else is.
    while not re.search(r"^Name:\tlinger\n(.*\n)*SigCgt:\t[0-9a-f]*[2367abef]$",
                        open(f"/proc/{process.pid}/status", encoding="ascii").read(), re.MULTILINE):
        pass
    yield
    process.send_signal(signal.SIGINT)
    text = process.stdout.read()
    usage = os.wait4(process.pid, 0)[2]
    process.returncode = 0
    ends = int(re.search(r"(\d+) connections ended", text).group(1))  # both ends are here
    lost = re.search(r"events lost: (\d+)", text)
    spent.append(((usage.ru_utime + usage.ru_stime) / ends * 20000, int(lost.group(1)) if lost else 0))


def requests_a_second(variant, keepalive, left=None, seconds=2, spent=None):
    fresh_network()
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        with started(*nginx(directory, port, keepalive), variant=variant, ready=False):
            await_listener(port)
            with watched(port, spent) if spent is not None else contextlib.nullcontext():
                text = run("wrk", "-t1", "-c32", f"-d{seconds}s", f"http://127.0.0.1:{port}/")
            if left is not None:
                await_closes(port)
                total = int(re.search(r"(\d+) requests in", text).group(1))
                left.append(time_waits() / total)
    return float(re.search(r"Requests/sec: *([\d.]+)", text).group(1))


def await_closes(port):
    """What wrk leaves at its end is in FIN_WAIT2, and counted as TIME_WAIT, until nginx has closed it too."""
    limit = time.monotonic() + 30
    while run("ss", "-Htan", "state", "established", "state", "close-wait", f"( sport = :{port} )"):
        if time.monotonic() > limit:
            raise RuntimeError(f"connections stay open on port {port}")


def time_waits():
    with open("/proc/net/sockstat", encoding="ascii") as file:
        return int(re.search(r"tw (\d+)", file.read()).group(1))


def nginx_close():
    left = {name: [] for name in ("without", "fin-rst", "rst", "naive")}
    variants = {"without": WITHOUT, "fin-rst": FIN_RST, "rst": RST, "naive": NAIVE}
    values = rounds(5, {name: (name, variant) for name, variant in variants.items()},
                    lambda pair: requests_a_second(pair[1], False, left[pair[0]], seconds=1))
    return {"what": "nginx, Connection: close", "unit": "requests/s", "values": values,
            "goals": [count_at_most(max(left["rst"]), 0, "rst leaves no TIME_WAIT"),
                      count_at_most(max(left["fin-rst"]), 0.01, "fin-rst leaves under 1 %"),
                      at_least(values, "rst", 1.00), at_least(values, "fin-rst", 0.98)]}


def nginx_watched():
    spent = []
    values = rounds(9, {"without": None, "linger watch": spent},
                    lambda spent: requests_a_second(WITHOUT, False, seconds=1, spent=spent))
    return [{"what": "nginx, Connection: close, beside linger watch", "unit": "requests/s", "values": values,
             "columns": {"with": "linger watch"},
             "goals": [count_at_most(max(lost for _, lost in spent), 0, "no event is lost"),
                       at_least(values, "linger watch", 0.95)]},
            {"what": "processor time of linger watch for 10,000 connections", "unit": "s",
             "values": {"linger watch": [each for each, _ in spent]}, "columns": {"with": "linger watch"}, "goals": []}]


def kept_alive(what, measure):
    values = rounds(9, {"without": WITHOUT, "fin-rst": FIN_RST}, measure)
    return {"what": what, "unit": "requests/s", "values": values, "goals": [at_least(values, "fin-rst", 1)]}


def nginx_keepalive():
    return kept_alive("nginx, keep-alive", lambda variant: requests_a_second(variant, True, seconds=1))


FIRST = {"server, TIME_WAIT": ("server", WITHOUT, WITHOUT), "server, fin-rst": ("server", FIN_RST, WITHOUT),
         "client, TIME_WAIT": ("client", WITHOUT, WITHOUT), "client, fin-rst": ("client", WITHOUT, FIN_RST)}


def fetched(case):
    """HTTP/1.0 requests a second; fewer than half of the ports, from where on connect() is slow."""
    first, server_variant, client_variant = case
    fresh_network()
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        with started(*nginx(directory, port, first == "client"), variant=server_variant, ready=False):
            await_listener(port)
            return 1e6 / float(run(tool("connections"), "fetch", port, "12000", first, variant=client_variant))


def who_closes_first():
    """The question of Faber, Touch and Yue, "The TIME-WAIT state in TCP and its effect on busy servers",
    INFOCOM 1999: what does TIME_WAIT cost a server, and what does it give to put it on the clients?"""
    values = rounds(7, FIRST, fetched)
    return {"what": "nginx, HTTP/1.0: the server closes first, or the client", "unit": "requests/s",
            "values": values, "columns": {"without": "server, TIME_WAIT", "with": "server, fin-rst",
                                          "peer": "client, TIME_WAIT"},
            "goals": [at_least(values, f"{first}, fin-rst", 1, f"{first}, TIME_WAIT") for first in ("server", "client")]}


def redis_requests(variant):
    fresh_network()
    port = free_port()
    with started("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                 variant=variant, ready=False):
        await_listener(port)
        text = run("redis-benchmark", "-p", port, "-t", "get", "-n", "60000", "-c", "32", "--csv")
    return float(text.splitlines()[-1].split(",")[1].strip('"'))


def redis_keepalive():
    return kept_alive("redis-benchmark, GET, keep-alive", redis_requests)


ESTABLISHED = 15000


def begin_restart(variant):
    """A server that holds its connections ends; another instance of it takes its place."""
    fresh_network()
    port = free_port()
    with started(tool("connections"), "keep", port, variant=variant):
        client = subprocess.Popen([tool("connections"), "hold", port, str(ESTABLISHED)], env=environment({}),
                                  stdout=subprocess.PIPE, text=True)
        client.stdout.readline()
        # Until the server has accepted the last of them.
        while run("ss", "-Htln", f"sport = :{port}").split()[1] != "0":
            pass
    again = subprocess.Popen([tool("connections"), "keep", port], env=environment(variant),
                             stdout=subprocess.PIPE, text=True)
    return client, again


def end_restart(client, again):
    milliseconds = float(again.stdout.readline().split()[1])
    again.terminate()
    again.communicate()
    client.communicate()
    return milliseconds / 1e3


def restart_row(without):
    values = {"without": without,
              **rounds(ROUNDS, {"fin-rst": FIN_RST, "rst": RST}, lambda variant: end_restart(*begin_restart(variant)))}
    return {"what": f"restart with {ESTABLISHED:,} connections, until the port is bound", "unit": "s",
            "values": values, "goals": [at_most(values, name, 0.05) for name in ("fin-rst", "rst")]}


def the_minute():
    """Without us the wall, the restart and the switching are a matter of TIME_WAIT's minute and not of the
    processor, so they have it side by side, in a network namespace each."""
    waiting = [begin_restart(WITHOUT) for _ in range(ROUNDS)]
    wall = begin_wall(WITHOUT)
    yield switched()
    without = [end_restart(*pair) for pair in waiting]
    yield wall_row(end_wall(*wall))
    yield restart_row(without)


def decision():
    values = {"liblinger": [float(run(tool("decides"), "1", "4000000")) for _ in range(9)]}
    counted = each_of(instructions, WITHOUT, tool("decides"), "1")
    return {"what": "a decision, 1 rule", "unit": "ns", "values": values,
            "goals": [count_at_most(counted, 64, "at most 64 instructions")]}


LAUNCHERS = {
    "without": ["true"],
    "linger run": [LINGER, "run", "-m", "rst", "--", "true"],
    "env LD_PRELOAD": ["env", f"LD_PRELOAD={LIBRARY}", "LINGER_MODE=rst", "true"],
    "eatmydata": ["eatmydata", "true"],
    "faketime": ["faketime", "2020-01-01", "true"],
    "proxychains4": ["proxychains4", "-q", "true"],
    "torsocks": ["torsocks", "true"],
    "fiu-run": ["fiu-run", "-x", "true"],
}


def start():
    values = rounds(9, LAUNCHERS, lambda command: float(run(tool("starts"), "40", *command)))
    nearest = min(list(LAUNCHERS)[3:], key=lambda name: ratio(values, name))
    return {"what": "start of a program by a launcher", "unit": "us", "values": values,
            "goals": [at_most(values, "linger run", 1, nearest), at_most(values, "linger run", 2, "env LD_PRELOAD")]}


LOADED = {"without": WITHOUT, "liblinger": policy("fin-rst role=server"), "empty library": preload(f"{BUILT}/empty.so"),
          "naive": NAIVE}


def load():
    values = rounds(31, LOADED, lambda variant: float(run(tool("starts"), "20", "true", variant=variant)))
    return {"what": "start of a program, library preloaded, 1 rule", "unit": "us", "values": values,
            "columns": {"with": "liblinger", "peer": "empty library"},
            "goals": [at_most(values, "liblinger", 1.1, "empty library")]}


def faults(variant):
    pid = os.posix_spawn("/bin/true", ["true"], environment(variant))
    return float(os.wait4(pid, 0)[2].ru_minflt)


def load_counts():
    calls = {name: [float(syscalls(["true"], variant))] for name, variant in LOADED.items()}
    pages = rounds(99, LOADED, faults)
    more = statistics.mean(a - b for a, b in zip(pages["liblinger"], pages["empty library"]))
    columns = {"with": "liblinger", "peer": "empty library"}
    return [{"what": "system calls of such a start, 3 descriptors open", "unit": "calls", "values": calls, "columns": columns,
             "goals": [count_at_most(difference(calls, "liblinger", "empty library"), 5 + 3,
                                     "at most 5 over an empty one, and 1 for each open descriptor")]},
            {"what": "page faults of such a start", "unit": "", "values": pages, "columns": columns,
             "goals": [count_at_most(more, 4, "at most 4 over an empty one, on average")]}]


def memory_of(variant):
    """KiB: what a process that does nothing has written to, and all that it has in memory."""
    with started(tool("calls"), "wait", variant=variant) as process:
        with open(f"/proc/{process.pid}/smaps_rollup", encoding="ascii") as file:
            sizes = dict(re.findall(r"^(\w+): +(\d+) kB", file.read(), re.MULTILINE))
    return float(sizes["Anonymous"]), float(sizes["Rss"])


def memory():
    both = rounds(ROUNDS, {"without": WITHOUT, "liblinger": policy("fin-rst role=server")}, memory_of)
    own, all_ = ({name: [pair[i] for pair in values] for name, values in both.items()} for i in (0, 1))
    return [{"what": "a process's own memory, 1 rule", "unit": "KiB", "values": own,
             "goals": [count_at_most(difference(own, "liblinger"), 60, "at most 60 KiB more")]},
            {"what": "resident memory, with the file that all share", "unit": "KiB", "values": all_,
             "goals": []}]


SUPERVISED = {"without": [], "supervised": [LINGER, "run", "-b", "supervise", "-m", "fin-rst", "--"]}
GO = os.path.join(ROOT, "build/tests/go")


def go_server(prefix):
    fresh_network()
    port = free_port()
    with started(*prefix, f"{GO}/echo", port, ready=False):
        await_listener(port)
        return float(run(tool("connections"), "visit", port, "5000"))


def go_requests(prefix):
    fresh_network()
    port = free_port()
    with started(*prefix, f"{GO}/pages", port, "10", ready=False):
        await_listener(port)
        text = run("wrk", "-t1", "-c32", "-d1s", "-H", "Connection: close", f"http://127.0.0.1:{port}/")
    return float(re.search(r"Requests/sec: *([\d.]+)", text).group(1))


def go_client(prefix):
    fresh_network()
    with started(tool("connections"), "greet") as server:
        text = run(*prefix, f"{GO}/client", f"127.0.0.1:{port_in(server.line)}", "5000")
    return float(re.search(r"each (\d+)", text).group(1)) / 1e3


def getpid_under(prefix):
    call = ("filtered",) if prefix is None else ("getpid",)
    return float(run(*(prefix or ()), tool("calls"), *call, "1000000"))


def supervisor():
    accepted = rounds(11, SUPERVISED, go_server)
    dialled = rounds(11, {**SUPERVISED, "empty notification": [tool("notified"), "connect"]}, go_client)
    getpid = rounds(9, {**SUPERVISED, "empty filter": None}, getpid_under)
    made = rounds(9, {"without": [], "supervised": SUPERVISED["supervised"][:-2] + ["fin-rst peer=10.0.0.0/8; fin", "--"],
                      "empty notification": [tool("notified"), "accept4"]}, go_requests)
    few, many = (answering_calls(SUPERVISED["supervised"], "call", count) for count in ("100", "300"))
    return [
        {"what": "supervisor: a Go server's connection", "unit": "us", "values": accepted,
         "goals": [at_most(accepted, "supervised", 1.03)]},
        {"what": "supervisor: a Go server whose accept() is made for it, peer=10.0.0.0/8", "unit": "requests/s",
         "values": made, "columns": {"with": "supervised", "peer": "empty notification"},
         "goals": [at_least(made, "supervised", 0.97)]},
        {"what": "supervisor: a Go client's connect", "unit": "us", "values": dialled,
         "columns": {"with": "supervised", "peer": "empty notification"},
         "goals": [count_at_most((many - few) / 200, 5, "at most 5 system calls for a connect()"),
                   at_most(dialled, "supervised", 1.05, "empty notification")]},
        {"what": "supervisor: getpid", "unit": "ns", "values": getpid,
         "goals": [at_most(getpid, "supervised", 1.05, "empty filter")]},
    ]


PHASES = ("fin", "fin-rst", "rst", "fin")
PHASE = 15      # seconds
PACE = 500      # connections a second


def switched():
    """One nginx, switched by `linger attach` under a steady load: [seconds, TIME_WAIT sockets]."""
    fresh_network()
    port = free_port()
    series = []
    with tempfile.TemporaryDirectory() as directory:
        with started(*nginx(directory, port, False), ready=False) as server:
            await_listener(port)
            with started(tool("connections"), "pace", port, str(PACE), ready=False):
                begin = time.monotonic()
                for number, mode in enumerate(PHASES):
                    # Its master holds the listener, and its worker the connections.
                    run(LINGER, "attach", "-q", "-m", mode, "--port", port)
                    while time.monotonic() < begin + PHASE * (number + 1):
                        series.append([round(time.monotonic() - begin, 2), time_waits()])
                        time.sleep(0.2)
            server.poll()
    return {"phases": PHASES, "seconds": PHASE, "pace": PACE, "time_wait": series}


ROWS = {
    "dup": lambda: [close_of_a_file("dup")],
    "open": lambda: [close_of_a_file("open")],
    "when": lambda: [close_with("when=active", policy("rst when=active"))],
    "log": lambda: [close_with("log", policy("rst", LINGER_LOG=os.path.join(BUILT, "log")))],
    "server": lambda: [server_connections()],
    "client": lambda: [client_connections()],
    "nginx": lambda: [nginx_close()],
    "first": lambda: [who_closes_first()],
    "scale": lambda: [row() for row in SCALE],
    "keepalive": lambda: [nginx_keepalive(), redis_keepalive()],
    "decide": lambda: [decision()],
    "start": lambda: [start()],
    "load": lambda: [load(), *load_counts(), *memory()],
    "supervisor": supervisor,
    "commands": commands.all_rows,
    "watch": nginx_watched,
    "wall": the_minute,
    "latency": lambda: [connect_latency()],
}


def all_rows(names):
    """The rows one after the other, as they are measured; all of them where no name is given."""
    for name in names or ROWS:
        yield from ROWS[name]()
