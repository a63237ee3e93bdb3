"""What a session's remote peer said, and its user has not read yet."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator

from ..session import Candidate, Description, Ended, EndReason, Message

CAPACITY = 256
"""Messages: an offer and all candidates of a computer with many addresses are a tenth of it."""


class Inbox:
    """A bounded queue, which ends: `Ended` is read last, and always."""

    def __init__(self) -> None:
        self._unread: deque[Description | Candidate] = deque()
        self._news = asyncio.Event()
        self._over = asyncio.Event()
        self.ended: Ended | None = None
        """How it ended, if it has."""

    def put(self, message: Description | Candidate) -> None:
        """Add a message; what comes after the end is dropped, and more than fits is the end."""
        if self.ended is not None:
            return
        if len(self._unread) >= CAPACITY:
            self.end(Ended(EndReason.OVERLOADED, "the remote peer says more than can be read"))
            return
        self._unread.append(message)
        self._news.set()

    def end(self, ended: Ended) -> bool:
        """Add the last message; whether it was the first end, the only one that counts."""
        if self.ended is not None:
            return False
        self.ended = ended
        self._news.set()
        self._over.set()
        return True

    async def wait_ended(self, timeout: float | None = None) -> bool:
        """Wait for the end, or for so many seconds; whether it has ended."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), timeout)
        return self.ended is not None

    async def read(self) -> AsyncIterator[Message]:
        """What is unread, then what comes, then the end."""
        while True:
            while self._unread:
                yield self._unread.popleft()
            if self.ended is not None:
                yield self.ended
                return
            self._news.clear()
            await self._news.wait()
