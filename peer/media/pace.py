"""How often pictures come, by their time stamps (pure)."""

from collections import deque
from itertools import islice

from ..capture.clock import VIDEO_TIME_BASE

_CLOCK_RATE = VIDEO_TIME_BASE.denominator
_RECENT = 16
"""Pictures: half a second of most cameras. Fewer would be moved by each that comes late."""
_HALF = _RECENT // 2
_PATIENCE = 3 * _CLOCK_RATE
"""Ticks for which pictures are slower before that is another rate: there is no hurry, and many are
slower for a moment only."""
_PAUSE = _CLOCK_RATE // 4
"""Ticks after which the time between pictures tells nothing of those that are to follow: nothing
moved, or they were black."""
_CHANGE = 1.3
"""How many times as fast or as slow they come when it is another rate."""


class Pace:
    """The frame rate in effect, which may be another than is said."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._recent: deque[int] = deque(maxlen=_RECENT)
        self._usual = 0.0
        self._slower_for = 0

    def settle(self, rate: float) -> None:
        """From now on it is this rate that may change."""
        self._usual = _CLOCK_RATE / rate
        self._slower_for = 0

    def take(self, timestamp: int) -> None:
        """Another picture.

        :param timestamp: of the 90 kHz clock.
        """
        if self._last is not None and 0 <= timestamp - self._last <= _PAUSE:
            self._recent.append(timestamp - self._last)
            if self._known and sum(self._recent) / _RECENT > self._usual * _CHANGE:
                self._slower_for += timestamp - self._last
            else:
                self._slower_for = 0
        self._last = timestamp

    @property
    def _known(self) -> bool:
        return len(self._recent) == _RECENT

    def rate(self, usual: float) -> float:
        """Pictures a second.

        :param usual: what is taken for it until there have been enough.
        """
        return _CLOCK_RATE / max(1.0, sum(self._recent) / _RECENT) if self._known else usual

    def changed(self) -> float | None:
        """The rate at which pictures have come for a while, if it is quite another."""
        if self._slower_for >= _PATIENCE:
            return self.rate(0)
        fast = self._usual / _CHANGE * _HALF
        older, newer = sum(islice(self._recent, _HALF)), sum(islice(self._recent, _HALF, None))
        if self._known and older < fast and newer < fast:
            return _CLOCK_RATE / max(1.0, newer / _HALF)
        return None
