"""How many pictures a second there really are (pure)."""

WINDOW = 2.0
"""Seconds over which pictures are counted."""
_PAUSE = 0.5
"""Seconds without a picture, after which counting begins anew: it says nothing of the rate."""


class FrameRate:
    """Measures the rate of pictures; until it has, and in between, what it was told or found last.

    :param assumed: frames a second.
    """

    def __init__(self, assumed: float) -> None:
        self.value = assumed
        """Frames a second."""
        self._begun = self._last = 0.0
        self._count = -1

    def count(self, at: float) -> None:
        """Take note of a picture captured at this time, in seconds."""
        if self._count < 0 or not 0 <= at - self._last <= _PAUSE:
            self._begun, self._count = at, 0
        else:
            self._count += 1
            if at - self._begun >= WINDOW:
                self.value = self._count / (at - self._begun)
                self._begun, self._count = at, 0
        self._last = at
