"""Runs a command that may bind no TCP port (Landlock, BIND_TCP): landlocked.py COMMAND...
Ends with status 77 where the kernel cannot confine it so."""
import ctypes
import os
import struct
import sys

CREATE_RULESET, RESTRICT_SELF = 444, 446  # the same on every architecture
SET_NO_NEW_PRIVS = 38
BIND_TCP = 1

libc = ctypes.CDLL(None)
if libc.syscall(CREATE_RULESET, None, 0, 1) < 4:
    sys.exit(77)
attributes = struct.pack("QQ", 0, BIND_TCP)
ruleset = libc.syscall(CREATE_RULESET, attributes, len(attributes), 0)
if ruleset < 0 or libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or libc.syscall(RESTRICT_SELF, ruleset, 0) != 0:
    sys.exit(77)
os.execvp(sys.argv[1], sys.argv[1:])
