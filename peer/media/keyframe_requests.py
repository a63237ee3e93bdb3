"""When an encoder makes a key frame: one for all who ask at about the same time (pure)."""

KEYFRAME_SPACING = 0.2
"""Seconds between two key frames, however many viewers ask for one: each is as large as a dozen
other pictures, and all viewers get it."""


class KeyframeRequests:
    """Requests for key frames of one encoder. Times are in seconds of one clock."""

    def __init__(self) -> None:
        self._due: float | None = None
        self._last = float("-inf")

    def ask(self, not_before: float) -> None:
        """Have a key frame made, at this time or when one is due anyway."""
        self._due = not_before if self._due is None else min(self._due, not_before)

    def is_due(self, now: float) -> bool:
        """Whether the next picture is to be one."""
        return self._due is not None and max(self._due, self._last + KEYFRAME_SPACING) <= now

    def take(self) -> None:
        """One is being made: who asks from now on, asks for another."""
        self._due = None

    def made(self, now: float) -> None:
        """There was one."""
        self._last = now
