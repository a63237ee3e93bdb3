"""Takes back the priority that an encoder gives itself."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

_THREADS = Path("/proc/self/task")


@contextlib.contextmanager
def ordinary_priority() -> Iterator[None]:
    """Open encoders within it.

    SVT-AV1 makes its threads, and the one that opens it, the most urgent of the whole computer
    (SCHED_FIFO, 99) where it may, as root: whatever that thread starts afterwards is, too, and
    nothing else gets a turn.
    """
    if not hasattr(os, "sched_setscheduler"):
        yield
        return
    before = _threads()
    try:
        yield
    finally:
        for thread in (0, *(_threads() - before)):  # 0: this one
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))


def _threads() -> set[int]:
    """The ids of this process's threads, on Linux, where alone this happens."""
    return {int(task.name) for task in _THREADS.iterdir()} if _THREADS.is_dir() else set()
