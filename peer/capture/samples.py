"""The hand-over of frames from a capture thread to readers on an event loop.

It is bounded: a reader that is too slow finds the newest frames, the older ones are gone, and so
latency stays flat whatever happens.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Samples(Generic[T]):
    """The newest items of one producer thread, for any number of readers on one loop.

    :param capacity: how many items a slow reader may lag behind.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, capacity: int) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._items: deque[tuple[int, T]] = deque(maxlen=capacity)
        self._count = 0
        self._waiting: list[asyncio.Future[None]] = []
        self._wake_scheduled = False

    @property
    def count(self) -> int:
        """How many items have been put so far."""
        return self._count

    @property
    def awaited(self) -> bool:
        """Whether a reader is waiting for the next item."""
        return bool(self._waiting)

    def put(self, item: T) -> None:
        """Add the newest item; from any thread."""
        with self._lock:
            self._count += 1
            self._items.append((self._count, item))
            # One wake-up is enough however many items arrive before the loop gets to it.
            schedule = bool(self._waiting) and not self._wake_scheduled
            self._wake_scheduled = self._wake_scheduled or schedule
        if schedule:
            self.call_in_loop(self.wake)

    def clear(self) -> None:
        """Forget the items that nobody has read yet."""
        with self._lock:
            self._items.clear()

    def wake(self) -> None:
        """Let every waiting reader look again; on the loop only."""
        with self._lock:
            self._wake_scheduled = False
            waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def newer(self, after: int) -> tuple[int, T] | None:
        """The oldest item kept whose number is greater than `after`, with that number."""
        with self._lock:
            return next((entry for entry in self._items if entry[0] > after), None)

    def newest(self, wanted: Callable[[T], bool]) -> int | None:
        """The number of the newest item kept that is wanted."""
        with self._lock:
            return next((n for n, item in reversed(self._items) if wanted(item)), None)

    async def changed(self, after: int) -> None:
        """Wait until there is an item newer than `after`, or `wake()` is called."""
        with self._lock:
            if self._items and self._items[-1][0] > after:
                return
            future = self._wait()
        await future

    async def woken(self) -> None:
        """Wait until `wake()` is called, or an item is put."""
        with self._lock:
            future = self._wait()
        await future

    def _wait(self) -> asyncio.Future[None]:
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(future)
        return future

    def call_in_loop(self, callback: Callable[..., None], *arguments: object) -> bool:
        """Run a callback on the loop; False when the loop is closed."""
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:
            # asyncio's way of saying that the loop is closed: nobody is left to be told.
            return False
        return True
