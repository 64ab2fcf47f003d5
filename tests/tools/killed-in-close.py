#!/usr/bin/env python3
"""killed-in-close.py LINGER: what a peer sees of a connection after this.

A supervised process forks; the child is killed inside close(), after the supervisor has taken its
duplicate and before it acts. That close() never was: the parent still has the connection, and closes
it when the peer has. Prints "EOF", or the error, that the peer then reads.
"""
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

PROGRAM = r"""
import os, socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
connection, _ = listener.accept()
child = os.fork()
if child == 0:
    sys.stdin.buffer.raw.read(1)
    os.close(connection.fileno())
    os._exit(1)
print(child, flush=True)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
connection.recv(1)
connection.close()
print("closed", flush=True)
"""


def await_(what, condition):
    for _ in range(3000):
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    sys.exit(f"never: {what}")


def lines(path, pattern):
    with open(path) as file:
        return [line for line in file if re.search(pattern, line)]


def tree(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        children = file.read().split()
    return [str(pid)] + [other for child in children for other in tree(child)]


def main():
    program = subprocess.Popen(
        [sys.argv[1], "run", "-b", "supervise", "-m", "rst when=active", "--", "python3", "-c", PROGRAM],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    peer = socket.create_connection(("127.0.0.1", int(program.stdout.readline())), timeout=60)
    child = int(program.stdout.readline())
    supervisors = [pid for pid in tree(program.pid) if os.path.samefile(f"/proc/{pid}/exe", sys.argv[1])]
    with tempfile.TemporaryDirectory() as directory:
        log = f"{directory}/log"
        strace = subprocess.Popen(
            ["strace", "-f", "-qq", "-o", log, "-e", "trace=pidfd_getfd,ioctl,getppid",
             "-e", "inject=pidfd_getfd:signal=SIGSTOP:when=1"] + [word for pid in supervisors for word in ("-p", pid)])
        await_("strace", lambda: all(
            not re.search(r"^TracerPid:\t0$", open(f"/proc/{pid}/status").read(), re.M) for pid in supervisors))
        program.stdin.write("x")
        program.stdin.flush()
        stopped = await_("a duplicate", lambda: lines(log, r"--- stopped by SIGSTOP ---"))[0].split()[0]
        os.kill(child, signal.SIGKILL)
        status = program.stdout.readline().strip()
        if status != "-9":
            sys.exit(f"the child ended with {status}")
        os.kill(int(stopped), signal.SIGCONT)
        await_("an answer", lambda: lines(log, r"NOTIF_SEND.*ENOENT"))
        strace.terminate()
        strace.wait(30)
    peer.shutdown(socket.SHUT_WR)
    if program.stdout.readline() != "closed\n":
        sys.exit("the parent did not close")
    try:
        print(peer.recv(1) or "EOF")
    except OSError as error:
        print(error)
    program.wait(30)


main()
