"""The daemons of the soak: how each is started under a policy, what can happen to it, and what is seen
of it from outside: its processes, their descriptors and memory, what it left in the kernel."""
import collections
import contextlib
import os
import signal
import subprocess
import time
from typing import NamedTuple

DEADLINE = 15  # seconds for a daemon to come up, to end, or to be rid of its connections


class Policy(NamedTuple):
    """resets: may a peer see RST where the daemon closes first? least, most: per cent of those
    connections that leave TIME_WAIT. carried: a listener can carry it, so that it can be attached."""

    text: str
    resets: bool
    least: int
    most: int
    carried: bool = False


# None of the three aborts what it accepted. The 2 per cent are for a close
# that crosses the peer's.
WITHOUT = Policy("", False, 80, 100)
POLICIES = {
    Policy("off", False, 80, 100): 1,
    Policy("fin", False, 80, 100, True): 2,
    Policy("wait:2", False, 80, 100, True): 1,
    Policy("rst", True, 0, 2, True): 3,
    Policy("rst port={port}; fin", True, 0, 2, True): 1,
    Policy("fin-rst", False, 0, 2, True): 5,
    Policy("fin-rst role=server; rst role=client", False, 0, 2): 1,
    Policy("fin-rst share=50%; fin", False, 25, 75): 1,
    Policy("rst share=30%; fin-rst", True, 0, 2): 1,
    Policy("rst when=active; fin", True, 0, 2): 1,
    Policy("rst when=passive; fin-rst", False, 0, 2): 1,
    Policy("off port=1; fin-rst local=127.0.0.0/8; rst", False, 0, 2): 1,
    Policy("fin-rst prog=nginx,haproxy,redis-*; rst", False, 0, 2): 1,
}


class Span:
    """A time. `policy` was in force; or (`hard` is not None) connections may fail: whatever they were
    doing, or, where it is not hard, as long as no byte of the reply has come."""

    def __init__(self, policy=None, address=None, hard=None):
        self.policy, self.address, self.hard = policy, address, hard
        self.start, self.end = time.monotonic(), None
        self.connections = 0  # that the daemon closed first

    def overlaps(self, talk):
        return self.start <= talk.end and (self.end is None or self.end >= talk.start)


def links_of(pid):
    links = []
    for number in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            links.append(os.readlink(f"/proc/{pid}/fd/{number}"))
    return links


class Daemon:
    def __init__(self, kind, site, port, report, backend=None):
        self.kind, self.site, self.port, self.report = kind, site, port, report
        self.name, self.backend = f"{kind}-{site}", backend  # that haproxy stands in front of
        self.directory = report.directory / self.name
        self.directory.mkdir()
        self.stretches, self.windows, self.judged, self.lives = [], [], 0, 0
        self.child = self.descriptors_alone = None

    def may_reset(self, talk):
        return any(s.policy.resets for s in self.stretches if s.overlaps(talk))

    def windows_of(self, talk):
        return [w for w in self.windows if w.overlaps(talk)]

    def begin_stretch(self, policy):
        """From now on this policy is in force. The clients use a new address, so that what is left in
        the kernel tells which stretch it is of."""
        stretch = Span(policy, self.address(0, len(self.stretches)))
        if self.stretches:
            self.stretches[-1].end = stretch.start
        self.stretches.append(stretch)
        self.stretch = stretch

    def address(self, use, number):
        return f"127.{use * 2 + (1 if self.site == 'steady' else 2)}.{number // 250}.{number % 250 + 1}"

    # Its life.

    def start(self, policy, rng):
        self.lives += 1
        self.policy, self.log, self.stats = policy, None, None
        # What haproxy connects from is an address of this life's own.
        most = 100 if "{port}" in policy.text else policy.most
        self.outgoing = Span(policy._replace(least=0, most=most), self.address(1, self.lives))
        command, environment = getattr(self, self.kind)(), dict(os.environ)
        if policy != WITHOUT and not self.report.without_library:
            command = self.under(policy, environment, command, rng)
        self.report.note(f"{self.name}: starts under '{policy.text}'")
        self.begin_stretch(policy)
        with open(self.directory / "output", "ab") as output:
            self.child = subprocess.Popen(
                command, env=environment, cwd=self.directory, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True)
        self.wait_while("does not listen", lambda: not self.sockets("listening"))

    def under(self, policy, environment, command, rng):
        """By `linger run` or by the preload alone; the log and the counters on or off."""
        values = {"MODE": policy.text.format(port=self.port)}
        by_linger, has_log, has_stats = (rng.random() < chance for chance in (0.5, 0.3, 0.3))
        if has_log:
            self.log = values["LOG"] = f"{self.directory}/library.{self.lives}.log"
        if has_stats:
            self.stats = values["STATS"] = f"{self.directory}/stats.{self.lives}"
        if by_linger:
            options = [f"--{name.lower()}={value}" for name, value in values.items()]
            return [self.report.linger, "run", *options, "--", *command]
        environment["LD_PRELOAD"] = self.report.library
        environment.update({"LINGER_" + name: value for name, value in values.items()})
        return command

    def nginx(self):
        names = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        scratch = "".join(f"{name}_temp_path {self.directory}/{name}; " for name in names)
        return self.configured("nginx -e stderr -c", f"""
            daemon off; user root; pid {self.directory}/pid; error_log stderr; worker_processes 2;
            events {{}}
            http {{
                access_log off; {scratch}
                server {{
                    listen {self.port};
                    location /sent/ {{ alias {self.report.files}/; sendfile on; }}
                    location /copied/ {{ alias {self.report.files}/; sendfile off; }}
                }}
            }}\n""")

    def haproxy(self):
        """For half of the requests nginx closes first, for half haproxy does."""
        server = f"server nginx 127.0.0.1:{self.backend.port} source {self.outgoing.address}"
        return self.configured("haproxy -db -f", f"""
            global
                nbthread 2
            defaults
                mode http
                timeout client 60s
                timeout server 60s
                timeout connect 10s
                option http-server-close
            frontend front
                bind *:{self.port}
                use_backend first if {{ rand(2) eq 0 }}
                default_backend second
            backend second
                {server}
            backend first
                option http-pretend-keepalive
                {server}\n""")

    def redis(self):
        return ["redis-server", "--port", str(self.port), "--bind", "0.0.0.0",
                "--protected-mode", "no", "--save", "", "--dir", str(self.directory)]

    def configured(self, command, text):
        (self.directory / "conf").write_text(text)
        return [*command.split(), str(self.directory / "conf")]

    def end(self, number):
        """By a signal: SIGKILL is for all of its processes, the others for the first."""
        if self.child.poll() is not None:
            self.report.fail(f"{self.name}: had ended by itself, status {self.child.returncode}")
        elif number == signal.SIGKILL:
            os.killpg(self.child.pid, number)
        else:
            self.child.send_signal(number)
        self.wait_while(f"stays after signal {number}", self.processes)
        status = self.child.wait()
        if status not in (0, -number, 128 + number):
            self.report.fail(f"{self.name}: after signal {number} it ended with status {status}")
        self.read_log(number == signal.SIGKILL)

    def trouble(self, why, hard):
        self.report.note(f"{self.name}: {why}")
        self.report.count(why)
        self.windows.append(Span(hard=hard))
        return self.windows[-1]

    def restart(self, number, why, hard, policy, rng):
        window = self.trouble(why, hard)
        self.end(number)
        self.start(policy, rng)
        window.end = time.monotonic()

    def kill_worker(self):
        """nginx's master starts another. A process that is a zombie has closed its sockets."""
        worker = max(self.processes())
        window = self.trouble("kill of a worker", True)
        os.kill(worker, signal.SIGKILL)
        self.wait_while("worker killed", lambda: worker in self.processes())
        window.end = time.monotonic()

    def reload(self):
        """It lasts as long as there are workers of before."""
        before = set(self.processes())
        window = self.trouble("reload", False)
        self.child.send_signal(signal.SIGHUP)
        self.wait_while("reloads", lambda: len(before & set(self.processes())) > 1)
        window.end = time.monotonic()

    def attach(self, policy):
        """To the running daemon. While that goes on, either policy may be in force. A socket on which
        haproxy itself sets SO_LINGER gets the policy that it was started under."""
        text = policy.text.format(port=self.port)
        self.report.note(f"{self.name}: linger attach -m '{text}'")
        self.report.count("attach")
        resets = policy.resets or self.policy.resets
        self.begin_stretch(Policy("either", resets or self.stretch.policy.resets, 0, 100))
        if not self.report.without_library:
            done = self.run_linger("attach", "-m", text, "--port", str(self.port))
            if done.returncode != 0:
                self.report.fail(f"{self.name}: linger attach -m '{text}': {done.stderr}{done.stdout}")
        self.begin_stretch(policy._replace(resets=resets))

    def run_linger(self, *arguments):
        command = [self.report.linger, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)

    def wait_while(self, what, condition):
        end = time.monotonic() + DEADLINE
        while left := condition():
            if self.child.poll() not in (None, 0) and what == "does not listen":
                raise ChildProcessError(f"{self.name}: ended at once, see its output")
            if time.monotonic() > end:
                raise TimeoutError(f"{self.name}: {what}: {left} after {DEADLINE} s")
            time.sleep(0.005)

    def read_log(self, was_killed):
        """The library's own log and counters know of no failure. A kill may cut the last line."""
        if self.log:
            with open(self.log) as file:
                for line in file:
                    is_whole = line.startswith("time=") and " event=" in line and line[-1] == "\n"
                    if " event=fail " in line or not (is_whole or was_killed):
                        self.report.fail(f"{self.name}: in {self.log}: {line!r}")
            os.unlink(self.log)
        if self.stats:
            shown = self.run_linger("stats", "-j", self.stats).stdout
            if '"failed":0,' not in shown or '"log_lost":0}' not in shown:
                self.report.fail(f"{self.name}: counters: {shown}")

    def sweep(self):
        """At the very end, whatever came before."""
        if self.child and self.processes():
            os.killpg(self.child.pid, signal.SIGKILL)
            self.wait_while("stays at the end", self.processes)
        output = self.directory / "output"
        # By our own hand, and what a user namespace does not allow.
        harmless = ("exited on signal 9", "initgroups(root, 0) failed")
        for line in output.read_text(errors="replace").splitlines() if output.exists() else ():
            words = ("[alert]", "[crit]", "[emerg]", "[ALERT]", "liblinger:", "linger run:")
            if any(word in line for word in words) and not any(word in line for word in harmless):
                self.report.fail(f"{self.name} says: {line}")

    # From outside.

    def processes(self):
        """Those of its session but for zombies: nginx's workers outlive a master that is killed."""
        self.child.poll()
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/stat") as file:
                    state, _, _, session = file.read().rpartition(")")[2].split()[:4]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if session == str(self.child.pid) and state not in "ZX":
                found.append(int(name))
        return found

    def descriptors(self):
        """How many of each sort: a path, or "socket:[1]" without its number. Two looks have to agree:
        redis opens a file of /proc for a moment, ten times a second. The one descriptor of its log that
        the library keeps in each process does not count."""
        before, now = None, collections.Counter()
        while now != before:
            time.sleep(0.01)
            before, now = now, collections.Counter()
            for pid in self.processes():
                links = links_of(pid)
                if self.log in links:
                    links.remove(self.log)
                now.update(link.split(":")[0] for link in links)
        return now

    def memory(self):
        """kB that are its own: RssAnon leaves out the pages of files, which come with use."""
        total = 0
        for pid in self.processes():
            with open(f"/proc/{pid}/status") as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("RssAnon:"))
        return total

    def sockets(self, states, which="sport = :{port}"):
        """Lines of ss: by default the sockets of its port on its own side."""
        command = ["ss", "-Htan", "state", *states.split(), which.format(port=self.port)]
        shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=DEADLINE)
        return shown.stdout.splitlines()

    def time_waits(self):
        """By the address on its own side: where it is the server, and where haproxy is the client."""
        lines = self.sockets("time-wait") + self.sockets("time-wait", f"src {self.outgoing.address}")
        return collections.Counter(line.split()[2].rpartition(":")[0] for line in lines)
