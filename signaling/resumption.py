"""What one client is told, kept for the case that its socket breaks (pure)."""

import collections

from .limits import Limits


class Overflow(Exception):
    """The client reads more slowly than it is told things."""


class Line:
    """Messages on their way to one client, in order.

    What was handed out stays known for a while: nobody can tell how much of it was in a socket
    that broke.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._kept: collections.deque[str] = collections.deque()
        self._size = 0
        self._first = 0
        """The number of the oldest message that is kept, counted from the beginning."""
        self._next = 0
        """The number of the first message that was not handed out."""

    def put(self, text: str) -> None:
        """Add a message; the oldest ones that were handed out make room for it.

        :raises Overflow: too many wait.
        """
        self._kept.append(text)
        self._size += len(text)
        while len(self._kept) > self._limits.send_queue or self._size > self._limits.send_bytes:
            if self._first == self._next:
                raise Overflow
            self._size -= len(self._kept.popleft())
            self._first += 1

    def take(self) -> str | None:
        """Hand out the next message, if there is one."""
        index = self._next - self._first
        if index == len(self._kept):
            return None
        self._next += 1
        return self._kept[index]

    def rewind(self, received: int) -> bool:
        """Hand out again what comes after so many; false if that is not known any more."""
        if not self._first <= received <= self._next:
            return False
        self._next = received
        return True
