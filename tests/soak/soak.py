"""The soak itself: soak.py SECONDS DIRECTORY, started by `run`, which see.

There are two sites, each of nginx, haproxy in front of it, and redis, with clients of their own. On the
steady one each daemon lives to the end, and at most its policy is changed (linger attach);
there memory is compared. On the restless one they are restarted, killed and reloaded as well.
Time is cut into phases: load, then a pause in which the clients close what they have and all is
counted. The first phase is without the library: the descriptors that a daemon has after it are
those that it may have later.
"""
import collections
import os
import pathlib
import random
import signal
import sys
import threading
import time
import traceback

from client import SIZES, HttpClient, RedisClient, ask, learn
from daemons import POLICIES, WITHOUT, Daemon

CLIENTS = 3  # of each daemon
HELD = 8  # connections that a client keeps when the server has closed them
# By how much a daemon may grow once it is warm. Without the library as with it redis goes up and
# down by some 200 kB, and haproxy's heap grows by 20 to 30 bytes a connection. What exceeds the sum is
# a leak of 150 bytes for each of 5,000 connections.
GROWTH_KB, GROWTH_BYTES_EACH = 384, 64
EVENTS = ("kill", "kill of a worker", "stop under load", "graceful stop", "reload", "attach",
          "stop and start")
STOPS = {"kill": signal.SIGKILL, "stop under load": signal.SIGTERM, "graceful stop": signal.SIGQUIT}


class Report:
    """What all threads tell."""

    def __init__(self, directory, seconds, seed):
        self.begin, self.seconds, self.seed, self.directory = time.monotonic(), seconds, seed, directory
        self.linger, self.library = f"{directory}/bin/linger", f"{directory}/bin/liblinger.so"
        self.files = directory / "files"
        self.without_library = bool(os.environ.get("SOAK_WITHOUT_LIBRARY"))
        self.lock, self.log = threading.Lock(), open(directory / "log", "w", buffering=1)
        self.counts, self.failures = collections.Counter(), 0

    def elapsed(self):
        return time.monotonic() - self.begin

    def note(self, text):
        with self.lock:
            self.log.write(f"{self.elapsed():8.3f} {text}\n")

    def count(self, what, number=1):
        with self.lock:
            self.counts[what] += number

    def fail(self, text):
        """The first few on stdout too: one mistake may make thousands."""
        self.note("FAILED: " + text)
        with self.lock:
            self.failures += 1
            if self.failures <= 20:
                print(f"failed after {self.elapsed():.3f} s: {text}", flush=True)


def judge(talk):
    """"fine", "explained" (by a RST), "excused" (by a kill or a stop), or "failed"."""
    server, backend = talk.daemon, talk.daemon.backend
    own = server.windows_of(talk)
    windows = own + (backend.windows_of(talk) if backend else [])
    is_no_reply = talk.got == 0 or talk.how == "goodbye" or talk.how.startswith("HTTP/")

    if talk.what in ("wrong", "hang"):
        return "failed"
    if talk.what == "left" or (talk.what == "whole" and talk.how != "reset"):
        return "fine"
    if talk.what == "whole" and server.may_reset(talk):
        return "explained"
    if any(w.hard or is_no_reply for w in windows):
        return "excused"
    if talk.what == "cut" and talk.leaves_in_pieces():
        # A worker that is told to stop within a reply closes after it, though its head said keep-alive.
        closes = talk.is_last() or own
        if talk.how == "reset" and closes and server.may_reset(talk):
            return "explained"
        # Behind haproxy nginx closes first after each reply, and haproxy passes on what it got.
        if talk.got > 0 and backend and backend.may_reset(talk):
            return "explained"
    return "failed"


class Site(threading.Thread):
    def __init__(self, name, report, ports):
        super().__init__(name=name)
        self.report, self.is_steady = report, name == "steady"
        self.rng = random.Random(f"{report.seed}/{name}")
        nginx = Daemon("nginx", name, ports[0], report)
        haproxy = Daemon("haproxy", name, ports[1], report, nginx)
        self.daemons = [nginx, haproxy, Daemon("redis", name, ports[2], report)]
        self.seen = {daemon: [] for daemon in self.daemons}  # time, connections, kB, descriptors
        self.talks = collections.Counter()
        self.clients, self.idle, self.open, self.is_over = [], 0, threading.Event(), False

    # The clients.

    def load(self, client):
        """What the server closed stays open for a few more talks: haproxy calls shutdown() and then
        close(), and a client whose FIN comes in between leaves it TIME_WAIT in any mode."""
        held = collections.deque()
        while not self.is_over:
            if self.open.is_set():
                talk = client.talk()
                talk.perform()
                self.record(talk)
                if talk.server_was_first():
                    held.append(talk.socket)
                else:
                    talk.socket.close()
                if talk.what == "refused":
                    time.sleep(0.02)
            while held and (len(held) > HELD or not self.open.is_set()):
                held.popleft().close()
            if not self.open.is_set():
                self.rest()

    def rest(self):
        with self.report.lock:
            self.idle += 1
        self.open.wait()
        with self.report.lock:
            self.idle -= 1

    def record(self, talk):
        report, verdict = self.report, judge(talk)
        if verdict != "fine":
            view = (f"{talk.daemon.name} under '{talk.stretch.policy.text}', client's port {talk.port},"
                    f" {talk.style}: {talk.what}, {talk.how}; {talk.got} of {talk.of} bytes of reply"
                    f" {talk.at + 1} of {len(talk.exchanges)}, after {talk.end - talk.start:.3f} s;"
                    f" request {talk.exchanges[talk.at].request[:60]}")
            if verdict == "failed":
                report.fail(view)
            else:
                report.note(f"{verdict}: {view}")
        with report.lock:
            self.talks[talk.daemon] += 1
            talk.daemon.outgoing.connections += talk.at + 1
            talk.stretch.connections += talk.server_was_first()
            report.counts.update({
                "connections": 1, verdict: 1, "bytes": talk.bytes,
                "requests": talk.at + (talk.what in ("whole", "left")),
                "cut": verdict == "explained" and talk.what == "cut",
                "refused": verdict == "excused" and talk.what == "refused"})

    # The plan.

    def run(self):
        try:
            self.live()
        except Exception:
            self.report.fail(traceback.format_exc())
        finally:
            self.is_over = True
            self.open.set()

    def live(self):
        length = min(self.report.seconds / 12, 15)
        self.start_all()
        self.phase(length / 2, is_calm=True)
        for daemon in self.daemons:
            daemon.descriptors_alone = daemon.descriptors()
            daemon.end(signal.SIGTERM)
            daemon.start(self.draw(), self.rng)
        seen = self.seen[self.daemons[-1]]
        while self.report.elapsed() + length < self.report.seconds or len(seen) < 2:
            self.phase(length * self.rng.uniform(0.7, 1.3), self.is_steady)
            for daemon in self.daemons:
                self.change(daemon)
        softly = {"nginx": signal.SIGQUIT, "haproxy": signal.SIGUSR1, "redis": signal.SIGTERM}
        for daemon in self.daemons:
            daemon.end(softly[daemon.kind])

    def start_all(self):
        for daemon in self.daemons:
            daemon.start(WITHOUT, self.rng)
        files = {path.name: path.read_bytes() for path in self.report.files.iterdir()}
        known = {daemon: learn(daemon, files) for daemon in self.daemons[:2]}
        for daemon in known:
            daemon.judged = len(daemon.stretches)
        for number, daemon in enumerate(self.daemons * CLIENTS):
            rng = random.Random(f"{self.report.seed}/{self.name}/{number}")
            maker = HttpClient if daemon in known else RedisClient
            client = maker(daemon, number, rng, known.get(daemon))
            self.clients.append(threading.Thread(target=self.load, args=[client], daemon=True))
            self.clients[-1].start()

    def draw(self, carried=False):
        policies = [policy for policy in POLICIES if policy.carried or not carried]
        return self.rng.choices(policies, [POLICIES[policy] for policy in policies])[0]

    def change(self, daemon):
        """Between two phases."""
        if daemon.policy.carried and (self.is_steady or self.rng.random() < 0.3):
            daemon.attach(self.draw(carried=True))
        elif not self.is_steady:
            self.report.count("stop and start")
            daemon.end(signal.SIGTERM)
            daemon.start(self.draw(), self.rng)

    def trouble(self, daemon):
        """Under load."""
        events = {"kill": 4, "stop under load": 2, "attach": 2 * daemon.policy.carried}
        if daemon.kind == "nginx":
            events.update({"kill of a worker": 2, "reload": 3, "graceful stop": 2})
        event = self.rng.choices(list(events), events.values())[0]
        if event == "attach":
            daemon.attach(self.draw(carried=True))
        elif event == "kill of a worker":
            daemon.kill_worker()
        elif event == "reload":
            daemon.reload()
        else:
            daemon.restart(STOPS[event], event, event != "graceful stop", self.draw(), self.rng)

    def phase(self, seconds, is_calm):
        for daemon in self.daemons:
            daemon.begin_stretch(daemon.stretch.policy)
        self.open.set()
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(left if is_calm else min(left, self.rng.uniform(0.1, 1)))
            if not is_calm and time.monotonic() < end:
                self.trouble(self.rng.choice(self.daemons))
        self.open.clear()
        self.daemons[0].wait_while("clients are busy", lambda: self.idle < len(self.clients))
        for daemon in self.daemons:
            self.look(daemon)

    # What is counted in a pause.

    def look(self, daemon):
        report = self.report
        if daemon.kind == "redis":
            # What it was told to keep, and what its allocator keeps for later, is not a leak.
            ask(daemon, b"FLUSHALL\r\nMEMORY PURGE\r\n", b"+OK\r\n+OK\r\n")
        daemon.wait_while("connections do not go away", lambda: daemon.sockets(
            "connected exclude time-wait", "sport = :{port} or dport = :{port}"))
        waiting = daemon.time_waits()
        for stretch in daemon.stretches[daemon.judged:]:
            self.look_at(daemon, stretch, waiting[stretch.address])
            limits = f"{stretch.policy.least} to {stretch.policy.most} %"
            report.count(f"connections, {limits}", stretch.connections)
            report.count(f"TIME_WAIT, {limits}", waiting[stretch.address])
        daemon.judged = len(daemon.stretches)
        if daemon.backend:
            self.look_at(daemon, daemon.outgoing, waiting[daemon.outgoing.address])
        descriptors, kb = daemon.descriptors(), daemon.memory()
        report.note(f"{daemon.name}: {kb} kB, {dict(descriptors)}")
        if daemon.descriptors_alone:
            self.seen[daemon].append((report.elapsed(), self.talks[daemon], kb, descriptors.total()))
            if descriptors != daemon.descriptors_alone:
                report.fail(f"{daemon.name}: descriptors {dict(descriptors)},"
                            f" without the library {dict(daemon.descriptors_alone)}")

    def look_at(self, daemon, stretch, found):
        """What a kill or a change met may go either way: two connections of each client."""
        policy, count = stretch.policy, stretch.connections
        view = (f"{daemon.name} under '{policy.text}': {count} connections,"
                f" {found} TIME_WAIT at {stretch.address}")
        self.report.note(view)
        slack = 2 * CLIENTS
        if not count * policy.least // 100 - slack <= found <= count * policy.most // 100 + slack:
            self.report.fail(f"{view}; {policy.least} to {policy.most} % are expected")


def compare_memory(report, daemon, seen):
    """Of a daemon that lived long: when it was warm, and at the end."""
    if len(seen) < 2:
        return  # it failed before
    late = [entry for entry in seen[:-1] if entry[0] > report.seconds / 4]
    (_, done, kb, count), (_, done_later, kb_later, count_later) = (late or seen)[0], seen[-1]
    view = f"{daemon.name}: {count} descriptors and {kb} kB after {done} connections,"
    view += f" {count_later} and {kb_later} kB after {done_later}"
    print(view)
    allowed = GROWTH_KB + GROWTH_BYTES_EACH * (done_later - done) // 1024
    if kb_later - kb > allowed:
        report.fail(f"{view}: grown by more than {allowed} kB")


def sum_up(report, sites):
    counts = report.counts
    left, of = counts["TIME_WAIT, 0 to 2 %"], counts["connections, 0 to 2 %"]
    if left > of // 100 + 2 * CLIENTS:
        report.fail(f"{left} TIME_WAIT of {of} connections under rst and fin-rst, more than 1 %")
    print(f"{report.elapsed():.0f} s, seed {report.seed}")
    print("events: " + ", ".join(f"{counts[name]} {name}" for name in EVENTS))
    print(f"clients: {counts['connections']} connections, {counts['requests']} requests,"
          f" {counts['bytes']} bytes verified")
    print(f"RST explains {counts['explained']} connections, {counts['cut']} replies cut among them;"
          f" a kill or a stop excuses {counts['excused']}, {counts['refused']} refused among them;"
          f" {counts['failed']} failed")
    print(f"TIME_WAIT: {left} of {of} connections under rst and fin-rst,"
          f" {counts['TIME_WAIT, 80 to 100 %']} of {counts['connections, 80 to 100 %']}"
          " under fin, wait and off")
    for daemon in sites[0].daemons:
        compare_memory(report, daemon, sites[0].seen[daemon])
    print(f"soak: {report.failures} failures", flush=True)


def main(seconds, directory):
    seed = int(os.environ.get("SOAK_SEED") or random.randrange(1 << 31))
    report = Report(pathlib.Path(directory), int(seconds), seed)
    threading.excepthook = lambda thrown: report.fail(
        "".join(traceback.format_exception(thrown.exc_value)))
    report.files.mkdir()
    for size in SIZES:
        (report.files / str(size)).write_bytes(random.Random(size).randbytes(size))
    # The namespace is new, so these are free; they are not ephemeral ones, which clients get.
    sites = [Site("steady", report, (8001, 8002, 8003)), Site("restless", report, (9001, 9002, 9003))]
    for site in sites:
        site.start()
    for site in sites:
        site.join()
    for daemon in sites[0].daemons + sites[1].daemons:
        daemon.sweep()
    sum_up(report, sites)
    return report.failures > 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
