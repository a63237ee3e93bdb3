"""Signals to processes of asyncio's, whose exit statuses are asyncio's to read."""

import asyncio
import contextlib
import os


def send_signal(process: asyncio.subprocess.Process, number: int) -> None:
    """Send a signal to a process, unless it has ended.

    `Process.send_signal()` and `kill()` of Python 3.11 look first whether it has, and may so take
    its exit status away from asyncio, which then says 255 (CPython issue 87744).
    """
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)
