"""How late this process is with what is due: what it measures then is partly its own delay."""

import asyncio
import time
import weakref

BEAT = 0.05
"""Seconds between two looks at the clock, which are all that this costs."""
REMEMBERED = 1.0
"""Seconds for which lateness counts: what came meanwhile may still wait in the kernel, from where
asyncio takes one packet of each socket at a time."""


class Lateness:
    """How late an event loop runs what is due."""

    def __init__(self) -> None:
        self._users = 0
        self._timer: asyncio.TimerHandle | None = None
        self._due_at = 0.0
        self._worst, self._worst_at = 0.0, float("-inf")

    def start(self) -> None:
        """Look at the clock, on the running event loop, for one more who wants to know."""
        self._users += 1
        if self._timer is None:
            self._next()

    def stop(self) -> None:
        """One fewer wants to know."""
        self._users -= 1
        if not self._users and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def worst(self) -> float:
        """Seconds by which something was late within the last second."""
        now = time.monotonic()
        self._note(now)
        return self._worst if now - self._worst_at <= REMEMBERED else 0.0

    def _note(self, now: float) -> None:
        # Packets are handled before timers that are due: the timer may not have been heard.
        late = 0.0 if self._timer is None else now - self._due_at
        if late > self._worst or now - self._worst_at > REMEMBERED:
            self._worst, self._worst_at = max(0.0, late), now

    def _next(self) -> None:
        self._due_at = time.monotonic() + BEAT
        self._timer = asyncio.get_running_loop().call_later(BEAT, self._beat)

    def _beat(self) -> None:
        self._note(time.monotonic())
        self._next()


def lateness() -> Lateness:
    """That of the running event loop."""
    return _loops.setdefault(asyncio.get_running_loop(), Lateness())


_loops: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Lateness]" = (
    weakref.WeakKeyDictionary()
)
