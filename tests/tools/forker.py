"""Makes 100 children, which live on, one each 20 milliseconds. Prints "ready" after ten, "all" after the last.

Ends on SIGTERM, and the children with it.
"""
import ctypes
import os
import signal
import time

PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)
signal.alarm(100)
for count in range(100):
    if os.fork() == 0:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        signal.pause()
    if count == 10:
        print("ready", flush=True)
    time.sleep(0.02)
print("all", flush=True)
signal.pause()
