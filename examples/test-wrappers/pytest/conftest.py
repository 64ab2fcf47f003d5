"""
Purpose: pytest under liblinger, so that no test fails with "Address already in use" because of the
one before it: neither where the server is a thread of pytest itself nor where it is a program that
a test starts. Copy this into the conftest.py at the top of the tests.

Run, with linger on PATH: pytest; without liblinger: UNDER_LINGER=no pytest

Expected output, of the one and of the other:

    2 passed
    OSError: [Errno 98] Address already in use
    1 failed, 1 passed
"""
import os
import sys

import pytest


def pytest_configure(config):
    # LD_PRELOAD is read when a program starts: pytest has to start once more.
    if "UNDER_LINGER" in os.environ:
        return
    os.environ["UNDER_LINGER"] = "yes"
    config.pluginmanager.getplugin("capturemanager").stop_global_capturing()
    # -r is SO_REUSEADDR; with "-m", "fin-rst" as well, no TIME_WAIT is left: for tests that use up
    # the ephemeral ports, or listen by number on a port that they were given as port 0.
    with open("/proc/self/cmdline") as file:  # sys.orig_argv is there since Python 3.10
        arguments = file.read().split("\0")[1:-1]
    try:
        os.execvp("linger", ["linger", "run", "-r", "--", sys.executable, *arguments])
    except OSError as error:
        raise pytest.UsageError(f"conftest.py: linger cannot be run: {error.strerror}")
