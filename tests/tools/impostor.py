"""Passes itself off as the supervisor of a program: impostor.py PROGRAM VICTIM FD [unmapped]

What it hands over is a listener of its own, and a page with a held call in which it has put process VICTIM
and its descriptor FD in the caller's place. Prints "ready PID", where PID is a process that only locks the page.
With "unmapped" it only holds the page, as a setuid program may that it has started.
"""
import ctypes
import fcntl
import mmap
import os
import signal
import socket
import struct
import sys

signal.alarm(60)
program, victim, fd = map(int, sys.argv[1:4])
libc = ctypes.CDLL(None, use_errno=True)
PR_SET_NAME, PR_SET_NO_NEW_PRIVS = 15, 38
SYS_seccomp, SYS_connect = (317, 42) if os.uname().machine == "x86_64" else (277, 203)
NEW_LISTENER, NOTIF_RECV = 1 << 3, 0xC0502100

ours, theirs = socket.socketpair()
if os.fork() == 0:
    signal.alarm(60) # no child inherits it
    code = b"".join(struct.pack("HBBI", *step) for step in (
        (0x20, 0, 0, 0), (0x15, 0, 1, SYS_connect), (0x06, 0, 0, 0x7FC00000), (0x06, 0, 0, 0x7FFF0000)))
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    place = ctypes.create_string_buffer(code)
    filter = struct.pack("HxxxxxxP", 4, ctypes.addressof(place))
    listener = libc.syscall(SYS_seccomp, 1, NEW_LISTENER, filter)
    socket.send_fds(theirs, [b"x"], [listener])
    libc.connect(-1, None, 0)
    os._exit(0)
listener = socket.recv_fds(ours, 1, 1)[1][0]
libc.prctl(PR_SET_NAME, b"lingersupervise", 0, 0, 0)
with open(f"/proc/{program}/stat") as file:
    started = file.read().rpartition(")")[2].split()[19]
page = os.memfd_create(f"lingersupervise-2:{program}:{started}")
os.ftruncate(page, 65536)
page, listener = os.dup2(page, 103), os.dup2(listener, 104)
os.dup2(page, 3)
os.dup2(listener, 4)
request = bytearray(80)
fcntl.ioctl(listener, NOTIF_RECV, request)
struct.pack_into("I", request, 8, victim)
struct.pack_into("Q", request, 32, fd)
os.pwrite(page, struct.pack("II", 0xFFFF, 0) + request, 0)
memory = None if "unmapped" in sys.argv else mmap.mmap(page, 65536)
told, tell = os.pipe()
locker = os.fork()
if locker == 0:
    signal.alarm(60)
    libc.prctl(PR_SET_NAME, b"bystander", 0, 0, 0)
    fcntl.lockf(page, fcntl.LOCK_EX)
    os.write(tell, b"x")
    signal.pause()
os.read(told, 1)
print("ready", locker, flush=True)
signal.pause()
