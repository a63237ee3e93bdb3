"""What was said over a socket that may break, so that it can be said again over the next (pure)."""

from collections import deque

CAPACITY = 1024
"""Messages that are kept: those of five hundred viewers who come at once."""


class Outbox:
    """The messages of one direction, counted; the newest are kept."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._kept: deque[str] = deque(maxlen=capacity)
        self._said = 0
        self._sent = 0

    @property
    def unsent(self) -> int:
        """How many the present socket has not been given yet."""
        return self._said - self._sent

    @property
    def overflown(self) -> bool:
        """Whether a message is gone that the present socket was not given."""
        return self.unsent > len(self._kept)

    def say(self, text: str) -> None:
        """Add a message; if there are too many, the oldest is forgotten."""
        self._kept.append(text)
        self._said += 1

    def take(self) -> str | None:
        """The next message for the present socket; None if it has them all, or one is gone."""
        if self.unsent == 0 or self.overflown:
            return None
        text = self._kept[-self.unsent]
        self._sent += 1
        return text

    def resume(self, received: int) -> bool:
        """Go on with a new socket, whose other end has received so many.

        :returns: False if one that it has not received is gone; then nothing changes.
        """
        if not 0 <= self._said - received <= len(self._kept):
            return False
        self._sent = received
        return True

    def clear(self) -> None:
        """Begin with somebody who knows nothing."""
        self._kept.clear()
        self._said = self._sent = 0
