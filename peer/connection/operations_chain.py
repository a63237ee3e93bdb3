"""The operations chain of a connection, and when `negotiationneeded` fires (WebRTC 4.4.1.2)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from ..errors import InvalidStateError


class OperationsChain:
    """Lets operations run one at a time, first come, first served; looks, when all are done,
    whether something is to be negotiated.

    :param needed: whether it is, in the stable state; False in any other.
    :param fire: fires `negotiationneeded`.
    """

    def __init__(self, needed: Callable[[], bool], fire: Callable[[], None]) -> None:
        self._needed, self._fire = needed, fire
        self._lock = asyncio.Lock()
        self._length = 0
        self._check_when_empty = False
        self._told = False
        self._closed = False

    def close(self) -> None:
        """Let nothing in any more."""
        self._closed = True

    @property
    def closed(self) -> bool:
        """Whether `close()` was called."""
        return self._closed

    def assert_open(self) -> None:
        """:raises InvalidStateError: the connection is closed."""
        if self._closed:
            raise InvalidStateError("the connection is closed")

    @contextlib.asynccontextmanager
    async def operation(self) -> AsyncIterator[None]:
        """A place in the chain.

        :raises InvalidStateError: the connection is closed, or is while this waits.
        """
        self.assert_open()
        self._length += 1
        try:
            async with self._lock:
                self.assert_open()
                yield
        finally:
            self._length -= 1
            if not self._length and self._check_when_empty:
                self._check_when_empty = False
                self.changed()

    def negotiated(self) -> None:
        """A negotiation was completed: whatever is needed after it is told anew."""
        self._told = False

    def changed(self) -> None:
        """Something may have to be negotiated: look, in a task (WebRTC 4.7.3)."""
        if not self._closed:
            asyncio.get_running_loop().call_soon(self._check)

    def _check(self) -> None:
        if self._closed:
            return
        if self._length:
            self._check_when_empty = True
            return
        needed = self._needed()
        if needed and not self._told:
            self._told = True
            self._fire()
        elif not needed:
            self._told = False
