"""When samples were captured, going by when they arrived."""


class SampleClock:
    """When samples were captured: as even as the device's clock, and right on average.

    A reader is woken late by some milliseconds, each time by others; the device isn't.
    """

    RESTART = 0.05
    """Seconds behind that can only be samples that the device has dropped."""
    GAIN = 0.05
    """The part of the difference from the measured time that one chunk makes good."""
    MOST = 0.001
    """Seconds that one chunk makes good at most, so that time never goes back."""

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._next: float | None = None

    def stamp(self, samples: int, now: float) -> float:
        """The time of the first of so many samples, the last of which was captured by now."""
        duration = samples / self._rate
        measured = now - duration
        if self._next is None or measured - self._next > self.RESTART:
            at = measured
        else:
            late = measured - self._next
            at = self._next + max(-self.MOST, min(self.MOST, late * self.GAIN))
            at = min(at, now)  # a backlog that comes in one burst is not of the future
        self._next = at + duration
        return at
